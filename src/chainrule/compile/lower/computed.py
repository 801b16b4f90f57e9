"""Vocabulary for what is not affine: places that are computed, running sums, positions of maxima.

What an index names outside of its axis is not read or written. A compiled program cannot raise, so
the result is NaN there (0 if it is no float), and nothing is added.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...core.aval import Shape
from ...ops.window import Window
from . import nodes
from .nodes import Affine, Lookup, Node, Place, Scalar, Scan, Scatter, View, identity
from .places import box

if TYPE_CHECKING:
    from .builder import Lowering

_INT64 = np.dtype(np.int64)


def index(k: Lowering, x: Node, shape: Shape, at: int = 0) -> Node:
    """Integers as int64, whose axes lie along those of a box of `shape` from `at` on."""
    unit = identity(len(shape))
    zero = Affine(0, (0,) * len(shape))
    place = tuple(zero if n == 1 else unit[at + a] for a, n in enumerate(x.shape))
    return k.view(k.cast(x, _INT64), shape, place)


def along(
    k: Lowering,
    rank: int,
    dims: Sequence[int | None],
    starts: Sequence[int] = (),
    steps: Sequence[int] = (),
) -> Place:
    """Coordinates ``start + step · i[d]`` of the points i of a box of `rank` dimensions.

    One for each of `dims`; for None it is the start. Starts are 0 and steps 1 unless given.
    """
    out = []
    for n, d in enumerate(dims):
        step = steps[n] if steps else 1
        factors = tuple(step if e == d else 0 for e in range(rank))
        out.append(Affine(starts[n] if starts else 0, factors))
    return tuple(out)


def counted_back(k: Lowering, index: Node, n: int) -> Node:
    """`index` with n added to negative numbers."""
    negative = k.apply("lt", index, k.number(0), dtype=k.boolean)
    return k.apply("where", negative, k.scaled(index, 1, n), index, dtype=_INT64)


def number(k: Lowering, n: int) -> Node:
    """An int64 without dimensions."""
    return k.full(n, _INT64, ())


def scaled(k: Lowering, x: Node, factor: int, plus: int = 0) -> Node:
    """``factor · x + plus`` of int64."""
    if factor != 1:
        x = k.apply("mul", x, k.number(factor))
    return k.apply("add", x, k.number(plus)) if plus else x


def within(k: Lowering, x: Node, n: int) -> Node:
    """Whether an int64 is from 0 to n - 1."""
    low = k.apply("ge", x, k.number(0), dtype=k.boolean)
    return k.apply("and", low, k.apply("lt", x, k.number(n), dtype=k.boolean))


def look_up(k: Lowering, x: Node, shape: Shape, place: Place, index: dict[int, Node]) -> Node:
    """``y[i] = x[place(i)]``, but along axes that `index` has, at what it says there.

    Its nodes are int64, of the result's shape; `place` is fixed along their axes.
    """
    limits = [x.shape[a] for a in index]
    if 0 in limits or 0 in shape:
        return k.full(math.nan if x.dtype.kind == "f" else 0, x.dtype, shape)
    if not index:
        return k.view(x, shape, place)
    steps = _steps(x.shape, index)
    if isinstance(x, View):
        at = nodes.compose(x.place, place, len(shape))
        steps = [
            tuple(sum(f * s for f, s in zip(a.factors, step, strict=True)) for a in x.place)
            for step in steps
        ]
        return Lookup(shape, x.arg, at, list(index.values()), steps, limits)
    return Lookup(shape, x, place, list(index.values()), steps, limits)


def put(k: Lowering, kind: str, base: Node, x: Node, place: Place, index: dict[int, Node]) -> Node:
    """`base` with ``x[i]`` added or, if `kind` is "set", written at ``place(i)``, in order.

    Along axes that `index` has, where it says; its nodes are int64, of the shape of x.
    """
    limits = [base.shape[a] for a in index]
    if 0 in x.shape or 0 in limits:
        return base
    kept = [False] * len(x.shape)
    for axis, at in enumerate(place):
        moving = [d for d, f in enumerate(at.factors) if f]
        if axis not in index and len(moving) == 1:
            kept[moving[0]] = True
    steps = _steps(base.shape, index)
    return Scatter(kind, base, x, place, list(index.values()), steps, limits, kept)


def scan(k: Lowering, kind: str, x: Node, axis: int) -> Node:
    """Elements combined with all before them along an axis; `kind` is "add" or "mul"."""
    if isinstance(x, Scalar) and not x.size:
        return x
    return Scan(kind, x, axis)


def first_best(
    k: Lowering,
    kind: str,
    x: Node,
    axes: Sequence[int],
    number: Node | None = None,
) -> tuple[Node, Node]:
    """The "maximum" or "minimum" over axes, which stay with size one, and where it is first.

    A NaN is the best. Positions are row-major over the axes, or given as `number`: int64 that
    rises along them.
    """
    if not axes:
        return x, k.full(0, _INT64, x.shape)
    best = k.reduce(kind, x, axes, keepdim=True)
    hit = k.apply("eq", x, k.expand(best, x.shape), dtype=k.boolean)
    if x.dtype.kind == "f":
        hit = k.apply("or", hit, k.apply("isnan", x, dtype=k.boolean))
    if number is None:
        number = k.row_major(x.shape, axes)
    last = k.full(np.iinfo(np.int64).max, _INT64, ())
    chosen = k.apply("where", hit, number, last, dtype=_INT64)
    return best, k.reduce("minimum", chosen, axes, keepdim=True)


def row_major(k: Lowering, shape: Shape, axes: Sequence[int]) -> Node:
    """The number of each place along some axes, int64."""
    total = k.full(0, _INT64, shape)
    for axis in axes:
        total = k.apply("add", k.scaled(total, shape[axis]), k.iota(shape, axis))
    return total


def framed(k: Lowering, x: Node, window: Window, fill: float | int) -> Node:
    """x with a window's padding around its last axes; negative padding cuts off."""
    lead = len(x.shape) - window.rank
    pads = ((0, 0),) * lead + window.padding
    return k.padded(x, pads, fill)


