"""Reductions over axes, and the one un-broadcast of the engine, ``sum_to``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval, Axes, Data, Shape, broadcast_shapes, normalize_axes
from ..core.families import Linear
from ..core.sampling import Sample, floats
from ..errors import ShapeError
from . import movement

V = TypeVar("V")


class SumTo(Linear):
    """y = x summed over the axes that broadcasting `shape` to x's shape would add or stretch."""

    shape: Shape

    def infer(self, *xs: Any) -> Aval:
        x = xs[0]
        if broadcast_shapes(x.shape, self.shape) != x.shape:
            raise ShapeError(
                "sum_to needs a shape that broadcasts to the operand's",
                expected=f"a shape that broadcasts to {x.shape}",
                got=f"{self.shape}",
            )
        return Aval(self.shape, _sum_dtype(x.dtype))

    def forward(self, *xs: Any) -> Any:
        x, shape = xs[0], self.shape
        lead = x.ndim - len(shape)
        axes = [*range(lead)]
        axes += [i for i, n in enumerate(shape, lead) if n == 1 and x.shape[i] != 1]
        return np.add.reduce(x, axis=tuple(axes), dtype=_sum_dtype(x.dtype)).reshape(shape)

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return movement.expand(ct, x.shape)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for big, small in (
            ((), ()), ((3,), ()), ((3,), (1,)), ((2, 3), (3,)), ((2, 3), (1, 3)),
            ((2, 3), (2, 1)), ((2, 3), (1, 1)), ((2, 3), ()), ((4, 2, 3), (2, 1)),
            ((0, 3), (3,)), ((0, 3), (1, 3)), ((2, 0, 3), (2, 1, 1)), ((2, 1, 3, 1, 2), (3, 1, 1)),
            ((2, 3), (2, 3)),
        ):  # fmt: skip
            yield Sample(cls(small), floats(big))


def sum_to(x: V, shape: Shape) -> V:
    """Sum `x` down to `shape`, over the axes along which `shape` would be broadcast to ``x.shape``.

    The transpose of ``expand``: cotangents of broadcast operands come back through it. Raises
    ShapeError unless `shape` broadcasts to ``x.shape``.
    """
    if x.shape == shape:  # type: ignore[attr-defined]  # V has a shape
        return x
    return apply(SumTo(tuple(shape)), x)


def _sum_dtype(dtype: Any) -> Any:
    """Sums of floats keep their dtype; truth values and integers are counted in int64."""
    return dtype if dtype.kind == "f" else np.dtype(np.int64)
