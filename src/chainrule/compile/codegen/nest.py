"""Loops made ready to be written: fewer dimensions, in the best order, lanes and tiles chosen.

All of it is arithmetic on sizes and strides and depends on the kernel and the target alone. So does
the order in which folds combine: the same kernel gives the same bits on any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...core.aval import DType
from ...runtime.target import Target
from ..kernels import Access, Apply, Const, Expr, Fold, Index, Load, Lookup, Loop, Store
from .evaluate import NEAR, ordered
from .transcendental import TRANSCENDENTAL

TILE_POINTS = 16384
"""Points of light work in a tile, at least, where there is more than one tile."""
MAX_TILES = 256
HEAVY = 12
"""Instructions of a transcendental function, roughly."""
CHAIN = 64
"""Floats are summed in chains of at most this many, the chains' sums again in chains, and so on."""


class Dim(NamedTuple):
    """One loop, with the stride along it of each access of the kernel."""

    size: int
    reduced: bool
    strides: tuple[int, ...]
    source: int | None
    """The kernel's dimension whose counter an Index asks for: such a loop stays as it is."""


class Plan(NamedTuple):
    """A loop as it will be written: `loop` has its dimensions in the order of the nest."""

    loop: Loop
    across: int | None
    """The dimension along which lanes run: the innermost, or the last that is not reduced."""
    lanes: int
    vectors: int
    """How many vectors along `across` are computed together."""
    ways: int
    """How many accumulators take turns along the innermost reduced loop."""
    rows: int | None
    """The dimension along which loads are read and transposed in blocks, if any."""
    whole: int
    """So many of the outermost loops are split in all their steps between tiles …"""
    chunk: int
    """… and the next one in chunks of so many steps."""
    tiles: int

    @property
    def kept(self) -> int:
        """How many loops are not reduced; they come first."""
        return sum(not r for r in self.loop.reduced)

    def step(self, dim: int) -> int:
        """How many points of a kept loop are one step."""
        if dim == self.across:
            return self.lanes * self.vectors
        return self.lanes if dim == self.rows else 1


# Rewriting ----------------------------------------------------------------------------------------


def neutral(kind: str, dtype: DType) -> float | int | bool:
    """What a fold over nothing gives.

    >>> neutral("maximum", np.dtype("float32"))
    -inf
    """
    if kind in ("add", "or"):
        return False if dtype.kind == "b" else 0
    if kind in ("mul", "and"):
        return True if dtype.kind == "b" else 1
    if dtype.kind == "b":
        return kind == "minimum"
    if dtype.kind == "f":
        return -math.inf if kind == "maximum" else math.inf
    limits = np.iinfo(dtype)
    return int(limits.min if kind == "maximum" else limits.max)


def without_trivial_folds(kernel: Loop) -> Loop:
    """Folds over nothing and folds over one point are stores; without folds no loop is reduced."""
    reduced = [n for n, r in zip(kernel.sizes, kernel.reduced, strict=True) if r]
    if all(n == 1 for n in reduced):
        stores = [Store(fold.access, fold.value) for fold in kernel.folds]
        kernel = kernel._replace(stores=(*kernel.stores, *stores), folds=())
    elif 0 in reduced:
        kept = [d for d, r in enumerate(kernel.reduced) if not r]
        stores = [
            Store(
                a._replace(strides=tuple(a.strides[d] for d in kept)),
                Const(neutral(kind, a.dtype), a.dtype),
            )
            for kind, a, _ in kernel.folds
        ]
        sizes = tuple(kernel.sizes[d] for d in kept)
        kernel = Loop(sizes, (False,) * len(kept), tuple(stores), (), kernel.slots)
    if not kernel.folds:
        kernel = kernel._replace(reduced=(False,) * len(kernel.sizes))
    return kernel


def roots(kernel: Loop) -> list[Expr]:
    """The values of all stores, then of all folds."""
    return [s.value for s in kernel.stores] + [fold.value for fold in kernel.folds]


