"""A bar chart of the summary, readable at 800 pixels; colours after Okabe and Ito."""

from __future__ import annotations

from pathlib import Path

from adapters import Job
from contenders import BASELINE, REFERENCE
from report import Summary

DPI = 100
WIDTH_INCHES = 8.0
BAR_INCHES, FRAME_INCHES = 0.27, 0.75
COLOURS = {BASELINE: "#0072B2", REFERENCE: "#56B4E9"}
OTHER_COLOUR = "#E69F00"


def draw(path: Path, rows: list[Summary], jobs: tuple[Job, ...], caption: str) -> None:
    """Write one panel per job: median seconds per epoch, quartiles as error bars."""
    from matplotlib.figure import Figure

    panels = [_bars(rows, job) for job in jobs]
    heights = [FRAME_INCHES + BAR_INCHES * max(len(bars), 1) for bars in panels]
    figure = Figure(figsize=(WIDTH_INCHES, sum(heights) + 0.3), dpi=DPI, layout="constrained")
    axes = figure.subplots(len(jobs), 1, squeeze=False, height_ratios=heights)[:, 0]
    for ax, job, bars in zip(axes, jobs, panels, strict=True):
        _panel(ax, f"{'-'.join(map(str, job.sizes))}, batch {job.batch_size}", bars)
    axes[-1].set_xlabel("seconds per epoch: median and quartiles, shorter is better")
    figure.supxlabel(caption, fontsize=8, color="0.35")
    figure.savefig(path)


def _bars(rows: list[Summary], job: Job) -> list[Summary]:
    """The valid rows of one job, fastest first."""
    mine = [r for r in rows if r.job == job.name and r.seconds is not None and r.check != "FAILS"]
    return sorted(mine, key=lambda r: r.seconds)


def _panel(ax, title: str, bars: list[Summary]) -> None:
    """Horizontal bars on a matplotlib Axes, the fastest on top, each with its number."""
    for place, row in enumerate(bars):
        errors = [[row.seconds - row.q1_seconds], [row.q3_seconds - row.seconds]]
        colour = COLOURS.get(row.contender, OTHER_COLOUR)
        ax.barh(place, row.seconds, xerr=errors, color=colour, ecolor="0.2", capsize=2)
        ratio = "" if row.ratio is None else f"  ({row.ratio:.1f}x)"
        label = f" {row.seconds:.3f} s{ratio}"
        ax.annotate(label, (row.q3_seconds, place), (4, 0), textcoords="offset points", va="center")
    ax.set_yticks(range(len(bars)), [row.contender for row in bars])
    ax.invert_yaxis()
    ax.margins(x=0.22, y=0.02)
    ax.set_xlim(left=0)
    ax.set_title(title, loc="left", fontsize=11)
    ax.spines[["top", "right"]].set_visible(False)
