"""The exchange of sums: the bits of the tree, sent whole or in parts."""

from __future__ import annotations

import queue
import threading

import numpy as np
import pytest

from fastmlp.dask import exchange as module
from fastmlp.dask.advice import advice, print_advice
from fastmlp.dask.exchange import SumExchange
from fastmlp.dask.member import Report


class Mail:
    """Peers of one process: what is sent is bytes in queues."""

    def __init__(self, n):
        self.boxes = [[queue.Queue() for _ in range(n)] for _ in range(n)]
        self.n_bytes = [0] * n

    def of(self, rank):
        return _Peers(self, rank)


class _Peers:
    def __init__(self, mail, rank):
        self.mail, self.rank = mail, rank

    def send(self, ranks, buffers):
        frames = [bytes(memoryview(buffer).cast("B")) for buffer in buffers]
        for other in ranks:
            self.mail.boxes[self.rank][other].put(frames)
            self.mail.n_bytes[self.rank] += sum(map(len, frames))

    def receive(self, other):
        return {}, self.mail.boxes[other][self.rank].get(timeout=30)


def tree_sum(values):
    if len(values) == 1:
        return values[0]
    left = max(2**k for k in range(10) if 2**k < len(values))
    return tree_sum(values[:left]) + tree_sum(values[left:])


def exchanged(leaves, totals, bounds):
    """Slot 0, totals, whether it was in parts, and bytes sent, of every process."""
    n = len(bounds) - 1
    mail, results = Mail(n), [None] * n

    def work(rank):
        exchange = SumExchange(mail.of(rank), bounds, rank)
        plan = exchange.plan
        own = slice(plan.first, plan.first + plan.n_own)
        slots = np.full((plan.n_slots, leaves.shape[1]), np.nan, leaves.dtype)
        slots[: plan.n_own] = leaves[own]
        all_totals = np.full(totals.shape, np.nan)
        all_totals[own] = totals[own]
        for to, source in plan.before:
            slots[to] += slots[source]
        is_added = exchange(slots, all_totals)
        if not is_added:
            for to, source in plan.after:
                slots[to] += slots[source]
        assert exchange.seconds > 0
        results[rank] = slots[0], all_totals, is_added

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results, mail.n_bytes


@pytest.mark.parametrize("parted", [False, True], ids=["whole", "in parts"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bounds", [[0, 4, 8], [0, 2, 5, 8], [0, 1, 2, 3, 8], [0, 1, 2, 3, 4, 5, 7],
                                    list(range(9))], ids=str)  # fmt: skip
def test_every_worker_has_the_sum_of_the_tree(monkeypatch, bounds, dtype, parted):
    monkeypatch.setattr(module, "PARTED_BYTES", 1 if parted else 10**9)
    rng = np.random.default_rng(0)
    leaves = rng.normal(size=(bounds[-1], 37)).astype(dtype)
    totals = rng.normal(size=(bounds[-1], 4))
    results, _ = exchanged(leaves, totals, bounds)
    for total, all_totals, is_added in results:
        np.testing.assert_array_equal(total, tree_sum(leaves))
        np.testing.assert_array_equal(all_totals, totals)
        assert is_added == (parted and len(bounds) > 3)


def test_in_parts_each_of_many_workers_sends_about_twice_the_parameters(monkeypatch):
    leaves = np.ones((8, 10_000))
    sent = []
    for parted in (10**9, 1):
        monkeypatch.setattr(module, "PARTED_BYTES", parted)
        sent.append(max(exchanged(leaves, np.ones((8, 4)), list(range(9)))[1]) / leaves[0].nbytes)
    assert sent[0] == pytest.approx(7, rel=0.01) and sent[1] == pytest.approx(2 * 7 / 8, rel=0.01)


# --- Advice


def report(seconds, exchange_seconds, n_steps=100):
    return Report(n_steps, n_steps, False, "", seconds, exchange_seconds)


def test_the_advice_has_milliseconds_of_a_step_and_the_share_of_the_exchange():
    found = advice([report(1.0, 0.8), report(1.0, 0.8)], 2, 12345)
    assert found == (
        "fastmlp.dask: a step of 10.0 ms on 2 workers spends 80% on the exchange of 12,345 "
        "parameters; one worker would take about 4.0 ms. Larger batches or networks are worth "
        "more workers."
    )


@pytest.mark.parametrize("reports, n_workers", [
    ([report(1.0, 0.4)], 2),  # alone 1.2 s
    ([report(1.0, 0.9)], 1),
    ([], 2),
    ([report(1.0, 0.9, n_steps=0)], 2),
], ids=["it pays", "one worker", "no piece", "no step"])  # fmt: skip
def test_there_is_no_advice_where_workers_pay_or_nothing_is_known(reports, n_workers, capsys):
    assert advice(reports, n_workers, 9) is None
    print_advice(reports, n_workers, 9)
    assert capsys.readouterr() == ("", "")


def test_the_advice_is_printed_to_the_error_output(capsys):
    print_advice([report(1.0, 0.8)], 2, 9)
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("fastmlp.dask: a step of 10.0 ms") and err.count("\n") == 1
