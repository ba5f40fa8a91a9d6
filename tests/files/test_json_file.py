"""JSON files: what becomes of values, how files are laid out, and which files are refused."""

import json
import os
import stat

import numpy as np
import pytest

from fastmlp.exceptions import DataFormatError
from fastmlp.files.json_file import plain, read_json, write_json


def test_values_become_what_json_has():
    found = plain({1: np.float32(0.5), "a": np.arange(3), "b": (np.nan, np.inf, 2), "c": None})
    assert found == {"1": 0.5, "a": [0, 1, 2], "b": [None, None, 2], "c": None}
    assert type(found["1"]) is float


def test_content_is_not_modified(tmp_path):
    content = {"a": [float("nan")], "b": {"c": (1, 2)}}
    write_json(tmp_path / "x.json", content)
    assert np.isnan(content["a"][0]) and content["b"] == {"c": (1, 2)}


@pytest.mark.parametrize("line_per_row", [False, True])
def test_numbers_that_are_not_finite_are_written_as_null(tmp_path, line_per_row):
    path = tmp_path / "x.json"
    content = {"a": [1.5, float("nan")], "b": {"c": float("inf"), "d": -np.float64("inf")}}
    write_json(path, content, line_per_row=line_per_row)
    found = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert found == read_json(path) == {"a": [1.5, None], "b": {"c": None, "d": None}}


def test_a_file_is_compact_utf_8_with_a_newline_at_its_end(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"µ": [1, 2.5], "b": True})
    assert path.read_bytes() == '{"µ":[1,2.5],"b":true}\n'.encode()


def test_a_file_can_have_a_line_per_row(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": [{"b": 1, "c": []}, 2], "d": {"e": 1}, "f": []}, line_per_row=True)
    assert path.read_text().splitlines() == [
        "{",
        ' "a": [',
        '  {"b":1,"c":[]},',
        "  2",
        " ],",
        ' "d": {"e":1},',
        ' "f": []',
        "}",
    ]


def test_a_new_file_respects_the_umask_and_a_replaced_one_keeps_its_permissions(tmp_path):
    new, old = tmp_path / "new.json", tmp_path / "old.json"
    old.write_text("old")
    old.chmod(0o604)
    mask = os.umask(0o027)
    try:
        write_json(new, {})
        write_json(old, {})
    finally:
        os.umask(mask)
    assert stat.S_IMODE(new.stat().st_mode) == 0o640
    assert stat.S_IMODE(old.stat().st_mode) == 0o604
    assert sorted(tmp_path.iterdir()) == [new, old]


def test_a_value_that_json_cannot_hold_leaves_the_older_file(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("old")
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(path, {"a": object()})
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "damaged: expected JSON, found: Expecting property name"),
        (b"\xff{}", "damaged: expected JSON, found: "),
        (b"[1]", "damaged: expected a JSON object, found list"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(DataFormatError, match=f"^{path}: {message}"):
        read_json(path)
