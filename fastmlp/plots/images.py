"""Figures of predictions: the confusion matrix and the misclassified images."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp._checks import (
    as_array,
    as_numeric_array,
    check_integer,
    check_iterable,
    check_same_length,
)
from fastmlp._checks import (
    shown as shown_value,
)
from fastmlp.plots.headline import headline
from fastmlp.plots.style import INK, FigureSize, check_title, styled_pyplot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_WRITTEN_CLASSES = 25
"""Maximum number of classes for which the numbers are drawn."""


def plot_confusion_matrix(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    labels: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    title: str | None = None,
    figsize: FigureSize = (10, 9),
) -> Figure:
    """Plot the confusion matrix.

    The colors depend on a root of the counts, so that a few errors can be distinguished from none.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        True and predicted labels.
    labels : array-like of shape (n_classes,)
        All labels, in the order of rows and columns.
    names : sequence of str, optional
        What the figure calls them, in this order.
    title : str or None
        None means the accuracy, with the most frequent confusion as a caption below.
    figsize : (float, float)
        Width and height in inches.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If there are no predictions, or the lengths differ, or a label is not in `labels`.
    ImportError
        If matplotlib is missing.
    """
    title = check_title(title)
    true, predicted = _check_predictions(y_true, y_pred)
    classes = as_array("labels", labels)
    if classes.dtype.kind not in "biufU" and not all(
        isinstance(label, str | int) for label in classes.flat
    ):
        raise TypeError(f"labels must be numbers or strings; got {shown_value(labels)}")
    unknown = [value for value in (*true, *predicted) if value not in classes.ravel().tolist()]
    if unknown or classes.ndim != 1:
        missing = f"{unknown[0]} is not" if unknown else f"their shape is {classes.shape}"
        raise ValueError(f"labels must hold all classes of y_true and y_pred; {missing}")
    words = classes.tolist() if names is None else list(check_iterable("names", names, "strings"))
    if len(words) != len(classes) or (names is not None and not all(type(w) is str for w in words)):
        raise ValueError(f"names must be {len(classes)} strings; got {shown_value(names)}")
    with styled_pyplot(figsize) as plt:
        from matplotlib.colors import PowerNorm
        from sklearn.metrics import ConfusionMatrixDisplay

        figure, axis = plt.subplots()
        axis.grid(False)
        shown = ConfusionMatrixDisplay.from_predictions(
            true,
            predicted,
            labels=classes,
            display_labels=words,
            xticks_rotation="horizontal" if names is None else 45.0,
            ax=axis,
            cmap="Blues",
            colorbar=False,
            include_values=len(words) <= MOST_WRITTEN_CLASSES,
            values_format="d",
            im_kw={"norm": PowerNorm(0.4, vmin=0)},
        )
        _adapt_text_colors(shown)
        axis.set_xlabel("predicted class")
        axis.set_ylabel("true class")
        if title is None:
            headline(figure, *_confusion_sentences(shown.confusion_matrix, words))
        else:
            axis.set_title(title)
    return figure  # type: ignore[no-any-return]


def plot_misclassified(
    X: ArrayLike,
    y_true: ArrayLike,
    y_pred: ArrayLike,
    outputs: ArrayLike,
    *,
    image_shape: Sequence[int],
    label: Any = None,
    max_images: int = 24,
    figsize: FigureSize = (12, 9),
) -> Figure:
    """Show misclassified images, ordered by the network's confidence, highest first.

    The title of each image is "true → predicted (output)" with the largest output.

    Parameters
    ----------
    X : array-like of shape (n, n_features)
        Images, one per row, as pixels that are not standardized per feature.
    y_true, y_pred : array-like of shape (n,)
        True and predicted labels.
    outputs : array-like of shape (n, n_out)
        Outputs of the network.
    image_shape : (int, int)
        Height and width; their product is n_features.
    label : optional
        Show only errors that involve this class, as the true or as the predicted label.
    max_images : int >= 1
        Maximum number of images to show.
    figsize : (float, float)
        Width and height in inches.

    Returns
    -------
    matplotlib.figure.Figure
        The figure; if no image was misclassified, it contains only a message.

    Raises
    ------
    ValueError
        If `image_shape` does not match, `label` is unknown or the lengths differ.
    ImportError
        If matplotlib is missing.
    """
    true, predicted = _check_predictions(y_true, y_pred)
    images = _check_images(X, image_shape)
    sureness = _largest(outputs)
    check_same_length("X", len(images), "y_true", len(true))
    check_same_length("outputs", len(sureness), "y_true", len(true))
    check_integer("max_images", max_images, minimum=1)
    wrong = true != predicted
    if label is not None:
        wrong &= _belongs_to(label, true, predicted)
    rows = np.flatnonzero(wrong)
    rows = rows[np.argsort(-sureness[rows], kind="stable")]
    shown = rows[:max_images]
    with styled_pyplot(figsize) as plt:
        figure = plt.figure()
        _draw_grid(figure, images[shown], true[shown], predicted[shown], sureness[shown])
        headline(figure, *_misclassified_sentences(len(rows), len(shown), len(true), label))
    return figure  # type: ignore[no-any-return]


def _draw_grid(
    figure: Figure,
    images: NDArray[Any],
    true: NDArray[Any],
    predicted: NDArray[Any],
    sureness: NDArray[np.float64],
) -> None:
    """Draw the images on a grid with an aspect ratio of about 3:2."""
    n_columns = math.ceil(math.sqrt(1.5 * len(images)))
    n_rows = math.ceil(len(images) / n_columns) if n_columns else 0
    for i, image in enumerate(images):
        axis = figure.add_subplot(n_rows, n_columns, i + 1)
        axis.imshow(image, cmap="gray_r")
        axis.set_axis_off()
        axis.set_title(
            f"{true[i]} → {predicted[i]} ({sureness[i]:.2f})", loc="center", weight="normal", pad=4
        )


def _misclassified_sentences(n_wrong: int, n_shown: int, n: int, label: Any) -> tuple[str, str]:
    """Return a title, how many are wrong, and a caption, which of them are shown."""
    title = f"{n_wrong} of {n} images misclassified"
    about = "" if label is None else f"From or into class {label}. "
    if n_wrong == 0:
        return f"None of {n} images misclassified", about.strip()
    which = "Highest confidence first"
    if n_shown < n_wrong:
        which = f"The {n_shown} with the highest confidence"
    return title, f"{about}{which}; over each: true → predicted (largest output)."


def _confusion_sentences(matrix: NDArray[np.int64], names: Sequence[Any]) -> tuple[str, str]:
    """Return a title, the accuracy, and a caption, the most frequent confusion."""
    correct, total = int(np.trace(matrix)), int(matrix.sum())
    errors = matrix - np.diag(np.diag(matrix))
    title = f"{correct} of {total} correct ({correct / total:.3f})"
    if not errors.any():
        return title, ""
    i, j = map(int, np.unravel_index(errors.argmax(), errors.shape))
    times = "once" if errors[i, j] == 1 else f"{errors[i, j]} times"
    return title, f"Most frequent confusion: {names[i]} predicted as {names[j]}, {times}."


def _adapt_text_colors(shown: Any) -> None:
    """Write white numbers on dark cells; scikit-learn chooses by counts, not by colors."""
    if shown.text_ is None:
        return
    image = shown.im_
    shades = image.norm(shown.confusion_matrix)
    for text, shade in zip(shown.text_.ravel(), shades.ravel(), strict=True):
        text.set_color("white" if shade > 0.55 else INK)


def _check_predictions(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    true, predicted = as_array("y_true", y_true), as_array("y_pred", y_pred)
    for name, values in (("y_true", true), ("y_pred", predicted)):
        if values.ndim != 1:
            raise ValueError(f"{name} must have 1 dimension; got shape {values.shape}")
    check_same_length("y_true", len(true), "y_pred", len(predicted))
    if len(true) == 0:
        raise ValueError("nothing to plot: no predictions")
    return true, predicted


def _check_images(X: ArrayLike, image_shape: Sequence[int]) -> NDArray[Any]:
    """Return `X` (n, n_features) reshaped to (n, height, width)."""
    pixels = as_numeric_array("X", X)
    sides = check_iterable("image_shape", image_shape, "two integers, height and width")
    shape = tuple(check_integer("image_shape", side, minimum=1) for side in sides)
    if pixels.ndim != 2 or len(shape) != 2 or math.prod(shape) != pixels.shape[1]:
        raise ValueError(
            f"image_shape must be (height, width) with height * width features of X; "
            f"got {shape} and X of shape {pixels.shape}"
        )
    return pixels.reshape(-1, *shape)


def _largest(outputs: ArrayLike) -> NDArray[np.float64]:
    """Return the largest output of each row, (n,)."""
    array = as_numeric_array("outputs", outputs)
    if array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(f"outputs must have shape (n, n_out); got {array.shape}")
    largest: NDArray[np.float64] = array.astype(float).reshape(len(array), -1).max(axis=1)
    return largest


def _belongs_to(label: Any, true: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.bool_]:
    known = np.union1d(true, predicted)
    if not isinstance(label, str | numbers.Real | np.generic) or label not in known.tolist():
        raise ValueError(
            f"label must be one of {', '.join(map(str, known))}; got {shown_value(label)}"
        )
    result: NDArray[np.bool_] = (true == label) | (predicted == label)
    return result
