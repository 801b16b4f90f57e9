"""Running sums and products as text: one accumulator for each store, in lanes of kept points."""

from __future__ import annotations

from ...runtime.code import Code
from ...runtime.target import Target
from ..kernels import Loop, Scan
from . import scalar
from .casts import register_type
from .loops import loop, tile_ranges
from .nest import Plan, lane_count, simplify, split
from .scope import Range, Scope, Writer, blocks, lane_copies
from .text import Function, Val, constant, vector

_VECTORS = 4
"""Vectors of kept points side by side, so that additions need not wait for each other."""


def scan(kernel: Scan, target: Target) -> Code:
    """The text of a Scan: along its dimension strictly in order, on any target."""
    along = tuple(d == kernel.dim for d in range(len(kernel.sizes)))
    body = Loop(kernel.sizes, along, kernel.stores, (), kernel.slots)
    if kernel.points == 0 or kernel.sizes[kernel.dim] == 1:
        return loop(body, target)
    arguments = [Val("ptr", "%table"), Val("ptr", "%slots"), Val("i64", "%lo"), Val("i64", "%hi")]
    f = Function("kernel", arguments)
    plan = _planned(simplify(body), target)
    nest = _Running(Writer(f, target, plan), kernel.kind)
    scope = nest.w.scope(*arguments[:2])
    f.loop(
        arguments[2],
        arguments[3],
        1,
        lambda t: nest.write(scope, tile_ranges(f, plan, t)),
        hint="tile",
    )
    return Code(f.finish(), plan.tiles)


def _planned(body: Loop, target: Target) -> Plan:
    """Lanes along the last kept dimension if stores go along it by ones."""
    across = len(body.sizes) - 2
    if across < 0 or any(s.access.strides[across] != 1 for s in body.stores):
        plan = Plan(body, None, 1, 1, 1, None, 0, 1, 1)
    else:
        size = body.sizes[across]
        lanes = min(lane_count(body, target), 1 << (size - 1).bit_length())
        vectors = min(_VECTORS, -(-size // lanes))
        plan = Plan(body, across, lanes, vectors, 1, None, 0, 1, 1)
    whole, chunk, tiles = split(plan)
    return plan._replace(whole=whole, chunk=chunk, tiles=tiles)


class _Running:
    """Writes the loops of a scan; the last dimension is the one that it goes along."""

    def __init__(self, writer: Writer, kind: str) -> None:
        self.w = writer
        self.kind = kind
        self.plan = writer.plan
        self.along = len(writer.plan.loop.sizes) - 1

    def write(self, scope: Scope, ranges: list[Range], dim: int = 0) -> None:
        """The kept loops from `dim` inwards."""
        f, sizes = self.w.f, self.plan.loop.sizes
        if dim == self.along:
            self._run(scope)
        elif dim == self.plan.across:

            def columns(i: Val, count: int) -> None:
                shifts, active = lane_copies(count, self.plan.lanes)
                self._run(scope.bind(dim, i, shifts, active))

            blocks(f, ranges[dim], sizes[dim], self.plan.step(dim), columns)
        else:
            f.loop(*ranges[dim], 1, lambda i: self.write(scope.bind(dim, i), ranges, dim + 1))

    def _run(self, scope: Scope) -> None:
        """All steps, for one point or for columns of them."""
        stores = self.plan.loop.stores

        def step(i: Val, *accs: Val) -> list[Val]:
            here = scope.bind(self.along, i)
            sums = iter(accs)
            out = []
            for copy in here.copies:
                for root, (access, _) in enumerate(stores):
                    args = [next(sums), here.value(copy, root)]
                    dtypes = [access.dtype, access.dtype]
                    total = scalar.emit(
                        self.w.f, self.w.target, self.kind, args, dtypes, access.dtype
                    )
                    here.store(copy, access, total)
                    out.append(total)
            return out

        size = self.plan.loop.sizes[self.along]
        self.w.f.loop(0, size, 1, step, self._start() * len(scope.copies))

    def _start(self) -> list[Val]:
        """What changes nothing: -0.0 and not 0.0, for 0.0 + -0.0 is 0.0."""
        out = []
        for access, _ in self.plan.loop.stores:
            zero = -0.0 if access.dtype.kind == "f" else 0
            type_ = vector(register_type(access.dtype), self.plan.lanes)
            out.append(constant(1 if self.kind == "mul" else zero, type_))
        return out
