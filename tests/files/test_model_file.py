"""Hostile and damaged model files: refused with ModelFormatError, and nothing else happens."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
import safetensors.numpy
from any_speed import AT_ANY_SPEED
from audit import audited
from damage import BITS_OF_A_BYTE, damaged_in_place
from hypothesis import given
from hypothesis import strategies as st
from saved_models import MODELS, forge, network, sealed, taken_apart

import fastmlp
from fastmlp import ModelFormatError, Network
from fastmlp.files.model_file import (
    MAX_DOCUMENT_CONTAINERS,
    Content,
    read_model_file,
    write_model_file,
)
from fastmlp.files.safetensors_header import DTYPES, MAX_CONTAINERS, parse_header

MIB = 1 << 20


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The bytes of a small file of every kind."""
    path = tmp_path_factory.mktemp("files") / "model"
    contents = {}
    for kind, make in MODELS.items():
        fastmlp.save(make(), path)
        contents[kind] = path.read_bytes()
    fastmlp.save(Network((1, 2, 1)), path)
    return contents | {"smallest": path.read_bytes()}


@pytest.fixture
def loads(tmp_path):
    def loads(content):
        path = tmp_path / "model.safetensors"
        path.write_bytes(content)
        return fastmlp.load(path)

    return loads


@pytest.fixture
def refused(loads):
    def refused(content, match=None):
        with pytest.raises(ModelFormatError, match=match) as caught:
            loads(content)
        assert "model.safetensors" in str(caught.value)
        assert len(str(caught.value)) < 1000

    return refused


def parts(content):
    return taken_apart(content)


# --- Every byte counts


def test_every_truncation_is_refused(files, tmp_path):
    path = tmp_path / "model"
    for kind, content in files.items():
        assert len(content) <= 4608, kind
        path.write_bytes(content)
        for n in reversed(range(len(content))):
            os.truncate(path, n)
            with pytest.raises(ModelFormatError):
                fastmlp.load(path)


@pytest.mark.parametrize("n_bits", BITS_OF_A_BYTE)
@pytest.mark.parametrize("kind", ["smallest", "myann", "classifier", "regressor"])
def test_flipped_bits_of_every_byte_are_refused(kind, n_bits, files, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(files[kind])
    accepted = []
    for place in damaged_in_place(path, n_flips=n_bits):
        try:
            fastmlp.load(path)
        except ModelFormatError:
            pass
        else:
            accepted.append(place)
    assert accepted == []
    fastmlp.load(path)  # as it was, it can be read


def test_bytes_behind_the_end_and_swapped_bytes_are_refused(files, refused):
    content = files["network"]
    refused(content + b"\0", "trailing bytes")
    refused(content[:-8] + content[-4:] + content[-8:-4], "damaged: its SHA-256 is")


# --- Forged files have a right checksum: the other checks stand without it


@pytest.fixture
def honest():
    """Document and arrays of a network, by which forged files are made."""
    net = network()
    document = {
        "schema": 1,
        "kind": "Network",
        "network": {
            "sizes": [3, 4, 2],
            "activations": ["tanh"],
            "output": "softmax",
            "dtype": "float64",
            "initializer": "he",
        },
        "plan_version": 2,
        "arithmetic": {},
    }
    arrays = {}
    for i, w in enumerate(net.weights):
        arrays[f"layers.{i}.weight"] = w[:, 1:].copy()
        arrays[f"layers.{i}.bias"] = w[:, 0].copy()
    return document, arrays


def test_a_file_by_hand_from_the_specification_is_read(honest, loads):
    loaded = loads(forge(*honest))
    np.testing.assert_array_equal(loaded.parameters, network().parameters)


def change(entry, **values):
    def header(declared):
        declared[entry] |= values
        return declared

    return header


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"shape": [4, 4]}, "has 96 bytes, its shape .* 128"),
        ({"shape": [4, 2]}, "has 96 bytes, its shape"),
        ({"shape": [2**62, 2**62]}, "beyond 64 bits"),
        ({"shape": [2**32, 2**32, 0]}, "beyond 64 bits"),
        ({"shape": [2**63]}, r"integers from 0 to 2\^63 - 1"),
        ({"shape": [-4, -3]}, "integers from 0"),
        ({"shape": [4.0, 3.0]}, "integers from 0"),
        ({"shape": [True, 12]}, "integers from 0"),
        ({"shape": "43"}, "integers from 0"),
        ({"shape": [1] * 9 + [12]}, "dimensions, allowed 8"),
        ({"shape": [12]}, r"must be float64 of shape \(4, 3\), found float64 of \(12,\)"),
        ({"shape": [3, 4]}, "must be float64 of shape"),
        ({"data_offsets": [0, 88]}, "has 88 bytes"),
        ({"data_offsets": [96, 0]}, "two ordered data_offsets"),
        ({"data_offsets": [0]}, "two ordered data_offsets"),
        ({"data_offsets": [8, 104]}, "leaves a gap|overlaps"),
        ({"data_offsets": [96, 192]}, "leaves a gap|overlaps"),
        ({"data_offsets": [2**62, 2**62 + 96]}, "leaves a gap"),
        ({"dtype": "F16"}, "must have a dtype of F32"),
        ({"dtype": "I64"}, "must be float64"),
        ({"dtype": "O"}, "must have a dtype of"),
        ({"dtype": None}, "must have a dtype of"),
        ({"extra": 1}, "nothing else"),
    ],
)
def test_a_header_that_lies_about_an_array_is_refused(changes, match, honest, refused):
    refused(forge(*honest, header=change("layers.0.weight", **changes)), match)


