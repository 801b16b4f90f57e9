"""LSTM, GRU and Elman layers against their equations, their gradients, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, ShapeError


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape)


def leaf(values: Any) -> cr.Tensor:
    return cr.tensor(np.asarray(values, dtype=np.float64), requires_grad=True)


def sigma(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def operands(gates: int, states: int, steps: int = 4, batch: int = 2) -> list[np.ndarray]:
    features, hidden = 3, 5
    shapes: list[tuple[int, ...]] = [(steps, batch, features), *[(batch, hidden)] * states]
    shapes += [(gates * hidden, features), (gates * hidden, hidden), *[(gates * hidden,)] * 2]
    return [draw(*s, seed=i) * 0.5 for i, s in enumerate(shapes)]


def test_lstm_is_its_equations_step_by_step() -> None:
    x, h, c, w, u, b, d = operands(4, 2)
    out, last, cell = cr.lstm(*map(cr.tensor, (x, h, c, w, u, b, d)))
    for t in range(4):
        i, f, g, o = np.split(x[t] @ w.T + b + h @ u.T + d, 4, axis=1)
        c = sigma(f) * c + sigma(i) * np.tanh(g)
        h = sigma(o) * np.tanh(c)
        np.testing.assert_allclose(out.numpy()[t], h, atol=1e-14)
    np.testing.assert_allclose(last.numpy(), h, atol=1e-14)
    np.testing.assert_allclose(cell.numpy(), c, atol=1e-14)


def test_gru_is_its_equations_step_by_step() -> None:
    x, h, w, u, b, d = operands(3, 1)
    out, last = cr.gru(*map(cr.tensor, (x, h, w, u, b, d)))
    for t in range(4):
        zr, zu, zn = np.split(x[t] @ w.T + b, 3, axis=1)
        ar, au, an = np.split(h @ u.T + d, 3, axis=1)
        keep = sigma(zu + au)
        h = (1 - keep) * np.tanh(zn + sigma(zr + ar) * an) + keep * h
        np.testing.assert_allclose(out.numpy()[t], h, atol=1e-14)
    np.testing.assert_allclose(last.numpy(), h, atol=1e-14)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_rnn_is_its_equation_step_by_step(nonlinearity: str) -> None:
    x, h, w, u, b, d = operands(1, 1)
    out, last = cr.rnn(*map(cr.tensor, (x, h, w, u, b, d)), nonlinearity=nonlinearity)
    for t in range(4):
        a = x[t] @ w.T + b + h @ u.T + d
        h = np.tanh(a) if nonlinearity == "tanh" else np.maximum(a, 0)
        np.testing.assert_allclose(out.numpy()[t], h, atol=1e-14)
    np.testing.assert_allclose(last.numpy(), h, atol=1e-14)


LAYERS = [(cr.lstm, 4, 2), (cr.gru, 3, 1), (cr.rnn, 1, 1)]


@pytest.mark.parametrize(("layer", "gates", "states"), LAYERS)
def test_recurrent_layers_pass_gradcheck(layer: Any, gates: int, states: int) -> None:
    inputs = tuple(leaf(v) for v in operands(gates, states, steps=3))
    assert cr.gradcheck(lambda *a: sum(cr.sum(y * y) for y in layer(*a)), inputs)
    assert cr.gradgradcheck(lambda *a: sum(cr.sum(y * y) for y in layer(*a)), inputs)


@pytest.mark.parametrize(("layer", "gates", "states"), LAYERS)
def test_biases_of_a_recurrent_layer_may_be_left_out(layer: Any, gates: int, states: int) -> None:
    *rest, b, d = operands(gates, states)
    zero = np.zeros_like(b)
    none = layer(*map(cr.tensor, rest))
    both = layer(*map(cr.tensor, rest), zero, zero)
    for y, want in zip(none, both, strict=True):
        np.testing.assert_allclose(y.numpy(), want.numpy(), atol=1e-15)
    one = layer(*map(cr.tensor, rest), b)
    np.testing.assert_allclose(one[0].numpy(), layer(*map(cr.tensor, rest), b, zero)[0].numpy())
    two = layer(*map(cr.tensor, rest), None, d)
    np.testing.assert_allclose(two[0].numpy(), layer(*map(cr.tensor, rest), zero, d)[0].numpy())


@pytest.mark.parametrize(("layer", "gates", "states"), LAYERS)
def test_last_state_alone_is_enough_for_all_gradients(layer: Any, gates: int, states: int) -> None:
    arrays = operands(gates, states)
    leaves = [leaf(v) for v in arrays]
    out, last = layer(*leaves)[:2]
    by_state = cr.gradients([cr.sum(last)], leaves)
    leaves = [leaf(v) for v in arrays]
    out = layer(*leaves)[0]
    by_output = cr.gradients([cr.sum(out[-1])], leaves)
    for a, b in zip(by_state, by_output, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-15)


def test_saturated_gates_do_not_overflow() -> None:
    arrays = [v * 1e4 for v in operands(4, 2)]
    leaves = [leaf(v) for v in arrays]
    out, _, _ = cr.lstm(*leaves)
    cr.sum(out).backward()
    assert all(np.isfinite(v.grad.numpy()).all() for v in leaves)


@pytest.mark.parametrize(("layer", "gates", "states"), LAYERS)
def test_recurrent_layers_name_operands_that_do_not_fit(
    layer: Any, gates: int, states: int
) -> None:
    good = operands(gates, states)
    for k, bad in [
        (0, np.ones((4, 2, 9))), (0, np.ones((4, 2))), (0, np.ones((0, 2, 3))),
        (1, np.ones((7, 5))), (1 + states, np.ones((3, 3))), (2 + states, np.ones((5, 4))),
    ]:  # fmt: skip
        arrays = [*good]
        arrays[k] = bad
        with pytest.raises(ShapeError) as caught:
            layer(*map(cr.tensor, arrays))
        assert "test_recurrent.py" in str(caught.value)


def test_rnn_refuses_another_nonlinearity() -> None:
    with pytest.raises(ArgumentError):
        cr.rnn(*map(cr.tensor, operands(1, 1)), nonlinearity="elu")
