"""Did it get slower? Compares two result files of headline.py, job by job.

    python benchmarks/compare.py BEFORE.json AFTER.json [--normalize-by fastmlp.reference]

A change counts when it exceeds a relative and an absolute threshold, both. A machine that drifts
slows down all contenders: "normalized" columns have the ratio divided by that of a contender that
did not change between the two runs, and --normalize-by judges by it.

A job of the first file that is not in the second one fails the comparison; --jobs names those that
are to be compared.

Exit status: 0 nothing slower, 1 a job is slower, has failed since or is gone, 2 files that cannot
be compared.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastmlp._terminal import text_table
from fastmlp.cli.options import Parser, UsageError, number

NO_SLOWDOWN, SLOWDOWN, BAD_INPUT = 0, 1, 2
BAD_VERDICTS = ("slower", "failed", "gone")
NORMALISERS = ("fastmlp.reference", "sgemm")
"""Contenders that a change of fastmlp's compiled engine does not touch."""

SAME_SETTINGS = ("n_threads", "data", "as_found")
SAME_IN_JOBS = (
    "kind",
    "data",
    "n_rows",
    "sizes",
    "hidden",
    "output",
    "loss",
    "reduction",
    "optimizer",
    "batch_size",
    "check_epochs",
    "n_models",
)
ROW_KEYS = ("contender", "job", "check", "seconds")
BAD_CHECKS = ("FAILS", "error")


class InputError(Exception):
    """Files or options that cannot be compared; the message is a sentence for the user."""


@dataclass(frozen=True)
class Thresholds:
    """A change counts when both are exceeded.

    relative: fraction of the time before.  absolute: seconds per epoch or call.
    """

    relative: float
    absolute: float


