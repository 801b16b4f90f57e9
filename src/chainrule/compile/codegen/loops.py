"""Loops as text: elementwise kernels, copies that transpose, and reductions (in `folds`)."""

from __future__ import annotations

from ...runtime.code import Code
from ...runtime.target import Target
from ..kernels import Access, Loop
from .evaluate import shuffle
from .folds import Folds
from .nest import Plan, loaded, plan, transposable, without_trivial_folds
from .scope import Range, Scope, Writer, blocks, lane_copies, minimum
from .text import Function, Val, memory_type, vector


def loop(kernel: Loop, target: Target) -> Code:
    """The text of a Loop.

    Lanes run along the dimension that costs least; the order of a fold's sums depends on the
    kernel and the target only. Sums and products of floats are made of chains of at most 64
    numbers per lane, and of chains of such sums, so that their error grows with the logarithm of
    the length. A float16 is folded as a float32.
    """
    arguments = [Val("ptr", "%table"), Val("ptr", "%slots"), Val("i64", "%lo"), Val("i64", "%hi")]
    f = Function("kernel", arguments)
    kernel = without_trivial_folds(kernel)
    if kernel.points == 0:
        return Code(f.finish(), 1)
    chosen = plan(kernel, target)
    writer = Writer(f, target, chosen)
    nest = Folds(writer) if chosen.loop.folds else Elementwise(writer)
    scope = writer.scope(*arguments[:2])
    f.loop(
        arguments[2],
        arguments[3],
        1,
        lambda t: nest.write(scope, tile_ranges(f, chosen, t)),
        hint="tile",
    )
    return Code(f.finish(), chosen.tiles)


def tile_ranges(f: Function, chosen: Plan, tile: Val) -> list[Range]:
    """From where to where a tile does each loop."""
    sizes = chosen.loop.sizes
    ranges: list[Range] = [(0, size) for size in sizes]
    if chosen.tiles == 1:
        return ranges
    cuts = [(d, 1) for d in range(chosen.whole)]
    if chosen.whole < chosen.kept:
        cuts.append((chosen.whole, chosen.chunk))
    rest = tile
    for d, steps in reversed(cuts):
        points = steps * chosen.step(d)
        count = -(-sizes[d] // points)
        if count == 1:
            continue
        at, rest = (rest, rest) if d == 0 else _divided(f, rest, count)
        low = f.scale(at, points)
        high = f.add(low, points)
        ranges[d] = (low, high if sizes[d] % points == 0 else minimum(f, high, sizes[d]))
    return ranges


def _divided(f: Function, a: Val, count: int) -> tuple[Val, Val]:
    """(a mod count, a div count) of what is not negative."""
    by = f.integer(count)
    return f.binary("urem", a, by), f.binary("udiv", a, by)


class Elementwise:
    """Writes loops without folds."""

    def __init__(self, writer: Writer) -> None:
        self.w = writer
        self.f = writer.f
        self.plan = writer.plan
        self.buffers: dict[Access, Val] = {}
        """Where blocks of transposed loads are put, row by row."""
        across, rows, lanes = self.plan.across, self.plan.rows, self.plan.lanes
        if across is not None and rows is not None:
            for access in loaded(self.plan.loop):
                if transposable(self.plan.loop, across, access) == rows:
                    row = vector(memory_type(access.dtype), lanes)
                    self.buffers[access] = self.f.emit("ptr", f"alloca [{lanes} x {row}], align 64")

    def write(self, scope: Scope, ranges: list[Range], dim: int = 0) -> None:
        """The loops from `dim` inwards."""
        if self.plan.across is None:
            scope.run_stores()
        elif dim == self.plan.rows:
            self._transposing(scope, ranges)
        elif dim == self.plan.across:
            self._lanes(scope, ranges)
        else:

            def inside(i: Val) -> None:
                self.write(scope.bind(dim, i), ranges, dim + 1)

            self.f.loop(*ranges[dim], 1, inside)

    def _lanes(self, scope: Scope, ranges: list[Range]) -> None:
        across = len(ranges) - 1
        step = self.plan.step(across)

        def body(i: Val, count: int) -> None:
            shifts, active = lane_copies(count, self.plan.lanes)
            scope.bind(across, i, shifts, active).run_stores()

        blocks(self.f, ranges[across], self.plan.loop.sizes[across], step, body)

    def _transposing(self, scope: Scope, ranges: list[Range]) -> None:
        """Blocks of lanes × lanes points: loads along `rows`, stores along the lanes."""
        f, lanes = self.f, self.plan.lanes
        across = len(ranges) - 1
        rows = across - 1
        sizes = self.plan.loop.sizes

        def block(j: Val, depth: int) -> None:
            def square(i: Val, count: int) -> None:
                outer = scope.bind(across, i, (0,), (count,))
                local = self._read_block(outer, j) if count == depth == lanes else {}

                def row(k: Val) -> None:
                    at = {
                        access: f.offset(buffer, vector(memory_type(access.dtype), lanes), k)
                        for access, buffer in local.items()
                    }
                    outer.bind(rows, f.add(j, k), local=at).run_stores()

                f.loop(0, depth, 1, row, hint="row")

            blocks(f, ranges[across], sizes[across], lanes, square)

        blocks(f, ranges[rows], sizes[rows], lanes, block)

    def _read_block(self, scope: Scope, j: Val) -> dict[Access, Val]:
        """Read and transpose a block of each transposed load; where the blocks are."""
        f, lanes = self.f, self.plan.lanes
        for access, buffer in self.buffers.items():
            element = memory_type(access.dtype)
            start = f.offset(scope.pointers[access._replace(offset=0)], element, j)
            start = f.offset(start, element, access.offset)
            stride = access.strides[-1]
            block = [
                f.load(
                    f.offset(start, element, i * stride),
                    vector(element, lanes),
                    access.dtype.itemsize,
                )
                for i in range(lanes)
            ]
            for i, row in enumerate(transposed(f, block)):
                f.store(row, f.offset(buffer, row.type, i), access.dtype.itemsize)
        return self.buffers


def transposed(f: Function, rows: list[Val]) -> list[Val]:
    """A square block of vectors, transposed by exchanging ever smaller blocks in it."""
    count = len(rows)
    half = count // 2
    while half:
        out = list(rows)
        for i in range(count):
            if not i & half:
                a, b = rows[i], rows[i + half]
                lanes = range(count)
                low = [n if not n & half else count + n - half for n in lanes]
                high = [n + half if not n & half else count + n for n in lanes]
                out[i] = shuffle(f, a, b, low)
                out[i + half] = shuffle(f, a, b, high)
        rows, half = out, half // 2
    return rows
