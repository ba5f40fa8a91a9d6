"""Decision surfaces: how a classifier divides the plane of two features.

scikit-learn's DecisionBoundaryDisplay draws bands; here colors fade continuously towards the
boundary, because the bands of a steep classifier are a bundle of stripes, and its surface in three
dimensions a comb.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp._checks import check_choice, check_integer, check_number, shown
from fastmlp.plots.mesh import (
    Samples,
    Surface,
    check_classifier,
    check_labels,
    evaluate,
    respond,
    take_samples,
)
from fastmlp.plots.style import CATEGORIES, INK, FigureSize, check_title, styled_pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RESPONSES = ("auto", "predict_proba", "decision_function")
DEEPEST = 0.5
"""Share of the class's color where a classifier is sure; the rest is white."""

SURE = 0.9
"""Decision values are drawn as sure from this quantile of their absolute values on the mesh."""

OVERSAMPLING = 3
"""Mesh lines evaluated per line drawn in three dimensions."""

Z_TICKS = 5


def decision_surface(
    classifier: Any,
    X: Any,
    y: ArrayLike | None = None,
    *,
    features: Sequence[Any] = (0, 1),
    values: Any = None,
    response: str = "auto",
    resolution: int = 300,
    margin: float = 0.15,
    title: str | None = None,
    figsize: FigureSize = (10, 7.5),
    ax: Axes | None = None,
) -> Figure:
    """Draw how a classifier divides the plane of two features, with the rows of `X` as points.

    The color is that of the class with the highest response, and fades to white where the two
    highest responses are equal; there the boundary is drawn as a line. Misclassified points have a
    dark edge. The colors are continuous, so that a steep classifier shows no stripes.

    Parameters
    ----------
    classifier : object
        Fitted, with `predict_proba` or `decision_function`: an estimator of this package or of
        scikit-learn, a Pipeline, a `MyANN`. Decision values must be one per class, not one per pair
        of classes as those of ``SVC(decision_function_shape="ovo")``.
    X : array-like or data frame of shape (n, n_features)
        Rows as the classifier takes them; they define the part of the plane that is drawn.
    y : array-like of shape (n,), optional
        Their labels; without, no points are drawn.
    features : (feature, feature)
        The features on the horizontal and the vertical axis: indices, or names of columns.
    values : array-like of shape (n_features,), mapping or None
        Values of the other features, or of some of them, by index or name. The rest, or all for
        None, are at their medians in `X`; a column that is not numeric at its most frequent value.
    response : {"auto", "predict_proba", "decision_function"}
        The method to ask; "auto" is the first of the two that the classifier has.
    resolution : int from 2 to 5000
        Points of the mesh along each axis.
    margin : float >= 0
        Space drawn around the points, as a share of their range.
    title : str or None
        None means a title with the share of points that are classified correctly.
    figsize : (float, float)
        Width and height in inches; ignored if `ax` is given.
    ax : matplotlib.axes.Axes or None
        Axes to draw in; None makes a figure.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit, or the classifier does not have one response per class.
    ImportError
        If matplotlib is missing.

    Examples
    --------
    >>> clf = MLPClassifier((16,)).fit(X, y)  # doctest: +SKIP
    >>> decision_surface(clf, X, y, features=(2, 3))  # doctest: +SKIP
    """
    check_classifier(classifier, X, y)
    samples = take_samples(X, features)
    labels = check_labels(y, len(samples.points))
    title = check_title(title)
    surface = evaluate(
        classifier,
        samples,
        labels,
        values=values,
        response=check_choice("response", response, RESPONSES),
        resolution=check_integer("resolution", resolution, minimum=2, maximum=5000),
        margin=check_number("margin", margin, minimum=0.0, maximum=1e6),
    )
    codes = _codes(labels, surface.classes)
    right = _correct(classifier, samples, codes, response, labels)
    if title is None:
        title = _sentence(surface, right)
    _check_axes(ax, "rectilinear")
    with styled_pyplot(figsize) as plt:
        axis: Any = plt.subplots()[1] if ax is None else ax
        draw_plane(axis, surface)
        if codes is not None:
            draw_points(axis, samples.points, codes, surface.classes, right)
            _add_legend(axis, surface)
        axis.set_xlabel(samples.names[0])
        axis.set_ylabel(samples.names[1])
        axis.set_title(title)
    return axis.figure  # type: ignore[no-any-return]


