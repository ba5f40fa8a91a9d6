"""Models to save, and model files made by hand, without the package's writer."""

from __future__ import annotations

import hashlib
import json
import struct
import warnings

import numpy as np
from estimator_data import blobs, multilabel, regression
from pipelines import of_columns, rows_for, scaled
from sklearn.pipeline import Pipeline

from fastmlp import MLPClassifier, MLPRegressor, MyANN, Network

CODES = {
    "float32": "F32",
    "float64": "F64",
    "int64": "I64",
    "uint64": "U64",
    "uint8": "U8",
    "int32": "I32",
}


def forge(document, arrays=(), *, header=None, tail=b""):
    """A file with a right checksum: `document` (dict), `arrays` by name, `header` changed by a
    function of the parsed header, `tail` behind everything."""
    entries, data = {}, b""
    for name, array in dict(arrays).items():
        begin, data = len(data), data + array.tobytes()
        entries[name] = {
            "dtype": CODES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [begin, len(data)],
        }
    text = json.dumps({"sha256": "0" * 64} | document, separators=(",", ":"))
    declared = {"__metadata__": {"fastmlp": text}} | entries
    if header is not None:
        declared = header(declared)
    raw = (
        declared
        if isinstance(declared, bytes)
        else json.dumps(declared, separators=(",", ":")).encode()
    )
    return sealed(struct.pack("<Q", len(raw)) + raw + data + tail)


def sealed(content):
    """The file with the checksum that it ought to have."""
    digest = hashlib.sha256(content).hexdigest().encode()
    return content.replace(b"0" * 64, digest, 1)


def taken_apart(content):
    """Document (without checksum) and arrays of a file, by its specification alone."""
    n = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + n])
    document = json.loads(header.pop("__metadata__")["fastmlp"])
    document.pop("sha256")
    names = {code: name for name, code in CODES.items()}
    arrays = {
        name: np.frombuffer(
            content[8 + n :][slice(*entry["data_offsets"])], names[entry["dtype"]]
        ).reshape(entry["shape"])
        for name, entry in header.items()
    }
    return document, arrays


def fitted(estimator, x, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(x, y)


SHORT = {"hidden_layer_sizes": (4, 3), "max_iter": 4, "random_state": 0}


def network():
    return Network((3, 4, 2), activation="tanh", output="softmax", dtype="float64", random_state=1)


def myann(**options):
    x, y = blobs(60, n_classes=3)
    defaults = {
        "n_hidden_layers": 1,
        "ay_nodes_layers": [0, 4, 0],
        "n_nodes_layer_out": 0,
        "n_epochs": 2,
        "random_state": 0,
        "b_verbose": False,
    }
    return MyANN((5 * x[:40] + 3, y[:40], 5 * x[40:] + 3, y[40:]), **defaults | options)


def classifier(**options):
    return fitted(MLPClassifier(**SHORT | options), *blobs())


def regressor(**options):
    return fitted(MLPRegressor(**SHORT | options), *regression())


def multilabel_classifier(**options):
    return fitted(MLPClassifier(**SHORT | options), *multilabel())


MODELS = {
    "network": network,
    "myann": myann,
    "classifier": classifier,
    "regressor": regressor,
    "multilabel": multilabel_classifier,
}
PIPELINES = {"pipeline": scaled, "columns": of_columns}
EVERYTHING = MODELS | PIPELINES


def predictions(model):
    """All that a model predicts, for rows that are the same every time."""
    names = ("predict", "predict_proba")
    if isinstance(model, Pipeline):
        x = rows_for(model)
        return {name: getattr(model, name)(x) for name in names if hasattr(model, name)}
    network = model if isinstance(model, Network) else getattr(model, "network_", None)
    n = network.sizes[0] if network is not None else model.network.sizes[0]
    x = np.random.default_rng(9).normal(size=(20, n)).astype(np.float32)
    return {name: getattr(model, name)(x) for name in names if hasattr(model, name)}
