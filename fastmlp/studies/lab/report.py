"""All results of a folder as one self-contained HTML page: tables, figures, environment."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import compress
from pathlib import Path
from string import Template
from typing import Any

from fastmlp.plots.style import BLUE, VERMILLION
from fastmlp.studies.lab.catalogue import NAMES, find_study
from fastmlp.studies.lab.results import read_result, result_path
from fastmlp.studies.lab.study import Study, Table

PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>fastmlp: $n_studies</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff;
       max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1, h2 { line-height: 1.2; }
section { border-top: 2px solid $blue; margin-top: 3rem; }
.facts { color: #555; }
.conclusion { font-weight: bold; }
.table { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; font-size: .85rem; }
caption { text-align: left; font-weight: bold; padding: .3rem 0; }
th, td { padding: .2rem .5rem; text-align: right; border-bottom: 1px solid #ddd; }
td { white-space: nowrap; }
th { border-bottom: 2px solid #888; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 6rem;
       position: sticky; left: 0; background: #fff; }
.published, tr.published td:first-child { background: #FFF3DC; }
figure { margin: 1.5rem 0; }
img { width: 100%; height: auto; display: block; }
figcaption { color: #555; padding: .3rem 0; }
.damaged { border-left: 4px solid $vermillion; padding-left: .8rem; }
dl { display: grid; grid-template-columns: minmax(6rem, max-content) 1fr;
     gap: .1rem 1rem; font-size: .85rem; }
dd { margin: 0; overflow-wrap: anywhere; }
</style>
</head>
<body>
<h1>fastmlp: $n_studies</h1>
<p>What was published stands in tinted columns and rows, and in figures as hollow diamonds,
grey bars, or black lines.</p>
$damaged
<nav><ul>
$links
</ul></nav>
$sections
</body>
</html>
""")

SECTION = Template("""\
<section id="$name">
<h2>$name</h2>
<p><em>$question</em></p>
<p class="conclusion">$conclusion</p>
<p class="facts">$facts</p>
$tables
$figures
<details><summary>Settings</summary><dl>$settings</dl></details>
<details><summary>Environment</summary><dl>$environment</dl></details>
</section>
""")

PUBLISHED = ' class="published"'
PUBLISHED_ROW = re.compile(r"\bpublished\b|^article\b")
"""Pattern in the first cell of rows with published values."""


@dataclass(frozen=True)
class Report:
    """A page, what is in it, and sentences about the files that are not."""

    html: str
    studies: tuple[str, ...]
    complaints: tuple[str, ...]


def make_report(folder: Path, *, with_figures: bool = True) -> Report:
    """The page of all results in `folder`; a quick one only where the full one is missing.

    A file that is damaged is named in the page and in ``complaints``; the others are shown.
    """
    sections, shown, complaints = [], [], []
    for name in NAMES:
        for path in _candidates(folder, name):
            try:
                sections.append(_section(path, name, with_figures))
            except OSError as error:
                complaints.append(f"{path}: {error.strerror}")
            except Exception as error:  # whatever a damaged file makes tables and figures raise
                complaints.append(_complaint(path, name, error))
            else:
                shown.append(name)
                break
    count = f"{len(shown)} {'study' if len(shown) == 1 else 'studies'}"
    html = PAGE.substitute(
        blue=BLUE,
        vermillion=VERMILLION,
        n_studies=count,
        damaged="\n".join(
            f'<p class="damaged">Not shown: {escape(complaint)}</p>' for complaint in complaints
        ),
        links="\n".join(
            f'<li><a href="#{name}">{name}</a>: {escape(find_study(name).question)}</li>'
            for name in shown
        ),
        sections="\n".join(sections),
    )
    return Report(html, tuple(shown), tuple(complaints))


def _candidates(folder: Path, name: str) -> Iterator[Path]:
    for quick in (False, True):
        path = result_path(folder, name, quick)
        if path.exists():
            yield path