def test_overlapping_arrays_are_refused(honest, refused):
    document, arrays = honest
    arrays["copy"] = arrays["layers.0.weight"]

    def overlap(declared):
        declared["copy"]["data_offsets"] = declared["layers.0.weight"]["data_offsets"]
        return declared

    refused(forge(document, arrays, header=overlap), "overlaps another")


def test_arrays_that_are_missing_or_too_many_are_refused(honest, refused):
    document, arrays = honest
    refused(forge(document, arrays | {"more": np.zeros(3)}), "unknown arrays: 'more'")
    del arrays["layers.1.bias"]
    refused(forge(document, arrays), "array 'layers.1.bias' is missing")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(value, honest, refused):
    honest[1]["layers.0.weight"][2, 1] = value
    refused(forge(*honest), "'layers.0.weight' has values that are NaN or infinite")


def test_huge_sizes_in_the_document_allocate_nothing(honest, refused):
    document, arrays = honest
    for sizes in (
        [2**30, 2**30, 2],
        [3, 2**31 - 1, 2],
        [3, 2**40, 2],
        [3, -4, 2],
        [3],
        [],
        [3] * 100_000,
        [3.0, 4, 2],
        "342",
        [3, True, 2],
    ):
        document["network"]["sizes"] = sizes
        content = forge(document, arrays)
        tracemalloc.start()
        refused(content)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 64 * MIB + 2 * len(content)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"schema": 2}, "schema version 2 is not known; this fastmlp reads 1"),
        ({"schema": "1"}, "schema version '1' is not known"),
        ({"schema": True}, "schema version True is not known"),
        ({"schema": None}, "schema version None"),
        ({"kind": "Forest"}, "kind 'Forest' is not known; expected 'Network', 'MyANN'"),
        ({"kind": ["Network"]}, "is not known"),
        ({"kind": "MyANN"}, "is missing"),
        ({"kind": "MLPRegressor"}, "is missing"),
        ({"plan_version": "2"}, "'plan_version' must be an integer, found a string"),
        ({"arithmetic": None}, "'arithmetic' must be an object, found null"),
        ({"network": 3}, "'network' must be an object"),
        ({"surplus": 1}, "unknown names: 'surplus'"),
        ({"sha256": "1" * 64}, "begin with its sha256|damaged"),
    ],
)
def test_a_document_that_is_not_of_this_version_is_refused(changes, match, honest, refused):
    refused(forge(honest[0] | changes, honest[1]), match)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"dtype": "float16"}, "'dtype' must be float32 or float64"),
        ({"dtype": "object"}, "'dtype' must be float32 or float64"),
        ({"output": "relu"}, "output must be one of"),
        ({"activations": ["os.system"]}, "activation.0. must be one of"),
        ({"activations": ["tanh", "tanh"]}, "one per hidden layer"),
        ({"activations": "tanh"}, "'activations' must be a list"),
        ({"activations": [1]}, "'activations' must be a list, each a string"),
        ({"initializer": "eval"}, "initializer must be one of"),
        ({"more": 1}, "unknown names: 'more'"),
    ],
)
def test_a_network_that_cannot_be_is_refused(changes, match, honest, refused):
    document, arrays = honest
    document["network"] |= changes
    refused(forge(document, arrays), match)


