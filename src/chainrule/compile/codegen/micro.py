"""The micro-kernel of contractions: a register tile of sums, while depth passes.

Each step of depth loads the vectors of `right` and, for each row, one element of `left`, which is
multiplied with all of them. Where there is only one column, vectors run along depth instead, and
the lanes of each sum are added up at the end, in a fixed tree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from ...core.aval import DType
from ...runtime.target import Target
from .evaluate import load_lanes, shuffle
from .text import Function, Val, memory_type, vector
from .tiling import Vector

TURN = 32
"""Products in a turn of the innermost loop: as many steps are unrolled as fit, at least one."""
STRAIGHT = 128
"""Products that are written without a loop."""
LINE = 64
"""Bytes of a cache line."""


class Dim(NamedTuple):
    """A loop of depth: its length, at most `most`, and the strides of both operands along it."""

    size: Val | int
    most: int
    left: int
    right: int
    active: tuple[tuple[int, ...], ...] = ()
    """For each turn, the numbers of the rows that take part, if not all always do."""


class Place(NamedTuple):
    """Where a step of depth finds its factors: pointers, and constant offsets from them."""

    left: Val
    right: Val
    left_offset: int = 0
    right_offset: int = 0

    def ahead(self, dim: Dim, turns: int) -> Place:
        """The place so many turns of a loop later."""
        return self._replace(
            left_offset=self.left_offset + turns * dim.left,
            right_offset=self.right_offset + turns * dim.right,
        )


class Fetch(NamedTuple):
    """Cache lines to be fetched while the sums of a tile are made: numbers of lines from `base`.

    They are spread over the turns of the outermost loop of depth; what falls to turns that a tile
    leaves out is not fetched. All at once they would fill the queue of lines under way, and the
    next load that is not in the first cache would wait for all.
    """

    base: Val
    lines: Sequence[int]

    def chunks(self, turns: int) -> tuple[Sequence[int], int]:
        """The lines of a turn, and how far on the next turn's are; without a pattern, all and 0."""
        for size in range(-(-len(self.lines) // turns), len(self.lines)):
            first, apart = self.lines[:size], self.lines[size] - self.lines[0]
            if all(
                line == first[i % size] + i // size * apart for i, line in enumerate(self.lines)
            ):
                return first, apart
        return self.lines, 0


class Stream(NamedTuple):
    """Cache lines that each turn of the last loop but one fetches for later.

    They begin `shift` elements behind where the turn itself reads `left`, or else `right`.
    """

    of_left: bool
    shift: Val
    lines: int


def opaque(f: Function, pointer: Val) -> Val:
    """The pointer, without LLVM knowing how it came about."""
    return f.emit("ptr", f'call ptr asm "", "=r,0"({pointer})')


Step: TypeAlias = Callable[[Place, list[Val]], list[Val]]
"""Adds the products of one step of depth to the sums."""


class MicroKernel:
    """Writes the sums of a tile: rows at constant offsets in `left`, by vectors of columns."""

    def __init__(
        self,
        function: Function,
        target: Target,
        dtype: DType,
        rows: Sequence[int],
        vectors: Sequence[Vector],
        ahead: Sequence[int] = (),
        streams: Sequence[Stream] = (),
    ) -> None:
        self.f, self.target, self.dtype = function, target, dtype
        self.element = memory_type(dtype)
        self.rows, self.vectors = rows, vectors
        self.numbers = list(range(len(rows)))
        """The rows' numbers in the whole tile, if this is a part of one."""
        self.ahead = ahead
        """Offsets in `left` of what each step fetches for later."""
        self.streams = streams

    def add(
        self, dims: Sequence[Dim], at: Place, sums: list[Val], fetches: Sequence[Fetch] = ()
    ) -> list[Val]:
        """The sums, row by row, with the products of all points of `dims` added."""
        one_column = [v.active for v in self.vectors] == [1]
        if one_column and dims and dims[-1].left == dims[-1].right == 1:
            last, lanes = dims[-1].size, self.target.lanes(self.dtype)
            if isinstance(last, int) and last >= lanes > 1:
                for fetch in fetches:
                    self._fetch(fetch.base, fetch.lines)
                return self._along([d._replace(active=()) for d in dims], at, sums)
        return self._add(dims, at, sums, self._across, fetches)

    # Loops of depth -------------------------------------------------------------------------------

    def _add(
        self,
        dims: Sequence[Dim],
        at: Place,
        sums: list[Val],
        step: Step,
        fetches: Sequence[Fetch] = (),
    ) -> list[Val]:
        if not dims:
            return step(at, sums)
        dim, size = dims[0], dims[0].size
        if dim.active:
            return self._in_parts(dims, at, sums, fetches)
        weight = len(sums) * math.prod(d.most for d in dims[1:])
        if isinstance(size, int) and size * weight <= STRAIGHT:
            for fetch in fetches:
                self._fetch(fetch.base, fetch.lines)
            return self._turns(dims, at, sums, step, size)
        turns = max(1, min(dim.most, TURN // weight))
        if isinstance(size, int):
            at, sums = self._loop(dims, at, sums, step, (0, size - size % turns, turns), fetches)
            return self._turns(dims, at, sums, step, size % turns)
        f = self.f
        even = f.binary("sub nsw", size, f.binary("urem", size, f.integer(turns)))
        at, sums = self._loop(dims, at, sums, step, (0, even, turns), fetches)
        return sums if turns == 1 else self._loop(dims, at, sums, step, (even, size, 1))[1]

    def _loop(
        self,
        dims: Sequence[Dim],
        at: Place,
        sums: list[Val],
        step: Step,
        turns: tuple[Val | int, Val | int, int],
        fetches: Sequence[Fetch] = (),
    ) -> tuple[Place, list[Val]]:
        """The outermost loop for ``range(*turns)``, and the place behind it."""
        f, dim, count = self.f, dims[0], turns[2]
        spread = []
        for fetch in fetches:
            if fetch.chunks(dim.most // count)[1]:
                spread.append(fetch)
            else:
                self._fetch(fetch.base, fetch.lines)

        def body(i: Val, left: Val, right: Val, *sums: Val) -> list[Val]:
            for fetch in spread:
                self._fetch_part(fetch, i, count, dim.most // count)
            if len(dims) == 2:
                self._stream(left, right)
            here = at._replace(left=left, right=right)
            added = self._turns(dims, here, list(sums), step, count)
            left = f.offset(left, self.element, count * dim.left)
            right = f.offset(right, self.element, count * dim.right)
            return [left, right, *added]

        left, right, *sums = f.loop(*turns, body, [at.left, at.right, *sums], hint="depth")
        return at._replace(left=left, right=right), sums

    def _stream(self, left: Val, right: Val) -> None:
        f = self.f
        for stream in self.streams:
            base = f.offset(left if stream.of_left else right, self.element, stream.shift)
            for line in range(stream.lines):
                f.prefetch(f.offset(base, "i8", line * LINE))

    def _fetch(self, base: Val, lines: Sequence[int]) -> None:
        for line in lines:
            self.f.prefetch(self.f.offset(base, "i8", line * LINE))

    def _fetch_part(self, fetch: Fetch, i: Val, count: int, turns: int) -> None:
        """What turn ``i / count`` of so many fetches; turns after the last part repeat that."""
        f = self.f
        lines, apart = fetch.chunks(turns)
        parts = -(-len(fetch.lines) // len(lines))
        number = i if count == 1 else f.binary("udiv", i, f.integer(count))
        if parts < turns:
            number = f.intrinsic("smin", number, f.integer(parts - 1))
        self._fetch(f.offset(fetch.base, "i8", f.scale(number, apart * LINE)), lines)

    def _turns(
        self, dims: Sequence[Dim], at: Place, sums: list[Val], step: Step, count: int
    ) -> list[Val]:
        """`count` turns of the outermost loop, one after the other.

        In windows, rows of one turn are others of the next. LLVM must not see that: it would keep
        all elements in registers until their last use, and sums in memory for it.
        """
        shared = not {row + dims[0].left for row in self.rows}.isdisjoint(self.rows)
        for i in range(count):
            here = at.ahead(dims[0], i)
            if i and shared:
                start = self.f.offset(at.left, self.element, here.left_offset)
                here = here._replace(left=opaque(self.f, start), left_offset=0)
            sums = self._add(dims[1:], here, sums, step)
        return sums

    def _in_parts(
        self, dims: Sequence[Dim], at: Place, sums: list[Val], fetches: Sequence[Fetch]
    ) -> list[Val]:
        """All turns of the outermost loop, each for the rows that take part in it."""
        f, width, sums, turns = self.f, len(self.vectors), list(sums), len(dims[0].active)
        for i, active in enumerate(dims[0].active):
            for fetch in fetches:
                size = -(-len(fetch.lines) // turns)
                self._fetch(fetch.base, fetch.lines[i * size : (i + 1) * size])
            taking = [m for m, number in enumerate(self.numbers) if number in active]
            if not taking:
                continue
            here = at.ahead(dims[0], i)
            start = opaque(f, f.offset(at.left, self.element, here.left_offset))
            part = MicroKernel(
                f, self.target, self.dtype, [self.rows[m] for m in taking], self.vectors,
                self.ahead, self.streams,
            )  # fmt: skip
            part.numbers = [self.numbers[m] for m in taking]
            which = [m * width + n for m in taking for n in range(width)]
            here = here._replace(left=start, left_offset=0)
            added = part._add(dims[1:], here, [sums[k] for k in which], part._across)
            for k, total in zip(which, added, strict=True):
                sums[k] = total
        return sums

    # Steps of depth -------------------------------------------------------------------------------

    def _across(self, at: Place, sums: list[Val]) -> list[Val]:
        """Vectors along columns: each row's element of `left` times the vectors of `right`."""
        f, align = self.f, self.dtype.itemsize
        for offset in self.ahead:
            f.prefetch(f.offset(at.left, self.element, at.left_offset + offset))
        right = [self._load(at.right, at.right_offset + v.offset, v) for v in self.vectors]
        added: list[Val] = []
        for offset in self.rows:
            pointer = f.offset(at.left, self.element, at.left_offset + offset)
            x = f.load(pointer, self.element, align)
            wide = {lanes: f.splat(x, lanes) for lanes in dict.fromkeys(y.lanes for y in right)}
            added += [
                self._product(wide[y.lanes], y, s)
                for y, s in zip(right, sums[len(added) :], strict=False)
            ]
        return added

    def _along(self, dims: Sequence[Dim], at: Place, sums: list[Val]) -> list[Val]:
        """One column: vectors along the last loop of depth, first whole ones, then what remains."""
        f, lanes = self.f, self.target.lanes(self.dtype)
        count, rest = divmod(dims[-1].most, lanes)
        whole = Dim(count, count, lanes, lanes)
        wide = [Val(vector(self.element, lanes), "zeroinitializer") for _ in self.rows]
        wide = self._add([*dims[:-1], whole], at, wide, self._neighbours(lanes))
        if rest:
            behind = at.ahead(whole, count)
            wide = self._add(dims[:-1], behind, wide, self._neighbours(rest))
        return [f.binary("fadd", s, self._total(w)) for s, w in zip(sums, wide, strict=True)]

    def _neighbours(self, active: int) -> Step:
        """A step of so many neighbours along depth, a product for each lane."""
        v = Vector(0, self.target.lanes(self.dtype), active)

        def step(at: Place, sums: list[Val]) -> list[Val]:
            y = self._load(at.right, at.right_offset, v)
            return [
                self._product(self._load(at.left, at.left_offset + row, v), y, s)
                for row, s in zip(self.rows, sums, strict=True)
            ]

        return step

    def _total(self, a: Val) -> Val:
        """The sum of all lanes: halves are added until one is left."""
        f = self.f
        while a.lanes > 2:
            half, nothing = a.lanes // 2, Val(a.type, "poison")
            low, high = (shuffle(f, a, nothing, range(i, i + half)) for i in (0, half))
            a = f.binary("fadd", low, high)
        low, high = (f.emit(self.element, f"extractelement {a}, i32 {i}") for i in (0, 1))
        return f.binary("fadd", low, high)

    def _load(self, pointer: Val, offset: int, v: Vector) -> Val:
        pointer = self.f.offset(pointer, self.element, offset)
        return load_lanes(self.f, self.target, pointer, self.dtype, 1, v.lanes, v.active)

    def _product(self, a: Val, b: Val, c: Val) -> Val:
        """a · b + c, rounded once where the target can."""
        f = self.f
        if self.target.fma:
            return f.intrinsic("fma", a, b, c)
        return f.binary("fadd", f.binary("fmul", a, b), c)
