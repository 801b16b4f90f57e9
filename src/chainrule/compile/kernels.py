"""Kernels: loop nests over buffers, between the graph of ops and LLVM's text.

A Loop computes expressions for every point of a box and stores or folds them; a Contraction sums
products of two operands with the register-tiled micro-kernel; a Scan makes running sums, and a
Scatter writes to computed places. All address memory with one affine map per access, so layouts,
slices, broadcasting and windows are numbers here; a Lookup reads beside it, at a computed place.
Sizes and strides are constants of the generated code; the pointers are not, so kernels that only
differ in where they work are the same code.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..core.aval import DType

Sizes: TypeAlias = tuple[int, ...]


class Access(NamedTuple):
    """An element per point of the loops: ``pointer(slot)[offset + Σ strides[d] · i[d]]``.

    Strides and offset count elements. A stride of 0 repeats the element along that loop.
    """

    slot: int
    dtype: DType
    strides: Sizes
    offset: int = 0


class Load(NamedTuple):
    """The value found at `access`."""

    access: Access


class Const(NamedTuple):
    """One number of type `dtype`."""

    value: float | int | bool
    dtype: DType


class Index(NamedTuple):
    """The loop counter of dimension `dim`, as an int64."""

    dim: int


class Total(NamedTuple):
    """In the epilogue of a Contraction: the finished sum, of the contraction's dtype."""

    dtype: DType


class Apply(NamedTuple):
    """``function(*args)``, one of ``codegen.scalar``'s functions; args have the types it wants."""

    function: str
    args: tuple[Any, ...]
    dtype: DType


class Lookup(NamedTuple):
    """The element Σ steps[k] · args[k] behind `access`; args are int64, from 0 to limits[k] - 1.

    What is looked up outside is NaN, or 0 if it is no float; nothing is read there then. No limit
    is 0.
    """

    access: Access
    args: tuple[Any, ...]
    steps: Sizes
    limits: Sizes


Expr: TypeAlias = Load | Const | Index | Total | Apply | Lookup
"""A scalar expression. Equal expressions are computed once in a kernel."""


class Store(NamedTuple):
    """Write `value` at `access`, once for each point of the loops."""

    access: Access
    value: Expr


class Fold(NamedTuple):
    """Combine `value` over the reduced loops by `kind`, and write the result at `access`.

    `kind` is "add", "mul", "maximum" or "minimum" (NaN wins in the last two), or "or", "and" of
    bools. The strides of `access` are 0 along reduced loops.
    """

    kind: str
    access: Access
    value: Expr


class Loop(NamedTuple):
    """For every point of the box `sizes`, outermost dimension first: all stores and folds.

    ``reduced[d]`` says that folds run over dimension d. Stores happen in every point; a store may
    overwrite what a load of the same point reads (an update in place), never what another reads.
    """

    sizes: Sizes
    reduced: tuple[bool, ...]
    stores: tuple[Store, ...]
    folds: tuple[Fold, ...]
    slots: int

    @property
    def points(self) -> int:
        """Number of points of the box."""
        return math.prod(self.sizes)


class Operand(NamedTuple):
    """Where a Contraction finds a factor: strides along each of its kinds of loops, in elements."""

    slot: int
    batch: Sizes
    free: Sizes
    depth: Sizes
    offset: int = 0


class Frame(NamedTuple):
    """Where a coordinate of `left` lies outside of what is stored, `left` is zero.

    The coordinate is ``offset + Σ rows · row + Σ depth · step``, `size` are stored. One loop of
    depth moves it: its steps that only multiply zeros may be left out.
    """

    rows: Sizes
    depth: Sizes
    offset: int
    size: int

    def share(self, rows: Sizes, depth: Sizes) -> float:
        """How much of the products of two boxes lies inside."""
        places = np.array([self.offset])
        for factor, n in zip((*self.rows, *self.depth), (*rows, *depth), strict=True):
            if factor:
                places = np.add.outer(places, factor * np.arange(n)).ravel()
        return float(np.mean((places >= 0) & (places < self.size))) if places.size else 0.0


class Contraction(NamedTuple):
    """out[b, r, c] = epilogue(Σ_d left[b, r, d] · right[b, d, c]), all in `dtype`.

    `batch`, `rows` and `depth` are boxes, outermost dimension first; `columns` is one dimension,
    along which `right` and every store have stride 1 (or, in loads of the epilogue, 0). Matrix
    products, convolutions and their gradients are all of this form: a convolution's rows are
    (image, y, x), its depth (ky, kx, channel), and `left` has the image's strides for both.

    Loads and stores of the epilogue have strides along (*batch, *rows, columns). `frames` say which
    steps of depth are in the padding of a window, each for one coordinate. What lies at the
    addresses of `later` is not used: a kernel that comes soon reads it, so it may be fetched.
    """

    dtype: DType
    batch: Sizes
    rows: Sizes
    columns: int
    depth: Sizes
    left: Operand
    right: Operand
    stores: tuple[Store, ...]
    slots: int
    frames: tuple[Frame, ...] = ()
    later: tuple[Access, ...] = ()

    @property
    def products(self) -> int:
        """How many multiplications (and additions) it takes, those of `frames` left out.

        Each frame moves along loops of its own.
        """
        count = math.prod(self.batch) * math.prod(self.rows) * self.columns * math.prod(self.depth)
        return round(count * math.prod([f.share(self.rows, self.depth) for f in self.frames]))


class Scan(NamedTuple):
    """At each store, the values so far along dimension `dim`, combined one after the other.

    `kind` is "add" or "mul". Every partial result is rounded to the store's dtype, as in memory.
    """

    kind: str
    sizes: Sizes
    dim: int
    stores: tuple[Store, ...]
    slots: int

    @property
    def points(self) -> int:
        """Number of points of the box."""
        return math.prod(self.sizes)


class Scatter(NamedTuple):
    """For every point of the box `sizes`, each store's value goes to a computed place.

    That is Σ steps[k] · args[k] behind the store's access; if one of the args, int64, is not from 0
    to limits[k] - 1, nothing happens. With `kind` "add" the value is added to what is there, with
    "set" it replaces it. Points that differ in a `kept` dimension never meet in one place; those
    that do come in row-major order of the others.
    """

    kind: str
    sizes: Sizes
    kept: tuple[bool, ...]
    stores: tuple[Store, ...]
    args: tuple[Expr, ...]
    steps: Sizes
    limits: Sizes
    slots: int

    @property
    def points(self) -> int:
        """Number of points of the box."""
        return math.prod(self.sizes)


Kernel: TypeAlias = Loop | Contraction | Scan | Scatter
