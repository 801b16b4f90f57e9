"""The memory plan: which buffer lies where, and between which kernels threads must meet.

All temporary buffers share one arena. Two may lie in the same place if they are never alive at the
same time. Buffers whose surroundings must stay zero share memory only with their like.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ...core.aval import Shape
from .nodes import Affine
from .storage import Buffer

_ALIGN = 64


class Use(NamedTuple):
    """What a step reads and writes, and whether only one thread does it."""

    reads: tuple[Buffer, ...]
    writes: tuple[Buffer, ...]
    alone: bool
    shared: frozenset[int] = frozenset()
    """Slots that are both read and written, point by point."""


class Region(NamedTuple):
    """A piece of the arena, in bytes."""

    start: int
    end: int


class Plan(NamedTuple):
    """Regions by slot, the arena's size, and for each step whether threads meet before it."""

    regions: dict[int, Region]
    size: int
    zeroed: int
    """The first bytes of the arena, which must be zero when the program starts."""
    barriers: list[bool]


def root(buffer: Buffer) -> Buffer:
    """The buffer whose memory a buffer looks at."""
    while buffer.alias is not None:
        buffer = buffer.alias
    return buffer


def number(uses: Sequence[Use], first: Iterable[Buffer]) -> None:
    """Give every buffer a slot, `first` the first ones."""
    count = 0
    for buffer in [*first, *(b for use in uses for b in (*use.reads, *use.writes))]:
        at = root(buffer)
        if at.slot < 0:
            at.slot = count
            count += 1
        buffer.slot = at.slot


def plan(uses: Sequence[Use], outside: set[int], keeps: Mapping[int, object]) -> Plan:
    """Lay out all slots but those in `outside`, which have memory of their own.

    `keeps` has a key for each slot that needs zeros around what is written; slots with equal keys
    may follow each other in one region.
    """
    span: dict[int, tuple[int, int]] = {}
    nbytes: dict[int, int] = {}
    for i, use in enumerate(uses):
        for buffer in (*use.reads, *use.writes):
            slot = buffer.slot
            if slot not in outside:
                span[slot] = (span.get(slot, (i, i))[0], i)
                nbytes[slot] = root(buffer).nbytes
    regions: dict[int, Region] = {}
    zeroed = _pools(span, nbytes, keeps, regions)
    size = _pack(span, nbytes, regions, zeroed)
    return Plan(regions, size, zeroed, _barriers(uses, regions))


def _pools(
    span: Mapping[int, tuple[int, int]],
    nbytes: Mapping[int, int],
    keeps: Mapping[int, object],
    regions: dict[int, Region],
) -> int:
    """Regions for slots that need zeros; returns where they end."""
    end = 0
    pools: list[tuple[object, Region, int]] = []
    for slot in sorted((s for s in span if s in keeps), key=lambda s: span[s]):
        for k, (key, region, busy) in enumerate(pools):
            if key == keeps[slot] and busy < span[slot][0]:
                regions[slot] = region
                pools[k] = (key, region, span[slot][1])
                break
        else:
            region = Region(end, end + _rounded(nbytes[slot]))
            end = region.end
            regions[slot] = region
            pools.append((keeps[slot], region, span[slot][1]))
    return end


def _pack(
    span: Mapping[int, tuple[int, int]],
    nbytes: Mapping[int, int],
    regions: dict[int, Region],
    start: int,
) -> int:
    """Largest first, each at the lowest place that is free all its life."""
    size = start
    placed: list[int] = []
    for slot in sorted((s for s in span if s not in regions), key=lambda s: (-nbytes[s], span[s])):
        need = _rounded(nbytes[slot])
        taken = sorted(
            regions[other]
            for other in placed
            if span[other][0] <= span[slot][1] and span[slot][0] <= span[other][1]
        )
        at = start
        for region in taken:
            if region.start - at >= need:
                break
            at = max(at, region.end)
        regions[slot] = Region(at, at + need)
        placed.append(slot)
        size = max(size, at + need)
    return size


def _rounded(n: int) -> int:
    """Room for n bytes, and a vector's width that a careless load may touch behind them."""
    return (n + _ALIGN - 1) // _ALIGN * _ALIGN + _ALIGN


def _barriers(uses: Sequence[Use], regions: Mapping[int, Region]) -> list[bool]:
    """Before which steps threads must have finished all earlier ones.

    A step waits if it touches memory that a step since the last barrier wrote, or writes what such
    a step read. Steps that one thread does alone follow each other in order anyway.
    """
    out = []
    since: list[Use] = []
    for use in uses:
        wait = any(
            not (use.alone and other.alone) and _conflict(use, other, regions) for other in since
        )
        out.append(wait)
        if wait:
            since = []
        since.append(use)
    return out


def _conflict(a: Use, b: Use, regions: Mapping[int, Region]) -> bool:
    return (
        _touch(a.reads, b.writes, regions)
        or _touch(a.writes, b.reads, regions)
        or _touch(a.writes, b.writes, regions)
    )


def _are_apart(x: Buffer, y: Buffer) -> bool:
    """Whether two buffers are parts of one that have no element in common."""
    if x.within is None or y.within is None or x.alias is not y.alias:
        return False
    for a, b in zip(x.within, y.within, strict=True):
        step = math.gcd(*a.factors, *b.factors)
        if step and (a.offset - b.offset) % step:
            return True  # such as the even and the odd positions
        low, high = _reach(a, x.shape)
        start, end = _reach(b, y.shape)
        if high < start or end < low:
            return True
    return False


def _reach(a: Affine, shape: Shape) -> tuple[int, int]:
    """The least and the largest coordinate of a part of some shape along a dimension."""
    ways = [factor * (n - 1) for factor, n in zip(a.factors, shape, strict=True)]
    return a.offset + sum(min(0, w) for w in ways), a.offset + sum(max(0, w) for w in ways)


def _touch(xs: Sequence[Buffer], ys: Sequence[Buffer], regions: Mapping[int, Region]) -> bool:
    for x in xs:
        at = regions.get(x.slot)
        for y in ys:
            if x.slot == y.slot:
                if _are_apart(x, y):
                    continue
                return True
            other = regions.get(y.slot)
            apart = at is None or other is None or at.end <= other.start or other.end <= at.start
            if not apart:
                return True
    return False
