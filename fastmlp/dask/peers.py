"""Connections between the workers of a run: sums of gradients go straight from one to the other.

They are comms of Dask's own, with its addresses, TLS and time limits, and live in the event loop of
the worker, beside its connection with the scheduler. A worker trains in another thread, in a task.
A message is a few numbers, and the bytes of arrays, which are not unpickled.

Each worker says four times in every `patience` that it is alive, from the event loop, however long
its step takes. One that has been silent for longer is taken for dead, whether it is stopped or cut
off.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Coroutine, Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import Any

ALIVE: dict[str, Any] = {"alive": True}


class PeerLostError(RuntimeError):
    """Another worker of the run has ended, or is silent.

    Attributes
    ----------
    rank : int
        Its number.
    """

    def __init__(self, rank: int, reason: str) -> None:
        self.rank, self.reason = rank, reason
        super().__init__(f"worker {rank} is lost: {reason}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.rank, self.reason)


class Peers:
    """The connections of one worker with all others of a run.

    Parameters
    ----------
    rank : int
        Number of this worker.
    token : str
        Secret of the run; a connection that does not know it is closed.
    patience : float > 0
        Seconds of silence after which a worker is taken for dead.
    loop : asyncio event loop
        That of the Dask worker.
    security : dict of str to dict
        Arguments for ``"listen"`` and ``"connect"`` by the cluster's security.
    """

    def __init__(
        self,
        rank: int,
        token: str,
        patience: float,
        loop: asyncio.AbstractEventLoop,
        security: dict[str, dict[str, Any]],
    ) -> None:
        self.rank, self.token, self.patience = rank, token, patience
        self._loop, self._security = loop, security
        self._comms: dict[int, Any] = {}
        self._inboxes: dict[int, SimpleQueue[Any]] = {}
        self._outboxes: dict[int, asyncio.Queue[Any]] = {}
        self._seen: dict[int, float] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._listener: Any = None
        self._is_complete = asyncio.Event()
        self._n_peers = 0

    # --- From any thread

    def open(self, address: str) -> str:
        """Listen at an address of this machine, without a port; return the whole address."""
        return str(self._run(self._open(address)))

    def meet(self, addresses: Sequence[str]) -> None:
        """Connect with all workers, whose addresses are given in the order of their numbers.

        Raises
        ------
        PeerLostError
        """
        self._run(self._meet(addresses))

    def close(self) -> None:
        """Close all connections, soon."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self._close()))

    def send(self, ranks: Iterable[int], buffers: Sequence[Any], **numbers: int) -> None:
        """Send buffers, which must not change afterwards, to some workers; return at once."""
        from distributed.protocol.serialize import Serialized

        frames = [memoryview(buffer).cast("B") for buffer in buffers]
        header = {"compression": [None] * len(frames)}
        message = {**numbers, "data": Serialized(header, frames)}
        self._loop.call_soon_threadsafe(self._post, list(ranks), message)

    def receive(self, rank: int) -> tuple[dict[str, Any], list[Any]]:
        """Wait for the next message of a worker; return its numbers and its frames.

        Raises
        ------
        PeerLostError
        """
        inbox = self._inboxes[rank]
        while True:
            try:
                message = inbox.get(timeout=self.patience / 4)
            except Empty:
                silence = time.monotonic() - self._seen[rank]
                if silence > self.patience:
                    raise PeerLostError(rank, f"silent for {silence:.0f} s") from None
                continue
            if message is None:
                inbox.put(None)  # for whoever asks again
                raise PeerLostError(rank, "the connection has ended")
            return message, message.pop("data").frames

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    # --- In the event loop

    async def _open(self, address: str) -> str:
        from distributed.comm import listen

        self._listener = await listen(
            address, self._welcome, deserialize=False, **self._security["listen"]
        )
        return str(self._listener.contact_address)

    async def _welcome(self, comm: Any) -> None:
        """Take a connection of another worker, which says who it is."""
        try:
            message = await asyncio.wait_for(comm.read(), self.patience)
        except Exception:  # whatever a stranger sends
            comm.abort()
            return
        rank = self._rank_in(message)
        if rank is None:
            comm.abort()
        else:
            self._add(rank, comm)

    def _rank_in(self, message: Any) -> int | None:
        """Return the number of a worker that knows the token, and has not called yet; or None."""
        if not isinstance(message, dict):
            return None
        token, rank = message.get("token"), message.get("rank")
        if not isinstance(token, str) or not isinstance(rank, int):
            return None
        knows = secrets.compare_digest(token.encode(), self.token.encode())
        return rank if knows and rank not in self._comms else None

    async def _meet(self, addresses: Sequence[str]) -> None:
        """Call the workers with higher numbers, and wait for those with lower ones."""
        from distributed.comm import connect

        self._n_peers = len(addresses) - 1
        for rank in range(self.rank + 1, len(addresses)):
            try:
                comm = await connect(
                    addresses[rank],
                    timeout=self.patience,
                    deserialize=False,
                    **self._security["connect"],
                )
                await comm.write({"token": self.token, "rank": self.rank})
            except (TimeoutError, OSError) as error:
                raise PeerLostError(rank, f"no connection: {error}") from None
            self._add(rank, comm)
        if len(self._comms) < self._n_peers:
            try:
                await asyncio.wait_for(self._is_complete.wait(), self.patience)
            except TimeoutError:
                missing = min(set(range(self.rank)) - set(self._comms))
                raise PeerLostError(missing, "it has not called") from None
        self._tasks.append(asyncio.create_task(self._say_alive()))

    def _add(self, rank: int, comm: Any) -> None:
        self._comms[rank] = comm
        self._inboxes[rank], self._outboxes[rank] = SimpleQueue(), asyncio.Queue()
        self._seen[rank] = time.monotonic()
        self._tasks.append(asyncio.create_task(self._read(rank, comm)))
        self._tasks.append(asyncio.create_task(self._write(rank, comm)))
        if self._n_peers and len(self._comms) == self._n_peers:
            self._is_complete.set()

    def _post(self, ranks: list[int], message: dict[str, Any]) -> None:
        for rank in ranks:
            self._outboxes[rank].put_nowait(message)

    async def _read(self, rank: int, comm: Any) -> None:
        try:
            while True:
                message = await comm.read()
                self._seen[rank] = time.monotonic()
                if "data" in message:
                    self._inboxes[rank].put(message)
        except OSError:  # CommClosedError is one
            self._inboxes[rank].put(None)

    async def _write(self, rank: int, comm: Any) -> None:
        try:
            while True:
                await comm.write(await self._outboxes[rank].get())
        except OSError:
            self._inboxes[rank].put(None)

    async def _say_alive(self) -> None:
        while True:
            await asyncio.sleep(self.patience / 4)
            self._post(list(self._outboxes), ALIVE)

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for comm in self._comms.values():
            comm.abort()
        if self._listener is not None:
            self._listener.stop()