def decision_surface_3d(
    classifier: Any,
    X: Any,
    y: ArrayLike | None = None,
    *,
    label: Any = None,
    features: Sequence[Any] = (0, 1),
    values: Any = None,
    response: str = "auto",
    resolution: int = 100,
    margin: float = 0.15,
    view: tuple[float, float] = (30.0, -60.0),
    title: str | None = None,
    figsize: FigureSize = (10, 7.5),
    ax: Axes | None = None,
) -> Figure:
    """Draw the response of a classifier as a height above the plane of two features.

    With two classes, the height is the response of the second one (or of `label`); with more, the
    highest response, in the color of its class, unless `label` names one. The boundary and the rows
    of `X` are drawn on the floor. The response is averaged over about one square of the drawn mesh,
    so that a steep flank is a smooth slope.

    Parameters
    ----------
    classifier, X, y, features, values, response, margin, title, figsize
        As in :func:`decision_surface`.
    label : optional
        The class whose response is drawn.
    resolution : int from 2 to 500
        Lines of the drawn mesh along each axis; the classifier is evaluated on three times as many.
    view : (float, float)
        Elevation and azimuth of the eye in degrees.
    ax : mpl_toolkits.mplot3d.axes3d.Axes3D or None
        Axes with ``projection="3d"`` to draw in; None makes a figure.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError, TypeError, ImportError
        As in :func:`decision_surface`.
    """
    check_classifier(classifier, X, y)
    samples = take_samples(X, features)
    labels = check_labels(y, len(samples.points))
    title = check_title(title)
    lines = check_integer("resolution", resolution, minimum=2, maximum=500)
    surface = evaluate(
        classifier,
        samples,
        labels,
        values=values,
        response=check_choice("response", response, RESPONSES),
        resolution=OVERSAMPLING * (lines - 1) + 1,
        margin=check_number("margin", margin, minimum=0.0, maximum=1e6),
    )
    index = _index_of(label, surface.classes)
    codes = _codes(labels, surface.classes)
    right = _correct(classifier, samples, codes, response, labels)
    angles = _check_view(view)
    _check_axes(ax, "3d")
    with styled_pyplot(figsize) as plt:
        axis: Any = plt.figure().add_subplot(projection="3d") if ax is None else ax
        floor = draw_height(axis, surface, index, OVERSAMPLING)
        if codes is not None:
            draw_points(axis, samples.points, codes, surface.classes, right, floor)
            _add_legend(axis, surface)
        axis.set_xlabel(samples.names[0])
        axis.set_ylabel(samples.names[1])
        axis.set_title(_sentence(surface, right) if title is None else title)
        axis.view_init(*angles)
    return axis.figure  # type: ignore[no-any-return]


# --- Drawing, also used by the studies -----------------------------------------------------------


def draw_plane(axis: Any, surface: Surface) -> None:
    """Draw colors and boundary of a surface."""
    x, y = surface.x, surface.y
    half = (x[1] - x[0]) / 2, (y[1] - y[0]) / 2
    extent = (x[0] - half[0], x[-1] + half[0], y[0] - half[1], y[-1] + half[1])
    axis.imshow(
        _shades(surface, surface.winners, surface.leads),
        extent=extent,
        origin="lower",
        interpolation="bilinear",
        aspect="auto",
        zorder=-2,
    )
    for index in _boundaries(surface):
        axis.contour(x, y, surface.lead_of(index), [0.0], colors=INK, linewidths=1.8, zorder=1.5)
    axis.set_xlim(x[0], x[-1])
    axis.set_ylim(y[0], y[-1])
    axis.grid(False)


def draw_height(axis: Any, surface: Surface, index: int | None, step: int) -> float:
    """Draw a surface in three dimensions, and its boundary on the floor; return the floor's height.

    The height is the response of the class `index`, or the highest for None; every `step`-th line
    of the mesh is drawn, and averages about as many.
    """
    height = surface.heights(index, step)
    surface = surface.smoothed(step)
    xx, yy = np.meshgrid(surface.x, surface.y)
    colors = _shades(surface, surface.winners, surface.leads, deepest=0.8)
    axis.plot_surface(
        xx, yy, height, facecolors=_per_square(colors), rcount=len(yy), ccount=len(xx),
        linewidth=0, antialiased=False, shade=True,
    )  # fmt: skip
    low, high = (0.0, 1.0) if surface.label == "probability" else (height.min(), height.max())
    floor = float(low - 0.35 * max(high - low, 1e-9))
    for i in _boundaries(surface):
        axis.contour(xx, yy, surface.lead_of(i), [0.0], colors=INK, zdir="z", offset=floor)
    axis.set_zlim(floor, high)
    axis.set_zticks(_few_ticks(low, high))
    axis.set_zlabel(
        f"highest {surface.label}"
        if index is None
        else f"{surface.label} of {surface.classes[index]}"
    )
    return floor


def draw_points(
    axis: Any,
    points: NDArray[np.float64],
    codes: NDArray[np.intp],
    classes: NDArray[Any],
    right: NDArray[np.bool_] | None = None,
    floor: float | None = None,
    size: float | None = None,
) -> None:
    """Scatter the points (n, 2) with the colors and markers of their classes; wrong ones edged."""
    if size is None:
        size = float(np.clip(15000 / max(len(points), 1), 12, 40))
    place = {} if floor is None else {"depthshade": False}
    for code in range(len(classes)):
        color, marker = _look(code, len(classes))
        first = True
        for wrong in (False, True):
            chosen = codes == code
            if right is not None:
                chosen &= right != wrong
            elif wrong:
                continue
            if first or chosen.any():
                where = [*points[chosen].T, *([] if floor is None else [floor])]
                axis.scatter(
                    *where, s=size, color=color, marker=marker, **place,
                    linewidths=1.2 if wrong else 0.4, edgecolors=INK if wrong else "white",
                    label=None if wrong else f"{classes[code]}", zorder=3 if wrong else 2,
                )  # fmt: skip
            first = False


