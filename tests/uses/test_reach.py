"""How far the gradient reaches: against closed forms, finite differences and whole gradients."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.data import Windows
from chainrule.errors import DataError
from chainrule.uses.sequences import (
    CharacterModel,
    Forecaster,
    forecast_reach,
    forecast_truncations,
    gradient_reach,
    reach_chart,
    reached,
    text_reach,
    text_truncations,
)
from chainrule.uses.sequences.reach import powers


def test_norms_of_a_relu_network_are_powers_of_its_weight() -> None:
    layer = cr.nn.RNN(1, 1, nonlinearity="relu", bias=False)
    layer.weight_ih_l0.array = np.ones((1, 1), np.float32)
    layer.weight_hh_l0.array = np.full((1, 1), 0.5, np.float32)
    norms = gradient_reach(layer, cr.ones(6, 2, 1), lambda h: 3 * h.sum())
    assert norms == pytest.approx([3 * 0.5**k for k in range(6)])
    assert reached(norms) == 5
    assert reached(norms, 0.2) == 2


@pytest.mark.parametrize("kind", [cr.nn.LSTM, cr.nn.GRU])
def test_norms_are_those_of_finite_differences(kind) -> None:
    cr.manual_seed(0)
    layer = kind(2, 3, num_layers=2, dtype=cr.float64)
    x = cr.randn(4, 1, 2, dtype=cr.float64)
    weights = cr.randn(1, 3, dtype=cr.float64)
    found = gradient_reach(layer, x, lambda h: (h * weights).sum())
    before = 2
    _, state = layer(x[: 4 - before])
    parts = list(state) if kind is cr.nn.LSTM else [state]

    def end(parts: list[np.ndarray]) -> float:
        given = tuple(cr.tensor(p) for p in parts)
        y, _ = layer(x[4 - before :], given if kind is cr.nn.LSTM else given[0])
        return (y[-1] * weights).sum().item()

    total = 0.0
    arrays = [p.detach().numpy() for p in parts]
    for i, array in enumerate(arrays):
        for index in np.ndindex(array.shape):
            moved = []
            for sign in (1, -1):
                copy = array.copy()
                copy[index] += sign * 1e-5
                moved.append(end([*arrays[:i], copy, *arrays[i + 1 :]]))
            total += ((moved[0] - moved[1]) / 2e-5) ** 2
    assert found[before] == pytest.approx(np.sqrt(total), rel=1e-6)


@pytest.mark.parametrize("bptt", [1, 3, 5])
def test_truncated_gradients_end_where_time_is_cut(bptt: int) -> None:
    cr.manual_seed(0)
    layer = cr.nn.GRU(1, 4, batch_first=True)
    x = cr.randn(5, 3, 1)
    full = gradient_reach(layer, x, lambda h: h.sum())
    cut = gradient_reach(layer, x, lambda h: h.sum(), bptt=bptt)
    assert cut == pytest.approx(full[:bptt] + [0.0] * (5 - bptt))
    assert all(p.grad is None for p in layer.parameters())


def test_a_forecaster_of_full_length_is_not_truncated() -> None:
    windows = Windows(np.sin(np.arange(40.0)), 8)
    cr.manual_seed(0)
    model = Forecaster(hidden=6)
    norms = forecast_reach(model, windows)
    assert len(norms) == 8
    assert min(norms) > 0
    rows = forecast_truncations(model, windows, [1, 4, 8])
    assert [row.bptt for row in rows] == [1, 4, 8]
    assert rows[-1].cosine == pytest.approx(1)
    assert rows[0].cosine < rows[1].cosine < 1
    model.bptt = 3
    assert forecast_reach(model, windows)[2:] == pytest.approx([norms[2], 0, 0, 0, 0, 0])
    assert model.training
    assert model.bptt == 3


def test_a_character_model_is_measured_over_texts() -> None:
    codes = np.random.default_rng(0).integers(0, 5, 200)
    cr.manual_seed(0)
    model = CharacterModel(5, hidden=6, embedding=3)
    norms = text_reach(model, codes, 12)
    assert len(norms) == 12
    assert norms[-1] < norms[0]
    rows = text_truncations(model, codes, 12, powers(12))
    assert rows[-1].cosine == pytest.approx(1)
    with pytest.raises(DataError, match="too short"):
        text_reach(model, codes[:12], 12)


def test_the_picture_shows_each_curve_even_where_norms_are_zero() -> None:
    svg = reach_chart("reach", {"untrained": [1.0, 0.0], "trained": [1.0, 0.5]})
    assert svg.startswith("<svg")
    assert "untrained" in svg
    assert "NaN" not in svg


def test_lengths_are_powers_of_two_and_the_whole() -> None:
    assert [powers(n) for n in (1, 2, 3, 8)] == [[1], [1, 2], [1, 2, 3], [1, 2, 4, 8]]
