"""Versions of back propagation and treatments of the bias: equal gradients, different speeds.

V1.0 (article M8) adds a row for the bias node to Z, takes the derivative from Z, and computes a
delta of the input layer that nobody needs. V1.5 (performance, Step I) leaves that out. V1.6 (Step
III) takes the derivative from A. The bias row can be added to the derivative and dropped at the
end, or the bias column of W or the bias row of the product can be left out before; the articles
announced the comparison of these and showed one. All in NumPy, as `fastmlp.reference` has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastmlp import reference
from fastmlp._types import Array
from fastmlp.bench.step_profile import StopWatch
from fastmlp.network.network import Network
from fastmlp.plots.style import styled_pyplot
from fastmlp.reference.propagation import BIAS_TREATMENTS, VERSIONS, BiasTreatment, Version
from fastmlp.studies.lab.data import load_scaled
from fastmlp.studies.lab.figures import CATEGORIES, FIGSIZE, headline, legend_below
from fastmlp.studies.lab.results import rounded
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PARTS = {
    "t1": "t1 bias row",
    "t2": "t2 derivative",
    "t3": "t3 Wᵀ δ",
    "t4": "t4 product, slice",
    "t5": "t5 gradient",
    "t6": "t6 penalty",
}

PUBLISHED: dict[int, dict[int, tuple[tuple[float, ...], ...]]] = {
    500: {
        2: ((0.117, 0.128, 0.293), (0.353, 0.350, 1.103), (0.181, 0.185, 0.029),
            (0.102, 0.104, 0.009), (0.099, 0.102, 0.036), (0.024, 0.024, 0.025)),
        1: ((0.432, 0.441, 0.031), (0.781, 0.785, 0.672), (0.042, 0.257, 0.055),
            (0.229, 0.124, 0.098), (0.094, 0.103, 0.161), (0.122, 0.130, 0.018)),
        0: ((), (), (), (), (0.429, 0.445, 0.364), (0.154, 0.165, 0.063)),
    },
    15_000: {
        2: ((0.578, 0.630), (4.996, 5.081), (0.317, 0.185), (0.524, 0.597), (0.518, 0.564),
            (0.022, 0.023)),
        1: ((1.012, 0.938), (10.797, 10.650), (0.501, 0.523), (0.870, 0.910), (1.081, 1.124),
            (0.030, 0.166)),
        0: ((), (), (), (), (6.988, 6.987), (0.236, 0.240)),
    },
}  # fmt: skip
"""Milliseconds of t1 … t6 by batch and layer: samples printed in article P3, before V1.6."""

PUBLISHED_VARIANT = ("V1.5", "row_added")
SHOWN = (
    ("V1.0", "row_added"),
    ("V1.5", "row_added"),
    ("V1.6", "row_added"),
    ("V1.6", "weights_sliced"),
    ("V1.6", "product_sliced"),
)
"""Versions in the articles, and the three treatments of the bias in the last version."""

BIAS_NAMES = {
    "row_added": "row added",
    "weights_sliced": "weights sliced",
    "product_sliced": "product sliced",
}


@dataclass(frozen=True)
class Config:
    """Batches as published; medians over `repetitions` of all variants in turn.

    `blas_threads` None means as many as the session has.
    """

    data: str = "mnist"
    hidden: tuple[int, ...] = (70, 30)
    batches: tuple[int, ...] = (500, 15_000)
    repetitions: tuple[int, ...] = (401, 41)
    blas_threads: int | None = None
    lambda2: float = 0.1
    seed: int = 0


def configure(data: str, quick: bool) -> Config:
    """Fewer repetitions for a quick one, and a second batch that little data fill."""
    batches = (500, 15_000) if data == "mnist" else (50, 1297)
    if quick:
        return Config(data, batches=batches, repetitions=(51, 7), blas_threads=1)
    return Config(data, batches=batches)


class Forward(NamedTuple):
    """Input of `fastmlp.reference.backward`."""

    weights: Sequence[Array]
    zs: Sequence[Array]
    activations: Sequence[Array]
    delta_output: Array


def timed_backward(
    forward: Forward, version: Version, bias: BiasTreatment, l2: float
) -> tuple[list[Array], np.ndarray[Any, Any]]:
    """`fastmlp.reference.backward` for sigmoids, with a stop-watch between its operations.

    Returns
    -------
    list of ndarray
        Gradients of all W[N], with the penalty.
    ndarray of shape (n_layers, 6)
        Milliseconds of t1 … t6 on the way from layer N + 1 to N, row N.
    """
    weights, zs, activations, delta = forward
    milliseconds = np.zeros((len(weights), len(PARTS)))
    gradients: list[Array] = []
    for number in reversed(range(len(weights))):
        w, t = weights[number], milliseconds[number]
        watch = StopWatch()
        gradient = delta @ activations[number].T
        t[4] = watch()
        gradient += reference.penalty_gradient(w, 0.0, l2)
        t[5] = watch()
        gradients.append(gradient)
        if number == 0 and version != "V1.0":
            break
        z = zs[number] if number else zs[0][1:]
        delta = _timed_layer_delta(w, delta, z, activations[number], version, bias, number, t)
    return gradients[::-1], milliseconds


def _timed_layer_delta(
    w: Array,
    delta: Array,
    z: Array,
    a: Array,
    version: Version,
    bias: BiasTreatment,
    number: int,
    t: np.ndarray[Any, Any],
) -> Array:
    """`fastmlp.reference.layer_delta`; fills t1 to t4 of layer `number`."""
    function = "sigmoid" if number else "identity"
    from_z = version != "V1.6"
    watch = StopWatch()
    if bias == "row_added" and from_z:
        z = reference.add_bias_row(z)
    t[0] = watch()
    if from_z:
        a = reference.FUNCTIONS[function](z)
    elif bias != "row_added":
        a = a[1:]
    derivative = reference.DERIVATIVES[function](z, a)
    t[1] = watch()
    spread = w[:, 1:].T @ delta if bias == "weights_sliced" else w.T @ delta
    t[2] = watch()
    found = spread[1:] * derivative if bias == "product_sliced" else spread * derivative
    if bias == "row_added":
        found = found[1:]
    t[3] = watch()
    return found


def run(config: Config, session: Session) -> dict[str, Any]:
    """Run all variants in turn on one batch after the other."""
    from threadpoolctl import threadpool_limits

    n_threads = config.blas_threads or session.n_threads
    data = load_scaled(config.data, "feature", max(config.batches))
    sizes = (data.X_train.shape[1], *config.hidden, len(data.classes))
    network = Network(sizes, random_state=config.seed)

    def time_batch(case: Case, tick: Tick) -> dict[str, Any]:
        rows = slice(case["batch"])
        zs, activations = reference.forward(
            network.weights, reference.input_layer(data.X_train, rows), network.functions
        )
        delta = activations[-1] - data.Y_train[rows].T
        forward = Forward(network.weights, zs, activations, delta)
        variants = list(product(VERSIONS, BIAS_TREATMENTS))
        milliseconds: dict[Any, list[Any]] = {variant: [] for variant in variants}
        largest = _largest_difference(forward, network.functions, config.lambda2)
        with threadpool_limits(n_threads, user_api="blas"):
            for _ in range(case["repetitions"]):
                tick()
                for version, bias in variants:
                    times = timed_backward(forward, version, bias, config.lambda2)[1]
                    milliseconds[version, bias].append(times)
        return {
            "blas_threads": n_threads,
            "largest_difference": rounded(largest, 3),
            "variants": [_summary(variant, milliseconds[variant]) for variant in variants],
        }

    cases = [
        {"batch": batch, "repetitions": n}
        for batch, n in zip(config.batches, config.repetitions, strict=True)
    ]
    batches = session.map(
        time_batch, cases, config=config, n_ticks=max(config.repetitions), alone=True
    )
    return session.record(config, sizes=sizes, batches=batches)


def _largest_difference(forward: Forward, functions: Sequence[str], l2: float) -> float:
    """Return the largest relative difference between a variant's gradient and the reference's."""
    expected = [
        gradient + reference.penalty_gradient(w, 0.0, l2)
        for gradient, w in zip(
            reference.backward(*forward, functions), forward.weights, strict=True
        )
    ]
    return max(
        float(np.abs(found - wanted).max() / np.abs(wanted).max())
        for version, bias in product(VERSIONS, BIAS_TREATMENTS)
        for found, wanted in zip(
            timed_backward(forward, version, bias, l2)[0], expected, strict=True
        )
    )


def _summary(variant: tuple[str, str], milliseconds: list[np.ndarray[Any, Any]]) -> dict[str, Any]:
    """Return medians per layer and part, and median and quartiles of the total."""
    times = np.array(milliseconds)
    q1, middle, q3 = np.quantile(times.sum(axis=(1, 2)), [0.25, 0.5, 0.75])
    return {
        "version": variant[0],
        "bias": variant[1],
        "layers": rounded(np.median(times, axis=0), 4),
        "total": rounded(middle, 4),
        "q1": rounded(q1, 4),
        "q3": rounded(q3, 4),
    }


def variant_of(batch: Any, version: str, bias: str) -> dict[str, Any]:
    """Return the measurements of one variant on one batch."""
    for variant in batch["variants"]:
        if (variant["version"], variant["bias"]) == (version, bias):
            return variant  # type: ignore[no-any-return]
    raise KeyError(f"{version}, {bias}")


def tables(result: Result) -> list[Table]:
    """Whole back propagations by variant, and t1 … t6 per layer beside the published ones."""
    batches = result["batches"]
    rows = [
        (
            f"{version}, {BIAS_NAMES[bias]}",
            *(
                f"{(found := variant_of(batch, version, bias))['total']:.3f} "
                f"({found['q1']:.3f} to {found['q3']:.3f})"
                for batch in batches
            ),
        )
        for version, bias in product(VERSIONS, BIAS_TREATMENTS)
    ]
    columns = ("version, bias", *(f"batch {batch['batch']}" for batch in batches))
    differences = ", ".join(f"{batch['largest_difference']:.1g}" for batch in batches)
    whole = Table(
        "Milliseconds of one back propagation, median and quartiles (largest relative difference "
        f"of any gradient: {differences})",
        columns,
        tuple(rows),
    )
    return [whole, *(_parts_table(batch) for batch in batches)]


def _parts_table(batch: Any) -> Table:
    """Return t1 … t6 per layer; the published values are those of V1.5 with the row added."""
    rows = []
    for layer in (2, 1, 0):
        known = PUBLISHED.get(batch["batch"], {}).get(layer)
        if known is not None:
            cells = (f"{min(t):.3f} – {max(t):.3f}" if t else "–" for t in known)
            rows.append((f"layer {layer}, published", *cells))
        for version, bias in SHOWN:
            times = variant_of(batch, version, bias)["layers"][layer]
            skipped = layer == 0 and version != "V1.0"
            cells = ("–" if skipped and i < 4 else f"{t:.3f}" for i, t in enumerate(times))
            rows.append((f"layer {layer}, {version} {BIAS_NAMES[bias]}", *cells))
    return Table(
        f"Milliseconds of the parts, batch {batch['batch']}",
        ("layer", *PARTS.values()),
        tuple(rows),
    )


def draw(result: Result) -> dict[str, Figure]:
    """The parts of a back propagation as stacked bars; the whole by version and bias."""
    return {"parts": _draw_parts(result), "variants": _draw_variants(result)}


def _draw_parts(result: Result) -> Figure:
    with styled_pyplot(FIGSIZE) as plt:
        figure, axes = plt.subplots(1, len(result["batches"]), squeeze=False)
        for axis, batch in zip(axes[0], result["batches"], strict=True):
            _draw_bars(axis, batch)
        axes[0, 0].set_ylabel("milliseconds of one back propagation")
        legend_below(figure, axes[0, 0], len(PARTS))
        headline(figure, "Where the time of back propagation goes", _finding(result))
    return figure  # type: ignore[no-any-return]


def _bars(batch: Any) -> dict[str, np.ndarray[Any, Any]]:
    """t1 … t6, summed over the layers, by the bar's name."""
    bars = {}
    if batch["batch"] in PUBLISHED:
        known = PUBLISHED[batch["batch"]].values()
        means = np.array([[np.mean(t) if t else 0.0 for t in layer] for layer in known], float)
        bars["published\n(V1.5)"] = means.sum(axis=0)
    for version, bias in SHOWN:
        layers = variant_of(batch, version, bias)["layers"]
        bars[f"{version}\n{BIAS_NAMES[bias].replace(' ', chr(10))}"] = np.sum(layers, axis=0)
    return bars


