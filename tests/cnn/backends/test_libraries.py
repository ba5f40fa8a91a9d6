"""What each library under Keras does for fastmlp: batches, gradients, settings, and the same names.

The tests run on the library that ``KERAS_BACKEND`` chooses; those of JAX and PyTorch in the soak.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cnn_data import BACKEND, bars, needs_keras, runs_on, small_cnn, small_config

import fastmlp
from fastmlp.cnn import CNN, backend

FOLDER = Path(fastmlp.__file__).parent / "cnn" / "backends"
X, Y = bars(70)


def functions(tree):
    """Names of functions and of their parameters."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {f.name: [a.arg for a in f.args.args if a.arg != "self"] for f in found}


@pytest.mark.parametrize("name", backend.TITLES)
def test_every_library_has_the_names_of_the_protocol(name):
    protocol = ast.parse((FOLDER / "protocol.py").read_text())
    module = ast.parse((FOLDER / f"{name}.py").read_text())
    wanted, found = functions(protocol), functions(module)
    assert len(wanted) > 12
    assert {function: found.get(function) for function in wanted} == wanted
    (described,) = [node for node in protocol.body if isinstance(node, ast.ClassDef)]
    names = {n.target.id for n in described.body if isinstance(n, ast.AnnAssign)}
    given = {t.id for n in module.body if isinstance(n, ast.Assign) for t in n.targets}
    assert names <= given


