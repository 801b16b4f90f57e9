"""Sequences of unequal length: packing, padding, and recurrent layers over them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn.utils import rnn

LENGTHS = [2, 4, 1]


def sequences(seed: int = 0, grad: bool = False) -> list[cr.Tensor]:
    rng = np.random.default_rng(seed)
    return [cr.Tensor(rng.normal(size=(n, 3)), requires_grad=grad) for n in LENGTHS]


def test_packing_takes_step_by_step_the_longest_first() -> None:
    packed = rnn.pack_sequence([cr.tensor([1, 2, 3]), cr.tensor([4, 5]), cr.tensor([6])])
    assert packed.data.tolist() == [1, 4, 6, 2, 5, 3]
    assert packed.batch_sizes.tolist() == [3, 2, 1]
    assert packed.sorted_indices is None


@pytest.mark.parametrize("batch_first", [False, True])
def test_unpacking_undoes_packing(batch_first: bool) -> None:
    xs = sequences()
    padded = rnn.pad_sequence(xs, batch_first)
    packed = rnn.pack_padded_sequence(padded, cr.tensor(LENGTHS), batch_first, enforce_sorted=False)
    again, lengths = rnn.pad_packed_sequence(packed, batch_first)
    np.testing.assert_array_equal(again.numpy(), padded.numpy())
    assert lengths.tolist() == LENGTHS
    for x, y in zip(xs, rnn.unpack_sequence(packed), strict=True):
        np.testing.assert_array_equal(x.numpy(), y.numpy())
    longer = rnn.pad_packed_sequence(packed, padding_value=7.0, total_length=6)[0].numpy()
    assert longer.shape == (6, 3, 3)
    assert (longer[4:] == 7).all()


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("both", [False, True])
def test_packed_sequences_give_what_each_gives_alone(name: str, both: bool) -> None:
    layer: Any = getattr(nn, name)(3, 4, num_layers=2, bidirectional=both).double()
    together, alone = sequences(1, True), sequences(1, True)
    y, state = layer(rnn.pack_sequence(together, enforce_sorted=False))
    outputs = rnn.unpack_sequence(y)
    states = state if name == "LSTM" else (state,)
    for i, x in enumerate(alone):
        out, ends = layer(x)
        np.testing.assert_allclose(outputs[i].detach().numpy(), out.detach().numpy(), atol=1e-14)
        for end, s in zip(ends if name == "LSTM" else (ends,), states, strict=True):
            np.testing.assert_allclose(s[:, i].detach().numpy(), end.detach().numpy(), atol=1e-14)
        (out**2).sum().backward()
    (y.data**2).sum().backward()
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), atol=1e-13)


def test_padding_gets_no_gradient() -> None:
    x = cr.randn(4, 3, 2, requires_grad=True)
    y, _ = nn.GRU(2, 3)(rnn.pack_padded_sequence(x, [4, 2, 1]))
    y.data.sum().backward()
    assert (x.grad[2:, 1] == 0).all()
    assert (x.grad[1:, 2] == 0).all()
    assert (x.grad[:2, 1] != 0).any()


def test_wrong_lengths_are_refused() -> None:
    x = cr.zeros(4, 2, 1)
    with pytest.raises(ArgumentError, match="longest first"):
        rnn.pack_padded_sequence(x, [1, 4])
    for lengths in ([5, 1], [3, 0], [3]):
        with pytest.raises(ArgumentError, match="these lengths"):
            rnn.pack_padded_sequence(x, lengths)
    packed = rnn.pack_padded_sequence(x, [4, 1])
    with pytest.raises(ArgumentError, match="total_length"):
        rnn.pad_packed_sequence(packed, total_length=3)
    with pytest.raises(ArgumentError):
        rnn.pad_sequence([])
    with pytest.raises(ShapeError):
        rnn.pad_sequence([cr.zeros(2, 1), cr.zeros(2, 2)])
    with pytest.raises(ShapeError, match="cannot start"):
        nn.GRU(1, 2)(packed, cr.zeros(1, 3, 2))


def test_projected_states_have_their_own_size() -> None:
    layer = nn.LSTM(3, 6, num_layers=2, bidirectional=True, proj_size=2)
    y, (h, c) = layer(cr.randn(5, 4, 3))
    assert (y.shape, h.shape, c.shape) == ((5, 4, 4), (4, 4, 2), (4, 4, 6))
    assert layer.weight_hr_l1_reverse.shape == (2, 6)
    assert layer.weight_ih_l1.shape == (24, 4)
    with pytest.raises(ArgumentError, match="project"):
        nn.LSTM(3, 4, proj_size=4)


def test_truncated_backpropagation_stops_at_detach() -> None:
    layer = nn.LSTM(1, 2)
    first, second = cr.randn(3, 1, 1, requires_grad=True), cr.randn(3, 1, 1, requires_grad=True)
    _, state = layer(first)
    y, _ = layer(second, tuple(s.detach() for s in state))
    y.sum().backward()
    assert first.grad is None
    assert second.grad is not None
