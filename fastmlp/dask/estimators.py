"""What the estimators for Dask collections have in common: a local one, trained on the cluster."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from fastmlp._checks import check_integer, check_number, shown
from fastmlp._types import StrPath
from fastmlp.dask.collection import is_collection, source_of
from fastmlp.dask.feed import ClusterFeed
from fastmlp.dask.predict import lazily, summed_score
from fastmlp.dask.train import PATIENCE, check_client, where_to_continue
from fastmlp.data.reader import Format
from fastmlp.data.sharded import N_SHARDS
from fastmlp.data.source import Source, SourceRows
from fastmlp.data.wrapped import WrappedSource
from fastmlp.estimators.base import BaseMLP
from fastmlp.estimators.sklearn_callbacks import CallbackSupport, epoch_callbacks
from fastmlp.estimators.sources import check_none
from fastmlp.exceptions import ClusterError


class ClusterSource(WrappedSource):
    """The rows of a source, which an estimator trains on where they are.

    Parameters
    ----------
    source : Source
    client : distributed.Client
    n_shards : int
    patience : float
    n_threads : int or None
        Of every worker; None for as many as Dask has given it.
    """

    def __init__(
        self, source: Source, client: Any, n_shards: int, patience: float, n_threads: int | None
    ) -> None:
        super().__init__(source)
        self._client, self._n_shards, self._patience = client, n_shards, patience
        self._n_threads = n_threads
        self._feeds: list[ClusterFeed] = []

    def __getstate__(self) -> dict[str, Any]:
        """Without the client."""
        return vars(self) | {"_client": None, "_feeds": []}

    @property
    def fingerprint(self) -> str:
        """That of the source."""
        return self._source.fingerprint

    def read(self, begin: int, end: int) -> SourceRows:
        """Return some rows."""
        return self._source.read(begin, end)

    def take(self, rows: Any) -> SourceRows:
        """Return the rows with these indices."""
        return self._source.take(rows)

    def make_reader(self, encoded: Source, format: Format, batch_size: int) -> ClusterFeed:
        """Return what the loop trains on, for this source with the network's targets."""
        feed = ClusterFeed(
            self._client,
            encoded,
            format,
            batch_size,
            n_shards=min(self._n_shards, len(encoded)),
            window_rows=None,
            patience=self._patience,
            n_threads=self._n_threads,
        )
        self._feeds.append(feed)
        return feed

    def close(self) -> None:
        """Let the workers go."""
        for feed in self._feeds:
            feed.close()


