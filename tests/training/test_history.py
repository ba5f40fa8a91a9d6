"""History as a mapping, and as JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastmlp import History


def filled():
    history = History()
    for epoch in range(2):
        values = {name: float(epoch) for name in history}
        values |= {
            name: np.array([epoch, epoch + 0.5]) for name in ("costs", "errors", "reg_share")
        }
        history.append(**values | {"val_accuracy": np.nan})
    return history


def test_per_batch_entries_have_epochs_as_rows():
    history = filled()
    assert history.n_epochs == 2
    np.testing.assert_array_equal(history["costs"], [[0, 0.5], [1, 1.5]])
    np.testing.assert_array_equal(history["learning_rates"], [0, 1])
    assert (history.last("costs"), history.last("learning_rates")) == (1.5, 1.0)


def test_first_epochs_make_a_history_again():
    history = filled()
    again = History.of({name: history.first(name, 1) for name in history})
    assert again.n_epochs == 1
    for name in history:
        np.testing.assert_array_equal(again[name], history[name][:1])
    empty = History.of({name: history.first(name, 0) for name in history})
    assert empty.n_epochs == 0 and empty["costs"].shape == (0, 0)
    columns = dict(history)
    with pytest.raises(ValueError, match="'errors' must be float64 of shape"):
        History.of(columns | {"errors": np.zeros((2, 3))})
    with pytest.raises(KeyError):
        History.of({name: array for name, array in columns.items() if name != "val_cost"})


def test_an_epoch_that_is_half_written_is_not_shown():
    history = filled()
    history._rows["costs"].append(np.zeros(2))  # Ctrl-C in the middle of `append`
    assert {len(history[name]) for name in history} == {2}


def test_last_mean_is_the_mean_over_the_last_epochs_batches():
    assert filled().last_mean("costs") == 1.25


def test_empty_history_has_empty_arrays():
    history = History()
    assert {name: history[name].shape for name in ("costs", "epoch_seconds")} == {
        "costs": (0, 0),
        "epoch_seconds": (0,),
    }


def test_json_has_null_where_nothing_was_measured():
    loaded = json.loads(json.dumps(filled().to_dict(), allow_nan=False))
    assert loaded["val_accuracy"] == [None, None]
    assert loaded["costs"] == [[0, 0.5], [1, 1.5]]


def test_incomplete_epoch_is_refused():
    with pytest.raises(TypeError, match=r"an epoch needs \['batch_accuracy', .*; got \['costs'\]"):
        History().append(costs=[1.0])


def test_repr_counts_epochs():
    assert repr(filled()).startswith("History(2 epochs: costs, errors,")
