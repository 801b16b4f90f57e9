"""The padding of windows: steps of depth that would only multiply zeros are left out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..kernels import Contraction, Frame
from .micro import STRAIGHT, TURN, Dim
from .text import Function, Val
from .tiling import Section

BODIES = 32
"""Copies of the loops within that are written for loops whose turns take different rows."""


def loop_of(kernel: Contraction, s: Section, frame: Frame) -> int | None:
    """Which loop of a block of depth moves the frame's coordinate, if it is whole there."""
    d = next(i for i, factor in enumerate(frame.depth) if factor) - s.split
    return None if d < 0 or (d == 0 and s.step < kernel.depth[s.split]) else d


def rows_inside(
    kernel: Contraction, s: Section, frame: Frame, offsets: Sequence[int], steps: int
) -> tuple[tuple[int, ...], ...]:
    """Which rows of a tile are in the frame at each step; () if all, or if tiles differ in that.

    Nor are there any if there are too many steps to write each, as in the gradient of a kernel,
    where they are as many as the image is long.

    `offsets` say how far the coordinate of each row is from that of the first.
    """
    first = next(r for r, factor in enumerate(frame.rows) if factor)
    if first < s.axis or (first == s.axis and s.tiles != ((1, kernel.rows[s.axis]),)):
        return ()
    if steps > BODIES:
        return ()
    step = sum(frame.depth)  # one is not zero
    turns = [
        tuple(m for m, n in enumerate(offsets) if 0 <= frame.offset + n + i * step < frame.size)
        for i in range(steps)
    ]
    return tuple(turns) if any(len(rows) < len(offsets) for rows in turns) else ()


def pays(s: Section, frame: Frame, dims: Sequence[Dim], d: int, rows: int) -> bool:
    """Whether loop `d` should run from the first step in the frame to the last only.

    A loop of a length that only the run knows is neither unrolled nor written straight, so it must
    be one that is not anyway.
    """
    if not any(frame.rows[: s.axis + 1]):
        return False
    each = rows * len(s.vectors) * math.prod(dim.most for dim in dims[d + 1 :])
    return 2 * each > TURN and each * dims[d].most > STRAIGHT


def inside(
    f: Function,
    kernel: Contraction,
    frame: Frame,
    axis: int,
    size: int,
    place: Sequence[Val],
    most: int,
) -> tuple[Val, Val]:
    """The first of `most` steps of depth at which a row of a tile is in the frame, and how many.

    The tile has `size` rows along `axis` from `place`, and all along the dimensions behind it.
    """
    low = high = f.integer(frame.offset)
    for i, factor in zip(place, frame.rows, strict=False):
        low = high = f.add(f.scale(i, factor), low)
    for n, factor in zip((size, *kernel.rows[axis + 1 :]), frame.rows[axis:], strict=True):
        low = f.add(low, min(0, factor * (n - 1)))
        high = f.add(high, max(0, factor * (n - 1)))
    step = sum(frame.depth)  # one is not zero
    if step > 0:  # from before the frame to behind it, or the other way
        before, behind = _less(f, 0, high), _less(f, frame.size - 1, low)
    else:
        before, behind = f.add(low, 1 - frame.size), high
    first = _steps(f, f.add(before, abs(step) - 1), abs(step), most)
    end = _steps(f, f.add(behind, abs(step)), abs(step), most)
    return first, f.intrinsic("smax", f.binary("sub nsw", end, first), f.integer(0))


def _less(f: Function, a: int, b: Val) -> Val:
    return f.binary("sub nsw", f.integer(a), b)


def _steps(f: Function, way: Val, step: int, most: int) -> Val:
    """How many steps of a length a way is: none if it is negative, and at most so many."""
    way = f.intrinsic("smax", way, f.integer(0))
    if step != 1:
        way = f.binary("udiv", way, f.integer(step))
    return f.intrinsic("smin", way, f.integer(most))
