"""Contractions compiled and run on their own, and the same sums by NumPy in float64."""

from __future__ import annotations

import ctypes
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.compile.kernels import Apply, Const, Contraction, Expr, Load, Operand, Total
from chainrule.runtime import native
from chainrule.runtime.code import Code
from chainrule.runtime.target import Target

Array = np.ndarray[Any, Any]
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": np.add, "mul": np.multiply, "sub": np.subtract, "maximum": np.maximum,
    "gt": np.greater, "where": np.where, "tanh": np.tanh,
}  # fmt: skip


class Compiled:
    """Code in memory, to be called with the arrays of its slots and a range of tiles."""

    def __init__(self, code: Code, target: Target) -> None:
        self.tiles = code.tiles
        self._library = native.load({"kernel": native.compile_text(code.text, target)})
        types = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
        self._call = ctypes.CFUNCTYPE(None, *types)(self._library.address("kernel"))

    def bind(self, arrays: Sequence[Array]) -> Callable[[int, int], None]:
        """A function (lo, hi) that does those tiles. The table has the pointers in reverse."""
        count = len(arrays)
        table = (ctypes.c_int64 * count)(*[a.ctypes.data for a in reversed(arrays)])
        slots = (ctypes.c_int32 * count)(*reversed(range(count)))
        where = ctypes.addressof(table), ctypes.addressof(slots)

        def run(low: int, high: int, _alive: Any = (table, slots, arrays)) -> None:
            self._call(*where, low, high)

        return run


def view(flat: Array, offset: int, sizes: Sequence[int], strides: Sequence[int]) -> Array:
    """Elements of a flat array by strides of elements; all of them must be inside it."""
    if 0 in sizes:
        return np.empty(sizes, flat.dtype)
    index = np.full((1,) * len(sizes), offset)
    for d, (n, stride) in enumerate(zip(sizes, strides, strict=True)):
        shape = [1] * len(sizes)
        shape[d] = n
        index = index + (np.arange(n) * stride).reshape(shape)
    assert index.min() >= 0
    assert index.max() < flat.size, "an access outside of its array"
    return np.asarray(flat[index])


def _expression(expr: Expr, total: Array, arrays: Sequence[Array], sizes: Sequence[int]) -> Any:
    match expr:
        case Total():
            return total
        case Const(value):
            return value
        case Load(access):
            return view(arrays[access.slot], access.offset, sizes, access.strides)
        case Apply(function, args):
            return FUNCTIONS[function](*(_expression(a, total, arrays, sizes) for a in args))
    raise AssertionError(expr)


def expected(kernel: Contraction, arrays: Sequence[Array]) -> list[Array]:
    """The value of each store, of shape (*batch, *rows, columns), with sums in float64."""

    def operand(o: Operand, free: Sequence[int]) -> Array:
        sizes = (*kernel.batch, *free, *kernel.depth)
        found = view(arrays[o.slot], o.offset, sizes, (*o.batch, *o.free, *o.depth))
        batch, inner = math.prod(kernel.batch), math.prod(kernel.depth)
        return found.reshape(batch, math.prod(free), inner).astype(np.float64)

    sizes = (*kernel.batch, *kernel.rows, kernel.columns)
    left, right = operand(kernel.left, kernel.rows), operand(kernel.right, (kernel.columns,))
    total = np.einsum("brd,bcd->brc", left, right).reshape(sizes)
    return [
        np.broadcast_to(_expression(s.value, total, arrays, sizes), sizes) for s in kernel.stores
    ]


def strides_of(sizes: Sequence[int]) -> tuple[int, ...]:
    """Strides of a contiguous array."""
    return tuple(math.prod(sizes[d + 1 :]) for d in range(len(sizes)))


def span(offset: int, sizes: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """Lowest and highest element that an access touches."""
    ends = [(n - 1) * stride for n, stride in zip(sizes, strides, strict=True) if n]
    return offset + sum(min(0, e) for e in ends), offset + sum(max(0, e) for e in ends)


def parts(tiles: int, count: int) -> list[tuple[int, int]]:
    """The tiles in `count` ranges, the last range first."""
    edges = [tiles * i // count for i in range(count + 1)]
    return list(itertools.pairwise(edges))[::-1]
