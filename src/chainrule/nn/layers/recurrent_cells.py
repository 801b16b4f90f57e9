"""Recurrent cells: one step of one layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from ... import creation, ops
from ...core.aval import describe
from ...errors import ShapeError
from .. import init
from ..module import Module
from ..parameter import Parameter, blank
from . import expect
from .recurrent import check_nonlinearity


class RNNCellBase(Module):
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


class RNNCell(RNNCellBase):
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
        check_nonlinearity(nonlinearity)
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Any = None) -> Any:
        batched, x, states = self._ready(input, [hx])
        w_ih, w_hh, b_ih, b_hh = self._weights()
        h = ops.rnn(x, states[0], w_ih, w_hh, b_ih, b_hh, self.nonlinearity)[1]
        return h if batched else ops.squeeze(h, 0)


class LSTMCell(RNNCellBase):
    """One step of an LSTM: (h', c') from x and (h, c).

    >>> h, c = cr.nn.LSTMCell(4, 8)(zeros(2, 4))
    >>> h.shape, c.shape
    ((2, 8), (2, 8))
    """

    gates = 4

    def forward(self, input: Any, hx: tuple[Any, Any] | None = None) -> tuple[Any, Any]:
        batched, x, states = self._ready(input, hx or (None, None))
        _, h, c = ops.lstm(x, *states, *self._weights())
        return (h, c) if batched else (ops.squeeze(h, 0), ops.squeeze(c, 0))


class GRUCell(RNNCellBase):
    """One step of a GRU: h' from x and h."""

    gates = 3

    def forward(self, input: Any, hx: Any = None) -> Any:
        batched, x, states = self._ready(input, [hx])
        h = ops.gru(x, *states, *self._weights())[1]
        return h if batched else ops.squeeze(h, 0)
