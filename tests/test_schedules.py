"""Learning-rate rules that look ahead to the last epoch; the articles' are in test_trainer."""

from __future__ import annotations

import numpy as np
import pytest
from cases import make_classes

from fastmlp import Network, Trainer
from fastmlp.schedules import cosine, one_cycle, warmed_up


def test_cosine_falls_from_the_first_rate_towards_zero():
    rates = [cosine(0.2, 0, epoch, 8) for epoch in range(10)]
    np.testing.assert_allclose(rates[:8], 0.1 * (1 + np.cos(np.pi * np.arange(8) / 8)))
    assert rates[8] == rates[9] == 0


def test_one_cycle_rises_and_falls_as_in_pytorch():
    rates = np.array([one_cycle(0.5, 0, epoch, 101) for epoch in range(120)])
    assert rates[0] == pytest.approx(0.5 / 25)
    assert rates[30] == rates.max() == 0.5
    assert rates[100] == pytest.approx(0.5 / 250_000)
    assert (np.diff(rates[:31]) > 0).all()
    assert (np.diff(rates[30:101]) < 0).all()
    assert (rates[100:] == rates[100]).all()


@pytest.mark.parametrize("n_epochs", [1, 2, 3])
def test_short_cycles_have_finite_positive_rates(n_epochs):
    rates = [one_cycle(0.5, 0, epoch, n_epochs) for epoch in range(n_epochs + 1)]
    assert all(0 < rate <= 0.5 for rate in rates)


def test_warm_up_rises_in_equal_steps():
    assert [warmed_up(1.0, 3, epoch) for epoch in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert warmed_up(1.0, 0, 0) == 1.0


def test_trainer_lays_the_schedule_out_for_its_epochs():
    trainer = Trainer(Network((5, 2)), learning_rate=0.2, schedule="cosine", warmup=1)
    history = trainer.fit(*make_classes(60, 5, 2), n_epochs=4)
    expected = [cosine(0.2, 0, epoch, 4) for epoch in range(4)]
    expected[0] /= 2
    np.testing.assert_allclose(history["learning_rates"], expected)
    with pytest.raises(TypeError, match=r"warmup must be an integer; got 0\.5"):
        Trainer(Network((5, 2)), warmup=0.5)