def _look(code: int, n_classes: int) -> tuple[Any, str]:
    """Color and marker of a class."""
    color, marker = CATEGORIES[code % len(CATEGORIES)]
    if n_classes > len(CATEGORIES):
        import matplotlib

        return matplotlib.colormaps["turbo"](code / (n_classes - 1)), marker
    return color, marker


def _shades(
    surface: Surface,
    winners: NDArray[np.intp],
    leads: NDArray[np.float64],
    deepest: float = DEEPEST,
) -> NDArray[np.float64]:
    """Colors (n_y, n_x, 3): that of the winner, the paler the smaller its lead."""
    from matplotlib.colors import to_rgb

    n_classes = len(surface.classes)
    full = np.array([to_rgb(_look(code, n_classes)[0]) for code in range(n_classes)])
    sure = 1.0 if surface.label == "probability" else float(np.quantile(leads, SURE)) or 1.0
    depth = deepest * np.clip(leads / sure, 0, 1)[..., np.newaxis]
    shades: NDArray[np.float64] = 1 - depth * (1 - full[winners])
    return shades


def _per_square(colors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return colors with that of a square's four corners at the first one, as matplotlib reads."""
    mixed = colors.copy()
    mixed[:-1, :-1] = (
        colors[:-1, :-1] + colors[1:, :-1] + colors[:-1, 1:] + colors[1:, 1:]
    ) / 4  # fmt: skip
    return mixed


def _boundaries(surface: Surface) -> list[int]:
    """Classes whose boundaries are drawn: those that win somewhere, but not everywhere."""
    found: list[int] = np.unique(surface.winners).tolist()
    if len(found) < 2:
        return []
    return found[1:] if len(surface.classes) == 2 else found


def _few_ticks(low: float, high: float) -> list[float]:
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(Z_TICKS).tick_values(low, high)
    return [float(tick) for tick in ticks if low - 1e-9 <= tick <= high + 1e-9]


def _add_legend(axis: Any, surface: Surface) -> None:
    if len(surface.classes) <= 12:
        axis.legend(loc="upper right", title="class")


# --- Checks and sentences ------------------------------------------------------------------------


def _codes(labels: NDArray[Any] | None, classes: NDArray[Any]) -> NDArray[np.intp] | None:
    """Return the index of the class of every label."""
    if labels is None:
        return None
    index = {value: code for code, value in enumerate(classes.tolist())}
    try:
        return np.array([index[value] for value in labels.tolist()], np.intp)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"y must hold classes of the classifier, {shown(classes.tolist())}; "
            f"found {shown(error.args[0] if isinstance(error, KeyError) else labels)}"
        ) from None


def _index_of(label: Any, classes: NDArray[Any]) -> int | None:
    """Return the index of the class whose response is drawn; None for the highest response."""
    if label is None:
        return 1 if len(classes) == 2 else None
    known: list[Any] = classes.tolist()
    if not isinstance(label, str | int | float | np.generic) or label not in known:
        raise ValueError(f"label must be one of {', '.join(map(str, known))}; got {shown(label)}")
    return known.index(label)


def _correct(
    classifier: Any,
    samples: Samples,
    codes: NDArray[np.intp] | None,
    response: str,
    labels: NDArray[Any] | None,
) -> NDArray[np.bool_] | None:
    """Return which rows have the highest response for their own class."""
    if codes is None:
        return None
    values, _, _ = respond(classifier, samples.table, response, labels)
    right: NDArray[np.bool_] = values.argmax(axis=1) == codes
    return right


def _sentence(surface: Surface, right: NDArray[np.bool_] | None) -> str:
    if right is None:
        return f"Decision surface of {len(surface.classes)} classes"
    return f"{right.sum()} of {len(right)} points classified correctly ({right.mean():.3f})"


def _check_axes(ax: Any, name: str) -> None:
    """Refuse what is not matplotlib's Axes of this projection."""
    if ax is None:
        return
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes) or ax.name != name:
        wanted = 'with projection="3d"' if name == "3d" else "in two dimensions"
        raise TypeError(f"ax must be axes of matplotlib {wanted}; got {shown(ax)}")


def _check_view(view: Any) -> tuple[float, float]:
    if not isinstance(view, tuple | list) or len(view) != 2:
        raise TypeError(f"view must be two angles in degrees; got {shown(view)}")
    angles = [
        check_number(f"view[{i}]", angle, minimum=-360.0, maximum=360.0)
        for i, angle in enumerate(view)
    ]
    return angles[0], angles[1]
