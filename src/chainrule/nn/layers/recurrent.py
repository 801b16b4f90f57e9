"""Recurrent layers over whole sequences, padded or packed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any, ClassVar

from ... import creation, ops
from ...core.aval import describe
from ...errors import ArgumentError, ShapeError
from .. import functional, init
from ..module import Module
from ..parameter import Parameter, blank
from ..utils.rnn import PackedSequence
from . import expect


class RNNBase(Module):
    """What RNN, LSTM and GRU share: stacked layers, two directions, dropout between layers.

    A subclass says how many gates a layer has and how many states it carries along, and computes
    one layer in one direction in ``_run``.
    """

    gates: ClassVar[int]
    states: ClassVar[int] = 1
    kinds: ClassVar[tuple[str, ...]] = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        expect.sizes(
            type(self).__name__,
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
        )
        expect.sizes(type(self).__name__, 0, proj_size=proj_size)
        if proj_size and (self.states == 1 or proj_size >= hidden_size):
            raise ArgumentError(
                f"{type(self).__name__} cannot project its state",
                expected="an LSTM, and proj_size below hidden_size",
                got=f"proj_size={proj_size}, hidden_size={hidden_size}",
            )
        if not 0 <= dropout <= 1:
            raise ArgumentError("a dropout probability lies between 0 and 1", got=f"{dropout=}")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        rows, width = self.gates * hidden_size, input_size
        for layer in range(num_layers):
            shapes = {
                "weight_ih": (rows, width),
                "weight_hh": (rows, self._state_size),
                "bias_ih": (rows,) if bias else None,
                "bias_hh": (rows,) if bias else None,
                "weight_hr": (proj_size, hidden_size) if proj_size else None,
            }
            for suffix in self._suffixes(layer):
                for kind, shape in shapes.items():
                    if shape is not None:
                        made = blank(*shape, dtype=dtype, device=device)
                        self.register_parameter(kind + suffix, made)
            width = self._state_size * self._directions
        self.reset_parameters()

    def _suffixes(self, layer: int) -> tuple[str, ...]:
        """The ends of the parameters' names, for each direction of a layer."""
        return (f"_l{layer}", f"_l{layer}_reverse")[: self._directions]

    @property
    def _state_size(self) -> int:
        return self.proj_size or self.hidden_size

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def reset_parameters(self) -> None:
        """Draw new initial values: uniform on ±1/√hidden_size, as in PyTorch."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Do nothing; there for PyTorch programs, which call it to prepare GPU memory."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        return [
            [
                getattr(self, kind + suffix)
                for kind in self.kinds
                if kind + suffix in self._parameters
            ]
            for layer in range(self.num_layers)
            for suffix in self._suffixes(layer)
        ]

    def _run(self, x: Any, state: Sequence[Any], weights: Sequence[Any]) -> tuple[Any, ...]:
        """One layer in one direction: (y, *final states) from x (T, N, I) and states (N, H)."""
        raise NotImplementedError

    def _forward(self, x: Any, initial: Sequence[Any] | None) -> tuple[Any, list[Any]]:
        """Outputs (T, N, D H), in the layout of `x`, and the final states (layers D, N, H)."""
        if isinstance(x, PackedSequence):
            return self._forward_packed(x, initial)
        expect.features(self, x, self.input_size, "input_size")
        if x.ndim not in (2, 3):
            raise ShapeError(
                f"{type(self).__name__} takes a sequence of axes "
                + ("(N, T, I)" if self.batch_first else "(T, N, I)")
                + ", or (T, I) without a batch",
                got=describe(x),
            )
        batched = x.ndim == 3
        if not batched:
            x = ops.unsqueeze(x, 1)
        elif self.batch_first:
            x = ops.transpose(x, 0, 1)
        x, states = self._stacked(x, None, self._initial(initial, x, x.shape[1], batched))
        if not batched:
            return ops.squeeze(x, 1), [ops.squeeze(s, 1) for s in states]
        return (ops.transpose(x, 0, 1) if self.batch_first else x), states

    def _forward_packed(
        self, packed: PackedSequence, initial: Sequence[Any] | None
    ) -> tuple[PackedSequence, list[Any]]:
        """The same for sequences without padding; states are in the order before packing."""
        x, sizes, order, back = packed
        expect.features(self, x, self.input_size, "input_size")
        counts = sizes.tolist()
        initial = self._initial(initial, x, counts[0], batched=True)
        if order is not None:
            initial = [ops.index_select(state, 1, order) for state in initial]
        y, states = self._stacked(x, counts, initial)
        if back is not None:
            states = [ops.index_select(state, 1, back) for state in states]
        return packed._replace(data=y), states

    def _stacked(
        self, x: Any, sizes: list[int] | None, initial: Sequence[Any]
    ) -> tuple[Any, list[Any]]:
        """All layers, over (T, N, I) or, with the `sizes` of steps, over packed rows."""
        finals: list[Sequence[Any]] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction, suffix in enumerate(self._suffixes(layer)):
                weights = [getattr(self, kind + suffix, None) for kind in self.kinds]
                first = [state[len(finals)] for state in initial]
                run = self._over_steps if sizes is None else self._over_rows
                y, final = run(x, sizes, first, weights, bool(direction))
                outputs.append(y)
                finals.append(final)
            x = ops.concatenate(outputs, -1) if self.bidirectional else outputs[0]
            if self.dropout and layer < self.num_layers - 1:
                x = functional.dropout(x, self.dropout, self.training)
        return x, [ops.stack([final[i] for final in finals]) for i in range(self.states)]

    def _over_steps(
        self, x: Any, sizes: list[int] | None, state: Any, weights: Sequence[Any], reverse: bool
    ) -> tuple[Any, Sequence[Any]]:
        """One layer in one direction; the backward one reads the sequence from its end."""
        y, *final = self._run(ops.flip(x, 0) if reverse else x, state, weights)
        return (ops.flip(y, 0) if reverse else y), final

    def _over_rows(
        self, x: Any, sizes: list[int] | None, state: Any, weights: Sequence[Any], reverse: bool
    ) -> tuple[Any, Sequence[Any]]:
        """``_over_steps`` on packed rows: one run for each stretch of steps of one batch size.

        Forward, sequences that end drop out of the batch and leave their state; backward, they
        join it with their initial state where they end.
        """
        stretches, start = [], 0
        for size, steps in groupby(sizes or ()):
            count = len(list(steps))
            stretches.append((start, count, size))
            start += count * size
        initial, outputs, ended, now = state, [], [], 0
        state = None if reverse else initial
        for start, count, size in reversed(stretches) if reverse else stretches:
            if reverse:
                fresh = [s[now:size] for s in initial]
                state = (
                    [ops.concatenate(pair) for pair in zip(state, fresh, strict=True)]
                    if now
                    else fresh
                )
            elif size < now:
                ended.append([s[size:] for s in state])
                state = [s[:size] for s in state]
            now = size
            rows = ops.reshape(x[start : start + count * size], (count, size, x.shape[1]))
            y, state = self._over_steps(rows, None, state, weights, reverse)
            outputs.append(ops.reshape(y, (count * size, y.shape[2])))
        parts = list(zip(state, *reversed(ended), strict=True))
        final = [ops.concatenate(part) if len(part) > 1 else part[0] for part in parts]
        return ops.concatenate(outputs[::-1] if reverse else outputs), final

    def _initial(self, given: Sequence[Any] | None, x: Any, batch: int, batched: bool) -> list[Any]:
        """The states (layers D, N, H) to start from: the given ones, or zeros."""
        layers = self.num_layers * self._directions
        sizes = (self._state_size, self.hidden_size)[: self.states]
        if given is None:
            return [creation.zeros(layers, batch, size, dtype=x.dtype) for size in sizes]
        for state, size in zip(given, sizes, strict=True):
            wanted = (layers, batch, size) if batched else (layers, size)
            if expect.tensor(self, state) != wanted:
                raise ShapeError(
                    f"{type(self).__name__} cannot start from this state",
                    expected=f"shape {wanted}: layers x directions, "
                    + ("batch, hidden_size" if batched else "hidden_size"),
                    got=describe(state),
                )
        return [state if batched else ops.unsqueeze(state, 1) for state in given]

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        for name, default in (
            ("num_layers", 1), ("bias", True), ("batch_first", False), ("dropout", 0.0),
            ("bidirectional", False), ("proj_size", 0),
        ):  # fmt: skip
            if getattr(self, name) != default:
                parts.append(f"{name}={getattr(self, name)}")
        return ", ".join(parts)


def check_nonlinearity(nonlinearity: str) -> None:
    """Raise ArgumentError for an activation function that RNN does not know."""
    if nonlinearity not in ("tanh", "relu"):
        raise ArgumentError(
            "unknown nonlinearity", expected="'tanh' or 'relu'", got=repr(nonlinearity)
        )


class RNN(RNNBase):
    """hₜ = tanh(W_ih xₜ + b_ih + W_hh hₜ₋₁ + b_hh), or relu; the Elman network.

    Shapes: x (T, N, input_size), (N, T, input_size) with `batch_first`, or (T, input_size);
    h_0 (layers · directions, N, hidden_size), zeros unless given. Returns the outputs
    (T, N, directions · hidden_size) of the last layer, and h_n, shaped as h_0.
    `dropout` acts on the outputs of every layer but the last.

    Source: Elman 1990; backpropagation through time, Werbos 1990.

    >>> y, h = cr.nn.RNN(4, 8)(zeros(5, 2, 4))
    >>> y.shape, h.shape
    ((5, 2, 8), (1, 2, 8))
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        check_nonlinearity(nonlinearity)
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0,
            device, dtype,
        )  # fmt: skip
        self.nonlinearity = nonlinearity

    def _run(self, x: Any, state: Sequence[Any], weights: Sequence[Any]) -> tuple[Any, ...]:
        w_ih, w_hh, b_ih, b_hh, _ = weights
        return ops.rnn(x, state[0], w_ih, w_hh, b_ih, b_hh, self.nonlinearity)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        y, (h_n,) = self._forward(input, None if hx is None else [hx])
        return y, h_n


