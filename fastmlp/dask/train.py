"""Train a Trainer's network on the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import ArrayLike

from fastmlp._checks import check_flag, check_integer, check_number, shown
from fastmlp._types import StrPath
from fastmlp.callbacks.base import Callback
from fastmlp.callbacks.checkpoint import Checkpoint
from fastmlp.dask.advice import print_advice
from fastmlp.dask.collection import is_collection, source_of
from fastmlp.dask.feed import ClusterFeed
from fastmlp.data.sharded import N_SHARDS
from fastmlp.data.source import Source
from fastmlp.exceptions import ClusterError
from fastmlp.training.history import History
from fastmlp.training.trainer import Trainer

PATIENCE = 30.0
"""Seconds of silence after which a worker is taken for dead, by default."""


def train(
    client: Any,
    trainer: Trainer,
    X: Any,
    Y: Any = None,
    *,
    n_epochs: int = 1,
    sample_weight: Any = None,
    validation_data: tuple[ArrayLike, ArrayLike] | Source | None = None,
    callbacks: Iterable[Callback] = (),
    resume: StrPath | None = None,
    n_shards: int = N_SHARDS,
    window_rows: int | None = None,
    local_steps: int | None = None,
    n_threads: int | None = None,
    patience: float = PATIENCE,
    verbose: bool = True,
) -> History:
    """Train a network on the workers of a cluster, with the bits of one machine.

    The rows belong to `n_shards` shards, and the gradients of these are added in a fixed tree. So
    weights and history are those of ``trainer.fit(source, n_shards=n_shards)``, to the last bit,
    for any number of workers of one SIMD level, and whoever is lost on the way.

    Parameters
    ----------
    client : distributed.Client
        Its workers are chosen when the run begins; those that come later replace lost ones.
    trainer : Trainer
        Trained in place, on the client: history, callbacks, checkpoints and validation stay there.
    X : dask array (n, n_features), dask data frame, list of delayed partitions, or Source
        Dense inputs. A collection is computed and stays in the memory of the workers. A
        :class:`fastmlp.data.Source` has targets too; every worker and the client must be able to
        read it, for instance a Parquet file in a shared folder.
    Y : the same with targets (n, n_out), or None
        In as many partitions; None with a Source.
    n_epochs, validation_data, callbacks, resume
        As in :meth:`fastmlp.Trainer.fit`. A checkpoint of either can be continued by the other.
    sample_weight : the same with weights (n,), optional
    n_shards : int >= 1
        More than this number of workers, times the threads of each, do not help; see
        :meth:`fastmlp.Trainer.fit`.
    window_rows : int >= 1, optional
        Rows, of all workers together, that are in memory and shuffled at once; by default all of a
        collection, and 64 MiB of a source.
    local_steps : int >= 1, optional
        As in :meth:`fastmlp.Trainer.fit`: one exchange for so many steps of another training.
    n_threads : int >= 1, optional
        Threads of each worker; by default as many as Dask has given it.
    patience : float > 0
        Seconds of silence after which a worker is taken for dead. The run then continues with the
        others from where the client last had the weights, at most some ten seconds before.
    verbose : bool
        Print a sentence where the exchange of gradients costs more than the workers bring.

    Returns
    -------
    History
        Also in ``trainer.history``.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, before any training.
    ClusterError
        If the scheduler is lost, there is no worker for as long as `patience`, or workers differ.
        The network has the weights of the last piece of an epoch; with a
        :class:`fastmlp.Checkpoint` the message names its folder.
    DataFormatError, DivergenceError, KeyboardInterrupt, ResumeError
        As in :meth:`fastmlp.Trainer.fit`.
    """
    check_client(client)
    check_number("patience", patience, minimum=0.1)
    check_flag("verbose", verbose)
    if n_threads is not None:
        check_integer("n_threads", n_threads, minimum=1)
    if not isinstance(trainer, Trainer):
        raise TypeError(f"trainer must be a fastmlp.Trainer; got {shown(trainer)}")
    source = X
    if not isinstance(X, Source):
        if not is_collection(X):
            raise TypeError(
                "X must be a Dask array, a Dask data frame, a list of delayed partitions or a "
                f"fastmlp.data.Source; got {shown(X)}"
            )
        source = source_of(client, X, Y, sample_weight, y_name="Y")
    elif Y is not None or sample_weight is not None:
        raise ValueError("Y and sample_weight must be None, because X is a source, which has them")
    calls = list(callbacks)
    check = trainer._check(window_rows, n_shards, local_steps)
    feed = ClusterFeed(
        client,
        source,
        check.reader("X", source).format,
        trainer.batch_size,
        n_shards=n_shards,
        window_rows=window_rows,
        patience=patience,
        n_threads=n_threads,
        local_steps=local_steps,
    )
    try:
        return trainer.fit_as(
            "Trainer",
            {},
            feed,
            n_epochs=n_epochs,
            validation_data=validation_data,
            callbacks=calls,
            resume=resume,
        )
    except ClusterError as error:
        done = f"{trainer.epochs_done} epoch(s) and {trainer.n_steps} step(s) are done"
        where = where_to_continue(calls) or "the network has their weights"
        raise ClusterError(f"{error}. {done}; {where}") from error
    finally:
        feed.close()
        if verbose:
            print_advice(feed.reports, feed.n_workers, trainer.network.n_parameters)


def where_to_continue(callbacks: Iterable[Callback]) -> str:
    """Return how a run can be continued, for an error message; "" if it has no checkpoints."""
    folders = [str(call.folder) for call in callbacks if isinstance(call, Checkpoint)]
    return f"continue with resume={folders[0]!r}" if folders else ""


def check_client(client: Any) -> None:
    """Raise TypeError unless `client` is a Dask client that can be waited for."""
    if not hasattr(client, "scheduler_info") or not hasattr(client, "submit"):
        raise TypeError(f"client must be a distributed.Client; got {shown(client)}")
    if getattr(client, "asynchronous", False):
        raise TypeError("client must not be asynchronous; got one with asynchronous=True")
