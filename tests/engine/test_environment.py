"""Facts about the machine, and the environment of child processes."""

from __future__ import annotations

import json
import sys

import pytest

from fastmlp.engine import _core, environment
from fastmlp.engine.blas import find_blas


def test_environment_is_json_and_keeps_the_data_folder_to_itself(tmp_path):
    variables = {"FASTMLP_DATA": str(tmp_path), "OPENBLAS_NUM_THREADS": "2"}
    facts = environment.collect(environ=variables)
    text = json.dumps(facts, allow_nan=False)
    assert str(tmp_path) not in text and sys.prefix not in text
    assert facts["variables"]["FASTMLP_DATA"] is True
    assert facts["threads"] == {"count": 2, "source": "OPENBLAS_NUM_THREADS"}
    assert facts["warnings"] == []
    assert facts["simd"]["selected"] in _core.LEVELS
    assert set(facts["blas"]) == {"library", "version", "kernels", "threading"}


def test_processor_name_is_read_or_replaced(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Some Processor 9000\nmodel name\t: other\n")
    assert environment.processor_name(cpuinfo) == "Some Processor 9000"
    assert environment.processor_name(tmp_path / "absent")
    assert environment.processor_name(cpuinfo, with_model=True) == "Some Processor 9000"


def test_processor_name_takes_family_and_model_where_linux_has_them(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("cpu family\t: 6\nmodel\t\t: 85\nmodel name\t: Some Processor 9000\n")
    name = "Some Processor 9000 (family 6, model 85)"
    assert environment.processor_name(cpuinfo, with_model=True) == name
    assert environment.processor_name(cpuinfo) == "Some Processor 9000"


def test_blas_facts_are_those_of_the_first_library_or_none():
    assert environment.blas_facts([]) is None
    assert environment.blas_facts(find_blas()) == environment.collect()["blas"]
    assert environment.blas_facts(find_blas()) == environment.arithmetic()["blas"]


@pytest.mark.parametrize("package", ["scipy", "numpy"])
def test_blas_of_a_package_is_found_among_the_loaded_libraries(package):
    library = find_blas(package)[0].info()
    loaded = environment.loaded_libraries()
    assert (library["prefix"], library["version"]) in {
        (x["prefix"], x.get("version")) for x in loaded
    }


def test_child_gets_one_thread_count_for_every_library_and_no_override():
    environ = {
        "OMP_NUM_THREADS": "7",
        "OPENBLAS_CORETYPE": "Haswell",
        "OPENBLAS_L2_SIZE": "512",
        "HOME": "here",
    }
    counts = dict.fromkeys(
        [f"{name}_NUM_THREADS" for name in ("OPENBLAS", "OMP", "MKL", "BLIS")]
        + ["VECLIB_MAXIMUM_THREADS", "PJRT_NPROC", "NPROC"],
        "3",
    )
    child = environment.child_environment(3, as_found=False, environ=environ)
    assert child == {"HOME": "here"} | counts
    assert environment.child_environment(3, as_found=True, environ=environ) == environ | counts
    assert environ["OMP_NUM_THREADS"] == "7"


def test_child_with_one_thread_keeps_its_xla_flags_and_gets_one_more():
    flag = "--xla_cpu_multi_thread_eigen=false"
    for given, flags in (({}, flag), ({"XLA_FLAGS": "--xla_x=1"}, f"--xla_x=1 {flag}")):
        child = environment.child_environment(1, as_found=False, environ=given)
        assert child["XLA_FLAGS"] == flags
        assert environment.child_environment(2, as_found=False, environ=given).get(
            "XLA_FLAGS"
        ) == given.get("XLA_FLAGS")
