"""The package's exceptions say where and what to try, and survive pickling."""

from __future__ import annotations

import copy
import pickle

import pytest

from fastmlp.exceptions import DataFormatError, DivergenceError, ResumeError

HELP = "What helps: https://fastmlp.readthedocs.io/en/stable/guide/errors.html#{}"


def test_errors_that_need_more_than_a_sentence_name_a_page_in_a_note() -> None:
    error = ResumeError("run", {"l2": ("0.0", "0.1")})
    for again in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert str(again) == "cannot resume from 'run': l2 was 0.0, is now 0.1"
        assert again.__notes__ == [HELP.format("resumeerror")]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_exceptions_survive_pickling(protocol: int) -> None:
    error = DivergenceError(epoch=3, batch=17, learning_rate=0.5, cause="the loss is odd")
    error.add_note("in study moons")
    for again in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error)):
        assert type(again) is DivergenceError
        assert (again.epoch, again.batch, again.learning_rate) == (3, 17, 0.5)
        assert again.cause == "the loss is odd"
        assert str(again) == str(error)
        assert again.__notes__ == [HELP.format("divergenceerror"), "in study moons"]
    data_error = pickle.loads(pickle.dumps(DataFormatError("bad file"), protocol))
    assert str(data_error) == "bad file"


def test_divergence_says_where_and_what_to_try() -> None:
    match = (
        r"epoch 3, batch 17 \(both counted from 0\) at learning rate 0\.5: .*"
        r"Scale the input .* or lower the learning rate\. The last finite weights are kept\."
    )
    with pytest.raises(ArithmeticError, match=match):
        raise DivergenceError(epoch=3, batch=17, learning_rate=0.5)


def test_divergence_names_its_cause_instead_where_that_is_known() -> None:
    error = DivergenceError(epoch=0, batch=1, learning_rate=0.5, cause="the loss is odd")
    assert "learning rate 0.5: the loss is odd. The last finite" in str(error)
    assert "lower" not in str(error)


def test_a_data_format_error_is_a_value_error() -> None:
    assert issubclass(DataFormatError, ValueError)
    assert issubclass(DivergenceError, ArithmeticError)
