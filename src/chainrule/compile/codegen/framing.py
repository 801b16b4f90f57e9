"""The padding of windows: steps of depth that would only multiply zeros are left out."""

from __future__ import annotations

from collections.abc import Sequence

from ..kernels import Contraction, Frame
from .text import Function, Val


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
