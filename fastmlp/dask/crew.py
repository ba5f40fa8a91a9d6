"""The workers of a run: how they are chosen, told what to do, waited for, and replaced."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from fastmlp.dask.collection import collection_in
from fastmlp.dask.member import Lost, Orders, enlist, facts_of, meet, train
from fastmlp.data.sharded import shard_rows
from fastmlp.exceptions import ClusterError

POLL_SECONDS, LOOK_SECONDS = 0.2, 1.0
"""How often the client asks for results, and for the workers that there are."""

ANSWER_SECONDS = 30.0
"""How long it waits for an answer of the scheduler."""

END_SECONDS = 10.0
"""How long a lost worker's nanny has to end it, before the scheduler forgets it all the same."""

GRACE_SECONDS = 2.0
"""How long it waits for the errors of other workers, one of which may be the cause."""


class WorkersLostError(Exception):
    """Workers of the crew are lost; the others can continue without them."""

    def __init__(self, addresses: set[str], reason: str) -> None:
        self.addresses = addresses
        super().__init__(reason)


class Workers:
    """The workers of a cluster that can be used, as the client sees them.

    Parameters
    ----------
    client : distributed.Client
    patience : float
        Seconds without a sign of life after which one is taken for dead.
    """

    def __init__(self, client: Any, patience: float) -> None:
        self.client, self.patience = client, patience
        self.lost: set[str] = set()
        self._heartbeats_known: set[str] = set()
        self._signs: dict[str, tuple[float, float]] = {}

    def alive(self) -> list[str]:
        """Return the addresses of all workers that show signs of life, sorted.

        Raises
        ------
        ClusterError
            If the scheduler cannot be asked.
        """
        now = time.monotonic()
        for address, sign in self._heartbeats().items():
            if address not in self._signs or self._signs[address][0] != sign:
                self._signs[address] = sign, now
        present = self._heartbeats_known
        return sorted(
            address
            for address in present
            if address not in self.lost and now - self._signs[address][1] <= self.patience
        )

    def _heartbeats(self) -> dict[str, float]:
        """Return when the scheduler last heard of each worker."""
        self._check_connected()  # or the client tries to connect again for as long as its timeout
        scheduler, seconds = self.client.scheduler, max(ANSWER_SECONDS, self.patience)
        try:
            # As `scheduler_info` does, which waits for ever.
            answer = self.client.sync(scheduler.identity, n_workers=-1, callback_timeout=seconds)
            found = answer["workers"]
        except Exception as error:
            raise ClusterError(f"the scheduler cannot be reached: {error!r}") from error
        self._check_connected()
        self._heartbeats_known = set(found)
        return {address: worker["last_seen"] for address, worker in found.items()}

    def _check_connected(self) -> None:
        """Raise ClusterError if the client has lost the scheduler."""
        if self.client.status != "running":
            raise ClusterError(f"the scheduler is lost: the client is {self.client.status!r}")

    def wait_for_one(self, n_most: int) -> list[str]:
        """Return at most `n_most` workers, as soon as there is one.

        Raises
        ------
        ClusterError
            If there is none for as long as `patience`.
        """
        end = time.monotonic() + self.patience
        while True:
            found = self.alive()
            if found:
                return found[:n_most]
            if time.monotonic() > end:
                raise ClusterError(f"there has been no worker for {self.patience:.0f} s")
            time.sleep(POLL_SECONDS)

    def forget(self, addresses: set[str]) -> None:
        """Use some workers no more, and have the scheduler end them; their nannies start others.

        It waits five minutes for a silent one by default, and others wait for its data so long.

        Raises
        ------
        ClusterError
            If the scheduler is lost.
        """
        self.lost |= addresses
        for address in addresses & self._heartbeats_known:
            self._check_connected()
            try:
                # Without a limit it tries to reach a lost scheduler for as long as the client's
                # own timeout.
                self.client.run_on_scheduler(
                    _end, address=address, callback_timeout=2 * END_SECONDS
                )
            except OSError:  # of which TimeoutError is one
                self.alive()

    def are_silent(self, addresses: set[str]) -> set[str]:
        """Return which of some workers give no sign of life within a few heartbeats."""
        if not addresses:
            return set()
        before = self._heartbeats()
        time.sleep(min(self.patience, 3.0 + len(before) / 100))
        after = self._heartbeats()
        return {a for a in addresses if a not in after or before.get(a) == after[a]}


async def _end(dask_scheduler: Any, address: str) -> None:
    # `remove_worker` would end the nanny of a worker that was only slow, and nobody start another.
    await dask_scheduler.restart_workers(
        [address],
        wait_for_workers=False,
        timeout=END_SECONDS,
        on_error="return",
        stimulus_id=f"fastmlp-{secrets.token_hex(4)}",
    )


