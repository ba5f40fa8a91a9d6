"""Workflows and the settings of cibuildwheel name what pyproject.toml supports."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml
from oldest import of_extras, oldest_requirements
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / ".github" / "workflows"
if not WORKFLOWS.exists():
    pytest.skip("no source tree beside the tests", allow_module_level=True)

CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, WHEELS = CONFIGURATION["project"], CONFIGURATION["tool"]["cibuildwheel"]
SYSTEMS = {"ubuntu": "linux", "macos": "macos", "windows": "windows"}


def workflow(name):
    """A workflow's document; YAML reads its key `on` as the truth value."""
    return yaml.safe_load((WORKFLOWS / f"{name}.yml").read_text(encoding="utf-8"))


def classified_versions():
    found = [re.fullmatch(r".*:: (3\.\d+)", line) for line in PROJECT["classifiers"]]
    return [match[1] for match in found if match]


def built_versions():
    tags = [tag for tag in WHEELS["build"].split() if not tag.endswith("t-*")]
    return [re.fullmatch(r"cp3(\d+)-\*", tag).expand(r"3.\1") for tag in tags]


def test_wheels_are_built_for_the_pythons_of_the_classifiers():
    assert built_versions() == classified_versions()


def test_the_newest_python_gets_wheels_without_the_gil_too():
    newest = f"cp{classified_versions()[-1].replace('.', '')}t-*"
    (override,) = WHEELS["overrides"]
    assert [tag for tag in WHEELS["build"].split() if tag.endswith("t-*")] == [newest]
    assert override["select"] == newest
    assert newest in workflow("ci")["jobs"]["wheels"]["env"]["CIBW_BUILD"].split()


def test_every_python_of_the_classifiers_may_install_and_the_first_is_the_oldest_that_may():
    allowed = SpecifierSet(PROJECT["requires-python"])
    versions = classified_versions()
    assert all(version in allowed for version in versions)
    oldest = int(versions[0].split(".")[1])
    assert f"3.{oldest - 1}" not in allowed


def test_the_suite_runs_on_the_pythons_of_the_classifiers():
    assert workflow("ci")["jobs"]["suite"]["strategy"]["matrix"]["python"] == classified_versions()


@pytest.mark.parametrize("name", ["ci", "release"])
def test_wheel_jobs_cover_every_architecture_of_the_settings_once(name):
    include = workflow(name)["jobs"]["wheels"]["strategy"]["matrix"]["include"]
    jobs = [(SYSTEMS[job["os"].split("-")[0]], job["archs"]) for job in include]
    expected = [(s, arch) for s in SYSTEMS.values() for arch in WHEELS[s]["archs"]]
    assert sorted(jobs) == sorted(expected)


@pytest.mark.parametrize("name", ["ci", "release"])
def test_only_windows_may_fail(name):
    include = workflow(name)["jobs"]["wheels"]["strategy"]["matrix"]["include"]
    assert [job["os"] for job in include if job.get("unsupported")] == ["windows-latest"]


def test_upload_waits_for_all_jobs_and_only_it_may_ask_for_an_identity():
    release = workflow("release")
    jobs = release["jobs"]
    publish = jobs.pop("publish")
    assert set(publish["needs"]) == set(jobs)
    assert publish["if"] == "github.ref_type == 'tag'"
    assert publish["permissions"]["id-token"] == "write"
    assert release["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in jobs.values())
    assert "secrets." not in (WORKFLOWS / "release.yml").read_text(encoding="utf-8")


def test_actions_have_versions():
    used = re.findall(r"uses: (\S+)", "".join(p.read_text() for p in WORKFLOWS.glob("*.yml")))
    assert used
    assert [
        name for name in used if not re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v1)", name)
    ] == []


def test_tests_of_a_wheel_exist_and_come_without_the_package():
    assert WHEELS["test-sources"] == ["tests", "pyproject.toml"]
    for command in (WHEELS["test-command"], WHEELS["overrides"][0]["test-command"]):
        named = [part for part in shlex.split(command) if part.startswith("tests/")]
        assert named
        assert [part for part in named if not (ROOT / part).exists()] == []


def test_oldest_requirements_are_the_lower_bounds():
    assert oldest_requirements(["numpy>=1.26"]) == ["numpy==1.26"]
    assert len(oldest_requirements(PROJECT["dependencies"])) == len(PROJECT["dependencies"])
    bounds = oldest_requirements(of_extras(PROJECT, ["pandas", "polars", "pyarrow"]))
    assert bounds == ["pandas==2.2", "polars==1.0", "pyarrow==19"]
    with pytest.raises(ValueError, match=r"must be name>=version; got 'numpy'"):
        oldest_requirements(["numpy"])


def test_manylinux_wheels_run_on_glibc_2_28():
    images = {v for k, v in WHEELS["linux"].items() if k.startswith("manylinux")}
    assert images == {"manylinux_2_28"}
