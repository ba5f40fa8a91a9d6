"""MLPRegressor: a scikit-learn regressor with a choice of losses, quantiles included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from fastmlp._checks import check_flag, shown
from fastmlp._names import suggest_parameters
from fastmlp._types import Array
from fastmlp.data.source import Source
from fastmlp.estimators.base import BaseMLP, SklearnRandomState
from fastmlp.estimators.bounds import bounded_output, check_within
from fastmlp.estimators.inputs import warn_if_targets_unscaled
from fastmlp.estimators.labels import check_score, check_y
from fastmlp.estimators.naming import naming
from fastmlp.estimators.parameters import is_stochastic, quantile_levels
from fastmlp.estimators.sklearn_callbacks import manages_callbacks
from fastmlp.estimators.source_scores import r2 as r2_of_source
from fastmlp.estimators.source_scores import with_targets
from fastmlp.estimators.sources import check_none
from fastmlp.estimators.target_scaling import (
    Floats,
    TargetScale,
    plain_scale,
    quantile_shifts,
    shifted,
)
from fastmlp.estimators.validation import Score, d2_pinball, r2
from fastmlp.exceptions import ParameterError
from fastmlp.losses import Huber, Loss, Quantile, check_loss
from fastmlp.network.network import Network

POSITIVE_LOSSES = ("poisson", "gamma")
"""Losses that use the exponential output function."""

BOUNDED_LOSSES = ("squared_error", "own")
"""Losses that go with the output functions of bounded targets."""

BOUNDED_OUTPUTS = ("sigmoid", "exponential")
CHANGED_BOUNDS = (
    "warm_start and partial_fit continue with the network of the previous fit: bounds must be as "
    "they were; got "
)

MEAN_LOSSES = ("squared_error", "absolute_error", "huber", "quantile")
"""Losses reported as means over the outputs, as scikit-learn reports the first of them."""


class MLPRegressor(RegressorMixin, BaseMLP):  # type: ignore[misc]
    """Multi-layer perceptron regressor with one or several outputs.

    The training loss is the mean of `loss` over the rows, plus penalties.

    Parameters
    ----------
    loss : str, Loss or callable, default="squared_error"
        "squared_error", "absolute_error", "huber", "quantile", "poisson" or "gamma", as defined in
        :mod:`fastmlp.losses` (with the last two, predictions are exponentials), a Loss object of
        that module, or a function as described in its CustomLoss. The gradient is that of the sum
        over the outputs. The first four are reported as the installed scikit-learn reports the
        squared error: up to version 1.9 as means over the outputs, otherwise as sums.
    hidden_layer_sizes : int, sequence of int or str, default=(100,)
        Widths of the hidden layers, each >= 1; () for none. A string such as ``"128x64"`` is also
        allowed, so that a parameter search can vary the widths.
    activation : str or sequence of str, default="relu"
        Activation function of all hidden layers, or one per hidden layer: "relu", "tanh",
        "logistic" (also called "sigmoid"), "identity", or any other in
        ``fastmlp.losses.ACTIVATIONS``.
    solver : {"adam", "sgd", "lbfgs", "adamw", "rmsprop", "nesterov"}, default="adam"
        "adam" is Kingma and Ba's method, as implemented in scikit-learn; "sgd" is gradient descent
        with momentum, and "nesterov" the same, always with Nesterov's momentum; "adamw" and
        "rmsprop" are described in :mod:`fastmlp.optimizers`; "lbfgs" is SciPy's quasi-Newton method
        on all rows at once, suited to small data sets. It minimizes the sum over several outputs;
        scikit-learn passes it their mean together with the gradient of the sum.
    alpha : float >= 0, default=0.0001
        Strength of the L2 penalty ``alpha / 2 * sum w**2`` (biases excluded), which is divided by
        the sum of the batch's sample weights.
    batch_size : int >= 1 or "auto", default="auto"
        Number of rows per mini-batch; "auto" is 200. It is limited to the number of training rows.
        Not used by "lbfgs".
    learning_rate : str, default="constant"
        "constant" keeps the rate; "invscaling" divides it by ``(t + 1) ** power_t``, where t is the
        number of rows seen so far; "adaptive" divides it by 5 each time training would otherwise
        stop, down to 1e-6; "cosine", "one_cycle", "exponential" and "power" are the schedules of
        :mod:`fastmlp.schedules`, spread over `max_iter` epochs. As in scikit-learn, "adam" treats
        "invscaling" and "adaptive" like "constant".
    learning_rate_init : float > 0, default=0.001
        Initial learning rate; with "one_cycle" it is the maximum. The default, scikit-learn's, is
        small: with "sigmoid" and "sgd" or "nesterov", 100 epochs of it do not suffice for
        scikit-learn's check of the score in training (its own regressor does not pass either),
        which 0.01 passes.
    power_t : float >= 0, default=0.5
        Exponent of the "invscaling" learning rate.
    max_iter : int >= 1, default=200
        Maximum number of epochs, or of iterations with "lbfgs".
    shuffle : bool, default=True
        Whether to shuffle the rows before every epoch.
    random_state : int, RandomState, Generator or None, default=None
        Seed or generator for the initial weights, the validation split and shuffling. The first two
        are the same as in scikit-learn, which takes no Generator. The result does not depend on the
        number of threads.
    tol : float >= 0, default=1e-4
        Minimum improvement: an epoch that improves by less does not count as an improvement. With
        "lbfgs", optimization stops when no component of the gradient is larger than `tol`.
    verbose : bool or int, default=False
        Whether to show the progress: one line that is updated in place on a terminal if rich is
        installed, otherwise one line per epoch. The lines go to the logger "fastmlp" if it has
        handlers.
    warm_start : bool, default=False
        Whether `fit` starts from the weights of the previous call. The count of epochs without
        improvement restarts at zero; scikit-learn keeps counting and stops such a fit immediately.
    momentum : float in [0, 1], default=0.9
        Momentum coefficient of "sgd" and "nesterov".
    nesterovs_momentum : bool, default=True
        Whether "sgd" uses Nesterov's momentum.
    early_stopping : bool, default=False
        Whether to set validation rows aside, monitor them as set by `monitor`, and restore the best
        weights at the end. If False, the training loss determines when to stop. Not available for
        "lbfgs" and `partial_fit`. The default, the validation score, can stop a fit in its first
        epochs by chance; ``monitor="val_loss"`` is safer.
    validation_fraction : float in [0, 1), splitter or iterable, default=0.1
        Validation rows for early stopping: a fraction of the rows, chosen at random, or the last
        split of a splitter (``GroupShuffleSplit``, ``TimeSeriesSplit``, ...) or of an iterable of
        (train, validation) indices. With a :class:`fastmlp.data.Source` a fraction, whose rows
        :func:`fastmlp.data.split` holds out, with an integer as `random_state` as its seed; they
        are read into memory.
    beta_1, beta_2 : float in [0, 1), default=0.9 and 0.999
        Decay rates of the moment estimates of "adam" and "adamw".
    epsilon : float > 0, default=1e-8
        Constant that avoids division by zero in "adam", "adamw" and "rmsprop".
    n_iter_no_change : int >= 1 or inf, default=10
        Number of epochs without improvement to tolerate before stopping.
    max_fun : int >= 1, default=15000
        Maximum number of loss evaluations with "lbfgs".
    l1 : float >= 0, default=0.0
        Strength of the L1 penalty ``l1 * sum |w|`` (biases excluded), divided in the same way as
        the L2 penalty.
    weight_decay : float >= 0, default=0.01
        Coefficient of the decoupled weight decay in "adamw".
    rho : float in [0, 1), default=0.99
        Decay rate of the average of squared gradients in "rmsprop".
    learning_rate_decay : float >= 0, default=0.01
        Decay d of the learning rates "exponential" and "power".
    warmup : int >= 0, default=0
        Number of epochs in which the rate rises linearly to the value given by `learning_rate`.
    scoring : None, str, callable or list of str, default=None
        Scores of the validation rows: those of `score` by default, or scikit-learn's scorers. The
        first is stored in `history_` as ``val_score``, and each of them as ``val_<name>``. For
        several quantiles see `quantile`.
    monitor : str or None, default=None
        Entry of `history_` that early stopping monitors; None means "val_score". Entries whose
        names end in "loss" are minimized, all others maximized.
    initializer : str, default="auto"
        Initial weights: "auto" draws the same as scikit-learn (Glorot); for the others, see
        :mod:`fastmlp.initializers`.
    dtype : {"float32", "float64"} or None, default=None
        Type of weights and arithmetic. None uses the dtype of `X`, or float64 if `X` has neither;
        a data frame (pandas, polars, pyarrow) has float32 if all of its columns have.
    n_threads : int >= 1 or None, default=None
        Number of threads; None for the default of :func:`fastmlp.resolve_threads`.
    dropout : float in [0, 1) or sequence of such, default=0.0
        Fraction of activations set to 0 in training, one for all hidden layers or one per layer.
        Not available for "lbfgs".
    max_grad_norm : float > 0 or None, default=None
        Maximum norm of the gradient of all layers together. Larger gradients are multiplied by
        ``max_grad_norm / norm``; PyTorch divides by ``norm + 1e-6``. Not available for "lbfgs".
    quantile : float in (0, 1) or increasing sequence of such, default=0.5
        Level of the loss "quantile". With several levels, a single target is predicted by one
        output per level; these quantiles cannot cross. `score`, the default of searches and of
        `cross_val_score`, works for them; scikit-learn's scorers by name, such as
        ``scoring="r2"``, compare one prediction per row and fail (nan in a search). To score one
        level, pass ``make_scorer(lambda y, p: r2_score(y, p[:, 1]))``.
    huber_delta : float > 0, default=1.0
        Distance at which the loss "huber" changes from quadratic to linear, in the units in which
        the network is trained.
    scale_target : bool, default=False
        Whether to train on ``(y - target_mean_) / target_scale_``, of mean 0 and variance 1, and to
        predict in the units of y. Without it, targets that are large or far from 0 need many more
        epochs. The scale is that of the rows given to `fit`, or to the first `partial_fit`. Losses
        in the records are those of the scaled targets. A TransformedTargetRegressor does the same,
        but its `score` and those of the searches fail for several quantiles. Not available for
        "poisson" and "gamma". Small tables need more than a scale: for 331 rows of scikit-learn's
        diabetes data (X standardized, mean R^2 of eight random splits), the default 200 epochs
        reach 0.39 (0.23 to 0.51), because they overfit, 0.42 with ``early_stopping=True``, 0.47
        with ``alpha=10``, ridge regression 0.46, and -1.1 without `scale_target`.

    bounds : (float or None, float or None) or None, default=None
        Lowest and highest possible value of y, such as ``(0, 1)`` or ``(0, None)``, which no
        prediction leaves: the output function is the sigmoid between two bounds, and the
        exponential function on one side of a single one. y is scaled with them. Available for
        "squared_error" and custom losses.

    Attributes
    ----------
    coefs_ : list of ndarray of shape (n_in, n_out)
        Weights of each layer, as views of one vector. They can be changed in place; assigning other
        arrays to elements of the list takes effect at the next fit or predict.
    intercepts_ : list of ndarray of shape (n_out,)
        Biases of each layer, which can be changed in the same way.
    loss_ : float
        Loss of the last epoch: mean over the rows, including penalties.
    best_loss_ : float or None
        Lowest loss of all epochs; None with early stopping.
    loss_curve_ : list of float
        Loss after every epoch, or every iteration with "lbfgs"; continued across warm starts.
    validation_scores_ : list of float or None
        Validation score after every epoch; None without validation rows.
    best_validation_score_ : float or None
        Validation score of the best epoch; None without early stopping.
    best_epoch_ : int or None
        Index of the best epoch, counted from 0.
    history_ : dict of str to list of float
        Values per epoch, which can be passed to ``pandas.DataFrame``: ``loss``, ``learning_rate``,
        ``seconds`` (training only) and, with validation rows, ``val_loss`` (mean over the rows,
        without penalties), ``val_score`` and the named scores.
    n_iter_ : int
        Number of epochs of the last fit, or of iterations with "lbfgs".
    t_ : int
        Number of rows seen in training, counting each row once per epoch.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features; defined only if `X` has feature names that are all strings.
    n_layers_ : int
        Number of layers, including input and output.
    n_outputs_ : int
        Number of outputs.
    out_activation_ : str
        Name of the output function.
    target_mean_, target_scale_ : ndarray of shape (n_targets,)
        Mean and standard deviation of the targets, in float64; with `scale_target` only. With
        `bounds`, a bound and the factor of the network's output, so that predictions are
        ``target_mean_ + target_scale_ * output``.
    quantile_shifts_ : ndarray of shape (n_levels,)
        What `calibrate` has found; the next fit removes it.
    network_ : Network
        The underlying network; its ``predict(X, out=array)`` writes into an existing array. With
        `scale_target`, it predicts scaled targets.

    See Also
    --------
    MLPClassifier : The corresponding classifier.
    Trainer, Network : The classes on which this estimator is built.

    References
    ----------
    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks" (2010); D. P. Kingma and J. Ba, "Adam" (2015); `sklearn.neural_network` of
    scikit-learn 1.9, whose interface this class follows.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(n_samples=200, n_features=20, random_state=1)
    >>> model = MLPRegressor(hidden_layer_sizes="64x32", solver="lbfgs", max_iter=1000)
    >>> model.fit(X, y).score(X, y) > 0.99
    True
    """

    __module__ = "fastmlp.estimators"  # its address in pickles, which survives moves of this file
    _losses: ClassVar[tuple[str, ...]] = (*MEAN_LOSSES, *POSITIVE_LOSSES)
    _sklearn_name = "MLPRegressor"
    target_mean_: Floats
    target_scale_: Floats
    quantile_shifts_: Floats

    @suggest_parameters
    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: SklearnRandomState = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: Any = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        l1: float = 0.0,
        weight_decay: float = 0.01,
        rho: float = 0.99,
        learning_rate_decay: float = 0.01,
        warmup: int = 0,
        scoring: Any = None,
        monitor: str | None = None,
        initializer: str = "auto",
        dtype: str | None = None,
        n_threads: int | None = None,
        dropout: float | Sequence[float] = 0.0,
        max_grad_norm: float | None = None,
        quantile: float | Sequence[float] = 0.5,
        huber_delta: float = 1.0,
        scale_target: bool = False,
        bounds: Any = None,
    ) -> None:
        self._keep_parameters(locals())

    @available_if(is_stochastic)  # type: ignore[untyped-decorator]
    @manages_callbacks
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        end_of_epoch: bool = True,
    ) -> Any:
        """Train for one epoch on these rows, starting from the current weights and optimizer state.

        Rows in chunks: learning rates that follow a schedule, and `warmup`, count every call as an
        epoch, unless it has ``end_of_epoch=False``. Pass that with all chunks of an epoch but the
        last, and set `max_iter` to the number of epochs, over which "cosine" and "one_cycle" fall
        to (nearly) 0::

            for epoch in range(model.max_iter):
                for i, (X, y) in enumerate(chunks):
                    model.partial_fit(X, y, end_of_epoch=i == len(chunks) - 1)

        Changed parameters take effect with this call: the learning rate, penalties, batch size or
        `solver`, which starts with a new state. Parameters that define the network must not change:
        `hidden_layer_sizes`, `activation`, `dtype`, and the output function that `loss` requires. A
        call that raises leaves the estimator unchanged, but the optimizer state may be reset.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        X_val, y_val, sample_weight_val : optional
            Validation data as in `fit`, evaluated after this call: the entries of `history_` that
            begin with ``val_``, which are NaN for calls without it.
        end_of_epoch : bool, default=True
            False if these rows are a chunk of an epoch whose other chunks follow: the epoch of the
            schedules "cosine", "one_cycle", "exponential" and "power", and of `warmup`, stays.
            `history_` has an entry for every call.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As in `fit`; also with early stopping, and if the parameters define a network other than
            the fitted one.

        Warns
        -----
        UserWarning
            Once per fitted network: if its first two calls end an epoch of a schedule with
            different rows, and if "cosine" or "one_cycle" has ended.
        """
        return self._fit(
            X,
            y,
            sample_weight,
            incremental=True,
            validation=(X_val, y_val, sample_weight_val),
            end_of_epoch=check_flag("end_of_epoch", end_of_epoch),
        )

    def predict(self, X: Any) -> Array:
        """Predict the targets of every row.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or fastmlp.data.Source
            A source is read window by window; its targets are not used, and may be missing.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The network's dtype; with several quantiles, one column per level.
        """
        outputs: Array = self._predicted(X, self._in_units)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def calibrate(self, X: Any, y: Any) -> Self:
        """Shift the predicted quantiles so that they hold for rows like these.

        Quantiles fit the rows that they were trained on better than new ones, and intervals between
        them cover too few of the latter. With rows that training has not seen, and that are as
        similar to later rows as they are to each other, an interval between two levels covers at
        least their difference, whatever the network has learned (conformalized quantile
        regression).

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows that were not given to `fit`; at least 19 for levels of 0.05 and 0.95.
        y : array-like of shape (n_samples,)

        Returns
        -------
        self
            With `quantile_shifts_`, which `predict` adds; quantiles still do not cross. A second
            call replaces the first, and the next fit removes the shifts.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If `loss` is not "quantile", there are several targets, or too few rows for a level.
        """
        check_is_fitted(self)
        levels = _levels_of(self._loss_function())
        n_outputs = self._network().sizes[-1]
        if len(levels) != n_outputs:
            raise ValueError(
                'calibrate needs loss="quantile" and one target; got '
                f"loss={shown(self.loss)} and {n_outputs} outputs for {len(levels)} levels"
            )
        check_score(X, y, None)
        targets = check_y("y", y, self, numeric=True)
        before = self.__dict__.pop("quantile_shifts_", None)
        try:
            quantiles = self._predictions(X)
            residuals = self._columns(targets, "y") - np.asarray(quantiles, np.float64)
            self.quantile_shifts_ = quantile_shifts(residuals, levels)
        except BaseException:
            if before is not None:
                self.quantile_shifts_ = before
            raise
        return self

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return R^2 of the predictions; for quantiles, the mean D^2 of the pinball loss.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or fastmlp.data.Source
            A source is read window by window, and has targets and sample weights too. For
            quantiles, all targets and predictions are in memory.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Not with a source.
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float
            1 for perfect predictions, 0 for predictions as good as the best constant.
        """
        from sklearn.metrics import r2_score

        levels = _levels_of(self._loss_function())
        if isinstance(X, Source):
            check_none({"y": y, "sample_weight": sample_weight})
            if not levels:
                return r2_of_source(self, X, self._in_units)
            check_is_fitted(self)
            n_targets = self._network().sizes[-1] // len(levels)
            outputs, y, sample_weight = with_targets(self, X, self._in_units, n_targets)
            targets = self._columns(y, "y").astype(outputs.dtype)
            return d2_pinball(targets, sample_weight, levels)(outputs)
        check_score(X, y, sample_weight)
        if not levels:
            predicted = self.predict(X)
            with naming("y"):
                return float(r2_score(y, predicted, sample_weight=sample_weight))
        outputs = self._predictions(X)
        with naming("y"):
            targets = self._columns(np.asarray(y), "y").astype(outputs.dtype)
            return d2_pinball(targets, sample_weight, levels)(outputs)

    # --- Methods required by BaseMLP

    def _learn_targets(
        self, y: Any, *, first: bool, incremental: bool, classes: Any = None
    ) -> None:
        """Forget the shifts of quantiles, which belong to other weights."""
        self.__dict__.pop("quantile_shifts_", None)

    def _learn_scale(self, y: Any, weights: Array | None, *, first: bool) -> None:
        if self.scale_target and self._loss_function().name in POSITIVE_LOSSES:
            raise ParameterError(
                f"scale_target must be False with loss={shown(self.loss)}, whose targets must not "
                "be negative; got True"
            )
        if self.bounds is not None:
            self._learn_bounds(y, weights, first=first)
            return
        known = self._target_scale()
        if not first:
            if known is not None and self._network().output in BOUNDED_OUTPUTS:
                raise ValueError(CHANGED_BOUNDS + "None")
            if self.scale_target != (known is not None):
                raise ValueError(
                    "warm_start and partial_fit continue with the network of the previous fit: "
                    f"scale_target must be {known is not None}, as it was; got {self.scale_target}"
                )
        elif self.scale_target and not hasattr(y, "toarray"):
            scale = TargetScale.of(y, weights)
            self.target_mean_, self.target_scale_ = scale.mean, scale.deviation
        elif known is not None:
            del self.target_mean_, self.target_scale_

    def _learn_bounds(self, y: Any, weights: Array | None, *, first: bool) -> None:
        if self.scale_target or self._loss_function().name not in BOUNDED_LOSSES:
            what = "scale_target=True" if self.scale_target else f"loss={shown(self.loss)}"
            raise ParameterError(
                f"bounds must be None with {what}; the loss must be 'squared_error' or a custom "
                f"one, and y is scaled with its bounds; got {shown(self.bounds)}"
            )
        known = self._target_scale()
        if not first:
            if known is None or not known.fits(self.bounds):
                raise ValueError(CHANGED_BOUNDS + shown(self.bounds))
        elif not hasattr(y, "toarray"):
            scale = TargetScale.within(self.bounds, y, weights)
            self.target_mean_, self.target_scale_ = scale.mean, scale.deviation

    def _target_scale(self) -> TargetScale | None:
        """Return the scale of the fitted targets; None if they are not scaled."""
        return plain_scale(vars(self))

    def _predictions(self, X: Any) -> Array:
        """Return predictions (n, n_outputs) in the units of y, shifted if calibrated."""
        return self._in_units(self._outputs(X))

    def _in_units(self, outputs: Array) -> Array:
        """Return outputs of the network in the units of y, shifted if calibrated."""
        if (scale := self._target_scale()) is not None:
            outputs = scale.restored(outputs)
            if self._network().output == "sigmoid":  # rounding may pass the upper bound
                outputs = np.minimum(outputs, (scale.mean + scale.deviation).astype(outputs.dtype))
        shifts = vars(self).get("quantile_shifts_")
        return outputs if shifts is None else shifted(outputs, shifts)

    def _exported_network(self) -> Network:
        if "quantile_shifts_" in vars(self):
            raise ValueError(
                "a regressor with quantile_shifts_ can be exported to ONNX only; delete the "
                "attribute to export it without"
            )
        scale, network = self._target_scale(), self._network()
        if scale is None:
            return network
        if network.output != "identity":
            what = "bounds" if self.bounds is not None else "scale_target and several quantiles"
            raise ValueError(f"a regressor with {what} can be exported to ONNX only")
        return scale.folded(network)

    def _columns(self, y: Any, name: str) -> Any:
        """Return targets (n,) or (n, n_targets) as (n, n_outputs): one target for every level."""
        if hasattr(y, "toarray"):
            raise ValueError(f"{name} must be a dense array of numbers; got a sparse matrix")
        columns = y[:, np.newaxis] if y.ndim == 1 else y
        n_levels = len(_levels_of(self._loss_function()))
        if n_levels > 1:
            if columns.shape[1] > 1:
                raise ValueError(
                    f"several quantiles need one target; got {name} of shape {y.shape}"
                )
            columns = np.repeat(columns, n_levels, axis=1)
        return columns

    def _encode(self, y: Any, dtype: np.dtype[Any], name: str = "y") -> Array:
        columns = self._columns(y, name)
        if (scale := self._target_scale()) is not None:
            if len(scale.mean) not in (1, columns.shape[1]):
                raise ValueError(f"{name} must have {len(scale.mean)} columns; got {y.shape}")
            check_within(name, columns, self.bounds)
            columns = scale.scaled(columns)
        encoded: Array = np.require(columns, dtype, requirements=["C", "A"])
        return encoded

    def _loss_function(self) -> Loss:
        if self.loss == "quantile":
            return Quantile(quantile_levels(self.quantile))
        return Huber(float(self.huber_delta)) if self.loss == "huber" else check_loss(self.loss)

    def _output_and_loss(self) -> tuple[str, Loss]:
        loss = self._loss_function()
        if len(_levels_of(loss)) > 1:
            return "increasing", loss
        if self.bounds is not None:
            return bounded_output(self.bounds)[0], loss
        return "exponential" if loss.name in POSITIVE_LOSSES else "identity", loss

    def _default_score(self, y: Array, weights: Array | None) -> Score | None:
        levels = _levels_of(self._loss_function())
        return d2_pinball(y, weights, levels) if levels else r2(y, weights)

    def _loss_scale(self) -> float:
        is_mean = self._loss_function().name in MEAN_LOSSES and sklearn_reports_means()
        return float(self.n_outputs_) if is_mean else 1.0

    def _warn_of_targets(self, y: Array) -> None:
        # An exponential output reaches large targets with small weights.
        if self._loss_function().name not in POSITIVE_LOSSES:
            warn_if_targets_unscaled(y)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def sklearn_reports_means() -> bool:
    """Return whether the installed scikit-learn reports the mean over several outputs.

    Versions up to 1.9 do; the gradient has always been that of the sum, which a later version is
    expected to report (scikit-learn's issue 8349).
    """
    import sklearn.neural_network._base as functions

    squared_loss = getattr(functions, "squared_loss", None)
    if squared_loss is None:
        return True
    # Half the square of two errors of 1: 1/2 on average, 1 in total.
    return bool(squared_loss(np.zeros((1, 2)), np.ones((1, 2))) < 0.75)


def _levels_of(loss: Loss) -> tuple[float, ...]:
    """Return the levels of a quantile loss; an empty tuple for other losses."""
    return loss.levels if isinstance(loss, Quantile) else ()
