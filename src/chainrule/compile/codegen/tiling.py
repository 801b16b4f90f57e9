"""Tiles of contractions: the register tile, the blocks of depth and the units of work.

Everything here follows from the kernel's sizes and the target alone, never from the number of
threads, so the order of every sum does too.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

from ...runtime.target import Target
from ..kernels import Contraction, Sizes

NEAR = 128 * 1024
"""Bytes of a panel of `right` that tiles of rows share, once the whole is more than twice that."""
SUMS = 128 * 1024
"""Bytes of partial sums that a unit of work may keep on the stack."""
UNITS = 32
"""Units of work of a large contraction, at least."""
FEW = 8
"""Fewer units than this, where there is work for more, make a choice of tiles dearer."""
PRODUCTS = 25_000
"""Products that are worth a unit of work: about half a microsecond."""
EPILOGUE = 600
"""Instructions of the epilogues of a tile that are written out; longer ones loop over rows."""

Tiles: TypeAlias = tuple[tuple[int, int], ...]
"""(count, size) of the tiles along a dimension: at most two sizes, which differ by one."""


class Vector(NamedTuple):
    """A vector of accumulators: columns from `offset`; of its lanes, `active` are in use."""

    offset: int
    lanes: int
    active: int


class Section(NamedTuple):
    """Neighbouring panels of columns of one width, and how the rows are tiled there."""

    column: int
    """The first column."""
    panels: int
    vectors: tuple[Vector, ...]
    axis: int
    """The dimension of rows that tiles split. Those behind it are whole in each tile."""
    tiles: Tiles
    lines: int
    """A unit of work takes so many values of the dimensions before `axis` …"""
    span: int
    """… and so many tiles along `axis`."""
    split: int
    """The dimension of depth that is cut into blocks; those before it are blocks of one."""
    step: int
    """Size of a block along `split`."""
    late: bool
    """Whether all sums of a unit wait in memory for the epilogue."""

    @property
    def width(self) -> int:
        """Columns of a panel."""
        return sum(v.active for v in self.vectors)

    @property
    def lanes(self) -> int:
        """Lanes of a row of accumulators."""
        return sum(v.lanes for v in self.vectors)


class _Rows(NamedTuple):
    """Tiles of rows, and what a panel costs with them, in cycles."""

    cost: float
    axis: int
    tiles: Tiles


def choose(kernel: Contraction, target: Target, weight: int = 1) -> tuple[Section, ...]:
    """Sections of columns with the tiles that a model of the processor finds cheapest.

    `kernel` is one that `simplify` made; `weight` is how many instructions the epilogue of one
    vector takes.
    """
    lanes = target.lanes(kernel.dtype)
    whole, rest = divmod(kernel.columns, lanes)
    tail = _tail(rest, lanes, target.masks)
    best: tuple[float, list[tuple[int, int, _Rows]]] | None = None
    for wide in range(whole + 1):
        panels, more = divmod(whole, wide) if wide else (0, whole)
        groups = [(panels, wide), (1, more + len(tail))]
        groups = [(count, n) for count, n in groups if count and n]
        if any(2 * n + 1 > target.registers for _, n in groups):
            continue
        chosen = [(count, n, _rows(kernel, target, n)) for count, n in groups]
        cost = sum(count * rows.cost for count, _, rows in chosen) * (1 + 0.02 * len(chosen))
        cost *= max(1, min(FEW, kernel.products // PRODUCTS) / _most_units(kernel, chosen))
        if best is None or cost < best[0]:
            best = cost, chosen
    assert best is not None, "no tile fits the registers"
    sections, column = [], 0
    for count, n, rows in best[1]:
        full = n if column + count * n * lanes <= whole * lanes else n - len(tail)
        vectors = [Vector(i * lanes, lanes, lanes) for i in range(full)]
        if full < n:
            vectors += [v._replace(offset=full * lanes + v.offset) for v in tail]
        sections.append(_section(kernel, column, count, tuple(vectors), rows, weight))
        column += count * sections[-1].width
    return tuple(sections)


def _most_units(kernel: Contraction, sections: list[tuple[int, int, _Rows]]) -> int:
    """How many units of work there are if each is one tile."""
    tiles = sum(
        panels * math.prod(kernel.rows[: rows.axis]) * sum(n for n, _ in rows.tiles)
        for panels, _, rows in sections
    )
    return math.prod(kernel.batch) * tiles


def _tail(rest: int, lanes: int, masks: bool) -> list[Vector]:
    """Vectors for the last columns, fewer than a vector's lanes."""
    if masks and rest > 1:
        return [Vector(0, 1 << (rest - 1).bit_length(), rest)]
    found, offset = [], 0
    while rest:
        lanes = 1 << (rest.bit_length() - 1)
        found.append(Vector(offset, lanes, lanes))
        offset, rest = offset + lanes, rest - lanes
    return found


