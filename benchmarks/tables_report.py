"""Table and picture of what benchmarks/tables.py has measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

OURS = "Tabular*"


def means(outcome: dict[str, Any]) -> pd.DataFrame:
    """Return the mean over the seeds for every table and contender."""
    frame = pd.DataFrame(outcome["results"])
    return frame.groupby(["table", "contender"], sort=False).mean(numeric_only=True).reset_index()


def skills(outcome: dict[str, Any]) -> pd.DataFrame:
    """Return the skill, a row per table and a column per contender."""
    return means(outcome).pivot(index="table", columns="contender", values="skill")


def ranking(outcome: dict[str, Any]) -> pd.DataFrame:
    """Return mean rank, mean relative skill, log loss and CPU seconds of every contender.

    The relative skill is the skill over that of the best on the table, at least 0.
    """
    skill = skills(outcome)
    best = skill.max(axis=1)
    all_means = means(outcome)
    losses = all_means.pivot(index="table", columns="contender", values="log_loss").dropna()
    return pd.DataFrame(
        {
            "mean rank": skill.rank(axis=1, ascending=False).mean(),
            "relative skill": skill.div(best, axis=0).clip(lower=0).mean(),
            "skill": skill.mean(),
            "log loss": losses.mean(),
            "CPU s": all_means.groupby("contender")["cpu_seconds"].mean(),
        }
    ).sort_values("mean rank")


def markdown(outcome: dict[str, Any]) -> str:
    """Return the ranking, and the skills of all tables, as tables of Markdown."""
    lines = [
        "| contender | mean rank | relative skill | mean skill | mean log loss | CPU s per fit |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in ranking(outcome).iterrows():
        lines.append(
            f"| {name} | {row['mean rank']:.2f} | {row['relative skill']:.3f} | "
            f"{row['skill']:.3f} | {row['log loss']:.3f} | {row['CPU s']:.2f} |"
        )
    skill = skills(outcome)
    order = list(ranking(outcome).index)
    rows = means(outcome).groupby("table")["n_train"].first().round().astype(int)
    lines += ["", f"| table | rows | {' | '.join(order)} |", "|---|---" + "|---" * len(order) + "|"]
    for name, row in skill[order].iterrows():
        best = row.max()
        cells = [f"**{v:.3f}**" if v > best - 5e-4 else f"{v:.3f}" for v in row]
        lines.append(f"| {name} | {rows[name]:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def figure(outcome: dict[str, Any], path: Path) -> None:
    """Draw relative skill over CPU seconds, a point per contender."""
    import matplotlib.pyplot as plt

    from fastmlp.plots.style import BLUE, GREY, styled_pyplot

    table = ranking(outcome)
    with styled_pyplot((10, 5)):
        drawn, ax = plt.subplots()
        for name, row in table.iterrows():
            ours = str(name).startswith("Tabular")
            ax.plot(row["CPU s"], row["relative skill"], "o", color=BLUE if ours else GREY)
            ax.annotate(f"  {name}", (row["CPU s"], row["relative skill"]), va="center")
        ax.set_xscale("log")
        ax.set_xlabel("CPU seconds per fit, mean of the tables")
        ax.set_ylabel("skill relative to the best")
        ax.margins(x=0.25)
    drawn.savefig(path, dpi=110)
