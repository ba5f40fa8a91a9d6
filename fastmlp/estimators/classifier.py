"""MLPClassifier: labels, probabilities, class weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import unique_labels

from fastmlp._types import Array
from fastmlp.estimators.base import BaseMLP, SklearnRandomState
from fastmlp.estimators.inputs import class_sample_weights
from fastmlp.estimators.parameters import is_stochastic
from fastmlp.estimators.sklearn_callbacks import manages_callbacks
from fastmlp.estimators.targets import ClassTargets, learn_classes, smoothed
from fastmlp.estimators.validation import Score, subset_accuracy
from fastmlp.losses import Loss, check_loss


class MLPClassifier(ClassifierMixin, BaseMLP):  # type: ignore[misc]
    """A dense network that classifies, trained on the log loss.

    Two classes share one logistic output, more have a softmax, and multilabel targets (indicators
    of shape (n, n_labels)) one logistic output each. The loss is the mean over the rows of
    ``-log p(y)``, plus penalties.

    Parameters
    ----------
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
        once, good for small data.
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
        Scores of the validation rows: accuracy by default, or scikit-learn's scorers. The first is
        ``val_score`` in `history_`; each is also there as ``val_`` and its name.
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
    class_weight : mapping, "balanced" or None, default=None
        Weight of each class by its label, 1 for those not named; "balanced" is
        ``W / (n_classes * W_c)`` with the sum W_c of the class's row weights and that of all, W, so
        that all classes weigh the same. Times `sample_weight`. Not for multilabel targets.
    label_smoothing : float in [0, 1), default=0.0
        s of the training targets ``(1 - s) y + s / K`` with K classes.
    loss : {"log_loss", "brier"} or callable, default="log_loss"
        "brier" is ``sum (y - p)**2`` over the outputs; for a function see
        :class:`fastmlp.losses.CustomLoss`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels; for multilabel targets their numbers.
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
        What ``pandas.DataFrame`` takes; per epoch ``loss``, ``accuracy`` (in
        training; not for multilabel targets), ``learning_rate``, ``seconds``
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
    MLPRegressor : The same for numbers.
    Trainer, Network : What this is made of.

    References
    ----------
    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks" (2010); D. P. Kingma and J. Ba, "Adam" (2015); the contract is that of scikit-learn
    1.9, `sklearn.neural_network`.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.model_selection import train_test_split
    >>> X, y = make_classification(n_samples=100, random_state=1)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=1)
    >>> clf = MLPClassifier(random_state=1, max_iter=300).fit(X_train, y_train)
    >>> clf.predict(X_test[:5])
    array([1, 0, 1, 0, 1])
    """

    __module__ = "fastmlp.estimators"  # its address in pickles, which survives moves of this file
    _losses: ClassVar[tuple[str, ...]] = ("log_loss", "brier")
    _sklearn_name = "MLPClassifier"
    _targets: ClassTargets
    classes_: NDArray[Any]

    def __init__(
        self,
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
        class_weight: Mapping[Any, float] | str | None = None,
        label_smoothing: float = 0.0,
        loss: Any = "log_loss",
    ) -> None:
        self._keep_parameters(locals())

    @available_if(is_stochastic)  # type: ignore[untyped-decorator]
    @manages_callbacks
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """One epoch on these rows, from the weights and the optimizer's state as they are.

        Parameters that were changed count from now on: the rate, penalties, the batch size, a
        `solver`, which begins with a state of its own. What makes the network must stay:
        `hidden_layer_sizes`, `activation`, `dtype`, the output function that `loss` asks for. A
        call that raises leaves the estimator as it was, but the optimizer may begin anew.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`; y need not hold all classes.
        classes : array-like of shape (n_classes,), optional
            All classes there will be; needed in the first call.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As in `fit`, for unknown or missing classes, for "balanced" class weights (they want
            all rows), with early stopping, and for another network than the fitted one.
        """
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight={self.class_weight!r} needs all rows at once and does not go with "
                "partial_fit; pass a mapping of labels to weights"
            )
        return self._fit(X, y, sample_weight, incremental=True, classes=classes)

    def predict(self, X: Any) -> Any:
        """The most probable class of every row; of multilabel targets all above 1/2.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), or ndarray or sparse matrix of shape (n_samples, n_labels)
        """
        outputs = self._outputs(X)
        return self._targets.decode(outputs)

    def predict_proba(self, X: Any) -> Array:
        """The probability of every class.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_` and of the network's dtype.
        """
        outputs = self._outputs(X)
        return self._targets.probabilities(outputs)

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of `predict_proba`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        probabilities = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            logarithms: Array = np.log(probabilities, out=probabilities)
        return logarithms

    # --- What BaseMLP asks for

    def _learn_targets(
        self, y: Any, *, first: bool, incremental: bool, classes: Any = None
    ) -> None:
        known = getattr(self, "classes_", None)
        if incremental and known is not None:
            if classes is not None and not np.array_equal(known, unique_labels(classes)):
                raise ValueError(
                    f"`classes={classes!r}` is not the same as on last call to partial_fit, "
                    f"was: {known!r}"
                )
        elif incremental:
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            self._take_targets(learn_classes(y if np.ndim(y) == 2 else np.asarray(classes)))
        elif first or known is None:
            self._take_targets(learn_classes(y))
        elif set(given := unique_labels(y)) != set(known):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {known}, `y` has {given}"
            )

    def _take_targets(self, targets: ClassTargets) -> None:
        self._targets, self.classes_ = targets, targets.classes

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        if "_targets" in state:
            state["_targets"] = {"kind": self._targets.kind, "sparse": self._targets.sparse}
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        state = dict(state)
        plain = state.pop("_targets", None)
        super().__setstate__(state)
        if plain is not None:
            self._take_targets(ClassTargets(self.classes_, **plain))

    def _encode(self, y: Any, dtype: np.dtype[Any]) -> Array:
        return self._targets.encode(y, dtype)

    def _output_and_loss(self) -> tuple[str, Loss]:
        many = self._targets.kind == "multiclass"
        loss = "cross_entropy" if many and self.loss == "log_loss" else self.loss
        return "softmax" if many else "sigmoid", check_loss(loss)

    def _training_targets(self, y: Array) -> Array:
        if self.label_smoothing == 0:
            return y
        return smoothed(y, self.label_smoothing, self._targets.kind)

    def _sample_weights(self, y: Array, weights: Array | None) -> Array | None:
        if self.class_weight is None:
            return weights
        if self._targets.kind == "multilabel":
            raise ValueError("class_weight does not go with multilabel targets; use sample_weight")
        return class_sample_weights(self.class_weight, self.classes_, y, weights)

    def _default_score(self, y: Array, weights: Array | None) -> Score | None:
        return subset_accuracy(y, weights) if self._targets.kind == "multilabel" else None

    def _stratifies(self) -> bool:
        # As scikit-learn, so that the same random_state holds back the same rows.
        return self._targets.kind == "binary"

    def _has_accuracy(self) -> bool:
        return self._targets.kind != "multilabel"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
