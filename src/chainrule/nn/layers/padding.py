"""Layers that add a border. Widths are one number, or (before, after) for the last axis, …"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ...core.aval import describe
from ...errors import ArgumentError, ShapeError
from .. import functional
from ..module import Module
from . import expect


class _Pad(Module):
    """What the padding layers share: how many axes they pad, and with what."""

    axes: ClassVar[int]
    mode: ClassVar[str]
    value: float = 0.0

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        count = 2 * self.axes
        self.padding = (padding,) * count if isinstance(padding, int) else tuple(padding)
        if len(self.padding) != count:
            raise ArgumentError(
                f"{type(self).__name__} takes one width, or {count}", got=str(padding)
            )

    def forward(self, input: Any) -> Any:
        shape = expect.tensor(self, input)
        if self.mode != "constant" and len(shape) not in (self.axes + 1, self.axes + 2):
            raise ShapeError(
                f"{type(self).__name__} takes {self.axes + 2} axes, or one less without a batch",
                got=describe(input),
            )
        return functional.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return str(self.padding)


class _ConstantPad(_Pad):
    """What the constant paddings share: their value."""

    mode = "constant"

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """A border of `value` around the last axis."""

    axes = 1


class ConstantPad2d(_ConstantPad):
    """A border of `value` around the last two axes."""

    axes = 2


class ConstantPad3d(_ConstantPad):
    """A border of `value` around the last three axes."""

    axes = 3


class ZeroPad1d(_Pad):
    """A border of zeros around the last axis."""

    axes = 1
    mode = "constant"


class ZeroPad2d(_Pad):
    """A border of zeros around the last two axes.

    >>> cr.nn.ZeroPad2d((1, 2, 0, 1))(zeros(1, 1, 3, 3)).shape
    (1, 1, 4, 6)
    """

    axes = 2
    mode = "constant"


class ZeroPad3d(_Pad):
    """A border of zeros around the last three axes."""

    axes = 3
    mode = "constant"


class ReflectionPad1d(_Pad):
    """A border that mirrors the last axis, without the edge itself."""

    axes = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """A border that mirrors the last two axes, without the edge itself."""

    axes = 2
    mode = "reflect"


class ReflectionPad3d(_Pad):
    """A border that mirrors the last three axes, without the edge itself."""

    axes = 3
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """A border that repeats the edge of the last axis."""

    axes = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """A border that repeats the edge of the last two axes."""

    axes = 2
    mode = "replicate"


class ReplicationPad3d(_Pad):
    """A border that repeats the edge of the last three axes."""

    axes = 3
    mode = "replicate"


class CircularPad1d(_Pad):
    """A border that goes on at the other end of the last axis."""

    axes = 1
    mode = "circular"


class CircularPad2d(_Pad):
    """A border that goes on at the other end of the last two axes."""

    axes = 2
    mode = "circular"


class CircularPad3d(_Pad):
    """A border that goes on at the other end of the last three axes."""

    axes = 3
    mode = "circular"