def _draw_bars(axis: Axes, batch: Any) -> None:
    bars = _bars(batch)
    heights = np.array(list(bars.values()))
    below = np.zeros(len(bars))
    for column, (name, (color, _)) in enumerate(zip(PARTS.values(), CATEGORIES, strict=False)):
        axis.bar(range(len(bars)), heights[:, column], bottom=below, color=color, label=name)
        below += heights[:, column]
    for x, total in enumerate(below):
        axis.text(
            x, total, f"{total:,.0f}" if total >= 100 else f"{total:.3g}", ha="center", va="bottom"
        )
    axis.margins(y=0.1)
    axis.set_xticks(range(len(bars)), labels=list(bars), size=8)
    axis.grid(axis="x", visible=False)
    axis.set_title(f"Batch of {batch['batch']}")


def _finding(result: Result) -> str:
    batch = result["batches"][-1]
    old = variant_of(batch, *PUBLISHED_VARIANT)
    new = variant_of(batch, "V1.6", "product_sliced")
    share = sum(layer[1] for layer in old["layers"]) / old["total"]
    return (
        f"Batch {batch['batch']}: {100 * share:.0f} % of V1.5 is the derivative computed anew; "
        f"V1.6 takes it from A and is {old['total'] / new['total']:.1f} times as fast"
    )