class LSTM(RNNBase):
    """Long short-term memory: gates decide what a cell keeps, takes in and shows.

    i, f, o = σ(W_i* xₜ + b_i* + W_h* hₜ₋₁ + b_h*); g = tanh(likewise); cₜ = f ⊙ cₜ₋₁ + i ⊙ g;
    hₜ = o ⊙ tanh cₜ. The rows of weights and biases are the gates in the order i, f, g, o.

    Shapes as for RNN; the state is a pair (h_0, c_0), and so is the final one. With `proj_size` the
    hidden state is W_hr hₜ, of that size, in the outputs and in the next step (Sak et al. 2014).

    Source: Hochreiter & Schmidhuber 1997; forget gate, Gers et al. 2000.

    >>> y, (h, c) = cr.nn.LSTM(4, 8, num_layers=2, batch_first=True)(zeros(2, 5, 4))
    >>> y.shape, h.shape, c.shape
    ((2, 5, 8), (2, 2, 8), (2, 2, 8))
    """

    gates = 4
    states = 2

    def _run(self, x: Any, state: Sequence[Any], weights: Sequence[Any]) -> tuple[Any, ...]:
        out: tuple[Any, ...] = ops.lstm(x, *state, *weights)
        return out

    def forward(self, input: Any, hx: tuple[Any, Any] | None = None) -> tuple[Any, tuple[Any, Any]]:
        if hx is not None and (not isinstance(hx, (tuple, list)) or len(hx) != 2):
            raise ArgumentError("the state of an LSTM is a pair (h_0, c_0)", got=repr(type(hx)))
        y, (h_n, c_n) = self._forward(input, hx)
        return y, (h_n, c_n)


class GRU(RNNBase):
    """Gated recurrent unit.

    r, z = σ(W_i* xₜ + b_i* + W_h* hₜ₋₁ + b_h*); n = tanh(W_in xₜ + b_in + r ⊙ (W_hn hₜ₋₁ + b_hn));
    hₜ = (1 - z) ⊙ n + z ⊙ hₜ₋₁. The rows of weights and biases are the gates in the order r, z, n.
    Shapes as for RNN.

    Source: Cho et al. 2014, eq. 5-8, with the reset gate after the product, as in PyTorch.

    >>> y, h = cr.nn.GRU(4, 8, bidirectional=True)(zeros(5, 2, 4))
    >>> y.shape, h.shape
    ((5, 2, 16), (2, 2, 8))
    """

    gates = 3

    def _run(self, x: Any, state: Sequence[Any], weights: Sequence[Any]) -> tuple[Any, ...]:
        out: tuple[Any, ...] = ops.gru(x, *state, *weights[:4])
        return out

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        y, (h_n,) = self._forward(input, None if hx is None else [hx])
        return y, h_n