@dataclass(frozen=True)
class Change:
    """One job of one contender.

    before, after: median seconds per epoch or call, None where there are none.
    normalized: ratio over that of a normalizer, by the normalizer's name; None where the job has
    no such number in both files.
    verdict: "faster", "slower", "same", "new" (not in the first file), "gone" (not in the second
    one), "failed before", "failed", or "no normalizer" (it has no number in one of the files).
    """

    job: str
    before: float | None
    after: float | None
    ratio: float | None
    normalized: dict[str, float | None]
    verdict: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Read, compare, print."""
    try:
        options = _options(arguments)
        before, after = _read(options.before), _read(options.after)
        _check_same_conditions(before, after)
        changes = compare(
            before,
            after,
            contender=options.contender,
            only=options.jobs,
            thresholds=Thresholds(options.relative, options.absolute),
            normalize_by=options.normalize_by,
        )
    except (InputError, UsageError) as error:
        print(f"compare.py: error: {error}", file=sys.stderr)
        return BAD_INPUT
    print(_table(changes, options.normalize_by), *_notes(before, after), sep="\n")
    gone = ",".join(change.job for change in changes if change.verdict == "gone")
    if gone:
        print(
            f"compare.py: not in {options.after}: {gone}; --jobs leaves jobs out", file=sys.stderr
        )
    return SLOWDOWN if any(change.verdict in BAD_VERDICTS for change in changes) else NO_SLOWDOWN


def compare(
    before: dict,
    after: dict,
    *,
    contender: str,
    thresholds: Thresholds,
    normalize_by: str | None = None,
    only: Sequence[str] | None = None,
) -> list[Change]:
    """One change per job of `contender`, in the order of `before`, new jobs last.

    before, after: contents of two files under the same conditions.
    only: names of the jobs to compare; None for all.
    normalize_by: contender by whose ratio the verdict corrects; None judges by the plain ratio.

    Raises InputError when no job of the contender, or no number of the normalizer, is in both.
    """
    rows = [_rows(content) for content in (before, after)]
    jobs = list(dict.fromkeys(job for part in rows for name, job in part if name == contender))
    if only is not None:
        jobs = _only(jobs, only, contender)
    if not any(all((contender, job) in part for part in rows) for job in jobs):
        known = ", ".join(sorted({name for part in rows for name, _ in part}))
        raise InputError(
            f"contender {contender!r} has no job that is in both files; they have {known}"
        )
    names = dict.fromkeys((*NORMALISERS, *([normalize_by] if normalize_by else [])))
    useful = [name for name in names if name != contender]
    changes = [_change(rows, contender, job, useful, normalize_by, thresholds) for job in jobs]
    if normalize_by and all(change.normalized.get(normalize_by) is None for change in changes):
        raise InputError(f"--normalize-by {normalize_by}: no job has a number of it in both files")
    return changes


def _only(jobs: list[str | None], names: Sequence[str], contender: str) -> list[str | None]:
    """The jobs named, in their order; InputError for names that neither file has."""
    unknown = [name for name in names if name not in jobs]
    if unknown:
        known = ", ".join(job for job in jobs if job)
        raise InputError(f"--jobs: {contender} has no job {unknown[0]!r}; its jobs are {known}")
    return [job for job in jobs if job in names]


def _change(
    rows: list[dict],
    contender: str,
    job: str | None,
    normalizers: list[str],
    normalize_by: str | None,
    thresholds: Thresholds,
) -> Change:
    """One job: its numbers first, then the verdict."""
    pair = [part.get((contender, job)) for part in rows]
    before, after = (_seconds(row) for row in pair)
    ratio = after / before if before and after else None
    normalized = {
        name: ratio / drift if ratio and (drift := _drift(rows, name, job)) else None
        for name in normalizers
    }
    verdict = _verdict_without_numbers(pair)
    if verdict is None:
        decisive = ratio if normalize_by is None else normalized.get(normalize_by)
        verdict = _verdict(before, decisive, thresholds)
    return Change(job or "machine", before, after, ratio, normalized, verdict)


def _verdict_without_numbers(pair: list[dict | None]) -> str | None:
    """What can be said of a row that is not there or failed; None where both are sound."""
    before, after = pair
    if before is None:
        return "new"
    if after is None:
        return "gone"
    if _seconds(after) is None:
        return "failed"
    return "failed before" if _seconds(before) is None else None


def _verdict(before: float, ratio: float | None, thresholds: Thresholds) -> str:
    """Judge by `ratio`, which may be normalized; the change in seconds follows from it."""
    if ratio is None:
        return "no normalizer"
    relative = ratio - 1.0
    if abs(relative) <= thresholds.relative or abs(relative) * before <= thresholds.absolute:
        return "same"
    return "slower" if relative > 0 else "faster"


def _rows(content: dict) -> dict[tuple[str, str | None], dict]:
    """Rows of the summary by contender and job; the job of the machine's own rows is None."""
    return {(row["contender"], row["job"]): row for row in content["summary"]}


def _seconds(row: dict | None) -> float | None:
    """Median seconds per epoch of a row that is there, finished and passed its check."""
    return None if row is None or row["check"] in BAD_CHECKS else row["seconds"]


def _drift(rows: list[dict], name: str, job: str | None) -> float | None:
    """Ratio of a normalizer in the same job, or of a measurement of the machine."""
    before, after = (
        _seconds(part.get((name, job))) or _seconds(part.get((name, None))) for part in rows
    )
    return after / before if before and after else None


def _check_same_conditions(before: dict, after: dict) -> None:
    """Refuse what was measured with other threads, processors or jobs."""
    for name in SAME_SETTINGS:
        _check_same(f"setting {name}", *(c["settings"].get(name) for c in (before, after)))
    _check_same("processors", *map(_processors, (before, after)))
    jobs = [
        {job["name"]: job for job in content["settings"]["jobs"]} for content in (before, after)
    ]
    for job in jobs[0].keys() & jobs[1].keys():
        for name in SAME_IN_JOBS:
            _check_same(f"{name} of job {job}", *(part[job].get(name) for part in jobs))


