"""MLPClassifier: a scikit-learn classifier with class weights and label smoothing."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import unique_labels

from fastmlp._checks import as_array, check_flag, shown
from fastmlp._names import suggest_parameters
from fastmlp._types import Array
from fastmlp.data.source import Source
from fastmlp.estimators.base import BaseMLP, SklearnRandomState
from fastmlp.estimators.inputs import class_sample_weights
from fastmlp.estimators.labels import check_score
from fastmlp.estimators.naming import naming
from fastmlp.estimators.parameters import is_stochastic
from fastmlp.estimators.sklearn_callbacks import manages_callbacks
from fastmlp.estimators.source_scores import accuracy
from fastmlp.estimators.sources import check_none
from fastmlp.estimators.targets import ClassTargets, learn_classes, smoothed
from fastmlp.estimators.validation import Score, subset_accuracy
from fastmlp.losses import Loss, check_loss


class MLPClassifier(ClassifierMixin, BaseMLP):  # type: ignore[misc]
    """Multi-layer perceptron classifier, trained on the log loss.

    Two classes share one logistic output, three or more have softmax outputs, and multilabel
    targets (indicators of shape (n, n_labels)) have one logistic output per label. The loss is the
    mean of ``-log p(y)`` over the rows, plus penalties.

    Soft labels: rows of probabilities of shape (n, n_classes), with sum 1 and not all 0 and 1
    (which are multilabel), are learned as they are: ``-sum_k y_k log p_k``. The network then learns
    what another model knows (distillation): ``student.fit(X, teacher.predict_proba(X))``.
    `classes_` are 0, 1, ..., the columns; ``teacher.classes_[student.predict(X)]`` are the labels.
    Splitters, scorers and class weights see the most probable class.

    Parameters
    ----------
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
        on all rows at once, suited to small data sets.
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
        small: with "tanh" and "adam" or "adamw", 100 epochs of it do not suffice for scikit-learn's
        check of class weights, which 0.01 passes.
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
        Scores of the validation rows: accuracy by default, or scikit-learn's scorers. The first is
        stored in `history_` as ``val_score``, and each of them as ``val_<name>``.
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
    class_weight : mapping, "balanced" or None, default=None
        Weight of each class by its label, 1 for classes not listed. "balanced" means
        ``W / (n_classes * W_c)``, where W_c is the sum of the sample weights of class c and W that
        of all rows, so that all classes have the same total weight. Class weights are multiplied by
        `sample_weight`. Not available for multilabel targets.
    label_smoothing : float in [0, 1), default=0.0
        Smoothing s: the training targets are ``(1 - s) y + s / K`` for K classes.
    loss : {"log_loss", "brier"} or callable, default="log_loss"
        "brier" is ``sum (y - p)**2`` over the outputs; for a function see
        :class:`fastmlp.losses.CustomLoss`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted; for multilabel targets, the indices of the labels.
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
        Values per epoch, which can be passed to ``pandas.DataFrame``: ``loss``, ``accuracy`` (of
        the training batches; not for multilabel targets), ``learning_rate``, ``seconds`` (training
        only) and, with validation rows, ``val_loss`` (mean over the rows, without penalties),
        ``val_score`` and the named scores.
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
    network_ : Network
        The underlying network; its ``predict(X, out=array)`` writes into an existing array.

    See Also
    --------
    MLPRegressor : The corresponding regressor.
    Trainer, Network : The classes on which this estimator is built.

    References
    ----------
    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks" (2010); D. P. Kingma and J. Ba, "Adam" (2015); `sklearn.neural_network` of
    scikit-learn 1.9, whose interface this class follows.

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

    @suggest_parameters
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
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        classes: Any = None,
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
                    model.partial_fit(X, y, classes=labels, end_of_epoch=i == len(chunks) - 1)

        Changed parameters take effect with this call: the learning rate, penalties, batch size or
        `solver`, which starts with a new state. Parameters that define the network must not change:
        `hidden_layer_sizes`, `activation`, `dtype`, and the output function that `loss` requires. A
        call that raises leaves the estimator unchanged, but the optimizer state may be reset.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`; y need not contain all classes.
        classes : array-like of shape (n_classes,), optional
            All classes that will occur; required in the first call.
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
            As in `fit`; also if classes are unknown or missing, if class weights are "balanced"
            (which needs all rows), with early stopping, and if the parameters define a network
            other than the fitted one.

        Warns
        -----
        UserWarning
            Once per fitted network: if its first two calls end an epoch of a schedule with
            different rows, and if "cosine" or "one_cycle" has ended.
        """
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight={self.class_weight!r} needs all rows and cannot be used with "
                "partial_fit; pass a mapping of labels to weights"
            )
        return self._fit(
            X,
            y,
            sample_weight,
            incremental=True,
            classes=classes,
            validation=(X_val, y_val, sample_weight_val),
            end_of_epoch=check_flag("end_of_epoch", end_of_epoch),
        )

    def predict(self, X: Any) -> Any:
        """Predict the most probable class of every row; for multilabel targets, all above 1/2.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or fastmlp.data.Source
            A source is read window by window; its targets are not used, and may be missing.

        Returns
        -------
        ndarray of shape (n_samples,), or ndarray or sparse matrix of shape (n_samples, n_labels)
        """
        return self._predicted(X, lambda outputs: self._targets.decode(outputs))

    def predict_proba(self, X: Any) -> Array:
        """Predict the probability of every class.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or fastmlp.data.Source
            A source is read window by window; its targets are not used, and may be missing.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`; the network's dtype.
        """
        probabilities: Array = self._predicted(
            X, lambda outputs: self._targets.probabilities(outputs)
        )
        return probabilities

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithm of the predicted probabilities.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or fastmlp.data.Source
            A source is read window by window; its targets are not used, and may be missing.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        probabilities = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            logarithms: Array = np.log(probabilities, out=probabilities)
        return logarithms

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the fraction of rows whose predicted class, or labels, are all correct.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or fastmlp.data.Source
            A source is read window by window, and has labels and sample weights too.
        y : array-like of shape (n_samples,), or array-like or sparse of (n_samples, n_labels)
            Not with a source.
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float
            Accuracy, weighted by `sample_weight`, from 0 to 1.
        """
        from sklearn.metrics import accuracy_score

        if isinstance(X, Source):
            check_none({"y": y, "sample_weight": sample_weight})
            return accuracy(self, X, lambda outputs: self._targets.decode(outputs))
        check_score(X, y, sample_weight)
        predicted = self.predict(X)
        with naming("y"):
            return float(accuracy_score(y, predicted, sample_weight=sample_weight))

    # --- Methods required by BaseMLP

    def _learn_targets(
        self, y: Any, *, first: bool, incremental: bool, classes: Any = None
    ) -> None:
        known = getattr(self, "classes_", None)
        if classes is not None:
            classes = _as_labels(classes)
        if incremental and known is not None:
            if classes is not None and not np.array_equal(known, _sorted_classes(classes)):
                raise ValueError(
                    f"`classes={shown(classes)}` is not the same as on last call to partial_fit, "
                    f"was: {known!r}"
                )
        elif incremental:
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            with naming("classes" if np.ndim(y) < 2 else "y"):
                targets = learn_classes(y if np.ndim(y) == 2 else classes)
                if targets.kind != "multilabel" and np.ndim(y) == 2:
                    targets = learn_classes(classes)
            if not np.array_equal(targets.classes, _sorted_classes(classes)):
                raise ValueError(
                    f"classes must be {targets.classes!r} for these labels; got {shown(classes)}"
                )
            self._take_targets(targets)
        elif first or known is None:
            self._take_targets(learn_classes(y))
        elif self._targets.hard(y) is not y:  # the columns are counted when they are encoded
            return
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

    def _encode(self, y: Any, dtype: np.dtype[Any], name: str = "y") -> Array:
        return self._targets.encode(y, dtype, name)

    def _hard_labels(self, y: Any) -> Any:
        return self._targets.hard(y)

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
            raise ValueError(
                "class_weight is not allowed for multilabel targets; use sample_weight"
            )
        return class_sample_weights(self.class_weight, self.classes_, y, weights)

    def _default_score(self, y: Array, weights: Array | None) -> Score | None:
        return subset_accuracy(y, weights) if self._targets.kind == "multilabel" else None

    def _stratifies(self) -> bool:
        # As in scikit-learn, so that the same random_state selects the same validation rows.
        return self._targets.kind == "binary"

    def _has_accuracy(self) -> bool:
        return self._targets.kind != "multilabel"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _as_labels(classes: Any) -> NDArray[Any]:
    """Return `classes` as an array; objects that are no labels are named, not printed."""
    labels = as_array("classes", classes)
    if labels.dtype.kind == "O":
        for label in labels.flat if labels.ndim <= 2 else ():
            if not isinstance(label, str | bytes | numbers.Number | np.generic | None):
                raise TypeError(f"classes must hold numbers or strings; got {shown(label)}")
    return labels


def _sorted_classes(classes: Any) -> NDArray[Any]:
    with naming("classes"):
        labels: NDArray[Any] = unique_labels(classes)
    return labels
