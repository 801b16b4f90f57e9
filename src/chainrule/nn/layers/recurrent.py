"""Recurrent layers over whole sequences, and their cells for one step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from ... import creation, ops
from ...core.aval import describe
from ...errors import ArgumentError, ShapeError
from .. import functional, init
from ..module import Module
from ..parameter import Parameter, blank
from . import expect


class _Recurrent(Module):
    """What RNN, LSTM and GRU share: stacked layers, two directions, dropout between layers.

    A subclass says how many gates a layer has and how many states it carries along, and computes
    one layer in one direction in ``_run``.
    """

    gates: ClassVar[int]
    states: ClassVar[int] = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
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
        if not 0 <= dropout <= 1:
            raise ArgumentError("a dropout probability lies between 0 and 1", got=f"{dropout=}")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        self._names: list[tuple[str, ...]] = []
        rows = self.gates * hidden_size
        for layer in range(num_layers):
            width = input_size if layer == 0 else hidden_size * self._directions
            for suffix in ("", "_reverse")[: self._directions]:
                shapes: dict[str, tuple[int, ...]] = {
                    "weight_ih": (rows, width),
                    "weight_hh": (rows, hidden_size),
                }
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                names = {f"{kind}_l{layer}{suffix}": shape for kind, shape in shapes.items()}
                for name, shape in names.items():
                    self.register_parameter(name, blank(*shape, dtype=dtype, device=device))
                self._names.append(tuple(names))
        self.reset_parameters()

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
        return [[getattr(self, name) for name in names] for names in self._names]

    def _run(self, x: Any, state: Sequence[Any], weights: Sequence[Any]) -> tuple[Any, ...]:
        """One layer in one direction: (y, *final states) from x (T, N, I) and states (N, H)."""
        raise NotImplementedError

    def _forward(self, x: Any, initial: Sequence[Any] | None) -> tuple[Any, list[Any]]:
        """Outputs (T, N, D H), in the layout of `x`, and the final states (layers D, N, H)."""
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
        if initial is None:
            shape = (self.num_layers * self._directions, x.shape[1], self.hidden_size)
            initial = [creation.zeros(*shape, dtype=x.dtype)] * self.states
        else:
            initial = self._check_states(initial, x.shape[1], batched)
        finals: list[tuple[Any, ...]] = []
        for layer in range(self.num_layers):
            x, ends = self._layer(layer, x, initial)
            finals.extend(ends)
            if self.dropout and layer < self.num_layers - 1:
                x = functional.dropout(x, self.dropout, self.training)
        states = [ops.stack([final[i] for final in finals]) for i in range(self.states)]
        if not batched:
            return ops.squeeze(x, 1), [ops.squeeze(s, 1) for s in states]
        return (ops.transpose(x, 0, 1) if self.batch_first else x), states

    def _layer(
        self, layer: int, x: Any, initial: Sequence[Any]
    ) -> tuple[Any, list[tuple[Any, ...]]]:
        """One layer in all its directions; the backward one reads the sequence from its end."""
        outputs, finals = [], []
        for direction in range(self._directions):
            k = layer * self._directions + direction
            weights = [getattr(self, name) for name in self._names[k]]
            if not self.bias:
                weights += [None, None]
            seen = ops.flip(x, 0) if direction else x
            y, *final = self._run(seen, [state[k] for state in initial], weights)
            outputs.append(ops.flip(y, 0) if direction else y)
            finals.append(tuple(final))
        return (ops.concatenate(outputs, -1) if self.bidirectional else outputs[0]), finals

    def _check_states(self, initial: Sequence[Any], batch: int, batched: bool) -> list[Any]:
        layers = self.num_layers * self._directions
        wanted = (layers, batch, self.hidden_size) if batched else (layers, self.hidden_size)
        for state in initial:
            if expect.tensor(self, state) != wanted:
                raise ShapeError(
                    f"{type(self).__name__} cannot start from this state",
                    expected=f"shape {wanted}: layers x directions, "
                    + ("batch, hidden_size" if batched else "hidden_size"),
                    got=describe(state),
                )
        return [state if batched else ops.unsqueeze(state, 1) for state in initial]

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        for name, default in (
            ("num_layers", 1), ("bias", True), ("batch_first", False), ("dropout", 0.0),
            ("bidirectional", False),
        ):  # fmt: skip
            if getattr(self, name) != default:
                parts.append(f"{name}={getattr(self, name)}")
        return ", ".join(parts)


class RNN(_Recurrent):
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
        self._check_nonlinearity(nonlinearity)
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device,
            dtype,
        )  # fmt: skip
        self.nonlinearity = nonlinearity

    @staticmethod
    def _check_nonlinearity(nonlinearity: str) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(
                "unknown nonlinearity", expected="'tanh' or 'relu'", got=repr(nonlinearity)
            )

    def _run(self, x: Any, state: Sequence[Any], weights: Sequence[Any]) -> tuple[Any, ...]:
        w_ih, w_hh, b_ih, b_hh = weights
        return ops.rnn(x, state[0], w_ih, w_hh, b_ih, b_hh, self.nonlinearity)

    def forward(self, x: Any, h_0: Any = None) -> tuple[Any, Any]:
        y, (h_n,) = self._forward(x, None if h_0 is None else [h_0])
        return y, h_n


class LSTM(_Recurrent):
    """Long short-term memory: gates decide what a cell keeps, takes in and shows.

    i, f, o = σ(W_i* xₜ + b_i* + W_h* hₜ₋₁ + b_h*); g = tanh(likewise); cₜ = f ⊙ cₜ₋₁ + i ⊙ g;
    hₜ = o ⊙ tanh cₜ. The rows of weights and biases are the gates in the order i, f, g, o.

    Shapes as for RNN; the state is a pair (h_0, c_0), and so is the final one.

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

    def forward(self, x: Any, state: tuple[Any, Any] | None = None) -> tuple[Any, tuple[Any, Any]]:
        if state is not None and (not isinstance(state, (tuple, list)) or len(state) != 2):
            raise ArgumentError("the state of an LSTM is a pair (h_0, c_0)", got=repr(type(state)))
        y, (h_n, c_n) = self._forward(x, state)
        return y, (h_n, c_n)


