"""Conversion of the records of single processes to a table and to JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median, quantiles
from typing import Any

from fastmlp._terminal import text_table
from fastmlp.bench.adapters.job import Job
from fastmlp.bench.contenders import BASELINE, FMA, MACHINE_FLOP, PEAK, REFERENCE
from fastmlp.bench.runner import Record
from fastmlp.engine.environment import COUNT_VARIABLES

QUIET_SHARE = 0.85
"""Minimum share of the requested processors that a matrix product gets on an idle machine."""

ACCURACY_TOLERANCE = 0.02
OUTPUT_TOLERANCE = 1e-4
MIN_SEEDS, LEAST_SPREAD = 5, 0.001
"""Minimum number of seeds for comparing mean accuracies by their spread; smallest tolerance."""

CHECKED_AGAINST = (REFERENCE, "sklearn")
"""Contenders that serve as the reference for accuracies: the first that has one."""

UNITS = ((1e-3, "µs", 1e6), (1.0, "ms", 1e3), (float("inf"), "s", 1.0))
"""(limit, unit, units per second): times below the limit are shown in this unit."""

MACHINE_TITLE = (
    "machine (a product of two 2048 x 2048 matrices; as many multiply-adds in registers)"
)

COLUMNS = ("ratio", "q1", "q3", "GFLOP/s", "% sgemm", "% FMA", "cores", "MB", "acc. %", "check")
"""Columns after the contender's name and its median time."""

PER = {"train": "epoch", "predict": "call", "ensemble": "all models", "estimator": "fit"}


@dataclass
class Summary:
    """One row: everything timed in all rounds by one contender in one job.

    Seconds are per epoch, per call, per fit, or for all models of an ensemble. ratio: seconds over
    those of fastmlp in the same job, None where either is missing or the check failed.
    peak_fraction: gflop_per_second over that of the square sgemm of the same run, fma_fraction over
    that of independent float32 multiply-adds; both None for float64 and for sparse rows. check:
    "ok", "FAILS", "no reference", "error" or "-". training_peak_bytes: peak resident memory above
    that before `prepare`, median over rounds. accuracy: R² of a regression; of an estimator the
    mean over the rounds' seeds, and accuracy_spread the largest less the smallest, None where there
    is but one. n_epochs: of a fit of an estimator, median over the rounds. largest_error: of the
    outputs of a prediction.
    """

    contender: str
    job: str | None
    check: str
    error: str | None = None
    n_rounds: int = 0
    n_timed: int = 0
    seconds: float | None = None
    min_seconds: float | None = None
    q1_seconds: float | None = None
    q3_seconds: float | None = None
    max_seconds: float | None = None
    gflop_per_second: float | None = None
    peak_fraction: float | None = None
    fma_fraction: float | None = None
    busy_cores: float | None = None
    training_peak_bytes: float | None = None
    accuracy: float | None = None
    accuracy_spread: float | None = None
    n_epochs: float | None = None
    largest_error: float | None = None
    ratio: float | None = None


def summarize(records: Sequence[Record], jobs: Sequence[Job]) -> list[Summary]:
    """Rows in the order of the jobs, the machine's own measurements first."""
    rows = _rows(records, None)
    for job in jobs:
        section = _rows(records, job)
        _check(section)
        _compare(section)
        rows += section
    rates = {row.contender: row.gflop_per_second for row in rows if row.job is None}
    comparable = {job.name for job in jobs if job.dtype == "float32" and job.n_values is None}
    for row in rows:
        if row.job is not None and row.job not in comparable:
            continue  # the machine is measured with float32, and sparse rows are no large products
        row.peak_fraction = _share(row.gflop_per_second, rates.get(PEAK))
        row.fma_fraction = _share(row.gflop_per_second, rates.get(FMA))
    return rows


def _share(rate: float | None, highest: float | None) -> float | None:
    return rate / highest if rate is not None and highest else None


def _rows(records: Sequence[Record], job: Job | None) -> list[Summary]:
    """One row per contender of one job, in the order of the first round."""
    name = job.name if job else None
    mine = [r for r in records if (r["job"]["name"] if r["job"] else None) == name]
    contenders = dict.fromkeys(r["contender"] for r in mine)
    return [_row([r for r in mine if r["contender"] == c], job) for c in contenders]