def _complaint(path: Path, name: str, error: Exception) -> str:
    if str(path) in str(error):
        return str(error)
    return f"{path}: damaged: no complete result of {name} ({error!r})"


def _section(path: Path, name: str, with_figures: bool) -> str:
    """Format one study; a damaged result raises an exception of the study's functions."""
    result, study = read_result(path, name), find_study(name)
    tables = "\n".join(_table(table) for table in study.tables(result))
    figures = list(_figures(study, result)) if with_figures else []
    return SECTION.substitute(
        name=name,
        question=escape(study.question),
        facts=escape(_facts(result)),
        tables=tables,
        conclusion=figures[0][1] if figures else "",
        figures="\n".join(html for html, _ in figures),
        settings=_definitions(result["config"]),
        environment=_definitions(_flat(result["environment"])),
    )


def _facts(result: Mapping[str, Any]) -> str:
    size = "quick run" if result["quick"] else "full run"
    environment = result["environment"]
    finished = datetime.fromisoformat(result["finished"]).astimezone(UTC)
    count = environment["threads"]["count"]
    return (
        f"{size}, finished {finished:%Y-%m-%d %H:%M} UTC; "
        f"{_duration(result['seconds']['configurations'])} of work in all configurations; "
        f"{environment['processor']}, {count} thread{'' if count == 1 else 's'}"
    )


def _duration(seconds: float) -> str:
    """Return a duration as text, such as "45 s", "12 min 5 s" or "4 h 20 min"."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _without_empty_columns(table: Table) -> Table:
    """Drop empty columns, for example if no values were published for this data."""
    kept = [any(row[i] for row in table.rows) for i in range(len(table.columns))]
    columns, *rows = (tuple(compress(line, kept)) for line in (table.columns, *table.rows))
    return Table(table.title, columns, tuple(rows))


def _table(table: Table) -> str:
    table = _without_empty_columns(table)
    classes = [PUBLISHED if "published" in column else "" for column in table.columns]

    def line(tag: str, cells: Sequence[str], html_class: str = "") -> str:
        tagged = (
            f"<{tag}{html_class}>{escape(cell)}</{tag}>"
            for cell, html_class in zip(cells, classes, strict=True)
        )
        return f"<tr{html_class}>{''.join(tagged)}</tr>"

    rows = "\n".join(
        line("td", row, PUBLISHED if PUBLISHED_ROW.search(row[0]) else "") for row in table.rows
    )
    return (
        f'<div class="table"><table><caption>{escape(table.title)}</caption>\n'
        f"<thead>{line('th', table.columns)}</thead>\n<tbody>\n{rows}\n</tbody></table></div>"
    )


def _figures(study: Study, result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Embed every figure as an image with a caption; with each comes the caption, its finding."""
    from fastmlp.plots.style import import_pyplot
    from fastmlp.studies.lab.figures import encode_image, finding_of, title_of

    plt = import_pyplot()
    figures = study.draw(result)
    try:
        for figure in figures.values():
            text = base64.b64encode(encode_image(figure, "png")).decode()
            title, finding = escape(title_of(figure)), escape(finding_of(figure))
            image = f'<img alt="{title}" src="data:image/png;base64,{text}">'
            yield f"<figure>{image}<figcaption>{finding}</figcaption></figure>", finding
    finally:
        for figure in figures.values():
            plt.close(figure)


def _definitions(values: Mapping[str, Any]) -> str:
    return "".join(
        f"<dt>{escape(str(name))}</dt><dd>{escape(_text(value))}</dd>"
        for name, value in values.items()
        if value is not None
    )


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, list):
        separator = "; " if any(isinstance(item, dict) for item in value) else ", "
        return separator.join(map(_text, value))
    return str(value)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested values, with their names joined."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name} ")
        elif value != []:
            flat[f"{prefix}{name}"] = value
    return flat