@needs_keras
def test_data_on_the_device_give_the_bits_of_data_that_are_fed():
    fed, kept = (
        CNN(small_config(), seed=0, device="cpu", data_on_card=flag) for flag in (False, True)
    )
    for images, labels in ((X, Y), bars(40, seed=3)):  # the second fit has other images, and fewer
        histories = [cnn.fit(images, labels, epochs=1) for cnn in (fed, kept)]
        np.testing.assert_array_equal(*(history["costs"] for history in histories))
    for a, b in zip(fed.model.get_weights(), kept.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    kept.model.run_eagerly, kept.model.train_function = True, None
    kept.model.fit(X, np.eye(3)[Y], epochs=1, verbose=0)  # Keras' own fit still takes images
    assert kept.iterations == 5 + 3 + 3


@needs_keras
@runs_on("tensorflow", "jax")
def test_several_steps_per_execution_train_the_same_and_share_their_mean_cost():
    plain = small_cnn(regularizer="l2", l2=0.01)
    several = CNN(plain.config, seed=0, device="cpu", steps_per_execution=3)
    plain.model.run_eagerly = True  # a graph takes a second
    one, three = (cnn.fit(X, Y, epochs=1) for cnn in (plain, several))
    for a, b in zip(plain.model.get_weights(), several.model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    sizes = np.array([16, 16, 16, 16, 6])
    for name in ("costs", "errors"):
        values = one[name]
        first = values[:, :3].mean(axis=1)  # of three full batches
        last = values[:, 3:] @ sizes[3:] / 22
        expected = np.stack([first] * 3 + [last] * 2, axis=1)
        np.testing.assert_allclose(three[name], expected, rtol=1e-4)
    assert three["reg_share"].shape == (1, 5)
    assert (three["reg_share"] > 0).all()
    several.compile(learning_rate=0.01)
    assert several.model.steps_per_execution == 3
    with pytest.raises(ValueError, match="steps_per_execution must be at least 1; got 0"):
        CNN(small_config(), steps_per_execution=0)


@runs_on("torch")
def test_pytorch_takes_one_step_per_execution():
    with pytest.raises(ValueError, match=r"steps_per_execution must be 1 with PyTorch, .* got 3"):
        CNN(small_config(), steps_per_execution=3)


@needs_keras
@pytest.mark.parametrize("n_images", [1, 2, 3, 5])
def test_gradients_of_any_number_of_images_are_those_of_each_one(n_images):
    from fastmlp.cnn.maps.oip import _gradient_function

    gradient_of = _gradient_function(small_cnn(), "conv_2")
    maps = np.arange(n_images) % 6
    losses, gradients = gradient_of(X[:n_images], maps)
    assert (losses.dtype, gradients.dtype) == (np.float64, np.float32)
    for i in range(n_images):
        loss, gradient = gradient_of(X[i : i + 1], maps[i : i + 1])
        np.testing.assert_allclose(losses[i : i + 1], loss, rtol=1e-5)
        np.testing.assert_allclose(gradients[i : i + 1], gradient, rtol=1e-4, atol=1e-7)


@needs_keras
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_rounds_activations_and_keeps_weights_and_outputs(precision):
    cnn = small_cnn(precision=precision, optimizer="adam", learning_rate=0.01)
    model = cnn.model
    assert {model.get_layer(n).compute_dtype for n in ("conv_1", "dense_1")} == {precision}
    assert model.get_layer("output").compute_dtype == "float32"
    assert {str(w.dtype) for w in model.weights} == {"float32"}
    assert (type(model.optimizer).__name__ == "LossScaleOptimizer") == (precision == "float16")
    model.run_eagerly = True  # a graph takes a second
    assert np.isfinite(cnn.fit(X, Y, epochs=1)["costs"]).all()
    assert cnn.iterations == 5
    assert cnn.learning_rate == pytest.approx(0.01)
    plain = small_cnn()
    plain.model.set_weights(model.get_weights())
    outputs, exact = cnn.predict(X), plain.predict(X)
    assert outputs.dtype == np.float32
    assert 0 < np.abs(outputs - exact).max() < 0.03
    cnn.reset()
    assert cnn.iterations == 0


@runs_on("tensorflow")
def test_memory_growth_and_a_limit_exclude_each_other_also_in_two_calls(monkeypatch):
    from fastmlp.cnn.backends import tensorflow as module

    growth, limits = {}, {}
    config = SimpleNamespace(
        list_physical_devices=lambda kind: ["a", "b"],
        get_logical_device_configuration=limits.get,
        set_logical_device_configuration=limits.__setitem__,
        LogicalDeviceConfiguration=lambda memory_limit: SimpleNamespace(memory_limit=memory_limit),
        experimental=SimpleNamespace(
            get_memory_growth=growth.get, set_memory_growth=growth.__setitem__
        ),
    )
    monkeypatch.setattr(module, "tf", SimpleNamespace(config=config))
    module.set_growth(True)
    assert growth == {"a": True, "b": True}
    with pytest.raises(ValueError, match=r"exclude each other in TensorFlow; .* memory_growth$"):
        module.set_memory_limits([900, 900], None)
    module.set_growth(False)
    module.set_memory_limits([900, 800], None)
    assert {name: part.memory_limit for name, (part,) in limits.items()} == {"a": 900, "b": 800}
    module.set_growth(False)
    with pytest.raises(ValueError, match="has set a limit of 900 MiB"):
        module.set_growth(True)


@runs_on("tensorflow")
def test_tensorflow_is_asked_in_a_second_process_and_its_lines_about_cards_are_kept(monkeypatch):
    from fastmlp.cnn.backends import tensorflow as module

    lines = (
        "2026-01-01 I0000 00:00 port.cc:153] oneDNN custom operations are on.\n"
        "2026-01-01 00:00 W x/dso_loader.cc:64] Could not load dynamic library 'libcudnn.so.9'\n"
        "I0000 00:00 gpu_device.cc:2020] Ignoring visible gpu device (name: X)\n"
    )
    asked = []

    def run(command, env, **settings):
        asked.append((command, env["TF_CPP_MIN_LOG_LEVEL"], settings["timeout"]))
        return SimpleNamespace(stderr=lines)

    monkeypatch.setattr(module.subprocess, "run", run)
    assert module.words_about_cards() == (
        "Could not load dynamic library 'libcudnn.so.9'\nIgnoring visible gpu device (name: X)"
    )
    assert asked == [([sys.executable, "-c", module.LOOK], "0", module.SECONDS_TO_LOOK)]

    def late(command, **settings):
        raise subprocess.TimeoutExpired(command, settings["timeout"])

    monkeypatch.setattr(module.subprocess, "run", late)
    assert module.words_about_cards().startswith("it could not be asked: ")


def in_new_process(code, **variables):
    """What a Python process prints that runs `code`."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **variables}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


CONFIGURED = {
    "tensorflow": (
        "configure(intra_threads=1, deterministic=True); configure(inter_threads=2, tf32=False)\n"
        "import tensorflow as tf\n"
        "print(report()['intra_threads'], report()['inter_threads'])\n"
        "print(tf.config.experimental.tensor_float_32_execution_enabled())\n"
        "print(CNN(device='cpu', xla='auto').model.jit_compile)",
        "1 2\nFalse\nFalse\n",
    ),
    "jax": (
        "configure(memory_share=0.35, deterministic=True)\n"
        "configure(memory_growth=True, tf32=True)\n"
        "import os, jax\n"
        "found = report()['variables']\n"
        "print(found['XLA_PYTHON_CLIENT_MEM_FRACTION'], found['XLA_PYTHON_CLIENT_PREALLOCATE'])\n"
        "print(found['XLA_FLAGS'], jax.config.jax_default_matmul_precision)\n"
        "jax.numpy.ones(3)\n"
        "for wrong in (dict(memory_share=0.5), dict(intra_threads=2), dict(log_placement=True),\n"
        "              dict(memory_limit_mb=900)):\n"
        "    try: configure(**wrong)\n"
        "    except (ValueError, RuntimeError) as error: print(str(error)[:40])",
        "0.35 false\n--xla_gpu_deterministic_ops=true tensorfloat32\n"
        "threads and memory must be set before JA\nintra_threads and inter_threads cannot b\n"
        "log_placement is for TensorFlow; JAX kee\nmemory_limit_mb cannot be set in JAX, wh\n",
    ),
    "torch": (
        "configure(intra_threads=1, deterministic=True); configure(inter_threads=2, tf32=True)\n"
        "import os, torch\n"
        "print(report()['intra_threads'], report()['inter_threads'])\n"
        "print(torch.are_deterministic_algorithms_enabled())\n"
        "print(os.environ['CUBLAS_WORKSPACE_CONFIG'])\n"
        "for wrong in (dict(memory_growth=False), dict(log_placement=True)):\n"
        "    try: configure(**wrong)\n"
        "    except ValueError as error: print(str(error)[:40])",
        "1 2\nTrue\n:4096:8\n"
        "memory_growth=False is not for PyTorch, \nlog_placement is for TensorFlow; PyTorch\n",
    ),
}


@pytest.mark.soak
@needs_keras
def test_settings_reach_the_library_and_a_second_call_adds_to_the_first():
    code, expected = CONFIGURED[BACKEND]
    variables = {} if BACKEND == "tensorflow" else {"XLA_FLAGS": ""}
    printed = in_new_process(f"from fastmlp.cnn import CNN, configure, report\n{code}", **variables)
    assert printed == expected


IGNORED = ["-p", "no:cacheprovider", "-W", "ignore:__array__ implementation:DeprecationWarning"]
"""Keras 3.15 warns of itself, in NumPy 2, whenever weights are read on JAX and PyTorch."""

FILES = ["cnn/test_training.py", "cnn/test_maps.py", "cnn/test_files.py", "cnn/test_devices.py"]


@pytest.mark.soak
@pytest.mark.parametrize("name", ["jax", "torch"])
def test_the_cnn_part_runs_on_other_libraries(name):
    if name == BACKEND or not find_spec(name):
        pytest.skip(f"{name} is not installed, or these tests run on it already")
    tests = Path(__file__).parents[2]
    files = [str(tests / file) for file in FILES]
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            *IGNORED,
            __file__,
            *files,
        ],
        capture_output=True,
        text=True,
        cwd=tests.parent,
        env={**os.environ, "KERAS_BACKEND": name},
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-1000:]


@pytest.mark.soak
@needs_keras
def test_a_file_of_one_library_is_continued_on_another(tmp_path):
    others = [name for name in ("tensorflow", "jax", "torch") if find_spec(name)]
    if len(others) < 2:
        pytest.skip("only one library is installed")
    code = (
        "import sys; from cnn_data import bars, small_cnn; from fastmlp.cnn import CNN\n"
        "X, Y = bars(70); file = sys.argv[1]\n"
        "cnn = CNN.load(file, device='cpu') if sys.argv[2] == 'load' else small_cnn()\n"
        "cost = cnn.fit(X, Y, epochs=1)['costs'].mean()\n"
        "cnn.save(file); print(f'{cost:.3f}', cnn.iterations, cnn.epochs_done)"
    )
    path = os.pathsep.join(sys.path)

    def train(name, file, word):
        result = subprocess.run(
            [sys.executable, "-c", code, str(file), word],
            capture_output=True,
            text=True,
            env={**os.environ, "KERAS_BACKEND": name, "PYTHONPATH": path},
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    for first in others:  # which draws the initial weights in its own way
        train(first, tmp_path / "new.keras", "new")
        found = {}
        for second in others:
            file = shutil.copy(tmp_path / "new.keras", tmp_path / "model.keras")
            found[second] = train(second, file, "load")
        assert len(set(found.values())) == 1, (first, found)
        assert found[first].endswith(" 10 2\n")
