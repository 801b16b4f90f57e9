"""Contractions as LLVM text: matrix products, convolutions and their gradients.

A unit of work is a panel of columns by some rows. It goes through depth in blocks, in each block
through its tiles of rows, and in each tile through the block with the micro-kernel. What sizes
all of these have, `tiling` says. Where there are several blocks, the sums of a unit wait on the
stack and the epilogue comes last; else it follows each tile, in registers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from ...runtime.code import Code
from ...runtime.target import Target
from ..kernels import Access, Contraction, Operand, Sizes
from .epilogue import Epilogue, weight
from .fetching import FETCHES, next_batch, next_rows, next_windows, row_major
from .forms import simplify
from .framing import BODIES, inside, loop_of, pays, rows_inside
from .micro import LINE, Dim, Fetch, MicroKernel, Place, opaque
from .text import Function, Val, constant, memory_type, vector
from .tiling import Section, choose

FITS = 256 * 1024
"""Bytes of `right` below which all its panels stay in the second cache.

Units of work then go through all columns of their rows before others. So the thread that makes
rows reads them in the next kernel, too, whose points are shared out in the same order."""


def contraction(kernel: Contraction, target: Target) -> Code:
    """The code of a contraction. Without elements it does nothing; without depth, sums are 0.

    The epilogue may not contain an Index.
    """
    kernel = simplify(kernel)
    if 0 in (*kernel.batch, *kernel.rows, kernel.columns):
        return _Writer(kernel, target).write(())
    return _Writer(kernel, target).write(choose(kernel, target, weight(target, kernel)))


class _Unit(NamedTuple):
    """What is fixed in a unit of work: where it begins, and which rows it takes."""

    left: Val
    right: Val
    starts: dict[Access, Val]
    lines: tuple[Val, Val | int]
    tiles: tuple[Val, Val | int]
    rows: tuple[Val, Val]
    """First row along the section's axis, and the one behind the last."""


class _Tile(NamedTuple):
    """A tile of rows: its size along the section's axis, and its first row."""

    size: int
    place: list[Val]
    """Its index in the dimensions of rows up to the axis."""
    sums: Val
    """Number of the first row among those of the unit."""


_Body: TypeAlias = Callable[[_Tile], None]