def accesses(kernel: Loop) -> list[Access]:
    """All distinct accesses: of stores, then of folds, then of loads and lookups."""
    out = [s.access for s in kernel.stores] + [fold.access for fold in kernel.folds]
    found = [e.access for e in ordered(roots(kernel)) if isinstance(e, (Load, Lookup))]
    return list(dict.fromkeys([*out, *found]))


def loaded(kernel: Loop) -> list[Access]:
    """The distinct accesses of loads."""
    found = [e.access for e in ordered(roots(kernel)) if isinstance(e, Load)]
    return list(dict.fromkeys(found))


def rebuilt(kernel: Loop, dims: Sequence[Dim], offsets: Sequence[int]) -> Loop:
    """The kernel with other loops: strides from `dims`, offsets in the order of `accesses`."""
    moved = {
        a: a._replace(strides=tuple(dim.strides[k] for dim in dims), offset=offsets[k])
        for k, a in enumerate(accesses(kernel))
    }
    where = {dim.source: position for position, dim in enumerate(dims)}
    new: dict[int, Expr] = {}
    for expr in ordered(roots(kernel)):
        match expr:
            case Load(access):
                new[id(expr)] = Load(moved[access])
            case Index(dim):
                gone = Const(0, np.dtype(np.int64))
                new[id(expr)] = Index(where[dim]) if dim in where else gone
            case Apply(function, args, dtype):
                new[id(expr)] = Apply(function, tuple(new[id(a)] for a in args), dtype)
            case Lookup(access, args, steps, limits):
                found = tuple(new[id(a)] for a in args)
                new[id(expr)] = Lookup(moved[access], found, steps, limits)
            case _:
                new[id(expr)] = expr
    return Loop(
        tuple(dim.size for dim in dims),
        tuple(dim.reduced for dim in dims),
        tuple(Store(moved[a], new[id(v)]) for a, v in kernel.stores),
        tuple(Fold(kind, moved[a], new[id(v)]) for kind, a, v in kernel.folds),
        kernel.slots,
    )


def merged(dims: Sequence[Dim]) -> list[Dim]:
    """Neighbours become one loop where every access goes on with the stride it has."""
    out: list[Dim] = []
    for dim in dims:
        outer = out[-1] if out else None
        if (
            outer is not None
            and outer.reduced == dim.reduced
            and outer.source is None
            and dim.source is None
            and outer.strides == tuple(s * dim.size for s in dim.strides)
        ):
            out[-1] = dim._replace(size=outer.size * dim.size)
        else:
            out.append(dim)
    return out


def simplify(kernel: Loop) -> Loop:
    """The same loops with as few dimensions as possible; kept ones first, wide strides first.

    Dimensions of size one go. One that every access walks backwards is turned round. Dimensions
    are ordered by how far the stores, then the folds, then the loads move, and merged.
    """
    table = accesses(kernel)
    offsets = [a.offset for a in table]
    counted = {e.dim for e in ordered(roots(kernel)) if isinstance(e, Index)}
    dims = []
    for d, size in enumerate(kernel.sizes):
        if size == 1:
            continue
        strides = tuple(a.strides[d] for a in table)
        if d not in counted and max(strides, default=0) <= 0:
            offsets = [o + s * (size - 1) for o, s in zip(offsets, strides, strict=True)]
            strides = tuple(-s for s in strides)
        dims.append(Dim(size, kernel.reduced[d], strides, d if d in counted else None))
    stores, written = len(kernel.stores), len(kernel.stores) + len(kernel.folds)

    def width(dim: Dim) -> tuple[bool, int, int, int]:
        moves = [abs(s) for s in dim.strides]
        return dim.reduced, -sum(moves[:stores]), -sum(moves[stores:written]), -sum(moves[written:])

    return rebuilt(kernel, merged(sorted(dims, key=width)), offsets)


# Choosing -----------------------------------------------------------------------------------------


