"""What the networks for sequences share: their recurrent layers, and the states these carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from ... import creation
from ...errors import ArgumentError
from ...nn.layers.recurrent import GRU, LSTM, RNN, RNNBase
from ...tensor import Tensor

State: TypeAlias = tuple[Tensor, ...]
"""(h, c) of an LSTM, (h,) of others; each of shape (layers, batch, hidden)."""

CELLS: Final[Mapping[str, Callable[..., RNNBase]]] = MappingProxyType(
    {"lstm": LSTM, "gru": GRU, "rnn": RNN}
)
"""The recurrent layers by the names that options give."""

_BOUNDS: Final = {
    "horizon": 10_000, "hidden": 4096, "layers": 16, "embedding": 4096, "characters": 4096,
    "bptt": 1_000_000,
}  # fmt: skip


def check_settings(cell: str, dropout: float, **sizes: int | None) -> None:
    """Raise ArgumentError for settings that no network has: they may come from a file."""
    if cell not in CELLS:
        raise ArgumentError("no such cell", expected=", ".join(CELLS), got=repr(cell)[:40])
    if not isinstance(dropout, (int, float)) or not 0 <= dropout < 1:
        raise ArgumentError(
            "a dropout probability lies between 0 and 1", got=f"dropout={dropout!r}"[:60]
        )
    for name, size in sizes.items():
        if size is not None and (type(size) is not int or not 1 <= size <= _BOUNDS[name]):
            raise ArgumentError(
                f"{name} is a whole number from 1 to {_BOUNDS[name]:,}", got=repr(size)[:40]
            )


def run(layer: RNNBase, x: Any, state: State | None) -> tuple[Any, State]:
    """The outputs of a recurrent layer and its final state, always a tuple."""
    given = None if state is None else state if layer.states == 2 else state[0]
    y, final = layer(x, given)
    return y, tuple(final) if layer.states == 2 else (final,)


def detached(state: State) -> State:
    """A state that gradients do not pass: here backpropagation through time is cut."""
    return tuple(part.detach() for part in state)


def zero_state(layer: RNNBase, batch: int) -> State:
    """The state before anything was read."""
    shape = (layer.num_layers, batch, layer.hidden_size)
    return tuple(creation.zeros(*shape) for _ in range(layer.states))