def padded(k: Lowering, x: Node, pads: Sequence[tuple[int, int]], fill: float | int) -> Node:
    """x with so many places of `fill` before and behind it along each axis, or less of it."""
    starts = [max(0, -lo) for lo, _ in pads]
    stops = [n - max(0, -hi) for n, (_, hi) in zip(x.shape, pads, strict=True)]
    sizes = tuple(max(0, stop - start) for start, stop in zip(starts, stops, strict=True))
    inner = k.sliced(x, starts, sizes, [1] * len(sizes))
    if all(lo <= 0 and hi <= 0 for lo, hi in pads):
        return inner
    shape = tuple(n + lo + hi for n, (lo, hi) in zip(x.shape, pads, strict=True))
    at = box([max(0, lo) for lo, _ in pads], [1] * len(pads))
    return k.assemble(shape, x.dtype, fill, [(inner, at)])


def products(
    k: Lowering,
    shape: Shape,
    depth: Shape,
    left: Node,
    right: Node,
    places: tuple[Place, Place],
) -> Node:
    """What ``dot`` says, as a fold over products: for integers, and for few products each.

    Products of float16 are made and summed in float32.
    """
    dtype = left.dtype
    if dtype == np.float16:
        wide = np.dtype(np.float32)
        left, right = k.cast(left, wide), k.cast(right, wide)
    whole = (*shape, *depth)
    if 0 in whole:
        return k.full(0, dtype, shape)
    margins = [reach(at, whole, n) for at, n in zip(places[0], left.shape, strict=True)]
    if any(lo or hi for lo, hi in margins):
        left = k.padded(left, margins, 0)
    moved = tuple(
        at._replace(offset=at.offset + lo) for at, (lo, _) in zip(places[0], margins, strict=True)
    )
    terms = k.apply("mul", k.view(left, whole, moved), k.view(right, whole, places[1]))
    total = k.reduce("add", terms, range(len(shape), len(whole)))
    return k.cast(total, dtype)


def reach(at: Affine, sizes: Shape, n: int) -> tuple[int, int]:
    """How far a coordinate leaves an axis of n elements, before it and behind it."""
    moves = [f * (m - 1) for f, m in zip(at.factors, sizes, strict=True)]
    low = at.offset + sum(m for m in moves if m < 0)
    high = at.offset + sum(m for m in moves if m > 0)
    return max(0, -low), max(0, high - n + 1)


def _steps(shape: Shape, index: dict[int, Node]) -> list[tuple[int, ...]]:
    return [tuple(int(a == axis) for a in range(len(shape))) for axis in index]
