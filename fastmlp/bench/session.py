"""A benchmark run, from a plan to table, JSON and figure."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastmlp import datasets
from fastmlp.bench import files, markdown, report
from fastmlp.bench.adapters.job import Job
from fastmlp.bench.runner import Plan, left_out, run

NO_MNIST = "MNIST is not available locally; its jobs use random rows of the same shape"


def find_mnist() -> Path | None:
    """Return the local copy of MNIST that fastmlp.datasets would load, or None."""
    return datasets.find("mnist")


def run_and_report(
    plan: Plan,
    not_installed: list[str],
    json_path: Path | None = None,
    figure_path: Path | None = None,
) -> int:
    """Run the benchmark, print the table, and write the requested files.

    Returns 1 if a contender failed or missed the accuracy it was checked against, else 0.
    """
    for path in filter(None, (json_path, figure_path)):
        _check_folder(path)
    records = run(plan)
    rows = report.summarize(records, plan.jobs)
    print(report.table(rows, plan.jobs, not_installed), report.where(records), sep="\n\n")
    if plan.mnist is None and any(job.data == "mnist" for job in plan.jobs):
        print(NO_MNIST)
    missing = left_out(plan, records)
    for sentence in missing:
        print(sentence)
    content = report.as_json(_settings(plan), rows, records, not_installed, missing)
    if json_path:
        files.write(json_path, content)
    if figure_path:
        from .figure import draw

        draw(figure_path, content)
    return int(report.failed(rows))


def report_file(json_path: Path, figure_path: Path | None = None) -> None:
    """Print the table of an existing result, and draw its figure if requested."""
    content = files.read(json_path)
    records, jobs = content["records"], jobs_of(content)
    rows = report.summarize(records, jobs)
    print(report.table(rows, jobs, content["not_installed"]), report.where(records), sep="\n\n")
    for sentence in content.get("left_out", []):
        print(sentence)
    if figure_path:
        from .figure import draw

        draw(figure_path, content)


def jobs_of(content: dict[str, Any]) -> list[Job]:
    """Return the jobs of an existing result."""
    return [Job(**job | {"sizes": tuple(job["sizes"])}) for job in content["settings"]["jobs"]]


def markdown_file(json_path: Path) -> None:
    """Print the tables of docs/benchmarks.md from an existing result."""
    print(markdown.tables(files.read(json_path)))


def _settings(plan: Plan) -> dict[str, Any]:
    """The plan without the path of the data."""
    content = asdict(plan)
    path = content.pop("mnist")
    content["data"] = path.name if path else None
    return content


def _check_folder(path: Path) -> None:
    """Raise an error for a file that cannot be written, before minutes of measuring."""
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"the folder for {path.name} does not exist: {path.parent}")
