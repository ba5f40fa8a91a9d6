"""Connections between workers: who is let in, what is carried, and when one is taken for lost."""

from __future__ import annotations

import asyncio
import threading
import time

import numpy as np
import pytest

distributed = pytest.importorskip("distributed")

from distributed.comm import connect  # noqa: E402
from distributed.protocol.serialize import Serialize, Serialized, serialize  # noqa: E402

from fastmlp.dask.peers import PeerLostError, Peers  # noqa: E402

PATIENCE = 20.0


@pytest.fixture
def loop():
    """An event loop in a thread, as a worker has one."""
    found = asyncio.new_event_loop()
    thread = threading.Thread(target=found.run_forever)
    thread.start()
    yield found
    found.call_soon_threadsafe(found.stop)
    thread.join()
    found.close()


def run(loop, work):
    return asyncio.run_coroutine_threadsafe(work, loop).result(30)


@pytest.fixture
def make(loop):
    """Function that returns listening peers; all are closed in the end."""
    made = []

    def peers(rank, token="secret", patience=PATIENCE):
        found = Peers(rank, token, patience, loop, {"listen": {}, "connect": {}})
        made.append(found)
        return found, found.open("tcp://127.0.0.1:0")

    yield peers
    for found in made:
        run(loop, found._close())


def met(make, n, **options):
    """Peers that are connected with each other."""
    every, addresses = zip(*(make(rank, **options) for rank in range(n)), strict=True)
    threads = [threading.Thread(target=one.meet, args=(addresses,)) for one in every]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return every


def test_arrays_arrive_as_their_bytes_in_the_order_in_which_they_were_sent(make):
    a, b, c = met(make, 3)
    first, second = np.arange(5.0), np.arange(3, dtype=np.float32)
    a.send([1, 2], [first, second], step=7)
    a.send([2], [first + 1])
    for peer in (b, c):
        numbers, frames = peer.receive(0)
        assert numbers == {"step": 7}
        assert b"".join(frames) == first.tobytes() + second.tobytes()
    assert b"".join(c.receive(0)[1]) == (first + 1).tobytes()


@pytest.mark.parametrize("compression", [False, "zlib"])
def test_large_and_compressible_arrays_arrive_whole(make, compression):
    dask = pytest.importorskip("dask")
    with dask.config.set({"distributed.comm.compression": compression,
                          "distributed.comm.shard": "1MiB"}):  # fmt: skip
        a, b = met(make, 2)
        zeros = np.zeros(1_000_000)
        for _ in range(2):  # the same buffers twice
            b.send([0], [zeros, np.ones(3)])
        for _ in range(2):
            frames = b"".join(a.receive(1)[1])
            assert frames == zeros.tobytes() + np.ones(3).tobytes()


def test_it_listens_at_the_address_it_is_given(make):
    _, address = make(0)
    assert address.startswith("tcp://127.0.0.1:") and not address.endswith(":0")


@pytest.mark.parametrize("message", [
    {"token": "wrong", "rank": 0}, {"rank": 0}, {"token": 7, "rank": 0}, {"token": "secret"},
    {"token": "secret", "rank": "0"}, ["secret", 0], "secret", b"\xff", None,
    {"token": "secrét", "rank": 0},
], ids=repr)  # fmt: skip
def test_a_stranger_is_sent_away(make, loop, message):
    peers, address = make(1)

    async def call():
        comm = await connect(address, deserialize=False)
        await comm.write(message)
        with pytest.raises(OSError):
            await asyncio.wait_for(comm.read(), 20)
        comm.abort()

    run(loop, call())
    assert peers._comms == {}


def test_a_number_that_has_called_cannot_call_again(make, loop):
    a, b = met(make, 2)
    address = b._listener.contact_address

    async def call():
        comm = await connect(address, deserialize=False)
        await comm.write({"token": "secret", "rank": 0})
        with pytest.raises(OSError):
            await asyncio.wait_for(comm.read(), 20)
        comm.abort()

    run(loop, call())
    a.send([1], [np.ones(2)])
    assert b"".join(b.receive(0)[1]) == np.ones(2).tobytes()


class Trap:
    """Notes that it has been unpickled."""

    sprung: list[int] = []  # noqa: RUF012

    def __reduce__(self):
        return Trap.sprung.append, (1,)


def test_objects_that_a_worker_sends_are_not_unpickled(make, loop):
    a, b = met(make, 2)
    header, frames = serialize(Trap())

    async def write(message):
        await a._comms[1].write(message)

    run(loop, write({"data": Serialized(header, frames)}))
    run(loop, write({"data": Serialize(Trap())}))
    for _ in range(2):
        numbers, received = b.receive(0)
        assert numbers == {} and all(isinstance(f, bytes | memoryview) for f in received)
    assert Trap.sprung == []


def test_a_worker_that_has_ended_is_lost_at_once_and_stays_so(make, loop):
    a, b = met(make, 2)
    run(loop, a._close())
    start = time.monotonic()
    for _ in range(2):
        with pytest.raises(PeerLostError, match="worker 0 is lost: the connection has ended") as e:
            b.receive(0)
        assert e.value.rank == 0
    assert time.monotonic() - start < PATIENCE / 2


def test_what_was_sent_before_the_end_is_still_received(make, loop):
    a, b = met(make, 2)
    a.send([1], [np.ones(2)])
    assert b"".join(b.receive(0)[1]) == np.ones(2).tobytes()


def test_a_silent_worker_is_lost_after_patience(make):
    a, b = met(make, 2, patience=0.5)
    for task in a._tasks:  # it neither reads nor writes, nor says that it is alive
        a._loop.call_soon_threadsafe(task.cancel)
    time.sleep(0.1)
    b._seen[0] = time.monotonic() + 1e-3
    with pytest.raises(PeerLostError, match=r"worker 0 is lost: (silent for|the connection)"):
        b.receive(0)


def test_a_slow_worker_that_is_alive_is_waited_for(make):
    a, b = met(make, 2, patience=1.0)
    threading.Timer(2.5, a.send, [[1], [np.ones(1)]]).start()
    assert b"".join(b.receive(0)[1]) == np.ones(1).tobytes()


def test_an_address_where_nobody_listens_is_lost_by_its_number(make):
    peers, address = make(0, patience=0.5)
    with pytest.raises(PeerLostError, match="worker 1 is lost: no connection: "):
        peers.meet([address, "tcp://127.0.0.1:1"])


def test_a_worker_that_does_not_call_is_lost_by_its_number(make):
    peers, address = make(2, patience=0.3)
    with pytest.raises(PeerLostError, match="worker 0 is lost: it has not called"):
        peers.meet(["tcp://127.0.0.1:1", "tcp://127.0.0.1:2", address])


def test_closing_ends_the_listener_and_every_task(make, loop):
    a, _ = met(make, 2)
    address = a._listener.contact_address
    a.close()
    deadline = time.monotonic() + 20
    while not all(task.done() for task in a._tasks):
        assert time.monotonic() < deadline
        time.sleep(0.01)

    async def call():
        with pytest.raises(OSError):
            await connect(address, timeout=0.5)

    run(loop, call())


def test_an_error_about_a_lost_worker_survives_pickling():
    import pickle

    again = pickle.loads(pickle.dumps(PeerLostError(3, "gone")))
    assert (again.rank, again.reason, str(again)) == (3, "gone", "worker 3 is lost: gone")