def _row(records: Sequence[Record], job: Job | None) -> Summary:
    """Combine the times of all rounds; one failed round makes the row an error."""
    contender, name = records[0]["contender"], job.name if job else None
    error = next((r["error"] for r in records if "error" in r), None)
    if error is not None:
        return Summary(contender, name, check="error", error=error)
    seconds = sorted(s for r in records for s in r["seconds"])
    middle = median(seconds)
    q1, _, q3 = quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else [middle] * 3
    # Nothing is computed by a contender that has no library.
    flop = (job.flop if job else MACHINE_FLOP) if any(r["versions"] for r in records) else None
    accuracies = [r["accuracy"] for r in records if r["accuracy"] is not None]
    n_epochs = None
    if job and job.kind == "estimator":
        n_epochs = median(r["n_epochs"] for r in records)
        flop = flop and flop * n_epochs
    return Summary(
        contender,
        name,
        check="-",
        n_rounds=len(records),
        n_timed=len(seconds),
        seconds=middle,
        min_seconds=seconds[0],
        q1_seconds=q1,
        q3_seconds=q3,
        max_seconds=seconds[-1],
        gflop_per_second=flop / middle / 1e9 if flop else None,
        busy_cores=median(r["busy_cores"] for r in records),
        training_peak_bytes=median(r["training_peak_bytes"] for r in records),
        accuracy=fmean(accuracies) if accuracies else None,
        accuracy_spread=max(accuracies) - min(accuracies) if len(accuracies) > 1 else None,
        n_epochs=n_epochs,
        largest_error=next((e for r in records if (e := r["largest_error"]) is not None), None),
    )


def _check(rows: Sequence[Summary]) -> None:
    """Check accuracies against the reference and errors against the tolerance, in place."""
    judges = {r.contender: r for r in rows if r.accuracy is not None}
    judge = next((judges[name] for name in CHECKED_AGAINST if name in judges), None)
    for row in rows:
        if row.accuracy is not None and judge is None:
            row.check = "no reference"
        elif row.accuracy is not None and judge is not None and judge.accuracy is not None:
            near = abs(row.accuracy - judge.accuracy) <= _tolerance(judge)
            row.check = "ok" if near else "FAILS"
        # No-op predicts zeros on purpose and is no library.
        elif row.largest_error is not None and row.gflop_per_second is not None:
            row.check = "ok" if row.largest_error <= OUTPUT_TOLERANCE else "FAILS"


def _tolerance(judge: Summary) -> float:
    """Return the allowed difference of accuracies; with enough seeds, the reference's spread."""
    if judge.accuracy_spread is None or judge.n_rounds < MIN_SEEDS:
        return ACCURACY_TOLERANCE
    return max(judge.accuracy_spread, LEAST_SPREAD)


def _compare(rows: Sequence[Summary]) -> None:
    """Set the ratios to fastmlp in rows that did not fail, in place."""
    valid = [r for r in rows if r.check != "FAILS"]
    base = next((r.seconds for r in valid if r.contender == BASELINE), None)
    for row in valid:
        row.ratio = row.seconds / base if base and row.seconds is not None else None


def failed(rows: Sequence[Summary]) -> bool:
    """Return whether a contender failed or did not pass its check."""
    return any(row.check in ("FAILS", "error") for row in rows)


def table(rows: Sequence[Summary], jobs: Sequence[Job], not_installed: Sequence[str]) -> str:
    """Return the whole report except the description of the machine."""
    parts = []
    machine = [r for r in rows if r.job is None]
    if machine:
        parts.append(_section(MACHINE_TITLE, "call", machine))
    for job in jobs:
        section = sorted(
            (r for r in rows if r.job == job.name), key=lambda r: r.seconds or float("inf")
        )
        parts.append(_section(_title(job), PER[job.kind], section))
    if not_installed:
        parts.append(f"not installed: {', '.join(not_installed)}")
    return "\n\n".join(parts)


def _title(job: Job) -> str:
    """Return a one-line description of a job."""
    n_epochs = job.check_epochs
    network = f"{job.name}: {'-'.join(map(str, job.sizes))}, {job.hidden}/{job.output}"
    if job.kind == "predict":
        return f"{network}, prediction of {job.n_rows} row{'s' * (job.n_rows > 1)} a call"
    if job.kind == "estimator":
        score = "R²" if job.regression else "accuracy"
        return (
            f"{network}, fit of an estimator with its defaults but max_iter={n_epochs}; "
            f"{job.n_rows} rows; {score} as mean of the rounds' seeds"
        )
    rate = f"{job.optimizer}, rate {job.mean_rate:g} for means"
    if job.reduction == "sum":
        rate = f"{job.optimizer}, rate {job.learning_rate:g} for sums, {job.mean_rate:g} for means"
    models = f"{job.n_models} models, " if job.kind == "ensemble" else ""
    return (
        f"{network}, {rate}; {models}{job.n_rows} rows, batch {job.batch_size}; "
        f"accuracy after {n_epochs} epochs"
    )