@pytest.mark.parametrize(
    ("declared", "match"),
    [
        (b"", "not valid JSON"),
        (b"[]", "must be a JSON object, found list"),
        (b"{}", "not written by fastmlp"),
        (b'{"__metadata__":{}}', "not written by fastmlp"),
        (b'{"__metadata__":[]}', "must map names to strings"),
        (b'{"__metadata__":{"fastmlp":1}}', "must map names to strings"),
        (b'{"__metadata__":{"format":"pt"}}', "must have 'fastmlp' alone, found 'format'"),
        (b'{"__metadata__":{"fastmlp":"{}","format":"pt"}}', "alone, found 'fastmlp', 'format'"),
        (
            b'{"__metadata__":{"fastmlp":"not JSON"}}',
            "the document in __metadata__ is not valid JSON",
        ),
        (b'{"__metadata__":{"fastmlp":"[1]"}}', "must be a JSON object"),
        (b'{"__metadata__":{"fastmlp":"{}"}}', "schema version None"),
        (b'{"a":1,"a":2}', "the name 'a' twice"),
        (b'{"__metadata__":{"fastmlp":"{}","fastmlp":"{}"}}', "the name 'fastmlp' twice"),
        (b'{"a":NaN}', "the number NaN"),
        (b'{"a":Infinity}', "the number Infinity"),
        (b'{"a":' + b"9" * 5000 + b"}", "is not valid JSON"),
        (b"\xff\xfe{}", "is not valid JSON"),
        (b'{"a":' + b"[" * 60_000 + b"]" * 60_000 + b"}", "nested too deeply"),
        (b'{"a":' * 60_000 + b"1" + b"}" * 60_000, "nested too deeply"),
        (b"[" * (MAX_CONTAINERS + 1), "lists and objects, allowed"),
        (b'{"a":1}', "dtype, shape and data_offsets"),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_a_header_that_is_no_such_header_is_refused(declared, match, refused):
    refused(struct.pack("<Q", len(declared)) + declared, match)


def test_deep_json_inside_the_document_is_refused(refused):
    text = '{"a":' * 30_000 + "1" + "}" * 30_000
    raw = json.dumps({"__metadata__": {"fastmlp": text}}).encode()
    refused(struct.pack("<Q", len(raw)) + raw, "document in __metadata__ is nested too deeply")


def test_the_first_bytes_are_not_believed(files, refused):
    rest = files["network"][8:]
    for length in (0, 1, len(rest) + 1, 2**31, 2**63, 2**64 - 1):
        refused(struct.pack("<Q", length) + rest)
    refused(struct.pack("<Q", 5 * MIB) + b" " * 5 * MIB, "header has .* bytes, allowed")


@pytest.mark.parametrize(
    ("where", "value", "match"),
    [
        (("network", "sizes"), [3] * 900_000, "array 'layers.0.weight' must be"),
        (("fitted",), {f"{i:x}": 1 for i in range(150_000)}, "is missing|unknown names"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_two_megabytes_of_text_take_bounded_memory(where, value, match, files, refused):
    content = altered(files["classifier"], where, value)
    tracemalloc.start()
    refused(content, match)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * MIB + 2 * len(content)


@pytest.mark.parametrize("part", [4, pytest.param(1, marks=pytest.mark.soak)])
@pytest.mark.parametrize(
    ("begin", "item", "n", "end"),
    [
        ('{"a":[', "1.5", 4 * MIB - 10, "]}"),
        ('{"a":[', '{"a":1}', MIB // 2 - 9, "]}"),
        ("{", '"%x":1.5', 1_300_000, "}"),
    ],
    ids=["numbers", "objects", "names"],
)
def test_a_long_document_takes_bounded_memory(begin, item, n, end, part, refused):
    """The longest that are allowed, in the soak; a quarter of them, and of the memory."""
    text = begin + ",".join(item % i if "%" in item else item for i in range(n // part)) + end
    document = {"schema": 1, "kind": "Network"}
    content = forge(document, {"fastmlp.document": np.frombuffer(text.encode(), np.uint8)})
    tracemalloc.start()
    refused(content, "is missing")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 256 * MIB / part + 2 * len(content)


def test_one_name_twice_among_very_many_is_found(refused):
    names = [f"{i:x}" for i in range(150_000)]
    text = json.dumps(dict.fromkeys(names, 1))[:-1] + ', "249ef": 2}'
    assert names[-1] == "249ef"
    refused(struct.pack("<Q", len(text)) + text.encode(), "the name '249ef' twice")


@pytest.mark.parametrize("depth", [40, 300])
def test_values_inside_many_others_are_refused(depth, files, refused):
    value = 1
    for _ in range(depth):
        value = {"tuple": [value]}
    refused(
        altered(files["classifier"], ("parameters", "class_weight"), value),
        "nested too deeply: more than 64 levels",
    )


def test_what_could_not_be_read_again_is_not_written(tmp_path):
    many = Content("Network", {"many": [[]] * (MAX_DOCUMENT_CONTAINERS + 1)}, {})
    says = rf"the document has \d+ lists and objects, allowed {MAX_DOCUMENT_CONTAINERS}"
    with pytest.raises(ValueError, match=says):
        write_model_file(tmp_path / "model", many)
    arrays = {f"{i}": np.zeros(1, np.uint8) for i in range(60_000)}
    with pytest.raises(ValueError, match=f"the header has .* allowed {MAX_CONTAINERS}"):
        write_model_file(tmp_path / "model", Content("Network", {}, arrays))
    deep = 1.0
    for _ in range(70):
        deep = {"a": deep}
    with pytest.raises(ValueError, match="too deeply"):
        write_model_file(tmp_path / "model", Content("Network", {"deep": deep}, {}))
    assert os.listdir(tmp_path) == []


def test_a_long_document_is_an_array_and_is_read_only_where_it_is_one(tmp_path):
    path = tmp_path / "model"
    long = {"long": "x" * 2 * MIB, "n": 1}
    write_model_file(path, Content("Network", long, {"a": np.arange(3.0)}))
    read = read_model_file(path, ["Network"])
    assert read.document == long and list(read.arrays) == ["a"]
    document, arrays = taken_apart(path.read_bytes())
    assert set(document) == {"schema", "kind"} and set(arrays) == {"a", "fastmlp.document"}
    for changed, array in [
        (document | {"n": 1}, arrays["fastmlp.document"]),
        (document, arrays["fastmlp.document"].reshape(1, -1)),
        (document, arrays["a"]),
        (document, np.frombuffer(b'{"n":1,"n":2}', np.uint8)),
        (document, np.frombuffer(b"[1]", np.uint8)),
        (document, np.zeros(0, np.uint8)),
    ]:
        path.write_bytes(forge(changed, {"fastmlp.document": array}))
        with pytest.raises(ModelFormatError, match=r"array 'fastmlp\.document' "):
            read_model_file(path, ["Network"])


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {
            "b": np.ones((2, 3)),
            "a": np.ones(2, np.float32),
            "é": np.ones(3, np.uint8),
            "c": np.arange(3),
            "d": np.ones((0, 2), np.uint64),
            "e": np.zeros((4, 4)).T,
        },
    ],
    ids=["none", "all types"],
)
def test_the_bytes_are_those_of_the_safetensors_package(arrays, tmp_path):
    path = tmp_path / "model"
    write_model_file(path, Content("Network", {"é": 'a"\\'}, arrays))
    content = path.read_bytes()
    n = struct.unpack("<Q", content[:8])[0]
    metadata = json.loads(content[8 : 8 + n])["__metadata__"]
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    assert content == safetensors.numpy.save(contiguous, metadata)


@pytest.mark.parametrize(
    "header",
    [
        '{"a":{"dtype":"U8","shape":[-0],"data_offsets":[0,0]}}',
        '{"a":{"dtype":"U8","shape":[0],"data_offsets":[-0,0]}}',
        '{"\\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
        '{"__metadata__":{"fastmlp":"\\udc00"}}',
        '{"__metadata__":{"\\ud800 ":""}}',
    ],
)
def test_what_the_safetensors_package_refuses_is_refused(header):
    with pytest.raises(safetensors.SafetensorError):
        safetensors.deserialize(struct.pack("<Q", len(header)) + header.encode())
    with pytest.raises(ModelFormatError, match=r"the number -0|no character"):
        parse_header(header.encode(), 0)


def test_equal_names_of_arrays_are_refused(honest, refused):
    def twice(declared):
        text = json.dumps(declared, separators=(",", ":"))
        name = '"layers.0.bias":'
        begin = text.index(name)
        entry = text[begin : text.index("}", begin) + 1]
        return text.replace(entry, f"{entry},{entry}").encode()

    refused(forge(*honest, header=twice), "the name 'layers.0.bias' twice")


def test_a_checksum_that_is_not_at_its_place_is_refused(honest, refused):
    document, arrays = honest
    text = json.dumps(document | {"sha256": "0" * 64}, separators=(",", ":"))

    def last(declared):
        declared["__metadata__"]["fastmlp"] = text
        return declared

    refused(forge(document, arrays, header=last), "must begin with its sha256")


# --- Estimators and MyANN: values that the constructor's checks have to find


def altered(content, where, value):
    """The file with one value of its document changed, and a right checksum."""
    document, arrays = parts(content)
    *outer, last = where
    place = document
    for name in outer:
        place = place[name]
    place[last] = value
    return forge(document, arrays)


@pytest.mark.parametrize(
    ("kind", "where", "value", "match"),
    [
        ("classifier", ("parameters", "alpha"), -1, "alpha must be"),
        ("classifier", ("parameters", "solver"), "eval", "solver must be one of"),
        ("classifier", ("parameters", "scoring"), {"dict": [["a", 1]]}, "scoring must be"),
        ("classifier", ("parameters", "scoring"), {"object": "os.system"}, "no type of a value"),
        ("classifier", ("parameters", "scoring"), {}, "must have one name"),
        ("classifier", ("parameters", "hidden_layer_sizes"), {"tuple": 3}, "tuple must be a list"),
        ("classifier", ("parameters", "n_threads"), 10**9, "n_threads must be from 1 to"),
        ("classifier", ("parameters", "tol"), {"float": "1e400"}, "must be 'nan', 'inf'"),
        ("classifier", ("parameters", "dtype"), "(2,3)f4", "'dtype' must be float32"),
        ("classifier", ("parameters", "alpha"), 10**400, "alpha must be"),
        ("classifier", ("fitted", "loss_"), 10**400, "beyond 64 bits"),
        ("classifier", ("parameters", "__class__"), "x", "unknown names: '__class__'"),
        ("classifier", ("parameters", "class_weight"), {"dict": [[[], 1]]}, "unhashable"),
        ("classifier", ("parameters", "class_weight"), {"dict": [[1, 1], [1, 2]]}, "key twice"),
        ("classifier", ("classes",), {"array": ["int64", [2], [1, 0]]}, "sorted"),
        ("classifier", ("classes",), {"array": ["int64", [2], [0, 0]]}, "unique"),
        ("classifier", ("classes",), {"array": ["int64", [3], [0, 1, 2]]}, "do not fit 1 outputs"),
        ("classifier", ("classes",), {"array": ["int64", [2**40], [0]]}, "integers from 0|shape"),
        ("classifier", ("classes",), {"array": ["int8", [2], [0, 300]]}, "classes"),
        ("classifier", ("classes",), {"array": ["U99999999", [2], ["a", "b"]]}, "too large"),
        ("classifier", ("classes",), {"array": ["object", [2], [{"tuple": []}, 1]]}, "type"),
        ("classifier", ("classes",), {"array": ["datetime64[s]", [1], [0]]}, "must not be of"),
        ("classifier", ("classes",), {"array": "int64"}, "must be .dtype, shape, values|a list"),
        ("classifier", ("classes",), [0, 1], "'classes' must be a ndarray, found a list"),
        ("classifier", ("targets", "kind"), "multiclass", "do not fit"),
        ("classifier", ("targets", "kind"), "odd", "do not fit"),
        ("classifier", ("targets", "sparse"), 0, "must be true or false"),
        ("classifier", ("fitted", "n_iter_"), "many", "'n_iter_' must be an integer or null"),
        ("classifier", ("fitted", "_weights"), 1, "unknown names: '_weights'"),
        ("classifier", ("plateau", "count"), -1, "'count' must be from 0"),
        ("classifier", ("history",), ["loss"], "'history' must be"),
        ("classifier", ("history",), ["loss"] * 4, "twice"),
        ("classifier", ("training", "optimizer"), "sgd", "optimizer.states"),
        ("classifier", ("training", "optimizer"), "lamb", "'optimizer' must be sgd"),
        ("classifier", ("training", "learning_rate"), -1, "must not be negative"),
        ("classifier", ("training", "n_steps"), 2**70, "n_steps"),
        ("classifier", ("feature_names",), {"array": ["object", [1], ["a"]]}, "for every feature"),
        ("regressor", ("network", "output"), "softmax", "does not end in 'softmax'"),
        ("myann", ("parameters", "learn_rate"), "fast", "learn_rate must be a number"),
        ("myann", ("parameters", "ay_nodes_layers"), [6, 10**9, 3], "must be the network's sizes"),
        ("myann", ("parameters", "ay_nodes_layers"), [6, 5, 3], "must be the network's sizes"),
        ("myann", ("parameters", "my_data_set"), "mnist", "unknown names: 'my_data_set'"),
        ("myann", ("parameters", "b_print_test_data"), 1, "b_print_test_data must be True"),
        ("myann", ("data",), "/etc/passwd", "not a known data set"),
        ("myann", ("scaler", "kind"), "odd", "'kind' must be one of"),
        ("myann", ("scaler", "kind"), "none", "unknown names|unknown arrays"),
        ("myann", ("generator",), {"generator": {"dict": [["bit_generator", "Evil"]]}}, "one of"),
        ("myann", ("generator",), 3, "'generator' must be a Generator"),
        ("myann", ("classes",), {"array": ["int64", [2], [0, 1]]}, "n_nodes|describe|classes"),
    ],
)
def test_a_value_that_cannot_be_is_refused(kind, where, value, match, files, refused):
    if where == ("parameters", "ay_nodes_layers") and value[1] > 10**6:
        tracemalloc.start()
    refused(altered(files[kind], where, value), match)
    if tracemalloc.is_tracing():
        assert tracemalloc.get_traced_memory()[1] < 64 * MIB
        tracemalloc.stop()


def test_a_scale_that_is_not_positive_is_refused(files, refused):
    document, arrays = parts(files["myann"])
    arrays["scaler.scale"] = np.zeros_like(arrays["scaler.scale"])
    refused(forge(document, arrays), "document.scaler: the scaler's scale must be positive")


@pytest.mark.parametrize("position", [625, -1, 10**6])
def test_a_generator_that_would_read_beyond_its_state_is_refused(position, files, refused):
    from fastmlp.files.plain_values import encode

    value = encode(np.random.Generator(np.random.MT19937(0)))
    text = json.dumps(value).replace('["pos", 623]', f'["pos", {position}]')
    assert str(position) in text
    refused(
        altered(files["myann"], ("generator",), json.loads(text)),
        "position must be from 0|not built",
    )


def test_a_parameter_that_a_file_does_not_know_keeps_its_default(files, loads):
    document, arrays = parts(files["classifier"])
    del document["parameters"]["label_smoothing"]
    assert loads(forge(document, arrays)).label_smoothing == 0.0


# --- Other files under the name


class Evil:
    def __reduce__(self):
        return os.mkdir, ("run-by-a-pickle",)


def other_files():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.npy", pickle.dumps(Evil()))
    npz = io.BytesIO()
    np.savez(npz, a=np.zeros(3))
    return {
        "empty": b"",
        "pickle": pickle.dumps(Evil()),
        "old pickle": pickle.dumps(Evil(), protocol=0),
        "pickle of a network": pickle.dumps(network()),
        "zip": buffer.getvalue(),
        "npz": npz.getvalue(),
        "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(500),
        "gzip": b"\x1f\x8b\x08" + bytes(100),
        "script": b"#!/bin/sh\nmkdir run-by-a-shell\n" * 10,
        "zeros": bytes(4096),
        "ones": b"\xff" * 4096,
    }


@pytest.mark.parametrize("kind", other_files())
@pytest.mark.parametrize("name", ["model.safetensors", "model.pkl", "model.npz", "model.h5"])
def test_other_files_are_refused_under_any_name(kind, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(other_files()[kind])
    with pytest.raises(ModelFormatError):
        fastmlp.load(name)
    assert os.listdir(tmp_path) == [name]


def test_pipes_and_devices_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(ModelFormatError, match="not a regular file"):
            fastmlp.load(path)


# --- What loading does


def test_loading_runs_imports_writes_and_calls_nothing(files, honest, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for kind, content in files.items():
        (folder / f"honest-{kind}").write_bytes(content)
        for n in (4, 20, 300, len(content) - 1):
            (folder / f"short-{kind}-{n}").write_bytes(content[:n])
        for bit in range(0, 8 * len(content), 997):
            flipped = bytearray(content)
            flipped[bit // 8] ^= 1 << bit % 8
            (folder / f"flipped-{kind}-{bit}").write_bytes(flipped)
    for kind, content in other_files().items():
        (folder / f"other-{kind}").write_bytes(content)
    for name in ("os.system", "builtins.eval", "__import__('os')"):
        document = json.loads(json.dumps(honest[0]))
        document["network"]["activations"] = [name]
        (folder / f"name-{name}").write_bytes(forge(document, honest[1]))
    results = audited(tmp_path)
    assert results.count("taken") == len(files)
    assert results.count("refused") > 100


# --- Whatever the bytes are

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=20,
)
SIZES = st.lists(st.integers(-1, 2**65) | st.sampled_from([0, 1, 2, 4, 2**31, 2**62]), max_size=4)
ENTRY = st.fixed_dictionaries(
    {"dtype": st.sampled_from([*DTYPES, "F16"]), "shape": SIZES, "data_offsets": SIZES}
)


@AT_ANY_SPEED
@given(st.binary(max_size=300), st.integers(0, 2**63))
def test_no_bytes_make_the_header_reader_do_anything_else(header, data_bytes):
    with contextlib.suppress(ModelFormatError):
        parse_header(header, data_bytes)


@AT_ANY_SPEED
@given(
    st.dictionaries(st.text(max_size=8) | st.just("__metadata__"), ENTRY | JSON, max_size=4),
    st.integers(0, 100),
)
def test_what_the_header_reader_accepts_fills_the_file_exactly(declared, data_bytes):
    try:
        texts, entries = parse_header(json.dumps(declared).encode(), data_bytes)
    except ModelFormatError:
        return
    assert all(isinstance(text, str) for text in texts.values())
    covered = sorted(byte for e in entries for byte in range(e.begin, e.end))
    assert covered == list(range(data_bytes))
    for entry in entries:
        assert entry.end - entry.begin == np.prod(entry.shape, dtype=object) * entry.dtype.itemsize


@AT_ANY_SPEED
@given(st.data())
def test_no_document_makes_load_do_anything_else(files, tmp_path, data):
    kind = data.draw(st.sampled_from(sorted(MODELS)))
    document, arrays = parts(files[kind])
    place = document
    while True:
        name = data.draw(st.sampled_from(sorted(place)))
        if not (isinstance(place[name], dict) and place[name] and data.draw(st.booleans())):
            break
        place = place[name]
    place[name] = data.draw(
        JSON
        | st.dictionaries(
            st.sampled_from(["float", "tuple", "dict", "array", "generator", "random_state"]),
            JSON,
            min_size=1,
            max_size=1,
        )
    )
    path = tmp_path / "fuzzed"
    try:
        path.write_bytes(forge(document, arrays))
    except (ValueError, UnicodeEncodeError):
        return
    with contextlib.suppress(ModelFormatError):
        fastmlp.load(path)


def test_the_seal_is_what_the_writer_makes(files):
    content = files["network"]
    digest = json.loads(
        json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])["__metadata__"]["fastmlp"]
    )["sha256"]
    assert sealed(content.replace(digest.encode(), b"0" * 64)) == content
