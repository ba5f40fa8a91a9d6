"""MLPRegressor: numbers, quantiles, and losses of many kinds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if

from fastmlp._types import Array
from fastmlp.estimators.base import BaseMLP, SklearnRandomState
from fastmlp.estimators.parameters import is_stochastic, quantile_levels
from fastmlp.estimators.sklearn_callbacks import manages_callbacks
from fastmlp.estimators.validation import Score, d2_pinball, r2
from fastmlp.losses import Huber, Loss, Quantile, check_loss

POSITIVE_LOSSES = ("poisson", "gamma")
"""Losses whose predictions are exponentials."""

MEAN_LOSSES = ("squared_error", "absolute_error", "huber", "quantile")
"""Losses that are shown as means over the outputs, as scikit-learn shows the first of them."""


class MLPRegressor(RegressorMixin, BaseMLP):  # type: ignore[misc]
    """A dense network that predicts one or several numbers per row.

    The loss is the mean over rows of the `loss` below, plus penalties.

    Parameters
    ----------
    loss : str, Loss or callable, default="squared_error"
        "squared_error", "absolute_error", "huber", "quantile", "poisson" and "gamma", with the
        formulas of :mod:`fastmlp.losses`; predictions of the last two are exponentials. Also a Loss
        of that module, or a function as its CustomLoss has it. The value of the first four is shown
        as a mean over the outputs, the gradient is that of their sum: both as in scikit-learn.
    hidden_layer_sizes : int, sequence of int or str, default=(100,)
        Widths of the hidden layers, each >= 1; as text joined by x, such as ``"128x64"``, so that a
        search can vary them. () for none.
    activation : str or sequence of str, default="relu"
        Function of the hidden layers, one for all or one each: "relu", "tanh", "logistic" (also
        called "sigmoid"), "identity", or another of ``fastmlp.losses.ACTIVATIONS``.
    solver : {"adam", "sgd", "lbfgs", "adamw", "rmsprop", "nesterov"}, default="adam"
        "adam" is Kingma and Ba's method in the form of scikit-learn; "sgd" is gradient descent with
        momentum, "nesterov" the same with Nesterov's momentum always; "adamw" and "rmsprop" are
        those of :mod:`fastmlp.optimizers`; "lbfgs" is SciPy's quasi-Newton method on all rows at
        once, good for small data. It is given the gradient and the loss that it belongs to;
        scikit-learn gives it the mean over several outputs with the gradient of their sum.
    alpha : float >= 0, default=0.0001
        Strength of the L2 penalty ``alpha / 2 * sum w**2`` (biases excluded), which is divided by
        the sum of a batch's row weights.
    batch_size : int >= 1 or "auto", default="auto"
        Rows of a mini-batch; "auto" is 200. At most the number of rows. Not for "lbfgs".
    learning_rate : str, default="constant"
        "constant"; "invscaling" divides the rate by ``(t + 1) ** power_t`` with the number of rows
        t seen so far; "adaptive" divides it by 5 whenever training would have stopped, down to
        1e-6; "cosine", "one_cycle", "exponential" and "power" are those of
        :mod:`fastmlp.schedules`, laid out for `max_iter` epochs. As in scikit-learn, "adam" takes
        "invscaling" and "adaptive" for "constant".
    learning_rate_init : float > 0, default=0.001
        Rate of the first epoch; with "one_cycle" the highest one.
    power_t : float >= 0, default=0.5
        Exponent of "invscaling".
    max_iter : int >= 1, default=200
        Epochs at most; iterations with "lbfgs".
    shuffle : bool, default=True
        Mix the rows before every epoch.
    random_state : int, RandomState instance or None, default=None
        Source of initial weights, validation rows and shuffling. The first two are the same as
        scikit-learn's. The model does not depend on the number of threads.
    tol : float >= 0, default=1e-4
        An epoch that is better by less than this counts as no improvement; with "lbfgs" the search
        ends where no component of the gradient is larger.
    verbose : bool or int, default=False
        Show every epoch: a line that is kept up to date on a terminal with rich, else one line
        each, through the logger "fastmlp" where somebody listens to it.
    warm_start : bool, default=False
        Let `fit` go on from the weights of the previous one. Its patience begins anew, whereas
        scikit-learn's goes on counting and ends such a fit at once.
    momentum : float in [0, 1], default=0.9
        Of "sgd" and "nesterov".
    nesterovs_momentum : bool, default=True
        Of "sgd".
    early_stopping : bool, default=False
        Hold rows back, watch `monitor` on them, and put the best weights back at the end. Without
        it the loss in training decides when to stop. Not for "lbfgs" and `partial_fit`.
    validation_fraction : float in [0, 1), splitter or iterable, default=0.1
        What early stopping holds back: a share of the rows chosen at random, or the last of the
        splits of a splitter (``GroupShuffleSplit``, ``TimeSeriesSplit``, ...) or of an iterable of
        (train, validation) indices.
    beta_1, beta_2 : float in [0, 1), default=0.9 and 0.999
        Decays of "adam" and "adamw".
    epsilon : float > 0, default=1e-8
        Of "adam", "adamw" and "rmsprop".
    n_iter_no_change : int >= 1 or inf, default=10
        Epochs without improvement that are borne.
    max_fun : int >= 1, default=15000
        Evaluations of the loss at most, with "lbfgs".
    l1 : float >= 0, default=0.0
        Strength of the L1 penalty ``l1 * sum |w|``, divided as alpha is.
    weight_decay : float >= 0, default=0.01
        Decoupled weight decay of "adamw".
    rho : float in [0, 1), default=0.99
        Decay of "rmsprop".
    learning_rate_decay : float >= 0, default=0.01
        d of the rates "exponential" and "power".
    warmup : int >= 0, default=0
        Epochs in which the rate rises to what `learning_rate` says.
    scoring : None, str, callable or list of str, default=None
        Scores of the validation rows: as `score` by default, or scikit-learn's scorers. The first
        is ``val_score`` in `history_`; each is also there as ``val_`` and its name.
    monitor : str or None, default=None
        The entry of `history_` that early stopping watches; None is "val_score". Names that end in
        "loss" are to fall, others to rise.
    initializer : str, default="auto"
        First weights: "auto" are scikit-learn's (Glorot), others see
        :mod:`fastmlp.initializers`.
    dtype : {"float32", "float64"} or None, default=None
        Type of weights and arithmetic. None keeps that of `X`; what is neither becomes float64.
    n_threads : int >= 1 or None, default=None
        See :func:`fastmlp.resolve_threads`.
    dropout : float in [0, 1) or sequence of such, default=0.0
        Share of the activations of every hidden layer, or of each, that are set to 0 in training.
        Not for "lbfgs".
    max_grad_norm : float > 0 or None, default=None
        Longer gradients are shortened to exactly this length: times ``max_grad_norm / norm``, where
        PyTorch has ``norm + 1e-6``. Not for "lbfgs".
    quantile : float in (0, 1) or increasing sequence of such, default=0.5
        Level of the loss "quantile". Several levels of one target are predicted side by side, by
        outputs that cannot cross.
    huber_delta : float > 0, default=1.0
        Where the loss "huber" turns from a square into a line.

    Attributes
    ----------
    coefs_ : list of ndarray of shape (n_in, n_out)
        Weights of each layer, views of one vector. Change them in place, or put other arrays into
        the list.
    intercepts_ : list of ndarray of shape (n_out,)
        Biases of each layer, likewise.
    loss_ : float
        Loss of the last epoch: mean over the rows, penalty included.
    best_loss_ : float or None
        Lowest loss of an epoch; None with early stopping.
    loss_curve_ : list of float
        Loss of every epoch, through warm starts; with "lbfgs" of every iteration.
    validation_scores_ : list of float or None
        Score of the validation rows after every epoch; None without such rows.
    best_validation_score_ : float or None
        The score of the best epoch; None without early stopping.
    best_epoch_ : int or None
        The best epoch, counted from 0.
    history_ : dict of str to list of float
        What ``pandas.DataFrame`` takes; per epoch ``loss``, ``learning_rate``, ``seconds``
        (training alone), and with validation rows ``val_loss`` (mean over the rows, without
        penalty), ``val_score`` and named scores.
    n_iter_ : int
        Epochs of the last fit; iterations with "lbfgs".
    t_ : int
        Rows seen in training.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only after training on data with names of type str.
    n_layers_ : int
        Layers, input and output included.
    n_outputs_ : int
    out_activation_ : str
        Function of the last layer.
    network_ : Network
        The network itself, whose ``predict(X, out=array)`` writes into an array that is given.

    See Also
    --------
    MLPClassifier : The same for classes.
    Trainer, Network : What this is made of.

    References
    ----------
    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks" (2010); D. P. Kingma and J. Ba, "Adam" (2015); the contract is that of scikit-learn
    1.9, `sklearn.neural_network`.

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
    ) -> None:
        self._keep_parameters(locals())

    @available_if(is_stochastic)  # type: ignore[untyped-decorator]
    @manages_callbacks
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """One epoch on these rows, from the weights and the optimizer's state as they are.

        Parameters that were changed count from now on: the rate, penalties, the batch size, a
        `solver`, which begins with a state of its own. What makes the network must stay:
        `hidden_layer_sizes`, `activation`, `dtype`, the output function that `loss` asks for. A
        call that raises leaves the estimator as it was, but the optimizer may begin anew.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As in `fit`, with early stopping, and for another network than the fitted one.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """The network's outputs.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Of the network's dtype; with several quantiles one column each.
        """
        outputs = self._outputs(X)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R^2 of the predictions; with quantiles their mean D^2 of the pinball loss.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float
            1 for perfect predictions, 0 for those of the best constant.
        """
        levels = _levels_of(self._loss_function())
        if not levels:
            return float(super().score(X, y, sample_weight))
        outputs = self._outputs(X)
        return d2_pinball(self._encode(np.asarray(y), outputs.dtype), sample_weight, levels)(
            outputs
        )

    # --- What BaseMLP asks for

    def _learn_targets(
        self, y: Any, *, first: bool, incremental: bool, classes: Any = None
    ) -> None:
        """Numbers are what they are."""

    def _encode(self, y: Any, dtype: np.dtype[Any]) -> Array:
        if hasattr(y, "toarray"):
            raise ValueError("y must be a dense array of numbers; got a sparse matrix")
        columns = y[:, np.newaxis] if y.ndim == 1 else y
        n_levels = len(_levels_of(self._loss_function()))
        if n_levels > 1:
            if columns.shape[1] > 1:
                raise ValueError(f"several quantiles go with one target; got y of shape {y.shape}")
            columns = np.repeat(columns, n_levels, axis=1)
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
        return "exponential" if loss.name in POSITIVE_LOSSES else "identity", loss

    def _default_score(self, y: Array, weights: Array | None) -> Score | None:
        levels = _levels_of(self._loss_function())
        return d2_pinball(y, weights, levels) if levels else r2(y, weights)

    def _loss_scale(self) -> float:
        return float(self.n_outputs_) if self._loss_function().name in MEAN_LOSSES else 1.0

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _levels_of(loss: Loss) -> tuple[float, ...]:
    """The levels of a quantile loss; none of others."""
    return loss.levels if isinstance(loss, Quantile) else ()
