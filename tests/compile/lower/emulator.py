"""Runs kernels with NumPy, one strided gather per access: an oracle for code generation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule import ops
from chainrule.compile.kernels import (
    Access,
    Apply,
    Const,
    Contraction,
    Index,
    Kernel,
    Load,
    Lookup,
    Loop,
    Scan,
    Scatter,
)
from chainrule.ops.error_function import gelu_slope, normal_cdf

FUNCTIONS: dict[str, Any] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative,
    "abs": np.abs, "maximum": np.maximum, "minimum": np.minimum, "where": np.where,
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal, "and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor,
    "not": np.logical_not, "sqrt": np.sqrt, "exp": np.exp, "log": np.log, "tanh": np.tanh,
    "pow": np.power, "floor": np.floor, "ceil": np.ceil, "log1p": np.log1p, "expm1": np.expm1,
    "sigmoid": ops.sigmoid, "rsqrt": lambda x: 1 / np.sqrt(x), "square": np.square,
    "bit_and": np.bitwise_and, "bit_or": np.bitwise_or, "bit_xor": np.bitwise_xor,
    "shl": np.left_shift, "shr": np.right_shift, "erf": ops.erf, "reciprocal": np.reciprocal,
    "isnan": np.isnan, "floor_divide": np.floor_divide, "remainder": np.remainder,
    "sin": np.sin, "cos": np.cos, "sign": np.sign, "round": np.round, "trunc": np.trunc,
    "normal_cdf": normal_cdf, "gelu_slope": gelu_slope, "bit_not": np.bitwise_not,
    "isinf": np.isinf, "isfinite": np.isfinite,
    "mulhi": lambda a, b: (a.astype(np.uint64) * b.astype(np.uint64) >> np.uint64(32)),
}  # fmt: skip
FOLDS = {"add": np.add, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum,
         "or": np.logical_or, "and": np.logical_and}  # fmt: skip


class Emulator:
    """Memory of one kernel: for each slot a flat array, and where in it the slot points to."""

    def __init__(self, arrays: Sequence[Any], origins: Sequence[int]) -> None:
        self.arrays = list(arrays)
        self.origins = list(origins)
        self.total: Any = None

    def run(self, kernel: Kernel) -> None:
        """Do what the kernel says, in place."""
        with np.errstate(all="ignore"):
            if isinstance(kernel, Loop):
                self._loop(kernel)
            elif isinstance(kernel, Scan):
                self._scan(kernel)
            elif isinstance(kernel, Scatter):
                self._scatter(kernel)
            else:
                self._contraction(kernel)

    def _loop(self, kernel: Loop) -> None:
        sizes = kernel.sizes
        writes = [(s.access, self._full(s.value, sizes)) for s in kernel.stores]
        axes = tuple(d for d, r in enumerate(kernel.reduced) if r)
        for fold in kernel.folds:
            value = self._full(fold.value, sizes)
            made = FOLDS[fold.kind].reduce(value, axis=axes, keepdims=True) if axes else value
            kept = tuple(1 if r else n for n, r in zip(sizes, kernel.reduced, strict=True))
            writes.append((fold.access, made.reshape(kept)))
        for access, value in writes:
            self._write(access, value, value.shape)

    def _scan(self, kernel: Scan) -> None:
        accumulate = FOLDS[kernel.kind].accumulate
        values = [
            (s.access, accumulate(self._full(s.value, kernel.sizes), kernel.dim))
            for s in kernel.stores
        ]
        for access, value in values:
            self._write(access, value.astype(access.dtype), kernel.sizes)

    def _scatter(self, k: Scatter) -> None:
        numbers = [self._full(arg, k.sizes) for arg in k.args]
        pairs = list(zip(numbers, k.limits, strict=True))
        inside = np.all([np.ones(k.sizes, bool), *((a >= 0) & (a < n) for a, n in pairs)], 0)
        for access, value in [(s.access, self._full(s.value, k.sizes)) for s in k.stores]:
            at = self._index(access, k.sizes)
            at = at + sum(a * step for a, step in zip(numbers, k.steps, strict=True))
            assert not inside.any() or at[inside].min() >= 0, "writes before its buffer"
            memory = self.arrays[access.slot]
            if k.kind == "set":
                for place, x in zip(at[inside], value[inside], strict=True):
                    memory[place] = x
            else:
                np.add.at(memory, at[inside], value[inside])

    def _contraction(self, k: Contraction) -> None:
        def part(operand: Any, strides: Any, sizes: Any) -> Any:
            return self._read(Access(operand.slot, k.dtype, strides, operand.offset), sizes)

        nb, nr, nd = len(k.batch), len(k.rows), len(k.depth)
        left = part(
            k.left, (*k.left.batch, *k.left.free, *k.left.depth), (*k.batch, *k.rows, *k.depth)
        )
        columns = (1,)
        right = part(
            k.right, (*k.right.batch, *columns, *k.right.depth), (*k.batch, k.columns, *k.depth)
        )
        b, r, d = (list(range(at, at + n)) for at, n in ((0, nb), (10, nr), (20, nd)))
        total = np.einsum(
            left.astype(np.float64), [*b, *r, *d], right.astype(np.float64), [*b, 30, *d],
            [*b, *r, 30],
        )  # fmt: skip
        self.total = total.astype(k.dtype)
        sizes = (*k.batch, *k.rows, k.columns)
        writes = [(s.access, self._full(s.value, sizes)) for s in k.stores]
        for access, value in writes:
            self._write(access, value, sizes)

    def _index(self, access: Access, sizes: Sequence[int]) -> Any:
        start = access.offset + self.origins[access.slot]
        total: Any = np.full((1,) * len(sizes), start, np.int64)
        for d, (n, stride) in enumerate(zip(sizes, access.strides, strict=True)):
            shape = tuple(n if e == d else 1 for e in range(len(sizes)))
            total = total + (np.arange(n) * stride).reshape(shape)
        return np.broadcast_to(total, tuple(sizes))

    def _read(self, access: Access, sizes: Sequence[int]) -> Any:
        at = self._index(access, sizes)
        assert at.size == 0 or at.min() >= 0, "reads before its buffer"
        return self.arrays[access.slot][at]

    def _look_up(self, e: Lookup, sizes: Sequence[int]) -> Any:
        numbers = [self._full(arg, sizes) for arg in e.args]
        found: Any = True
        for a, n in zip(numbers, e.limits, strict=True):
            found = found & (a >= 0) & (a < n)
        shift = sum(a * step for a, step in zip(numbers, e.steps, strict=True))
        at = np.where(found, self._index(e.access, sizes) + shift, 0)
        assert at.size == 0 or at.min() >= 0, "reads before its buffer"
        memory = self.arrays[e.access.slot]
        nothing = memory.dtype.type(np.nan if memory.dtype.kind == "f" else 0)
        return np.where(found, memory[at], nothing)

    def _write(self, access: Access, value: Any, sizes: Sequence[int]) -> None:
        at = self._index(access, sizes)
        assert at.size == 0 or at.min() >= 0, "writes before its buffer"
        assert len(np.unique(at)) == at.size, "two points write to one place"
        self.arrays[access.slot][at] = np.broadcast_to(value, tuple(sizes))

    def _full(self, e: Any, sizes: Sequence[int]) -> Any:
        return np.broadcast_to(self._value(e, sizes), tuple(sizes))

    def _value(self, e: Any, sizes: Sequence[int]) -> Any:
        if isinstance(e, Load):
            return self._read(e.access, sizes)
        if isinstance(e, Lookup):
            return self._look_up(e, sizes)
        if isinstance(e, Const):
            return np.asarray(e.value).astype(e.dtype)
        if isinstance(e, Index):
            shape = tuple(n if d == e.dim else 1 for d, n in enumerate(sizes))
            return np.arange(sizes[e.dim]).reshape(shape)
        if isinstance(e, Apply):
            args = [self._value(a, sizes) for a in e.args]
            if e.function == "cast":
                return np.asarray(args[0]).astype(e.dtype)
            return np.asarray(FUNCTIONS[e.function](*args)).astype(e.dtype, copy=False)
        return self.total
