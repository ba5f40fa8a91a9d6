"""From records of single processes to a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median, quantiles

from adapters import Job
from contenders import BASELINE, REFERENCE, SGEMM_FLOP
from machine import THREAD_VARIABLES, XLA_THREAD_VARIABLES

ACCURACY_TOLERANCE = 0.02
OWN_VARIABLES = (*THREAD_VARIABLES, *XLA_THREAD_VARIABLES)
HEADER = (
    f"{'contender':<18}{'seconds':>9}{'ratio':>7}{'min':>9}{'q1':>9}{'q3':>9}{'max':>9}"
    f"{'GFLOP/s':>9}{'cores':>6}{'MB':>6}{'acc. %':>8}  check"
)


@dataclass
class Summary:
    """One row: all timed epochs of all rounds of one contender in one job.

    Seconds are per epoch. ratio: seconds over those of fastmlp in the same job, None where either
    is missing or the check failed. check: "ok", "FAILS", "no reference" or "error".
    training_peak_bytes: peak resident memory above that before `prepare`, median over rounds.
    """

    contender: str
    job: str | None
    check: str
    error: str | None = None
    n_epochs: int = 0
    seconds: float | None = None
    min_seconds: float | None = None
    q1_seconds: float | None = None
    q3_seconds: float | None = None
    max_seconds: float | None = None
    gflop_per_second: float | None = None
    busy_cores: float | None = None
    training_peak_bytes: float | None = None
    accuracy: float | None = None
    ratio: float | None = None


def summarise(records: list[dict], jobs: tuple[Job, ...]) -> list[Summary]:
    """Rows in the order of the jobs, the machine's own measurements first."""
    rows = _rows(records, None)
    for job in jobs:
        section = _rows(records, job)
        _check(section)
        _compare(section)
        rows += section
    return rows


def _rows(records: list[dict], job: Job | None) -> list[Summary]:
    """One row per contender of one job, in the order of the first round."""
    name = job.name if job else None
    mine = [r for r in records if (r["job"]["name"] if r["job"] else None) == name]
    contenders = dict.fromkeys(r["contender"] for r in mine)
    return [_row([r for r in mine if r["contender"] == c], job) for c in contenders]


def _row(records: list[dict], job: Job | None) -> Summary:
    """Pool the epochs of all rounds; one failed round makes the row an error."""
    contender, name = records[0]["contender"], job.name if job else None
    error = next((r["error"] for r in records if "error" in r), None)
    if error is not None:
        return Summary(contender, name, check="error", error=error)
    seconds = sorted(s for r in records for s in r["epoch_seconds"])
    middle = median(seconds)
    q1, _, q3 = quantiles(seconds, n=4, method="inclusive")
    flop = job.flop_per_epoch if job else SGEMM_FLOP
    return Summary(
        contender,
        name,
        check="-",
        n_epochs=len(seconds),
        seconds=middle,
        min_seconds=seconds[0],
        q1_seconds=q1,
        q3_seconds=q3,
        max_seconds=seconds[-1],
        gflop_per_second=flop / middle / 1e9 if job or contender == "sgemm" else None,
        busy_cores=median(r["busy_cores"] for r in records),
        training_peak_bytes=median(r["training_peak_bytes"] for r in records),
        accuracy=next((r["accuracy"] for r in records if r["accuracy"] is not None), None),
    )


def _check(rows: list[Summary]) -> None:
    """Compare every accuracy with the NumPy reference's; in place."""
    expected = next((r.accuracy for r in rows if r.contender == REFERENCE), None)
    for row in rows:
        if row.error is None and row.accuracy is not None:
            if expected is None:
                row.check = "no reference"
            else:
                near = abs(row.accuracy - expected) <= ACCURACY_TOLERANCE
                row.check = "ok" if near else "FAILS"


def _compare(rows: list[Summary]) -> None:
    """Ratios to fastmlp, for rows that did not fail; in place."""
    valid = [r for r in rows if r.seconds is not None and r.check != "FAILS"]
    base = next((r.seconds for r in valid if r.contender == BASELINE), None)
    for row in valid:
        row.ratio = row.seconds / base if base else None


def table(rows: list[Summary], jobs: tuple[Job, ...], not_installed: list[str]) -> str:
    """The whole report but the machine's description."""
    machine = [r for r in rows if r.job is None]
    parts = (
        [_section("machine (sgemm: one product of two 2048 x 2048 matrices)", machine)]
        if machine
        else []
    )
    for job in jobs:
        title = (
            f"{job.name}: {'-'.join(map(str, job.sizes))}, {job.n_rows} rows, "
            f"rate {job.learning_rate:g} for sums, {job.mean_rate:g} for means; "
            f"accuracy after {job.check_epochs} epochs"
        )
        section = [r for r in rows if r.job == job.name]
        parts.append(_section(title, sorted(section, key=lambda r: r.seconds or float("inf"))))
    if not_installed:
        parts.append(f"not installed: {', '.join(not_installed)}")
    return "\n\n".join(parts)


def _section(title: str, rows: list[Summary]) -> str:
    return "\n".join([title, HEADER, *map(_line, rows)])


def _line(row: Summary) -> str:
    """One line of the table; a dash where there is no number."""
    if row.error is not None:
        return f"{row.contender:<18}{'error':>9}  {row.error}"
    times = (row.min_seconds, row.q1_seconds, row.q3_seconds, row.max_seconds)
    percent = None if row.accuracy is None else 100 * row.accuracy
    return (
        f"{row.contender:<18}{_number(row.seconds, 9, 4)}{_number(row.ratio, 7, 2)}"
        + "".join(_number(t, 9, 4) for t in times)
        + f"{_number(row.gflop_per_second, 9, 0)}{_number(row.busy_cores, 6, 1)}"
        + f"{_number(row.training_peak_bytes / 1e6, 6, 0)}{_number(percent, 8, 2)}  {row.check}"
    )


def _number(value: float | None, width: int, digits: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:{width}.{digits}f}"


def where(records: list[dict]) -> str:
    """Machine, versions and BLAS of every contender, in the words of its own process."""
    good = {r["contender"]: r for r in records if "error" not in r}
    if not good:
        return "no contender finished"
    first = next(iter(good.values()))
    machine = first["machine"]
    lines = [
        f"{machine['processor']}, {machine['usable_processors']} processors usable, "
        f"{machine['system']}, Python {machine['python']}",
        f"data set in memory: {first['data_bytes'] / 1e6:.0f} MB; MB in the tables comes on top",
    ]
    lines += [f"  {name}: {_versions(record)}" for name, record in good.items()]
    return "\n".join(lines)


def _versions(record: dict) -> str:
    """Versions, threads, BLAS kernels and environment of one process, on one line."""
    versions = " ".join(f"{k} {v}" for k, v in record["versions"].items())
    blas = "; ".join(
        f"{b['prefix']} {b.get('version', '')} {b.get('architecture', '')}".strip()
        + f" x{b['num_threads']}"
        for b in record["blas"]
    )
    environment = record["machine"]["environment"].items()
    chosen = " ".join(f"{k}={v}" for k, v in environment if k not in OWN_VARIABLES)
    parts = (versions, f"{record['n_threads']} threads", blas or "no shared BLAS seen", chosen)
    return " | ".join(filter(None, parts))


def as_json(plan: dict, rows: list[Summary], records: list[dict], not_installed: list[str]) -> dict:
    """Everything, ready for `json.dump`."""
    return {
        "settings": plan,
        "not_installed": not_installed,
        "summary": [asdict(row) for row in rows],
        "records": records,
    }