class _Writer:
    """Writes the function of one contraction."""

    def __init__(self, kernel: Contraction, target: Target) -> None:
        self.kernel, self.target = kernel, target
        self.element, self.align = memory_type(kernel.dtype), kernel.dtype.itemsize
        self.low, self.high = Val("i64", "%lo"), Val("i64", "%hi")
        self.table, self.slots = Val("ptr", "%table"), Val("ptr", "%slots")
        self.f = Function("kernel", [self.table, self.slots, self.low, self.high])
        self.epilogue = Epilogue(self.f, target, kernel)
        self.sums = Val("ptr", "null")
        self.pointers: dict[int, Val] = {}

    def write(self, sections: Sequence[Section]) -> Code:
        """The code of all sections, one after the other."""
        kernel, f = self.kernel, self.f
        waiting = max((self._waiting(s) for s in sections if s.late), default=0)
        if waiting:
            self.sums = f.emit("ptr", f"alloca [{waiting} x {self.element}], align {LINE}")
        used = {kernel.left.slot, kernel.right.slot, *(a.slot for a in self.epilogue.accesses)}
        for slot in sorted(used):
            entry = f.load(f.offset(self.slots, "i32", slot), "i32", 4)
            place = f.offset(self.table, "i64", f.convert("zext", entry, "i64"))
            self.pointers[slot] = f.load(place, "ptr", 8)
        first = 0
        for s in sections:
            first = self._section(s, first, alone=len(sections) == 1)
        return Code(f.finish(), max(1, first))

    def _waiting(self, s: Section) -> int:
        """Elements of all sums of a unit."""
        return s.lines * self._per_line(s) * s.lanes

    def _per_line(self, s: Section) -> int:
        """Rows of a unit for each value of the dimensions before the axis."""
        along = min(self.kernel.rows[s.axis], s.span * s.tiles[0][1])
        return along * math.prod(self.kernel.rows[s.axis + 1 :])

    # Units of work --------------------------------------------------------------------------------

    def _section(self, s: Section, first: int, *, alone: bool) -> int:
        """The loop over the section's units of work. Returns the number of the next unit."""
        kernel, f = self.kernel, self.f
        lines, tiles = math.prod(kernel.rows[: s.axis]), sum(n for n, _ in s.tiles)
        parts, panels = (-(-lines // s.lines), -(-tiles // s.span)), (s.panels,)
        inner = math.prod(kernel.depth) * kernel.columns * self.align < FITS
        sizes = (*kernel.batch, *parts, *panels) if inner else (*kernel.batch, *panels, *parts)
        units = math.prod(sizes)
        low, high = self.low, self.high
        if not alone:
            low = f.intrinsic("smax", low, f.integer(first))
            high = f.intrinsic("smin", high, f.integer(first + units))

        def unit(number: Val) -> None:
            digits = self._digits(f.add(number, -first), sizes)
            batch = digits[:-3]
            line, tile, panel = digits[-3:] if inner else (*digits[-2:], digits[-3])
            column = f.add(f.scale(panel, s.width), s.column)
            span = self._range(tile, s.span, tiles)
            rows = [self._start(s, end) for end in span]
            starts = {
                a: f.add(self._dot(batch, a.strides, a.offset), f.scale(column, a.strides[-1]))
                for a in self.epilogue.accesses
            }
            left, right = kernel.left, kernel.right
            self._unit(
                s,
                _Unit(
                    self._at(left, self._dot(batch, left.batch, left.offset)),
                    self._at(right, f.add(column, self._dot(batch, right.batch, right.offset))),
                    starts,
                    self._range(line, s.lines, lines),
                    span,
                    (rows[0], rows[1]),
                ),
            )

        f.loop(low, high, 1, unit, hint="unit")
        return first + units

    def _at(self, operand: Operand, index: Val) -> Val:
        return self.f.offset(self.pointers[operand.slot], self.element, index)

    def _start(self, s: Section, tile: Val | int) -> Val:
        """First row, along the axis, of a tile. The tiles of the second size are one shorter."""
        f, (count, big) = self.f, s.tiles[0]
        if isinstance(tile, int):
            return f.integer(tile * big - max(0, tile - count))
        row = f.scale(tile, big)
        if len(s.tiles) == 1 or tile.ref == "0":
            return row
        over = f.intrinsic("smax", f.add(tile, -count), f.integer(0))
        return f.binary("sub nsw", row, over)

    def _digits(self, number: Val, sizes: Sizes) -> list[Val]:
        """The index of each dimension of a box; `number` counts its points."""
        f, digits, outer = self.f, [], math.prod(sizes)
        for size in reversed(sizes):
            outer //= size
            if size == 1:
                digits.append(f.integer(0))
            elif outer == 1:
                digits.append(number)
            else:
                digits.append(f.binary("urem", number, f.integer(size)))
                number = f.binary("udiv", number, f.integer(size))
        return digits[::-1]

    def _range(self, part: Val, size: int, total: int) -> tuple[Val, Val | int]:
        """From and up to where part number `part` of `size` goes."""
        f = self.f
        if size >= total:
            return f.integer(0), total
        low = f.scale(part, size)
        high = f.add(low, size)
        return low, high if total % size == 0 else f.intrinsic("smin", high, f.integer(total))

    def _dot(self, index: Sequence[Val], strides: Sizes, start: int = 0) -> Val:
        """start + Σ index · strides, over the dimensions that `index` has."""
        total = self.f.integer(start)
        for i, stride in zip(index, strides, strict=False):
            total = self.f.add(self.f.scale(i, stride), total)
        return total

    # Blocks of depth ------------------------------------------------------------------------------

    def _unit(self, s: Section, u: _Unit) -> None:
        """All blocks of depth of a unit, and the epilogue of sums that wait."""
        f, depth = self.f, self.kernel.depth
        parts = (*depth[: s.split], -(-depth[s.split] // s.step)) if depth else (1,)
        blocks = math.prod(parts)
        if s.late and blocks != 1:
            lanes = math.gcd(s.lanes, self.target.lanes(self.kernel.dtype))
            zero = constant(0.0, vector(self.element, lanes))
            f.loop(
                0, self._waiting(s), lanes,
                lambda i: f.store(zero, f.offset(self.sums, self.element, i), self.align),
            )  # fmt: skip
        f.loop(0, blocks, 1, lambda i: self._block(s, u, self._digits(i, parts), blocks))
        if s.late:
            self._finish(s, u)

    def _block(self, s: Section, u: _Unit, part: Sequence[Val], blocks: int) -> None:
        """All tiles of a unit, in one block of depth."""
        kernel, f, depth = self.kernel, self.f, self.kernel.depth
        dims: list[Dim] = []
        if depth:
            low, high = self._range(part[-1], s.step, depth[s.split])
            index = [*part[:-1], low]
            left = f.offset(u.left, self.element, self._dot(index, kernel.left.depth))
            right = f.offset(u.right, self.element, self._dot(index, kernel.right.depth))
            u = u._replace(left=left, right=right)
            size: Val | int = s.step
            if depth[s.split] % s.step and isinstance(high, Val):
                size = f.binary("sub nsw", high, low)
            dims = [
                Dim(size, most, left, right)
                for size, most, left, right in zip(
                    (size, *depth[s.split + 1 :]),
                    (s.step, *depth[s.split + 1 :]),
                    kernel.left.depth[s.split :],
                    kernel.right.depth[s.split :],
                    strict=True,
                )
            ]
        self._tiles(s, u, lambda tile: self._tile(s, u, dims, tile, loaded=blocks > 1))

    # Tiles ----------------------------------------------------------------------------------------

    def _tiles(self, s: Section, u: _Unit, body: _Body) -> None:
        """All tiles of a unit, line by line."""
        f, kernel = self.f, self.kernel
        per_line, inner = self._per_line(s), math.prod(kernel.rows[s.axis + 1 :])
        kinds, tile, row = [], 0, 0
        for count, size in s.tiles:
            kinds.append((tile, count, size, row))
            tile, row = tile + count, row + count * size

        def line(number: Val) -> None:
            index = self._digits(number, kernel.rows[: s.axis])
            before = f.scale(self._minus(number, u.lines[0]), per_line)
            for begin, count, size, start in kinds:

                def one(
                    tile: Val, begin: int = begin, size: int = size, start: int = start
                ) -> None:
                    at = f.add(f.scale(f.add(tile, -begin), size), start)
                    sums = f.add(before, f.scale(self._minus(at, u.rows[0]), inner))
                    body(_Tile(size, [*index, at], sums))

                low: Val | int = begin
                high: Val | int = begin + count
                if isinstance(u.tiles[1], Val):
                    low = f.intrinsic("smax", u.tiles[0], f.integer(begin))
                    high = f.intrinsic("smin", u.tiles[1], f.integer(begin + count))
                f.loop(low, high, 1, one, hint="tile")

        low, high = u.lines
        if isinstance(high, int):
            f.loop(0, high, 1, line, hint="line")
        else:
            f.loop(low, high, 1, line, may_be_empty=False, hint="line")

    def _minus(self, a: Val, b: Val) -> Val:
        return a if b.ref == "0" else self.f.binary("sub nsw", a, b)

    def _box(self, s: Section, size: int, strides: Sizes) -> list[int]:
        """Offset of each row of a tile, for strides along the rows; of size 0, of one row."""
        if not size:
            return [0]
        sizes = (size, *self.kernel.rows[s.axis + 1 :])
        return [
            sum(i * stride for i, stride in zip(index, strides[s.axis :], strict=True))
            for index in itertools.product(*map(range, sizes))
        ]

    def _tile(self, s: Section, u: _Unit, dims: list[Dim], tile: _Tile, *, loaded: bool) -> None:
        """One tile in one block: its sums so far, then their epilogue or back to the stack."""
        f, kernel = self.f, self.kernel
        before = self._dot(tile.place, kernel.left.free)
        start = f.offset(u.left, self.element, before)
        rows = self._box(s, tile.size, kernel.left.free)
        number = self._dot(tile.place, row_major(kernel.rows))
        streams = next_batch(f, kernel, s, dims, (number, len(rows)), before)
        fetches = next_windows(f, kernel, s, dims, rows, tile.size, start)
        if not s.late:
            fetches += self._operands(s, u, tile, len(rows))
        right = u.right
        framed: set[int] = set()
        for frame in kernel.frames:
            d = loop_of(kernel, s, frame)
            if d is None or d in framed:
                continue
            framed.add(d)
            at = self._box(s, tile.size, frame.rows)
            active = rows_inside(kernel, s, frame, at, dims[d].most)
            bodies = math.prod([len(active), *(len(dim.active) or 1 for dim in dims)])
            if 0 < bodies <= BODIES:
                dims = [*dims[:d], dims[d]._replace(active=active), *dims[d + 1 :]]
            elif pays(s, frame, dims, d, len(rows)):
                first, count = inside(f, kernel, frame, s.axis, tile.size, tile.place, dims[d].most)
                start = f.offset(start, self.element, f.scale(first, dims[d].left))
                right = f.offset(right, self.element, f.scale(first, dims[d].right))
                dims = [*dims[:d], dims[d]._replace(size=count), *dims[d + 1 :]]
        types = [vector(self.element, v.lanes) for _ in rows for v in s.vectors]
        sums = [constant(0.0, type_) for type_ in types]
        spots = self._spots(s, tile.sums, len(rows)) if s.late else []
        if loaded:
            sums = [f.load(p, t, self.align) for p, t in zip(spots, types, strict=True)]
        ahead = next_rows(kernel, s, dims, len(rows))
        micro = MicroKernel(f, self.target, kernel.dtype, rows, s.vectors, ahead, streams)
        # Else LLVM keeps an address for each row, for all loops around, and runs out of registers.
        sums = micro.add(dims, Place(opaque(f, start), opaque(f, right)), sums, fetches)
        if not s.late:
            self._epilogue(s, u, tile.place, tile.size, sums)
        for value, pointer in zip(sums, spots, strict=False):
            f.store(value, pointer, self.align)

    def _spots(self, s: Section, first: Val, rows: int) -> list[Val]:
        """Where the sums of rows wait, from row number `first` of the unit."""
        f = self.f
        base = f.offset(self.sums, self.element, f.scale(first, s.lanes))
        ends = list(itertools.accumulate(v.lanes for v in s.vectors))
        starts = [m * s.lanes + e for m in range(rows) for e in [0, *ends[:-1]]]
        return [f.offset(base, self.element, at) for at in starts]

    def _operands(self, s: Section, u: _Unit, tile: _Tile, rows: int) -> list[Fetch]:
        """What the epilogue of a tile loads, to be fetched while its sums are made.

        That lies in short runs, which the processor does not see coming, and often was written long
        ago: in the gradient of a convolution, the activations that say where a ReLU was open.
        """
        f, kernel, before = self.f, self.kernel, len(self.kernel.batch)
        stored, found = {store.access for store in kernel.stores}, []
        for a in self.epilogue.accesses:
            strides, item = a.strides[before:-1], a.dtype.itemsize
            starts = self._box(s, tile.size, strides)
            ends = (
                [v.offset + i for v in s.vectors for i in (0, v.active - 1)]
                if a.strides[-1]
                else [0]
            )
            lines = sorted({(start + end) * item // LINE for start in starts for end in ends})
            most = min(FETCHES, rows * math.prod(kernel.depth) // 16)
            if a in stored or not any(strides) or len(lines) > most:
                continue
            at = f.add(u.starts[a], self._dot(tile.place, strides))
            found.append(Fetch(f.offset(self.pointers[a.slot], memory_type(a.dtype), at), lines))
        return found

    # Epilogue -------------------------------------------------------------------------------------

    def _epilogue(
        self, s: Section, u: _Unit, index: Sequence[Val], size: int, sums: Sequence[Val]
    ) -> None:
        """Compute and store what is made of the sums of a tile, or of one row if its size is 0."""
        f, before = self.f, len(self.kernel.batch)
        bases, offsets = {}, {}
        for a in self.epilogue.accesses:
            strides = a.strides[before:-1]
            at = f.add(u.starts[a], self._dot(index, strides))
            bases[a] = opaque(f, f.offset(self.pointers[a.slot], memory_type(a.dtype), at))
            offsets[a] = self._box(s, size, strides)
        self.epilogue.write(bases, offsets, s.vectors, sums, before + s.axis)

    def _finish(self, s: Section, u: _Unit) -> None:
        """The epilogue of sums that wait, row by row."""
        f, kernel = self.f, self.kernel
        inner = kernel.rows[s.axis + 1 :]
        per_line, each = self._per_line(s), math.prod(inner)

        def row(number: Val, line: Sequence[Val], before: Val) -> None:
            rest = self._digits(number, (per_line // each, *inner))
            index = [*line, f.add(rest[0], u.rows[0]), *rest[1:]]
            first = f.add(before, number)
            spots = self._spots(s, first, 1)
            sums = [
                f.load(p, vector(self.element, v.lanes), self.align)
                for p, v in zip(spots, s.vectors, strict=True)
            ]
            self._epilogue(s, u, index, 0, sums)

        def line(number: Val) -> None:
            index = self._digits(number, kernel.rows[: s.axis])
            before = f.scale(self._minus(number, u.lines[0]), per_line)
            count = f.scale(f.binary("sub nsw", u.rows[1], u.rows[0]), each)
            f.loop(0, count, 1, lambda n: row(n, index, before), hint="row")

        low, high = u.lines
        f.loop(low, high, 1, line, may_be_empty=False, hint="line")
