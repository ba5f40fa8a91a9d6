"""Put results of full runs into this folder: JSON, figures, and the tables of their pages.

    fastmlp study NAME --out DIR
    python docs/studies/update.py DIR NAME [NAME ...]

A page NAME.md holds its tables between the lines BEGIN and END.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

from fastmlp.files.json_file import write_json
from fastmlp.studies import find_study
from fastmlp.studies.lab.figures import write_figures
from fastmlp.studies.lab.results import read_result, result_path

BEGIN, END = "<!-- tables -->", "<!-- end of tables -->"
PAGES = Path(__file__).parent


def update(source: Path, name: str) -> None:
    study, result = find_study(name), read_result(result_path(source, name, False), name)
    write_json(PAGES / f"{name}.json", result)
    write_figures(study.draw(result), PAGES, name, kinds=("png",))
    page = PAGES / f"{name}.md"
    before, rest = page.read_text().split(BEGIN)
    _, after = rest.split(END)
    tables = "\n\n".join(table.as_markdown() for table in study.tables(result))
    page.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}")


if __name__ == "__main__":
    matplotlib.use("Agg")
    folder, *names = sys.argv[1:]
    for name in names:
        update(Path(folder), name)