def _section(title: str, per: str, rows: Sequence[Summary]) -> str:
    """Return title, header and one line per contender, in a unit suitable for fastmlp's time."""
    times = {r.contender: r.seconds for r in rows if r.seconds is not None and r.gflop_per_second}
    typical = times.get(BASELINE, min(times.values(), default=1.0))
    unit, scale = next((unit, scale) for limit, unit, scale in UNITS if typical < limit)
    columns = ("contender", f"{unit}/{per}", *COLUMNS)
    lines = text_table(columns, [_cells(row, scale) for row in rows], left=(0, len(columns) - 1))
    return "\n".join([title, *lines])


def _cells(row: Summary, scale: float) -> tuple[str, ...]:
    """Return one row of the table; a dash where there is no number."""
    if row.error is not None:
        return (row.contender, "error", *[""] * (len(COLUMNS) - 1), row.error)
    return (
        row.contender,
        _number(row.seconds, 3, scale),
        _number(row.ratio, 2),
        _number(row.q1_seconds, 3, scale),
        _number(row.q3_seconds, 3, scale),
        _number(row.gflop_per_second, 1),
        _number(row.peak_fraction, 1, 100),
        _number(row.fma_fraction, 1, 100),
        _number(row.busy_cores, 1),
        _number(row.training_peak_bytes, 0, 1e-6),
        _number(row.accuracy, 2, 100),
        row.check,
    )


def _number(value: float | None, digits: int, scale: float = 1.0) -> str:
    return "-" if value is None else f"{value * scale:.{digits}f}"


def where(records: Sequence[Record]) -> str:
    """Describe machine, versions and BLAS as reported by every contender's process."""
    good = {r["contender"]: r for r in records if "error" not in r}
    if not good:
        return "no contender finished"
    first = next(iter(good.values()))
    machine = first["machine"]
    lines = [
        f"{machine['processor']}, {machine['usable_processors']} processors usable, "
        f"SIMD level {machine['simd_level']}, {machine['system']}, Python {machine['python']}",
        "% sgemm, % FMA: of the rate of a large product, and of multiply-adds in registers; "
        "MB: memory in addition to libraries and data",
    ]
    lines += [f"  {name}: {_versions(record)}" for name, record in good.items()]
    return "\n".join(lines + _warnings(list(records)))


def _warnings(records: Sequence[Record]) -> list[str]:
    """Return a warning if the matrix product did not get the requested processors."""
    found = [r for r in records if r["contender"] == PEAK and "error" not in r]
    if not found:
        return []
    wanted, got = found[0]["n_threads"], median(r["busy_cores"] for r in found)
    if got >= QUIET_SHARE * wanted:
        return []
    return [
        f"the machine was busy: {PEAK} had {got:.1f} of {wanted} processors; repeat the measurement"
    ]


def _versions(record: Record) -> str:
    """Versions, threads, BLAS kernels and environment of one process, on one line."""
    versions = " ".join(f"{k} {v}" for k, v in record["versions"].items())
    blas = "; ".join(
        f"{b['prefix']} {b.get('version', '')} {b.get('architecture', '')}".strip()
        + f" x{b['num_threads']}"
        for b in record["blas"]
    )
    environment = record["machine"]["environment"].items()
    variables = " ".join(f"{k}={v}" for k, v in environment if k not in COUNT_VARIABLES)
    parts = (versions, f"{record['n_threads']} threads", blas or "no shared BLAS seen", variables)
    return " | ".join(filter(None, parts))


def as_json(
    settings: dict[str, Any],
    rows: Sequence[Summary],
    records: Sequence[Record],
    not_installed: Sequence[str],
    left_out: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the complete result, ready for `json.dump`."""
    return {
        "settings": settings,
        "not_installed": list(not_installed),
        "left_out": list(left_out),
        "summary": [asdict(row) for row in rows],
        "records": list(records),
    }