class GRU(_Recurrent):
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
        out: tuple[Any, ...] = ops.gru(x, *state, *weights)
        return out

    def forward(self, x: Any, h_0: Any = None) -> tuple[Any, Any]:
        y, (h_n,) = self._forward(x, None if h_0 is None else [h_0])
        return y, h_n


class _Cell(Module):
    """What the cells share: one step of one layer."""

    gates: ClassVar[int]
    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        expect.sizes(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = self.gates * hidden_size
        self.weight_ih = blank(rows, input_size, dtype=dtype, device=device)
        self.weight_hh = blank(rows, hidden_size, dtype=dtype, device=device)
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, blank(rows, dtype=dtype, device=device) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values: uniform on ±1/√hidden_size, as in PyTorch."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _ready(self, x: Any, states: Sequence[Any | None]) -> tuple[bool, Any, list[Any]]:
        """Whether there is a batch; the input (1, N, I); the states (N, H)."""
        expect.features(self, x, self.input_size, "input_size")
        if x.ndim not in (1, 2):
            raise ShapeError(f"{type(self).__name__} takes (N, I) or (I)", got=describe(x))
        wanted = (*x.shape[:-1], self.hidden_size)
        ready = []
        for state in states:
            if state is not None and expect.tensor(self, state) != wanted:
                raise ShapeError(
                    f"{type(self).__name__} cannot start from this state",
                    expected=f"shape {wanted}",
                    got=describe(state),
                )
            ready.append(creation.zeros(*wanted, dtype=x.dtype) if state is None else state)
        batched = x.ndim == 2
        if not batched:
            x, ready = ops.unsqueeze(x, 0), [ops.unsqueeze(state, 0) for state in ready]
        return batched, ops.unsqueeze(x, 0), ready

    def _weights(self) -> tuple[Any, ...]:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(_Cell):
    """One step of an RNN: h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu.

    Shapes: x (N, input_size) or (input_size), h (N, hidden_size) or (hidden_size).
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        RNN._check_nonlinearity(nonlinearity)
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, x: Any, h: Any = None) -> Any:
        batched, x, states = self._ready(x, [h])
        w_ih, w_hh, b_ih, b_hh = self._weights()
        h = ops.rnn(x, states[0], w_ih, w_hh, b_ih, b_hh, self.nonlinearity)[1]
        return h if batched else ops.squeeze(h, 0)


class LSTMCell(_Cell):
    """One step of an LSTM: (h', c') from x and (h, c).

    >>> h, c = cr.nn.LSTMCell(4, 8)(zeros(2, 4))
    >>> h.shape, c.shape
    ((2, 8), (2, 8))
    """

    gates = 4

    def forward(self, x: Any, state: tuple[Any, Any] | None = None) -> tuple[Any, Any]:
        batched, x, states = self._ready(x, state or (None, None))
        _, h, c = ops.lstm(x, *states, *self._weights())
        return (h, c) if batched else (ops.squeeze(h, 0), ops.squeeze(c, 0))


class GRUCell(_Cell):
    """One step of a GRU: h' from x and h."""

    gates = 3

    def forward(self, x: Any, h: Any = None) -> Any:
        batched, x, states = self._ready(x, [h])
        h = ops.gru(x, *states, *self._weights())[1]
        return h if batched else ops.squeeze(h, 0)
