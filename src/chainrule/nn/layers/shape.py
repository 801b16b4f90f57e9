"""Layers that change the shape, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import ops
from ..module import Module
from . import expect


class Flatten(Module):
    """Joins the axes from `start_dim` to `end_dim` into one.

    >>> cr.nn.Flatten()(zeros(32, 64, 5, 5)).shape
    (32, 1600)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Any) -> Any:
        expect.tensor(self, input)
        return ops.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits the axis `dim` into axes of the sizes `unflattened_size`; one of them may be -1.

    >>> cr.nn.Unflatten(1, (3, 4))(zeros(2, 12)).shape
    (2, 3, 4)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Any) -> Any:
        expect.tensor(self, input)
        return ops.unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Identity(Module):
    """Returns its input. It takes any arguments and ignores them, to stand in for other layers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input
