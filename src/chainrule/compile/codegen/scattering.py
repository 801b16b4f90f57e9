"""Writing to computed places as text: in lanes of columns, row by row in the order of the rows."""

from __future__ import annotations

from ...runtime.code import Code
from ...runtime.target import Target
from ..kernels import Index, Load, Lookup, Loop, Scatter, Store
from . import scalar
from .evaluate import load_lanes, ordered, store_lanes
from .lookups import displacement, inside
from .loops import tile_ranges
from .nest import Plan, arranged, lane_count, split
from .scope import Copy, Range, Scope, Writer, blocks, lane_copies
from .text import Function, Val, memory_type

_VECTORS = 4
"""Vectors of columns in a step: a tile reads all row numbers, so its rows must be long enough."""


def scatter(kernel: Scatter, target: Target) -> Code:
    """The text of a Scatter. Sums are made in the order of the rows: the same on any target.

    Tiles are parts of the kept dimensions. Where nothing is kept, as in sums of numbers into one
    vector, there is one tile.
    """
    arguments = [Val("ptr", "%table"), Val("ptr", "%slots"), Val("i64", "%lo"), Val("i64", "%hi")]
    f = Function("kernel", arguments)
    if kernel.points == 0:
        return Code(f.finish(), 1)
    nest = _Rows(f, target, kernel)
    scope = nest.w.scope(*arguments[:2])
    f.loop(
        arguments[2],
        arguments[3],
        1,
        lambda t: nest.write(scope, tile_ranges(f, nest.plan, t)),
        hint="tile",
    )
    return Code(f.finish(), nest.plan.tiles)


class _Rows:
    """Writes the loops of a Scatter; numbers of places are computed like the values of stores."""

    def __init__(self, f: Function, target: Target, kernel: Scatter) -> None:
        self.f = f
        self.kernel = kernel
        dims = [d for d, n in enumerate(kernel.sizes) if n > 1]
        lane_dim = _columns(kernel)
        kept = [d for d in dims if kernel.kept[d] and d != lane_dim]
        kept += [] if lane_dim is None else [lane_dim]
        order = [*kept, *(d for d in dims if not kernel.kept[d])]
        self.nest = [order.index(d) for d in dims if d != lane_dim]
        """The loops, outermost first, but for the one along lanes."""
        numbers = tuple(Store(kernel.stores[0].access, arg) for arg in kernel.args)
        body = Loop(
            kernel.sizes,
            tuple(not k for k in kernel.kept),
            (*kernel.stores, *numbers),
            (),
            kernel.slots,
        )
        self.plan = _planned(body, order, lane_dim, len(kernel.stores), target)
        self.stores = self.plan.loop.stores[: len(kernel.stores)]
        self.w = Writer(f, target, self.plan)

    def write(self, scope: Scope, ranges: list[Range], depth: int = 0) -> None:
        """The loops from the depth-th one inwards."""
        if depth == len(self.nest):
            self._row(scope, ranges)
            return
        dim = self.nest[depth]
        self.f.loop(*ranges[dim], 1, lambda i: self.write(scope.bind(dim, i), ranges, depth + 1))

    def _row(self, scope: Scope, ranges: list[Range]) -> None:
        """Find the place, and write there if it is within the limits."""
        f, first = self.f, len(self.stores)
        copy = scope.copies[0]
        args = [scope.value(copy, first + n, wide=False) for n in range(len(self.kernel.args))]
        if not args:
            self._elements(scope, copy, f.integer(0), ranges)
            return
        then, after = f.label("inside"), f.label("outside")
        f.branch_if(inside(f, args, self.kernel.limits), then, after)
        f.begin(then)
        self._elements(scope, copy, displacement(f, args, self.kernel.steps), ranges)
        f.branch(after)
        f.begin(after)

    def _elements(self, scope: Scope, copy: Copy, place: Val, ranges: list[Range]) -> None:
        """One element, or all columns of the tile."""
        across = self.plan.across
        if across is None:
            self._put(scope, copy, place)
            return

        def columns(i: Val, count: int) -> None:
            here = scope.bind(across, i, *lane_copies(count, self.plan.lanes))
            for each in here.copies:
                self._put(here, each, place)

        size = self.plan.loop.sizes[across]
        blocks(self.f, ranges[across], size, self.plan.step(across), columns)

    def _put(self, scope: Scope, copy: Copy, place: Val) -> None:
        f, target = self.f, self.w.target
        for root, (access, _) in enumerate(self.stores):
            dtype = access.dtype
            pointer, stride = scope.address(copy, access)
            pointer = f.offset(pointer, memory_type(dtype), place)
            val = scope.value(copy, root)
            if self.kernel.kind == "add":
                lanes = self.plan.lanes
                before = load_lanes(f, target, pointer, dtype, stride, lanes, copy.active)
                val = scalar.emit(f, target, "add", [before, val], [dtype, dtype], dtype)
            store_lanes(f, target, val, pointer, dtype, stride, copy.active)


def _columns(kernel: Scatter) -> int | None:
    """The kept dimension along which all stores go by ones and no number of a place changes."""
    for d, n in enumerate(kernel.sizes):
        if n == 1 or not kernel.kept[d] or any(s.access.strides[d] != 1 for s in kernel.stores):
            continue
        if not any(
            e.dim == d if isinstance(e, Index) else bool(e.access.strides[d])
            for e in ordered(kernel.args)
            if isinstance(e, (Index, Load, Lookup))
        ):
            return d
    return None


def _planned(
    body: Loop, order: list[int], lane_dim: int | None, count: int, target: Target
) -> Plan:
    """A plan for the loops in this order; `count` of the stores are of values."""
    loop = arranged(body, order)
    plan = Plan(loop, None, 1, 1, 1, None, 0, 1, 1)
    if lane_dim is not None:
        across = order.index(lane_dim)
        size = loop.sizes[across]
        lanes = lane_count(loop._replace(stores=loop.stores[:count]), target)
        lanes = min(lanes, 1 << (size - 1).bit_length())
        vectors = min(_VECTORS, -(-size // lanes))
        plan = plan._replace(across=across, lanes=lanes, vectors=vectors)
    whole, chunk, tiles = split(plan)
    return plan._replace(whole=whole, chunk=chunk, tiles=tiles)
