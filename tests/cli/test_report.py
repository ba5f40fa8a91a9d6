"""``fastmlp report``: one page of all results, whatever state they are in."""

from __future__ import annotations

import html
import html.parser
import json
import shutil
import sys

import matplotlib

matplotlib.use("Agg")

import pytest
from study_tools import STORED, stored

from fastmlp import cli
from fastmlp.studies import NAMES, find_study
from fastmlp.studies.lab import report as _report
from fastmlp.studies.lab.figures import finding_of
from fastmlp.studies.lab.study import Table


class Page(html.parser.HTMLParser):
    """Collects what a page shows and what it refers to."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.references, self.texts, self.images = [], [], [], []
        self._open = []
        self.feed(text)
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        self.references += [attributes[k] for k in ("src", "href") if k in attributes]
        if tag == "img":
            self.images.append(attributes)
        elif tag != "meta":
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def run(capsys, *argv):
    code = cli.main(["report", *map(str, argv)])
    return code, *capsys.readouterr()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A full result and a quick one."""
    monkeypatch.setattr("fastmlp.studies.lab.figures.encode_image", lambda figure, kind: b"picture")
    (tmp_path / "seeds.json").write_text(json.dumps(stored("seeds") | {"quick": False}))
    shutil.copy(STORED / "clusters.json", tmp_path / "clusters-quick.json")
    return tmp_path


def test_page_holds_tables_figures_and_environment_of_all_results(folder, capsys):
    code, out, err = run(capsys, folder)
    assert (code, err) == (0, "")
    path = folder / "report.html"
    first, second = out.splitlines()
    assert first == f"written   {path}: clusters, seeds"
    assert second.startswith("missing   ") and "regularisation" in second
    page = Page(path.read_text())
    for name in ("clusters", "seeds"):
        result, study = stored(name), find_study(name)
        assert study.question in page.texts
        for table in study.tables(result):
            assert table.title in page.texts
            cells = [cell for row in table.rows for cell in row if cell]
            assert set(cells) <= set(page.texts)
        for figure in study.draw(result).values():
            finding = " ".join(figure.get_suptitle().split())
            assert finding in [image["alt"] for image in page.images]
    assert stored("seeds")["environment"]["processor"] in page.texts
    assert sum("quick run" in text for text in page.texts) == 1


def test_every_study_begins_with_its_conclusion_and_every_figure_has_a_caption(folder, capsys):
    assert run(capsys, folder)[0] == 0
    text = (folder / "report.html").read_text()
    for name in ("clusters", "seeds"):
        figures = find_study(name).draw(stored(name))
        findings = [finding_of(figure) for figure in figures.values()]
        matplotlib.pyplot.close("all")
        for finding in findings:
            assert f"<figcaption>{html.escape(finding)}</figcaption>" in text
        assert f'<p class="conclusion">{html.escape(findings[0])}</p>' in text
    style = text[text.index("<style>") : text.index("</style>")]
    # Narrow screens shrink the figures, and wide ones show them as wide as the text.
    assert "img { width: 100%; height: auto;" in style and "min-width: 40rem" not in style


def test_page_refers_to_nothing_outside(folder, capsys):
    run(capsys, folder)
    page = Page((folder / "report.html").read_text())
    assert all(
        reference.startswith(("data:image/png;base64,", "#")) for reference in page.references
    )
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe"})
    (policy,) = [a["content"] for _, a in page.tags if a.get("http-equiv")]
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "damaged: expected JSON"),
        ('{"format": 1, "study": "moons"}', "no result of this study: expected study 'seeds'"),
        ('{"format": 1, "study": "seeds"}', "damaged: no complete result of seeds (KeyError("),
        ('{"format": 1, "study": "seeds", "runs": 3}', "damaged: no complete result of seeds ("),
    ],
)
def test_damaged_result_is_named_and_the_rest_is_shown(content, message, folder, capsys):
    damaged = folder / "seeds.json"
    damaged.write_text(content)
    code, out, err = run(capsys, folder)
    assert code == 1
    assert err.startswith(f"fastmlp: {damaged}: {message}")
    assert out.startswith(f"written   {folder / 'report.html'}: clusters\n")
    page = Page((folder / "report.html").read_text())
    (sentence,) = [text for text in page.texts if text.startswith("Not shown: ")]
    assert f"{damaged}: {message}" in sentence