def _rows(kernel: Contraction, target: Target, vectors: int) -> _Rows:
    """The cheapest tiles of rows for panels of so many vectors.

    A step of depth takes what its multiplications, its loads or the latency of its sums take: two
    of the first and of the second a cycle, four cycles for the third. Rows that are a power of
    two apart share few sets of the first-level cache (64 lines of 64 bytes), so not too many.
    """
    room = (target.registers - vectors - 1 - (not target.fma)) // vectors
    depth = math.prod(kernel.depth)
    best: _Rows | None = None
    for axis in reversed(range(len(kernel.rows))):
        inner = math.prod(kernel.rows[axis + 1 :])
        if inner > room and best:
            break
        apart = abs(kernel.left.free[axis]) * kernel.dtype.itemsize
        sets = 4096 // math.gcd(apart, 4096) if apart >= 64 else 64
        lines = math.prod(kernel.rows[:axis])
        for most in range(1, max(1, min(kernel.rows[axis], room // inner)) + 1):
            tiles = even(kernel.rows[axis], most)
            cost = 0.0
            for count, size in tiles:
                mr = size * inner
                step = max(mr * vectors / 2, (mr + vectors) / 2, 4.0) + 0.5 + 0.1 * vectors
                step += max(0, size - 8 * sets)
                cost += count * (depth * step + 10 + mr * vectors)
            cost *= lines * (1.0 + 0.01 * len(tiles))
            if best is None or cost <= best.cost:
                best = _Rows(cost, axis, tiles)
    assert best is not None
    return best


def even(size: int, most: int) -> Tiles:
    """Tiles of at most `most`, as few as there can be and as even as they can be."""
    count = -(-size // most)
    big = -(-size // count)
    small = count * big - size
    return tuple(t for t in ((count - small, big), (small, big - 1)) if t[0] and t[1])


def _section(
    kernel: Contraction,
    column: int,
    panels: int,
    vectors: tuple[Vector, ...],
    rows: _Rows,
    weight: int,
) -> Section:
    """The section with its units of work and its blocks of depth."""
    lines, span = math.prod(kernel.rows[: rows.axis]), sum(n for n, _ in rows.tiles)
    tile = rows.tiles[0][1] * math.prod(kernel.rows[rows.axis + 1 :])
    row = sum(v.lanes for v in vectors) * kernel.dtype.itemsize
    depth, split, step = kernel.depth, 0, max((1, *kernel.depth[:1]))
    late = 0 in depth or tile * len(vectors) * weight > EPILOGUE
    if kernel.columns > 1 and lines * span >= 4 and math.prod(depth) * row > 2 * NEAR:
        split, step = _block(depth, NEAR // row)
        late = late or split > 0 or step < depth[0]
    panel = sum(v.active for v in vectors)
    wanted = min(UNITS, kernel.products // PRODUCTS)
    parts = -(-wanted // (math.prod(kernel.batch) * max(1, kernel.columns // panel)))
    if late:
        parts = max(parts, -(-lines * span * tile * row // SUMS))
    if lines >= parts:
        lines = _share(lines, parts)
    else:
        lines, span = 1, _share(span, -(-parts // lines))
    return Section(column, panels, vectors, rows.axis, rows.tiles, lines, span, split, step, late)


def _block(depth: Sizes, most: int) -> tuple[int, int]:
    """Where to cut depth so that a block has about `most` points: (dimension, size along it)."""
    split = 0
    while split < len(depth) - 1 and math.prod(depth[split + 1 :]) > most:
        split += 1
    count = -(-depth[split] // max(1, most // math.prod(depth[split + 1 :])))
    return split, -(-depth[split] // count)


def _share(count: int, parts: int) -> int:
    """Size of at least `parts` even parts of `count`, or a little fewer if that wastes less."""
    if parts <= 1:
        return count
    if parts >= count:
        return 1
    most = -(-count // parts)
    sizes = range(max(1, most // 2), most + 1)
    return max(sizes, key=lambda s: (round(count / (-(-count // s) * s), 1), s))