def _check_same(what: str, before: Any, after: Any) -> None:
    if before != after:
        raise InputError(
            f"measured under different settings: {what}: {before} before, {after} after"
        )


def _processors(content: dict) -> str:
    """For example "2 x AMD EPYC"; all kinds, should there be several."""
    kinds = {
        f"{record['machine']['usable_processors']} x {record['machine']['processor']}"
        for record in content["records"]
        if "machine" in record
    }
    return ", ".join(sorted(kinds))


def _notes(before: dict, after: dict) -> list[str]:
    """Versions that changed in between: whoever uses them is no fixed point any more."""
    old, new = _versions(before), _versions(after)
    return [
        f"note: {name} {', '.join(sorted(old[name]))} before, {', '.join(sorted(new[name]))} after"
        for name in sorted(old.keys() & new.keys())
        if old[name] != new[name]
    ]


def _versions(content: dict) -> dict[str, set[str]]:
    """Versions of libraries, and versions and kernels of their BLAS, by contender and name."""
    found: dict[str, set[str]] = {}
    for record in content["records"]:
        facts = list(record.get("versions", {}).items())
        for blas in record.get("blas", []):
            facts.append((blas["prefix"], f"{blas.get('version')} {blas.get('architecture')}"))
        for name, version in facts:
            found.setdefault(f"{record['contender']}: {name}", set()).add(version)
    return found


def _table(changes: list[Change], normalize_by: str | None) -> str:
    """One line per job; a star marks the column that decided."""
    names = [n for n in changes[0].normalized if any(c.normalized[n] for c in changes)]
    heads = ["ratio" + ("" if normalize_by else "*")]
    heads += [f"/ {name}" + ("*" if name == normalize_by else "") for name in names]
    columns = ["job", "before", "after", *heads, "verdict"]
    rows = []
    for change in changes:
        ratios = (change.ratio, *(change.normalized[name] for name in names))
        # Four digits: times are from microseconds to minutes.
        times = (_format(seconds, "#.4g") for seconds in (change.before, change.after))
        numbers = (_format(ratio, ".3f") for ratio in ratios)
        rows.append([change.job, *times, *numbers, change.verdict])
    lines = text_table(columns, rows, left=(0, len(columns) - 1))
    return "\n".join([*lines, "seconds per epoch, call or fit; * decides"])


def _format(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _read(path: Path) -> dict:
    """The content of a result file."""
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path} is not a JSON file: {error}") from error
    if not _is_result(content):
        raise InputError(
            f"{path} is no result of headline.py: it must have settings with jobs, a summary with "
            f"{', '.join(ROW_KEYS)} in every row, and records"
        )
    return content


def _is_result(content: Any) -> bool:
    """Whether everything is there that this file reads without asking."""
    if not isinstance(content, dict) or not {"settings", "summary", "records"} <= content.keys():
        return False
    return "jobs" in content["settings"] and all(
        row.keys() >= set(ROW_KEYS) for row in content["summary"]
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(
        prog="compare.py",
        description=(__doc__ or "").split("\n\n")[0],
        epilog="exit status: 0 nothing slower, 1 slower, failed or gone, 2 cannot be compared",
    )
    add = parser.add_argument
    add("before", type=Path, metavar="BEFORE.json")
    add("after", type=Path, metavar="AFTER.json")
    add("--contender", default="fastmlp", help="whose jobs are judged; default fastmlp")
    add("--jobs", type=lambda text: text.split(","), help="comma-separated; default: all")
    add(
        "--relative",
        type=number("--relative"),
        default=0.05,
        help="fraction that counts; default 0.05",
    )
    add(
        "--absolute",
        type=number("--absolute"),
        default=1e-6,
        help="seconds that count; default 1e-6",
    )
    add("--normalize-by", metavar="CONTENDER", help="judge by the ratio over this contender's")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