class ClusterEstimator(CallbackSupport, BaseEstimator):  # type: ignore[misc]
    """Base class of the estimators for Dask; use one of its subclasses."""

    _local_class: ClassVar[type[BaseMLP]]

    def __init__(
        self,
        *args: Any,
        client: Any = None,
        n_shards: int = N_SHARDS,
        patience: float = PATIENCE,
        **parameters: Any,
    ) -> None:
        local = self._local_class(*args, **parameters)
        self.__dict__.update(local.get_params(deep=False))
        self.client, self.n_shards, self.patience = client, n_shards, patience
        self._local: BaseMLP | None = None

    @classmethod
    def _get_param_names(cls) -> list[str]:
        """Return the names of the local estimator's parameters and of own ones, but the client."""
        return sorted([*cls._local_class._get_param_names(), "n_shards", "patience"])

    def __getattr__(self, name: str) -> Any:
        """Return what the fitted local estimator has."""
        if name.endswith("_") and not name.startswith("_") and vars(self).get("_local") is not None:
            return getattr(self._local, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __getstate__(self) -> dict[str, Any]:
        """Without the client."""
        state: dict[str, Any] = super().__getstate__()
        return state | {"client": None}

    def __sklearn_is_fitted__(self) -> bool:
        return self._local is not None

    # --- Fit

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        resume: Any = None,
    ) -> Self:
        """Train the network on the workers of the cluster.

        Classes, or the scale of the targets, are learned from all targets, and the scale of X is
        looked at in the first rows. Callbacks of `set_callbacks` run on the client. If `fit`
        raises, the estimator is unchanged.

        Parameters
        ----------
        X : dask array (n, n_features), dask data frame, list of delayed partitions, or Source
            As in :func:`fastmlp.dask.train`.
        y : the same with labels or targets, (n,) or (n, n_outputs), or None with a Source
            In as many partitions; empty ones are allowed.
        sample_weight : the same with weights >= 0, (n,), optional
        X_val, y_val, sample_weight_val : like X, y and sample_weight, or arrays, optional
            Validation data; a collection is computed and comes to the client.
        resume : str, bytes or PathLike, optional
            A checkpoint or its folder, as in :meth:`fastmlp.MLPClassifier.fit`.

        Returns
        -------
        The estimator

        Raises
        ------
        TypeError, ValueError
            Naming the argument or parameter.
        ClusterError
            As in :func:`fastmlp.dask.train`.
        DataFormatError, DivergenceError, KeyboardInterrupt
            As in the local estimator's `fit`.
        """
        check_integer("n_shards", self.n_shards, minimum=1)
        check_number("patience", self.patience, minimum=0.1)
        client = self._client()
        source = X
        if isinstance(X, Source):
            check_none({"y": y, "sample_weight": sample_weight})
        elif is_collection(X):
            source = source_of(client, X, y, sample_weight)
        else:
            raise TypeError(
                "X must be a Dask array, a Dask data frame, a list of delayed partitions or a "
                f"fastmlp.data.Source; got {shown(X)}. For arrays, use "
                f"{self._local_class.__name__}"
            )
        validation = {
            "X_val": _computed(client, X_val),
            "y_val": _computed(client, y_val),
            "sample_weight_val": _computed(client, sample_weight_val),
        }
        local = self._new_local()
        rows = ClusterSource(source, client, self.n_shards, self.patience, self.n_threads)
        try:
            local.fit(rows, **validation, resume=resume)
        except ClusterError as error:
            where = where_to_continue(epoch_callbacks(vars(self).get("_skl_callbacks", ())))
            raise ClusterError(f"{error}; {where}") if where else error from error
        finally:
            rows.close()
        self._local = local
        return self

    def _new_local(self) -> BaseMLP:
        """Return a local estimator with the parameters; with a warm start, the fitted one."""
        names = self._local_class._get_param_names()
        parameters = {name: getattr(self, name) for name in names}
        if self._local is not None and self.warm_start:
            local = self._local
            local.set_params(**parameters)
        else:
            local = self._local_class(**parameters)
        if "_skl_callbacks" in vars(self):
            local._skl_callbacks = self._skl_callbacks
        return local

    def _client(self) -> Any:
        if self.client is not None:
            check_client(self.client)
            return self.client
        from distributed import get_client

        try:
            return get_client()
        except ValueError:
            raise ValueError(
                "client must be a distributed.Client, because there is no current one; got None"
            ) from None

    # --- Predictions and files

    def to_local(self) -> BaseMLP:
        """Return the fitted estimator for arrays, a copy that knows nothing of a cluster.

        Raises
        ------
        sklearn.exceptions.NotFittedError
        """
        return copy.deepcopy(self._fitted())

    def predict(self, X: Any) -> Any:
        """Return predictions: of a Dask collection a lazy one, of other data an array.

        Parameters
        ----------
        X : array-like (n, n_features), or Dask array, data frame or list of delayed partitions

        Returns
        -------
        (n,) or (n, n_outputs), as the local estimator has it
            A Dask array of a Dask array, a Dask Series or DataFrame of a data frame, and a list of
            delayed arrays of a list.
        """
        return self._mapped("predict", X)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return accuracy or R^2, of a Dask collection by sums over its partitions.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`, or arrays.

        Returns
        -------
        float
        """
        local = self._fitted()
        if not is_collection(X):
            return float(local.score(X, y, sample_weight))
        return summed_score(self._client(), local, X, y, sample_weight)

    def save(self, path: StrPath) -> None:
        """Save the fitted estimator to a file, which :func:`fastmlp.load` reads as a local one."""
        from fastmlp.exchange.saving import save

        save(self._fitted(), path)

    @classmethod
    def from_local(cls, local: Any, *, client: Any = None) -> Self:
        """Return an estimator with parameters and weights of a local one, such as a loaded one.

        Parameters
        ----------
        local : MLPClassifier or MLPRegressor
        client : distributed.Client, optional
        """
        if type(local) is not cls._local_class:
            raise TypeError(f"local must be a {cls._local_class.__name__}; got {shown(local)}")
        estimator = cls(client=client, **local.get_params(deep=False))
        estimator._local = local if local.__sklearn_is_fitted__() else None
        return estimator

    def _mapped(self, method: str, X: Any) -> Any:
        local = self._fitted()
        if not is_collection(X):
            return getattr(local, method)(X)
        return lazily(local, method, X)

    def _fitted(self) -> BaseMLP:
        check_is_fitted(self)
        assert self._local is not None
        return self._local


def with_parameters_of(local: type[BaseMLP]) -> Callable[[type[Any]], type[Any]]:
    """Decorate a class: its constructor shows the parameters of a local estimator and its own."""

    def decorate(cls: type[Any]) -> type[Any]:
        own = inspect.signature(ClusterEstimator.__init__).parameters
        parameters = list(inspect.signature(local.__init__).parameters.values())
        parameters += [own[name] for name in ("client", "n_shards", "patience")]

        def __init__(self: Any, *args: Any, **given: Any) -> None:
            ClusterEstimator.__init__(self, *args, **given)

        __init__.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        __init__.__doc__ = None
        cls._local_class, cls.__init__ = local, __init__
        cls.__doc__ = _described(cls.__doc__ or "", local.__doc__ or "")
        return cls

    return decorate


def _described(doc: str, local_doc: str) -> str:
    """Return a docstring with the parameters of a local estimator's before its own."""
    head = "Parameters\n----------\n"
    doc, (_, _, rest) = inspect.cleandoc(doc), inspect.cleandoc(local_doc).partition(head)
    parameters = re.split(r"^\S[^\n]*\n-{3,}\n", rest, maxsplit=1, flags=re.MULTILINE)[0]
    return doc.replace(head, f"{head}{parameters.rstrip()}\n", 1)


def _computed(client: Any, data: Any) -> Any:
    """Return a Dask collection as an array on the client, and other data as they are."""
    if data is None or isinstance(data, Source) or not is_collection(data):
        return data
    if isinstance(data, list | tuple):
        parts = client.gather(client.compute(list(data)))
        return np.concatenate([np.asarray(part) for part in parts])
    return client.compute(data).result()
