"""Forecasts: what is compared with what, that nothing leaks, and that the network learns."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.data import TimeSeries, sunspots
from chainrule.errors import ArgumentError, DataError
from chainrule.uses.sequences import (
    Forecaster,
    ForecastErrors,
    ForecastTask,
    ForecastTraining,
    window_loss,
)


class Follows(cr.nn.Module):
    """A network that forecasts the last value plus 1, 2, …: right for a straight line."""

    def __init__(self, horizon: int, step: float) -> None:
        super().__init__()
        self.horizon, self.step = horizon, step

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        ahead = cr.arange(1, self.horizon + 1, dtype=cr.float32) * self.step
        return x[:, -1] + ahead


def line(count: int = 40, season: int = 4) -> TimeSeries:
    return TimeSeries("line", np.arange(count, dtype=float), season=season)


@pytest.mark.parametrize("iterated", [False, True])
@pytest.mark.parametrize("horizon", [1, 3, 8])
def test_each_held_back_value_is_forecast_from_every_distance(horizon: int, iterated: bool) -> None:
    task = ForecastTask.of(line(), window=5, horizon=horizon, iterated=iterated)
    model = Follows(task.outputs, 1 / task.scale.deviation)
    found = task.forecasts(model)
    truth = np.arange(32.0, 40.0)
    np.testing.assert_allclose(found, np.repeat(truth[:, None], horizon, 1), rtol=1e-5)
    np.testing.assert_allclose(task.future(model), np.arange(40.0, 40.0 + horizon), rtol=1e-5)


def test_naive_forecasts_know_only_what_lies_before_them() -> None:
    task = ForecastTask.of(line(), window=5, horizon=6)
    truth = np.arange(32.0, 40.0)[:, None]
    np.testing.assert_array_equal(truth - task.last_value(), np.tile(np.arange(1, 7), (8, 1)))
    np.testing.assert_array_equal(truth - task.seasonal(), np.tile([4, 4, 4, 4, 8, 8], (8, 1)))
    errors = ForecastErrors.of(task, Follows(6, 0.0))
    np.testing.assert_allclose(errors.model, errors.last_value, rtol=1e-4)
    np.testing.assert_allclose(errors.ratios, [1, 1, 1, 1, 1, 1], rtol=1e-4)


def test_the_ratio_is_to_the_better_naive_forecast() -> None:
    errors = ForecastErrors([1.0, 1.0, 1.0], [2.0, 4.0, 0.0], [4.0, 2.0, 1.0])
    assert errors.ratios == [0.5, 0.5, float("inf")]


def test_the_held_back_part_changes_nothing_in_training() -> None:
    rng = np.random.default_rng(0)
    values = rng.gamma(2.0, 30.0, 60)
    other = values.copy()
    other[48:] = rng.gamma(9.0, 90.0, 12)
    tasks = [
        ForecastTask.of(TimeSeries("own", v, signed=False), window=6, horizon=2)
        for v in (values, other)
    ]
    assert tasks[0].scale == tasks[1].scale
    for a, b in zip(tasks[0].training().arrays, tasks[1].training().arrays, strict=True):
        np.testing.assert_array_equal(a, b)
    last = tasks[0].scale.back(tasks[0].training().arrays[1][-1])
    np.testing.assert_allclose(last, values[46:48], rtol=1e-4)


def test_a_forecast_does_not_depend_on_what_comes_after() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=50)
    changed = values.copy()
    changed[45] += 100
    cr.manual_seed(0)
    model = Forecaster(2, hidden=4)
    found = [
        ForecastTask.of(TimeSeries("own", v), window=6, horizon=2).forecasts(model)
        for v in (values, changed)
    ]
    # Value 45 is the sixth that is held back: one-step forecasts up to its own cannot know it.
    np.testing.assert_array_equal(found[0][:6, 0], found[1][:6, 0])
    np.testing.assert_array_equal(found[0][:7, 1], found[1][:7, 1])
    assert (found[0][6:, 0] != found[1][6:, 0]).any()


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_noisy_wave_is_forecast_better_than_naively(cell: str) -> None:
    rng = np.random.default_rng(0)
    t = np.arange(160)
    wave = np.sin(2 * np.pi * t / 9) + 0.05 * rng.normal(size=160)
    task = ForecastTask.of(TimeSeries("wave", wave, season=7), window=10)
    cr.manual_seed(0)
    model = Forecaster(cell=cell, hidden=8, dropout=0.0)
    training = ForecastTraining(task, model, epochs=30, lr=2e-2)
    history = training.fit(seed=0)
    assert training.trainer.steps().is_compiled
    assert history["loss"][-1] < 0.1 * history["loss"][0]
    assert ForecastErrors.of(task, model).ratios[0] < 0.5


def test_the_same_seed_gives_the_same_bits() -> None:
    task = ForecastTask.of(line(), window=5)
    weights = []
    for _ in range(2):
        cr.manual_seed(3)
        model = Forecaster(hidden=4)
        ForecastTraining(task, model, epochs=2).fit(seed=3)
        weights.append([p.array for p in model.parameters()])
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_truncation_changes_the_gradient_but_not_the_loss(cell: str) -> None:
    windows = ForecastTask.of(line(), window=6).training()
    cr.manual_seed(0)
    model = Forecaster(cell=cell, hidden=4).eval()
    losses, gradients = [], []
    for bptt in (None, 6, 2):
        model.zero_grad()
        loss = window_loss(model, windows, bptt)
        loss.backward()
        losses.append(loss.item())
        gradients.append(model.recurrent.weight_hh_l0.grad.numpy())
    assert model.bptt is None
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-5)
    assert not np.allclose(gradients[0], gradients[2], rtol=1e-3)


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"cell": "grid"}, "cell"), ({"hidden": 0}, "hidden"), ({"horizon": -1}, "horizon"),
     ({"layers": 17}, "layers"), ({"dropout": 1.0}, "dropout"), ({"bptt": 0}, "bptt"),
     ({"hidden": 10**9}, "hidden"), ({"hidden": 2.0}, "hidden")],
)  # fmt: skip
def test_impossible_networks_are_refused(settings: dict, word: str) -> None:
    with pytest.raises(ArgumentError, match=word):
        Forecaster(**settings)


@pytest.mark.parametrize(
    "sizes", [{"window": 32}, {"window": 31, "horizon": 2}, {"window": 5, "horizon": 9}]
)
def test_windows_and_horizons_that_do_not_fit_are_refused(sizes: dict[str, int]) -> None:
    ForecastTask.of(line(), window=31)
    with pytest.raises(DataError):
        ForecastTask.of(line(), **sizes)


def test_a_constant_training_part_is_refused() -> None:
    values = np.r_[np.zeros(40), np.arange(10.0)]
    with pytest.raises(DataError, match="training part of own is constant"):
        ForecastTask.of(TimeSeries("own", values), window=5)


def test_the_window_is_two_seasons() -> None:
    assert ForecastTask.of(sunspots()).window == 22
    assert ForecastTask.of(line(season=1)).window == 8
