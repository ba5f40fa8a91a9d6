"""A bar chart from a result's JSON alone, readable at 800 pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastmlp.bench.contenders import BASELINE, FLOOR, REFERENCE
from fastmlp.bench.report import UNITS
from fastmlp.plots.style import BLUE, ORANGE, SKY

DPI = 100
WIDTH_INCHES = 8.0
BAR_INCHES, FRAME_INCHES = 0.27, 0.75
COLORS = {BASELINE: BLUE, REFERENCE: SKY}
OTHER_COLOR = ORANGE
PER = {
    "train": "per epoch",
    "predict": "per call",
    "ensemble": "for all models",
    "estimator": "per fit",
}

Row = dict[str, Any]


def draw(path: Path, content: dict[str, Any]) -> None:
    """Write one panel per job: median, quartiles as error bars.

    content: what `report.as_json` returned, or the same read from a file.
    """
    from matplotlib.figure import Figure

    settings = content["settings"]
    panels = [(job, bars) for job in settings["jobs"] if (bars := _bars(content["summary"], job))]
    if not panels:
        raise ValueError("nothing to draw: no contender finished any job")
    heights = [FRAME_INCHES + BAR_INCHES * len(bars) for _, bars in panels]
    figure = Figure(figsize=(WIDTH_INCHES, sum(heights) + 0.4), dpi=DPI, layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for ax, (job, bars) in zip(axes, panels, strict=True):
        _panel(ax, job, bars)
    axes[-1].set_xlabel("median and quartiles, shorter is better; in brackets: times fastmlp")
    figure.supxlabel(_caption(content), fontsize=8, color="0.35")
    figure.savefig(path)


def _caption(content: dict[str, Any]) -> str:
    """Return a subtitle: the machine, and the number of rounds."""
    good = (r for r in content["records"] if "error" not in r)
    processor = next((r["machine"]["processor"] for r in good), "")
    n_rounds = 1 + max((r["round"] for r in content["records"]), default=0)
    return f"{processor}, {content['settings']['n_threads']} threads, rounds: {n_rounds}"


def _bars(summary: list[Row], job: dict[str, Any]) -> list[Row]:
    """The valid rows of one job, fastest first."""
    mine = [
        row
        for row in summary
        if row["job"] == job["name"]
        and row["seconds"] is not None
        and row["check"] != "FAILS"
        and row["contender"] != FLOOR
    ]
    return sorted(mine, key=lambda row: row["seconds"])


def _panel(ax: Any, job: dict[str, Any], bars: list[Row]) -> None:
    """Horizontal bars on a matplotlib Axes, the fastest on top, each with its number."""
    unit, scale = next((u, s) for limit, u, s in UNITS if bars[0]["seconds"] < limit)
    for place, row in enumerate(bars):
        middle, q1, q3 = (scale * row[f"{part}seconds"] for part in ("", "q1_", "q3_"))
        color = COLORS.get(row["contender"], OTHER_COLOR)
        errors = [[middle - q1], [q3 - middle]]
        ax.barh(place, middle, xerr=errors, color=color, ecolor="0.2", capsize=2)
        ratio = "" if row["ratio"] is None else f"  ({row['ratio']:.1f}x)"
        number = f"{middle:.0f}" if middle >= 100 else f"{middle:.3g}"
        label = f" {number} {unit}{ratio}"
        ax.annotate(label, (q3, place), (4, 0), textcoords="offset points", va="center")
    ax.set_yticks(range(len(bars)), [row["contender"] for row in bars])
    ax.invert_yaxis()
    ax.margins(x=0.28, y=0.02)
    ax.set_xlim(left=0)
    per = PER[job.get("kind", "train")]
    title = f"{job['name']}: {'-'.join(map(str, job['sizes']))}, {unit} {per}"
    ax.set_title(title, loc="left", fontsize=11)
    ax.spines[["top", "right"]].set_visible(False)
