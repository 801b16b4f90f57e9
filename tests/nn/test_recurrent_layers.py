"""RNN, LSTM and GRU against loops written by hand, in every arrangement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, ShapeError

Weights = dict[str, Any]


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def rnn_step(x: Any, h: Any, w: Weights) -> tuple[Any, ...]:
    return (np.tanh(x @ w["weight_ih"].T + w["bias_ih"] + h @ w["weight_hh"].T + w["bias_hh"]),)


def lstm_step(x: Any, h: Any, c: Any, w: Weights) -> tuple[Any, ...]:
    z = x @ w["weight_ih"].T + w["bias_ih"] + h @ w["weight_hh"].T + w["bias_hh"]
    i, f, g, o = np.split(z, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_step(x: Any, h: Any, w: Weights) -> tuple[Any, ...]:
    a = np.split(x @ w["weight_ih"].T + w["bias_ih"], 3, -1)
    b = np.split(h @ w["weight_hh"].T + w["bias_hh"], 3, -1)
    r, z = sigmoid(a[0] + b[0]), sigmoid(a[1] + b[1])
    n = np.tanh(a[2] + r * b[2])
    return ((1 - z) * n + z * h,)


STEPS: dict[type[nn.Module], tuple[Callable[..., tuple[Any, ...]], int]] = {
    nn.RNN: (rnn_step, 1),
    nn.LSTM: (lstm_step, 2),
    nn.GRU: (gru_step, 1),
}


def by_hand(layer: Any, x: Any, initial: list[Any]) -> tuple[Any, list[Any]]:
    """Outputs and final states of a stacked, perhaps bidirectional, network, in plain NumPy."""
    step, count = STEPS[type(layer)]
    state = {name: p.detach().numpy() for name, p in layer.named_parameters()}
    directions = 2 if layer.bidirectional else 1
    finals: list[list[Any]] = [[] for _ in range(count)]
    for k in range(layer.num_layers):
        outputs = []
        for d in range(directions):
            suffix = f"_l{k}" + "_reverse" * d
            weights: Weights = {"bias_ih": 0.0, "bias_hh": 0.0}
            weights |= {
                name.removesuffix(suffix): value
                for name, value in state.items()
                if name in {f"{kind}{suffix}" for kind in (
                    "weight_ih", "weight_hh", "bias_ih", "bias_hh"
                )}
            }  # fmt: skip
            carried = tuple(s[k * directions + d] for s in initial)
            ys = []
            for row in x[::-1] if d else x:
                carried = step(row, *carried, weights)
                ys.append(carried[0])
            outputs.append(np.stack(ys[::-1] if d else ys))
            for i in range(count):
                finals[i].append(carried[i])
        x = np.concatenate(outputs, -1)
    return x, [np.stack(f) for f in finals]


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [True, False])
def test_layers_equal_a_loop_by_hand(
    kind: type[nn.Module], layers: int, bidirectional: bool, bias: bool
) -> None:
    layer: Any = kind(3, 4, num_layers=layers, bidirectional=bidirectional, bias=bias)
    layer.double()
    count = STEPS[kind][1]
    x = np.random.default_rng(0).normal(size=(5, 2, 3))
    initial = [
        np.random.default_rng(i).normal(size=(layers * (1 + bidirectional), 2, 4))
        for i in range(1, count + 1)
    ]
    given: Any = [cr.tensor(s) for s in initial]
    y, state = layer(cr.tensor(x), tuple(given) if count == 2 else given[0])
    expected, finals = by_hand(layer, x, initial)
    np.testing.assert_allclose(y.detach().numpy(), expected, atol=1e-12)
    for got, final in zip(state if count == 2 else [state], finals, strict=True):
        np.testing.assert_allclose(got.detach().numpy(), final, atol=1e-12)


def test_relu_can_take_the_place_of_tanh() -> None:
    layer = nn.RNN(2, 3, nonlinearity="relu")
    y, h = layer(cr.randn(4, 1, 2))
    assert y.detach().numpy().min() >= 0
    np.testing.assert_allclose(h.detach().numpy()[0], y.detach().numpy()[-1])


@pytest.mark.parametrize("kind", STEPS)
def test_batch_first_and_no_batch_are_the_same_numbers(kind: type[nn.Module]) -> None:
    layer: Any = kind(3, 4, num_layers=2, bidirectional=True)
    first: Any = kind(3, 4, num_layers=2, bidirectional=True, batch_first=True)
    first.load_state_dict(layer.state_dict())
    x = cr.randn(5, 2, 3)
    y, _ = layer(x)
    np.testing.assert_allclose(
        first(x.transpose(0, 1))[0].detach().numpy(), y.detach().numpy().swapaxes(0, 1), atol=1e-6
    )
    single, state = layer(x[:, 0])
    np.testing.assert_allclose(single.detach().numpy(), y.detach().numpy()[:, 0], atol=1e-6)
    h = state[0] if kind is nn.LSTM else state
    assert h.shape == (4, 4)
    again, _ = layer(x[:, 0], tuple(cr.zeros(4, 4) for _ in range(2)) if kind is nn.LSTM
                     else cr.zeros(4, 4))  # fmt: skip
    np.testing.assert_allclose(again.detach().numpy(), single.detach().numpy(), atol=1e-7)


@pytest.mark.parametrize(
    ("cell", "kind"), [(nn.RNNCell, nn.RNN), (nn.LSTMCell, nn.LSTM), (nn.GRUCell, nn.GRU)]
)
def test_a_cell_in_a_loop_is_the_layer(cell: Any, kind: Any) -> None:
    one, whole = cell(3, 4), kind(3, 4)
    whole.load_state_dict({f"{k}_l0": v for k, v in one.state_dict().items()})
    x = cr.randn(5, 2, 3)
    state: Any = None
    outputs = []
    for t in range(5):
        state = one(x[t], state)
        outputs.append((state[0] if cell is nn.LSTMCell else state).detach().numpy())
    np.testing.assert_allclose(np.stack(outputs), whole(x)[0].detach().numpy(), atol=1e-6)
    single = one(x[0, 0])
    single = single[0] if cell is nn.LSTMCell else single
    np.testing.assert_allclose(single.detach().numpy(), outputs[0][0], atol=1e-6)


def test_a_cell_without_bias_and_with_relu() -> None:
    cell = nn.RNNCell(2, 3, bias=False, nonlinearity="relu")
    assert [name for name, _ in cell.named_parameters()] == ["weight_ih", "weight_hh"]
    x = cr.randn(4, 2)
    np.testing.assert_allclose(
        cell(x).detach().numpy(),
        np.maximum(x.numpy() @ cell.weight_ih.detach().numpy().T, 0),
        atol=1e-6,
    )


def test_parameters_have_pytorchs_names_and_shapes() -> None:
    layer = nn.LSTM(3, 4, num_layers=2, bidirectional=True)
    shapes = {name: p.shape for name, p in layer.named_parameters()}
    assert list(shapes)[:8] == [
        "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_ih_l0_reverse",
        "weight_hh_l0_reverse", "bias_ih_l0_reverse", "bias_hh_l0_reverse",
    ]  # fmt: skip
    assert shapes["weight_ih_l0"] == (16, 3)
    assert shapes["weight_ih_l1_reverse"] == (16, 8)
    assert shapes["weight_hh_l1"] == (16, 4)
    assert [len(weights) for weights in layer.all_weights] == [4, 4, 4, 4]
    layer.flatten_parameters()
    assert len(list(nn.GRU(3, 4, bias=False).parameters())) == 2


def test_dropout_acts_between_layers_while_training() -> None:
    layer = nn.GRU(3, 8, num_layers=2, dropout=0.5)
    x = cr.randn(4, 2, 3)
    assert layer(x)[0].tolist() != layer(x)[0].tolist()
    layer.eval()
    assert layer(x)[0].tolist() == layer(x)[0].tolist()
    single = nn.GRU(3, 8, dropout=0.5)
    assert single(x)[0].tolist() == single(x)[0].tolist()


def test_gradients_reach_every_parameter_and_the_initial_state() -> None:
    layer = nn.LSTM(3, 4, num_layers=2, bidirectional=True)
    h, c = (cr.zeros(4, 2, 4, requires_grad=True) for _ in range(2))
    y, _ = layer(cr.randn(5, 2, 3), (h, c))
    (y * y).sum().backward()
    for leaf in (*layer.parameters(), h, c):
        assert leaf.grad is not None
        assert leaf.grad.numpy().any()


def test_states_that_do_not_fit_are_refused() -> None:
    layer = nn.LSTM(3, 4)
    x = cr.zeros(5, 2, 3)
    with pytest.raises(ArgumentError, match="pair"):
        layer(x, cr.zeros(1, 2, 4))
    with pytest.raises(ShapeError, match="cannot start from this state"):
        layer(x, (cr.zeros(1, 2, 4), cr.zeros(2, 2, 4)))
    with pytest.raises(ShapeError, match="cannot start from this state"):
        nn.GRU(3, 4)(x, cr.zeros(1, 3, 4))
    with pytest.raises(ShapeError, match="cannot start from this state"):
        nn.GRUCell(3, 4)(cr.zeros(2, 3), cr.zeros(3, 4))
