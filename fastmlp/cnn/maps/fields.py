"""Drawing of receptive fields, layer by layer, from the sizes of a network alone.

Source of the figure: "A simple CNN for the MNIST dataset" I, linux-blog.anracom.com.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastmlp.cnn.geometry import IMAGE, Layers, seen_by_node, sides_of_layers
from fastmlp.plots.headline import headline, shortened
from fastmlp.plots.style import BLUE, ORANGE, SILVER, FigureSize, styled_pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = (BLUE, ORANGE)
Place = tuple[slice, slice]


def plot_receptive_fields(
    network: Layers,
    layer: str,
    nodes: Sequence[tuple[int, int]] = ((0, 0), (0, 1)),
    *,
    image: ArrayLike | None = None,
    figsize: FigureSize | None = None,
) -> Figure:
    """Draw what one node of a layer, or two, see of the image and of every layer between.

    One panel for each of them, from the image to `layer`: a cell is a pixel or a node of a map, and
    what both nodes see has both colors. Nothing is trained or computed for it.

    Parameters
    ----------
    network : CNNConfig
    layer : str
        A convolution or pooling, by name.
    nodes : sequence of one or two (row, column)
    image : array-like of shape (height, width) or (height, width, channels), or None
        Drawn in grey behind the cells of the first panel.
    figsize : (float, float) or None
        Width and height in inches.

    Raises
    ------
    ValueError
        For an unknown layer, a node outside of it, another number of nodes, or an image of another
        size.
    """
    if len(nodes) not in (1, 2):
        raise ValueError(f"nodes must be one or two pairs (row, column); got {len(nodes)}")
    seen = [seen_by_node(network, layer, *node) for node in nodes]
    sides = sides_of_layers(network)
    names = list(seen[0])
    pixels = None if image is None else _grey(image, sides[IMAGE])
    with styled_pyplot(figsize or (3.2 * len(names) + 0.4, 4.2)) as plt:
        figure, axes = plt.subplots(1, len(names), squeeze=False)
        for axis, name in zip(axes[0], names, strict=True):
            _draw_cells(axis, sides[name], pixels if name == IMAGE else None)
            for places, color, hatch in zip(seen, COLORS, ("", "//"), strict=False):
                _draw_place(axis, places[name], color, hatch)
            height, width = sides[name]
            axis.set_title(f"{name}\n{height} x {width}", loc="center", weight="normal")
        headline(figure, *_sentences(layer, seen))
    return figure  # type: ignore[no-any-return]


def _grey(image: ArrayLike, sides: tuple[int, int]) -> Any:
    """`image` as (height, width), the mean of its channels."""
    pixels = np.asarray(image, float)
    pixels = pixels.mean(axis=-1) if pixels.ndim == 3 else pixels
    if pixels.shape != sides:
        raise ValueError(
            f"image must have {sides[0]} x {sides[1]} pixels, as the network takes them; "
            f"got shape {np.shape(image)}"
        )
    return pixels


def _draw_cells(axis: Axes, sides: tuple[int, int], pixels: Any) -> None:
    """Draw the lines between the cells, and the image behind them."""
    height, width = sides
    if pixels is not None:
        axis.imshow(pixels, cmap="gray_r", extent=(0, width, height, 0), interpolation="nearest")
    axis.set(xlim=(0, width), ylim=(height, 0), aspect="equal", anchor="N")
    axis.set_xticks(range(width + 1))
    axis.set_yticks(range(height + 1))
    axis.grid(True, color=SILVER, linewidth=0.5)
    axis.tick_params(length=0, labelbottom=False, labelleft=False)
    for side in ("top", "right"):
        axis.spines[side].set_visible(True)


def _draw_place(axis: Axes, place: Place, color: str, hatch: str) -> None:
    """Draw the cells at `place`, filled so that what is behind them remains visible."""
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Rectangle

    (top, bottom), (left, right) = ((part.start, part.stop) for part in place)
    axis.add_patch(
        Rectangle(
            (left, top),
            right - left,
            bottom - top,
            facecolor=to_rgba(color, 0.3),
            edgecolor=color,
            hatch=hatch,
            linewidth=2,
            clip_on=False,
            zorder=3,
        )
    )


def _sentences(layer: str, seen: Sequence[dict[str, Place]]) -> tuple[str, str]:
    """Return a title such as "A node of conv_2 sees 6 x 6 pixels", and a caption for two nodes."""
    fields = [places[IMAGE] for places in seen]
    text = shortened(f"A node of {layer} sees {_size(fields[0])} pixels")
    if len(fields) == 1:
        return text, ""
    together = tuple(
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*fields, strict=True)
    )
    second = "as many" if _size(fields[1]) == _size(fields[0]) else _size(fields[1])
    return text, f"The other node sees {second}, both together {_size(together)}."


def _size(place: Sequence[slice]) -> str:
    return " x ".join(str(part.stop - part.start) for part in place)