class Crew:
    """Workers that train together until one is lost.

    Parameters
    ----------
    workers : Workers
    orders_for : callable
        Returns the orders for bounds of the shards and a token.
    n_shards : int

    Raises
    ------
    WorkersLostError, ClusterError
    """

    def __init__(
        self, workers: Workers, orders_for: Callable[[list[int], str], Orders], n_shards: int
    ) -> None:
        self.workers, self.client = workers, workers.client
        self.addresses = workers.wait_for_one(n_shards)
        n = len(self.addresses)
        bounds = [n_shards * rank // n for rank in range(n + 1)]
        orders = orders_for(bounds, secrets.token_hex(16))
        told = self._sent(orders)
        self.members = [
            self._submit(rank, enlist, told, rank, *self._parts(orders, bounds, rank))
            for rank in range(n)
        ]
        try:
            self._meet()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let the workers free what they have of the run, whoever still has this object."""
        for member in self.members:
            member.release()

    def _meet(self) -> None:
        """Connect the workers with each other, if they compute the same bits."""
        facts = self._results([self._submit(r, facts_of, m) for r, m in enumerate(self.members)])
        kinds = {(fact.arithmetic, fact.plan_version) for fact in facts}
        if len(kinds) > 1:
            raise ClusterError(
                "the workers must compute the same bits: with the same fastmlp, NumPy and system, "
                "one SIMD level (FASTMLP_SIMD chooses it), and one BLAS if products='blas' asks "
                "for it; "
                f"got {sorted(map(str, kinds))}"
            )
        addresses = [fact.address for fact in facts]
        self._results([self._submit(r, meet, m, addresses) for r, m in enumerate(self.members)])

    def train(self, piece: Any, weights: Any) -> list[Any]:
        """Return the reports of all workers on a piece of an epoch."""
        sent = None if weights is None else self._sent(weights)
        futures = [self._submit(r, train, m, piece, sent) for r, m in enumerate(self.members)]
        return self._results(futures)

    def _sent(self, data: Any) -> Any:
        """Send data to the first worker, from which the others get them; return their future.

        Raises
        ------
        WorkersLostError
            If it does not take them.
        """
        first = self.addresses[0]

        async def scattered() -> Any:
            return await self.client.scatter([data], workers=[first], hash=False, asynchronous=True)

        try:
            # A stopped worker never answers.
            sent = self.client.sync(scattered, callback_timeout=self.workers.patience)
        except Exception as error:
            is_here = first in self.workers.alive()
            if is_here and not isinstance(error, OSError):  # of which TimeoutError is one
                raise
            self._raise_lost({first}, f"it takes no data: {error!r}")
        return sent[0]

    def _parts(self, orders: Orders, bounds: Sequence[int], rank: int) -> list[Any]:
        """Return the numbers and futures of the partitions that a worker needs."""
        collection = collection_in(orders.source)
        if collection is None:
            return [[]]
        n_shards, n_rows = bounds[-1], len(collection)
        begin, _ = shard_rows(n_rows, n_shards, bounds[rank])
        _, end = shard_rows(n_rows, n_shards, bounds[rank + 1] - 1)
        numbers = collection.within(begin, end)
        return [numbers, *(collection.futures[number] for number in numbers)]

    def _submit(self, rank: int, function: Callable[..., Any], *args: Any) -> Any:
        return self.client.submit(
            function,
            *args,
            workers=[self.addresses[rank]],
            allow_other_workers=False,
            pure=False,
            key=f"fastmlp-{function.__name__}-{secrets.token_hex(8)}",
        )

    def _results(self, futures: list[Any]) -> list[Any]:
        """Return the results of a task of each worker; what it raises is that of `_awaited`."""
        try:
            return self._awaited(futures)
        except BaseException:
            for future in futures:  # an error has them in its frames, and on a worker the member
                future.release()
            raise

    def _awaited(self, futures: list[Any]) -> list[Any]:
        """Wait for a task of each worker; return their results.

        Raises
        ------
        WorkersLostError
            If some workers are lost.
        ClusterError
            If the scheduler is.
        Exception
            What a task has raised on its own account.
        """
        from distributed import CancelledError, wait

        next_look = time.monotonic() + LOOK_SECONDS
        pending = list(futures)
        while pending:
            try:
                wait(pending, timeout=POLL_SECONDS, return_when="FIRST_COMPLETED")
            except TimeoutError:
                pass
            except CancelledError:  # with a worker that had what the task needs
                self._raise_failure(futures)
            if any(future.status not in ("pending", "finished") for future in futures):
                self._raise_failure(futures)
            pending = [future for future in futures if future.status == "pending"]
            if pending and time.monotonic() > next_look:
                self._look()
                next_look = time.monotonic() + LOOK_SECONDS
        results = [self._result(rank, future) for rank, future in enumerate(futures)]
        lost = [result for result in results if isinstance(result, Lost)]
        if lost:
            self._raise_lost({self.addresses[one.rank] for one in lost}, lost[0].reason)
        return results

    def _result(self, rank: int, future: Any) -> Any:
        from distributed import CancelledError

        try:
            return future.result(timeout=self.workers.patience)
        except (CancelledError, OSError):  # of which TimeoutError is one
            raise WorkersLostError({self.addresses[rank]}, "its result does not come") from None

    def _look(self) -> None:
        """Raise an error if a worker of the crew has gone."""
        gone = set(self.addresses) - set(self.workers.alive())
        if gone:
            raise WorkersLostError(gone, f"{len(gone)} worker(s) have ended or are silent")

    def _raise_failure(self, futures: list[Any]) -> NoReturn:
        """Raise what has gone wrong: an error of a task's own before those of lost workers."""
        from distributed.scheduler import KilledWorker

        end = time.monotonic() + GRACE_SECONDS
        while True:
            errors = [f.exception() for f in futures if f.status == "error"]
            own = [error for error in errors if not isinstance(error, KilledWorker)]
            if own:
                raise own[0]
            if all(f.status != "pending" for f in futures) or time.monotonic() > end:
                break
            time.sleep(POLL_SECONDS)
        self._raise_lost(set(), str(errors[0]) if errors else "a task was cancelled")

    def _raise_lost(self, accused: set[str], reason: str) -> NoReturn:
        """Raise an error about workers that have gone, and those of some others that are silent."""
        gone = set(self.addresses) - set(self.workers.alive())
        raise WorkersLostError(gone | self.workers.are_silent(accused - gone), reason)
