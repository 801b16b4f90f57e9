"""Loops compiled and run on their own, the same loops by NumPy, and random ones to compare."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.compile.codegen.source import generate
from chainrule.compile.kernels import (
    Access,
    Apply,
    Const,
    Expr,
    Fold,
    Index,
    Kernel,
    Load,
    Lookup,
    Loop,
    Store,
)
from chainrule.runtime import native
from chainrule.runtime.target import Target

Array = np.ndarray[Any, Any]
F32, F64, F16 = np.dtype("float32"), np.dtype("float64"), np.dtype("float16")
I64, U8, BOOL = np.dtype("int64"), np.dtype("uint8"), np.dtype("bool")
GUARD = 16
"""Elements before and behind every random array that no kernel may change."""


class Compiled:
    """A kernel in memory, to be called with the arrays of its slots."""

    def __init__(self, kernel: Kernel, target: Target) -> None:
        code = generate(kernel, target, "a test")
        self.tiles = code.tiles
        self._library = native.load({"kernel": native.compile_text(code.text, target)})
        types = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
        self._call = ctypes.CFUNCTYPE(None, *types)(self._library.address("kernel"))

    def __call__(
        self, arrays: Sequence[Array], parts: Sequence[tuple[int, int]] | None = None
    ) -> None:
        """Do all tiles, or the given parts one after the other. The table is in reverse."""
        count = len(arrays)
        table = (ctypes.c_int64 * count)(*[a.ctypes.data for a in reversed(arrays)])
        slots = (ctypes.c_int32 * count)(*reversed(range(count)))
        for low, high in parts or [(0, self.tiles)]:
            self._call(ctypes.addressof(table), ctypes.addressof(slots), low, high)


# By NumPy -----------------------------------------------------------------------------------------

FUNCTIONS = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "maximum": np.maximum,
    "gt": np.greater,
    "where": np.where,
    "sqrt": np.sqrt,
}
FOLDS = {
    "add": np.add,
    "mul": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "or": np.logical_or,
    "and": np.logical_and,
}


def view(arrays: Sequence[Array], access: Access, sizes: Sequence[int]) -> Array:
    """The elements of an access, one per point of the box."""
    base = arrays[access.slot].reshape(-1)[access.offset :]
    strides = [s * access.dtype.itemsize for s in access.strides]
    return np.lib.stride_tricks.as_strided(base, tuple(sizes), strides)


def evaluated(expr: Expr, arrays: Sequence[Array], sizes: Sequence[int]) -> Array:
    """The values of an expression, one per point of the box."""
    match expr:
        case Load(access):
            return view(arrays, access, sizes).copy()
        case Const(value, dtype):
            return np.full(tuple(sizes), value, dtype)
        case Index(dim):
            shape = [-1 if d == dim else 1 for d in range(len(sizes))]
            return np.broadcast_to(np.arange(sizes[dim]).reshape(shape), tuple(sizes))
        case Apply(function, args, dtype):
            with np.errstate(all="ignore"):
                values = [evaluated(a, arrays, sizes) for a in args]
                return np.asarray(FUNCTIONS[function](*values)).astype(dtype)
        case Lookup(access, args, steps, limits):
            numbers = [evaluated(a, arrays, sizes) for a in args]
            pairs = zip(numbers, limits, strict=True)
            found = np.all(
                [np.ones(tuple(sizes), bool), *((a >= 0) & (a < n) for a, n in pairs)], 0
            )
            shift = sum(a * step for a, step in zip(numbers, steps, strict=True))
            places = np.full(tuple(sizes), access.offset, np.int64) + np.where(found, shift, 0)
            for d, stride in enumerate(access.strides):
                shape = [-1 if e == d else 1 for e in range(len(sizes))]
                places += (np.arange(sizes[d]) * stride).reshape(shape)
            nothing = access.dtype.type(math.nan if access.dtype.kind == "f" else 0)
            return np.where(found, arrays[access.slot].reshape(-1)[places], nothing)
    raise AssertionError(expr)


def run_by_numpy(kernel: Loop, arrays: Sequence[Array]) -> None:
    """What the kernel must do to the arrays; sums of floats are made in float64."""
    sizes = kernel.sizes
    stores = [evaluated(s.value, arrays, sizes) for s in kernel.stores]
    folds = [evaluated(f.value, arrays, sizes) for f in kernel.folds]
    axes = tuple(d for d, r in enumerate(kernel.reduced) if r)
    for store, value in zip(kernel.stores, stores, strict=True):
        view(arrays, store.access, sizes)[...] = value
    for fold, value in zip(kernel.folds, folds, strict=True):
        start = {"maximum": -math.inf, "minimum": math.inf}.get(fold.kind)
        if start is not None and value.dtype.kind != "f":
            limits = np.iinfo(value.dtype) if value.dtype.kind != "b" else None
            start = (limits.min if fold.kind == "maximum" else limits.max) if limits else None
        if value.dtype.kind == "f" and fold.kind in ("add", "mul"):
            value = value.astype(F64)
        with np.errstate(all="ignore"):
            result = FOLDS[fold.kind].reduce(
                value, axis=axes, keepdims=True, **({} if start is None else {"initial": start})
            )
        kept = [1 if r else n for n, r in zip(sizes, kernel.reduced, strict=True)]
        with np.errstate(all="ignore"):
            view(arrays, fold.access, kept)[...] = result.astype(fold.access.dtype)


# At random ----------------------------------------------------------------------------------------


class Random:
    """Makes random loops and the arrays they work on."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.arrays: list[Array] = []

    def loop(self) -> Loop:
        """A loop with a few stores and folds; `arrays` are its slots."""
        rng = self.rng
        ndim = int(rng.integers(0, 6))
        pool = [1, 2, 3, 4, 5, 7, 8, 13, 16, 17, 31, 33, 64, 100, 257]
        self.sizes: list[int] = []
        for _ in range(ndim):
            room = 20000 // max(1, math.prod(self.sizes))
            self.sizes.append(int(rng.choice([n for n in pool if n <= room] or [1])))
        if ndim and rng.random() < 0.05:
            self.sizes[rng.integers(ndim)] = 0
        self.reduced = [bool(rng.random() < 0.5) for _ in self.sizes]
        stores, folds = [], []
        for _ in range(int(rng.integers(0, 3))):
            dtype = np.dtype(rng.choice([F32, F32, F64, F16, I64, U8, BOOL]))
            stores.append(Store(self.access(dtype, written=True), self.expr(dtype, 3)))
        if rng.random() < 0.3 and stores:
            target = stores[0].access  # in place
            inside = Apply("add", (Load(target), stores[0].value), target.dtype)
            if target.dtype.kind != "b":
                stores[0] = Store(target, inside)
        for _ in range(int(rng.integers(0 if stores else 1, 3))):
            dtype = np.dtype(rng.choice([F32, F32, F64, F16, I64, U8, BOOL]))
            kinds = ["or", "and"] if dtype == BOOL else ["add", "add", "maximum", "minimum"]
            factors = math.prod(n for n, r in zip(self.sizes, self.reduced, strict=True) if r)
            if dtype.kind in "iu" or factors <= 12:  # long products overflow in some orders only
                kinds.append("mul")
            access = self.access(dtype, written=True, folded=True)
            folds.append(Fold(str(rng.choice(kinds)), access, self.expr(dtype, 2)))
        return Loop(
            tuple(self.sizes), tuple(self.reduced), tuple(stores), tuple(folds), len(self.arrays)
        )

    def access(self, dtype: np.dtype[Any], *, written: bool, folded: bool = False) -> Access:
        """An access to an array of its own, of any layout."""
        rng, ndim = self.rng, len(self.sizes)
        strides, extent, low = [0] * ndim, 1, 0
        order = range(ndim)[::-1] if rng.random() < 0.6 else rng.permutation(ndim)
        for d in order:
            if (folded and self.reduced[d]) or (not written and rng.random() < 0.2):
                continue
            step = extent if rng.random() < 0.8 else 2 * extent
            sign = -1 if rng.random() < 0.15 else 1
            strides[d] = sign * step
            reach = step * max(0, self.sizes[d] - 1)
            low += reach if sign < 0 else 0
            extent += reach
        array = rng.standard_normal(extent + 2 * GUARD) * 2
        self.arrays.append(
            (array > 0 if dtype == BOOL else np.abs(array) if dtype == U8 else array).astype(dtype)
        )
        return Access(len(self.arrays) - 1, dtype, tuple(strides), GUARD + low)

    def expr(self, dtype: np.dtype[Any], depth: int) -> Expr:
        """An expression of a dtype."""
        rng = self.rng
        pick = rng.random()
        if depth == 0 or pick < 0.15:
            if pick < 0.03:
                return Const(1 if dtype == BOOL else 2, dtype)
            if dtype == I64 and self.sizes and pick < 0.1:
                return Index(int(rng.integers(len(self.sizes))))
            return Load(self.access(dtype, written=False))
        if dtype == BOOL:
            of = np.dtype(rng.choice([F32, F64, F16, I64]))
            return Apply("gt", (self.expr(of, depth - 1), self.expr(of, depth - 1)), BOOL)
        if pick < 0.25:
            args = (self.expr(BOOL, depth - 1), *(self.expr(dtype, depth - 1) for _ in "ab"))
            return Apply("where", args, dtype)
        a = self.expr(dtype, depth - 1)
        b = a if rng.random() < 0.15 else self.expr(dtype, depth - 1)
        names = ["add", "sub", "mul"] + (["maximum", "div"] if dtype.kind == "f" else [])
        return Apply(str(rng.choice(names)), (a, b), dtype)