def lane_count(kernel: Loop, target: Target) -> int:
    """Lanes for the dtype most of the work has; wider ones then take several registers.

    Numbers of places to look up do not count: they are few, or not in lanes.
    """
    exprs = ordered(roots(kernel))
    places = ordered(arg for e in exprs if isinstance(e, Lookup) for arg in e.args)
    counted = {id(e) for e in exprs} - {id(e) for e in places}
    exprs = [e for e in exprs if id(e) in counted] or exprs
    met = [s.access for s in kernel.stores] + [fold.access for fold in kernel.folds]
    met += [e.access for e in exprs if isinstance(e, (Load, Lookup))]
    work = [a.dtype for a in dict.fromkeys(met)]
    work += [e.dtype for e in exprs if isinstance(e, Apply)]
    sizes = [t.itemsize for t in work if t.kind != "b"] or [1]
    return max(1, target.vector_bytes // max(set(sizes), key=lambda s: (sizes.count(s), s)))


def transposable(kernel: Loop, across: int, load: Access) -> int | None:
    """The kept loop along which a load runs that is far apart along the lanes; None if none."""
    if kernel.folds or abs(load.strides[across]) <= 1:
        return None
    sizes = zip(load.strides, kernel.sizes, strict=True)
    found = [d for d, (s, n) in enumerate(sizes) if s == 1 and d != across and n >= 4]
    return found[0] if found else None


def work(kernel: Loop) -> int:
    """Roughly the instructions for a vector of points, without loads and stores."""
    applied = [e.function for e in ordered(roots(kernel)) if isinstance(e, Apply)]
    return sum(HEAVY if name in TRANSCENDENTAL else 1 for name in applied)


def scattered(kernel: Loop, across: int) -> int:
    """How many lookups find a place of its own for each point along a dimension."""
    found = 0
    for lookup in ordered(roots(kernel)):
        if isinstance(lookup, Lookup):
            inner = ordered(lookup.args)
            found += any(
                e.dim == across if isinstance(e, Index) else bool(e.access.strides[across])
                for e in inner
                if isinstance(e, (Index, Load, Lookup))
            )
    return found


def _cost(kernel: Loop, across: int, lanes: int) -> float:
    """Roughly the instructions per point with lanes along a dimension."""
    size = kernel.sizes[across]
    lanes = min(lanes, 1 << (size - 1).bit_length())
    stored = [s.access for s in kernel.stores]
    folded = [fold.access for fold in kernel.folds]
    inside = math.prod(n for n, r in zip(kernel.sizes, kernel.reduced, strict=True) if r)
    cost = float(work(kernel))
    for access in accesses(kernel):
        stride = access.strides[across]
        if access in stored:
            cost += {1: 1.0, -1: 2.0}.get(stride, 1.5 * lanes)
        elif access in folded:
            cost += {0: 0.0, 1: 1.0, -1: 2.0}.get(stride, 1.5 * lanes) / inside
        elif transposable(kernel, across, access) is not None:
            cost += 4.0
        else:
            far = 2.0 * stride if 1 < stride <= NEAR else 1.5 * lanes
            cost += {0: 0.0, 1: 1.0, -1: 2.0}.get(stride, far)
    cost += 3.0 * lanes * scattered(kernel, across)
    cost *= -(-size // lanes) / size
    if kernel.reduced[across]:
        cost += 2.0 * len(kernel.folds) * lanes.bit_length() / inside
    return cost


def arranged(kernel: Loop, order: Sequence[int]) -> Loop:
    """The kernel with its loops in another order."""
    table = accesses(kernel)
    counted = {e.dim for e in ordered(roots(kernel)) if isinstance(e, Index)}
    dims = [
        Dim(
            kernel.sizes[d],
            kernel.reduced[d],
            tuple(a.strides[d] for a in table),
            d if d in counted else None,
        )
        for d in order
    ]
    return rebuilt(kernel, dims, [a.offset for a in table])


def _copies(kernel: Loop, across: int) -> int:
    """How many vectors to work on together: many for light work, one for heavy."""
    if any(abs(a.strides[across]) > NEAR for a in accesses(kernel)) or scattered(kernel, across):
        return 1
    effort = work(kernel)
    copies = 4 if effort <= 6 else 2 if effort <= 14 else 1
    if kernel.folds:
        copies = max(1, 2 * copies // len(kernel.folds))
    return copies


def plan(kernel: Loop, target: Target) -> Plan:
    """How to write a loop: see `Plan`. The box must not be empty."""
    kernel = simplify(kernel)
    ndim = len(kernel.sizes)
    if ndim == 0:
        return Plan(kernel, None, 1, 1, 1, None, 0, 1, 1)
    lanes = lane_count(kernel, target)
    best = min(range(ndim), key=lambda d: (_cost(kernel, d, lanes), -d))
    lanes = min(lanes, 1 << (kernel.sizes[best] - 1).bit_length())
    rows = None
    if not kernel.folds and 4 <= lanes <= kernel.sizes[best]:
        found = [transposable(kernel, best, a) for a in loaded(kernel)]
        rows = next((d for d in found if d is not None and kernel.sizes[d] >= lanes), None)
    kept = [d for d in range(ndim) if not kernel.reduced[d] and d not in (best, rows)]
    order = kept + ([] if rows is None else [rows])
    others = [d for d in range(ndim) if kernel.reduced[d] and d != best]
    order = [*order, *others, best] if kernel.reduced[best] else [*order, best, *others]
    copies = 1 if rows is not None else _copies(kernel, best)
    across = order.index(best)
    kernel = arranged(kernel, order)
    present = -(-kernel.sizes[across] // lanes)
    vectors, ways = min(copies, present), 1
    if kernel.folds and across == ndim - 1 and kernel.reduced[across]:
        vectors, ways = 1, max(1, min(copies, kernel.sizes[across] // lanes))
    elif kernel.folds:
        ways = max(1, min(copies // vectors, kernel.sizes[-1]))
    position = None if rows is None else across - 1
    out = Plan(kernel, across, lanes, vectors, ways, position, 0, 1, 1)
    whole, chunk, tiles = split(out)
    return out._replace(whole=whole, chunk=chunk, tiles=tiles)


def split(plan: Plan) -> tuple[int, int, int]:
    """``whole, chunk, tiles`` of a plan."""
    kernel = plan.loop
    wanted = min(MAX_TILES, kernel.points * max(1, work(kernel) // 4) // TILE_POINTS)
    tiles, whole, chunk = 1, 0, 1
    for d in range(plan.kept):
        steps = -(-kernel.sizes[d] // plan.step(d))
        if wanted < 2 or steps >= wanted:
            chunk = -(-steps // max(1, wanted))
            tiles *= -(-steps // chunk)
            break
        tiles, whole, wanted = tiles * steps, whole + 1, wanted // steps
    return whole, chunk, tiles


def chains(turns: Sequence[int], limit: int | None = CHAIN) -> list[list[tuple[int, bool]]]:
    """How to sum over nested loops in short chains, so that rounding errors stay small.

    For each loop, outermost first, the loops it is written as: (span, fresh), where a turn covers
    `span` turns of the given loop, and `fresh` says that the sum of each turn is begun anew and
    then added. No sum adds more than `limit` numbers one after the other; None means no limit.

    >>> chains([3, 100], limit=64)
    [[(1, False)], [(64, True), (1, False)]]
    """
    out: list[list[tuple[int, bool]]] = []
    length = 1
    for count in reversed(turns):
        spans = [1]
        while limit is not None and -(-count // spans[0]) > limit:
            spans.insert(0, spans[0] * limit)
        loops: list[tuple[int, bool]] = []
        extents = [count, *spans[:-1]]
        for span, extent in reversed(list(zip(spans, extents, strict=True))):
            here = -(-extent // span)
            fresh = limit is not None and length > 1 and length * here > limit
            length = here if fresh else length * here
            loops.insert(0, (span, fresh))
        out.insert(0, loops)
    return out