def test_whatever_a_damaged_result_makes_its_figures_raise_is_told(folder, capsys):
    """Neither StopIteration, of a result without MyANN, nor a division by zero ends the report."""
    lacking = stored("moons") | {"runs": stored("moons")["runs"][:-1]}
    (folder / "moons.json").write_text(json.dumps(lacking))
    timeless = stored("batch-size")
    for time in timeless["times"]:
        time["epoch_seconds"] = [0]
    (folder / "batch-size.json").write_text(json.dumps(timeless))
    code, out, err = run(capsys, folder)
    assert code == 1 and out.startswith(f"written   {folder / 'report.html'}: clusters, seeds\n")
    first, second = err.splitlines()
    assert "batch-size.json: damaged: no complete result of batch-size (ZeroDivisionError" in first
    assert "moons.json: damaged: no complete result of moons (" in second


def test_a_damaged_full_result_leaves_the_place_to_the_quick_one(folder, capsys):
    (folder / "clusters.json").write_text("{")
    code, out, err = run(capsys, folder)
    assert code == 1 and "clusters.json: damaged" in err
    assert ": clusters, seeds\n" in out


def test_what_results_say_is_escaped():
    table = Table("a <b> & c", ("x", "published"), (("<script>", '"'),))
    page = Page(_report._table(table))
    assert "a <b> & c" in page.texts and "<script>" in page.texts
    published = [tag for tag, attributes in page.tags if attributes.get("class") == "published"]
    assert published == ["th", "td"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (725, "12 min 5 s"), (15599, "4 h 19 min")],
)
def test_work_is_told_in_hours_minutes_and_seconds(seconds, text):
    work = {"wall": 1, "configurations": seconds, "resumed_configurations": 0}
    result = stored("seeds") | {"seconds": work, "finished": "2026-11-21T16:20+01:00"}
    assert _report._facts(result).startswith(
        f"quick run, finished 2026-11-21 15:20 UTC; {text} of work in all configurations; "
    )


def test_columns_without_any_cell_are_left_out():
    table = Table("a", ("who", "published", "here"), (("x", "", "1"), ("y", "", "")))
    page = Page(_report._table(table))
    assert [tag for tag, _ in page.tags].count("th") == 2
    assert "published" not in page.texts and "1" in page.texts


def test_published_rows_are_tinted_and_nothing_else():
    table = Table(
        "a", ("who",), (("layer 2, published",), ("article, Step I",), ("cumulative (articles)",))
    )
    page = Page(_report._table(table))
    rows = [attributes.get("class") for tag, attributes in page.tags if tag == "tr"]
    assert rows == [None, "published", "published", None]


READS = (
    "fastmlp: error: DIR must be the folder of a run (fastmlp train --out DIR) or of studies "
    "(fastmlp study NAME --out DIR); "
)


def test_folder_without_results_is_refused_with_what_can_be_read(tmp_path, capsys):
    code, out, err = run(capsys, tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith(f"{READS}{tmp_path} has neither. A run has history.json; the studies are")
    assert err.endswith(f"{', '.join(NAMES)}\n")
    assert not list(tmp_path.iterdir())


def test_what_is_no_folder_of_a_run_or_of_studies_is_named(tmp_path, capsys):
    code, _, err = run(capsys, tmp_path / "none")
    assert (code, err) == (2, f"{READS}{tmp_path / 'none'} does not exist\n")
    file = tmp_path / "history.json"
    file.write_text("{}")
    code, _, err = run(capsys, file)
    assert (code, err) == (2, f"{READS}{file} is a file; its folder is {tmp_path}\n")
    (tmp_path / "model.keras").write_text("")
    code, _, err = run(capsys, tmp_path)
    assert code == 2 and "is of fastmlp cnn train, which has drawn its figures" in err
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "checkpoint-00000001.safetensors").write_text("")
    code, _, err = run(capsys, folder)
    assert code == 2 and f"{folder} has checkpoints alone. A run has" in err


def test_without_matplotlib_the_tables_are_shown(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    code, _, err = run(capsys, folder)
    assert code == 0 and 'figures need matplotlib: pip install "fastmlp[plots]"' in err
    page = Page((folder / "report.html").read_text())
    assert not page.images and any(tag == "table" for tag, _ in page.tags)
