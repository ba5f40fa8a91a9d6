"""The summary of a network: its numbers, its text, and its table in a notebook."""

from __future__ import annotations

import pickle
from html.parser import HTMLParser

import numpy as np
import pytest

import fastmlp
from fastmlp import Network
from fastmlp.network import Summary
from fastmlp.network.summary import format_bytes

NETWORK = Network((784, 70, 30, 10), activation=("relu", "tanh"), output="softmax")


def test_parameters_and_bytes_are_those_of_the_arrays():
    summary = NETWORK.summary()
    assert [layer.n_parameters for layer in summary.layers] == [w.size for w in NETWORK.weights]
    assert summary.n_parameters == NETWORK.parameters.size
    assert summary.n_bytes == NETWORK.parameters.nbytes
    assert Network((3, 2), dtype="float64").summary().n_bytes == 8 * 8


def test_layers_have_names_shapes_and_functions():
    summary = NETWORK.summary()
    assert summary.n_features == 784
    assert [(x.name, x.n_in, x.n_out, x.function) for x in summary.layers] == [
        ("hidden 1", 784, 70, "relu"),
        ("hidden 2", 70, 30, "tanh"),
        ("output", 30, 10, "softmax"),
    ]


def test_operations_are_those_of_the_products():
    """A product of (1, n_in) and (n_in, n_out) multiplies and adds n_in n_out times."""
    products = sum(w[:, 1:].size for w in NETWORK.weights)
    assert NETWORK.summary().flop == 2 * products


def test_text_has_a_line_per_layer_and_the_totals():
    assert str(NETWORK.summary()).splitlines() == [
        "layer      output shape   activation   parameters   FLOP per row",
        "----------------------------------------------------------------",
        "input          (n, 784)",
        "hidden 1        (n, 70)   relu             54,950        109,760",
        "hidden 2        (n, 30)   tanh              2,130          4,200",
        "output          (n, 10)   softmax             310            600",
        "57,390 float32 parameters, 224.2 KiB; 114,560 FLOP to predict a row",
    ]


def test_nothing_is_printed_and_the_interpreter_shows_the_table(capsys):
    summary = NETWORK.summary()
    assert capsys.readouterr().out == ""
    assert repr(summary) == str(summary)


class Cells(HTMLParser):
    """Texts of the cells of a table."""

    def __init__(self):
        super().__init__()
        self.texts = []

    def handle_data(self, data):
        self.texts.append(data)


def test_a_notebook_shows_the_same_cells():
    parser = Cells()
    parser.feed(NETWORK.summary()._repr_html_())
    lines = str(NETWORK.summary()).splitlines()
    assert " ".join(parser.texts) == " ".join(" ".join(lines[:1] + lines[2:]).split())


def test_a_network_without_hidden_layers_has_an_output_alone():
    assert [x.name for x in Network((5, 2)).summary().layers] == ["output"]


def test_a_shape_alone_has_a_summary_without_functions():
    summary = Summary.of((784, 70, 30, 10), np.dtype("float32"))
    assert summary.n_parameters == NETWORK.summary().n_parameters
    assert "relu" not in str(summary) and {x.function for x in summary.layers} == {""}


@pytest.mark.parametrize(
    "n_bytes, text",
    [
        (0, "0 bytes"),
        (1023, "1,023 bytes"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (5 << 20, "5.0 MiB"),
        (3 << 40, "3,072.0 GiB"),
    ],
)
def test_bytes_have_a_unit_that_suits_them(n_bytes, text):
    assert format_bytes(n_bytes) == text


def test_the_summary_of_an_estimator_is_that_of_its_network():
    X, y = np.eye(4), np.arange(4) % 2
    model = fastmlp.MLPRegressor(
        hidden_layer_sizes=(3,), max_iter=3, tol=1.0, n_iter_no_change=1
    ).fit(X, y)
    assert model.summary() == model._network().summary()


def test_a_summary_can_be_pickled():
    summary = NETWORK.summary()
    assert pickle.loads(pickle.dumps(summary)) == summary