def _draw_variants(result: Result) -> Figure:
    with styled_pyplot(FIGSIZE) as plt:
        figure, axes = plt.subplots(1, len(result["batches"]), squeeze=False)
        for axis, batch in zip(axes[0], result["batches"], strict=True):
            for i, (bias, (color, marker)) in enumerate(
                zip(BIAS_TREATMENTS, CATEGORIES, strict=False)
            ):
                found = [variant_of(batch, version, bias) for version in VERSIONS]
                middle = np.array([variant["total"] for variant in found])
                errors = [middle - [v["q1"] for v in found], [v["q3"] for v in found] - middle]
                axis.errorbar(
                    np.arange(len(VERSIONS)) + 0.12 * (i - 1),
                    middle,
                    yerr=errors,
                    color=color,
                    marker=marker,
                    linestyle="none",
                    capsize=5,
                    label=BIAS_NAMES[bias],
                )
            axis.set_xticks(range(len(VERSIONS)), labels=VERSIONS)
            axis.margins(x=0.15)
            axis.set_ylim(bottom=0)
            axis.set_xlabel("version of back propagation")
            axis.set_title(f"Batch of {batch['batch']}: median and quartiles")
        axes[0, 0].set_ylabel("milliseconds of one back propagation")
        legend_below(figure, axes[0, 0], 3)
        headline(
            figure, "Back propagation with three treatments of the bias", _bias_finding(result)
        )
    return figure  # type: ignore[no-any-return]


def _bias_finding(result: Result) -> str:
    findings = []
    for batch in result["batches"]:
        found = {bias: variant_of(batch, "V1.6", bias) for bias in BIAS_TREATMENTS}
        *_, worst = ordered = sorted(found, key=lambda bias: float(found[bias]["total"]))
        best = ordered[0]
        gain = 100 * (found[worst]["total"] / found[best]["total"] - 1)
        apart = found[best]["q3"] < found[worst]["q1"]
        findings.append(
            f"“{BIAS_NAMES[worst]}” takes {gain:.0f} % longer than “{BIAS_NAMES[best]}”"
            if apart
            else "the treatments take the same time, as far as can be measured"
        )
    parts = [f"at batch {b['batch']} {f}" for b, f in zip(result["batches"], findings, strict=True)]
    return f"In V1.6, {'; '.join(parts)}"


STUDY = Study(
    "bias-variants",
    "What do the versions of back propagation and the treatments of the bias cost?",
    configure,
    run,
    tables,
    draw,
)
