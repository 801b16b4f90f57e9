"""Places: where boxes, merged axes and sliding windows lie in arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ...core.aval import Shape
from ...ops.window import Window
from .nodes import Affine, Place, identity


class Phase(NamedTuple):
    """Along one axis: the positions of one residue, and the taps that meet outputs there.

    Tap t, number ``first + stride · t`` of the kernel, meets output ``start + j - step · t`` at the
    j-th position.
    """

    points: int
    taps: int
    start: int
    step: int
    first: int
    stride: int


def residue_phase(window: Window, axis: int, residue: int, size: int) -> Phase | None:
    """The phase of the positions ``residue + s · j`` below `size`; None if no tap meets them."""
    s, d, lo = window.stride[axis], window.dilation[axis], window.padding[axis][0]
    kernel = window.kernel[axis]
    points = -((residue - size) // s)
    first = next((k for k in range(kernel) if (residue + lo - d * k) % s == 0), None)
    if first is None or points <= 0:
        return None
    stride = s // math.gcd(s, d)
    taps = -((first - kernel) // stride)
    return Phase(points, taps, (residue + lo - d * first) // s, d * stride // s, first, stride)


def box(starts: Sequence[int], steps: Sequence[int]) -> Place:
    """The points ``starts + steps · i`` of an array."""
    rank = len(starts)
    return tuple(
        Affine(start, tuple(step * (d == a) for d in range(rank)))
        for a, (start, step) in enumerate(zip(starts, steps, strict=True))
    )


def refinement(a: Shape, b: Shape) -> Shape | None:
    """The coarsest shape that both shapes come from by merging axes; None if there is none."""
    out: list[int] = []
    i = j = 0
    left = right = 1
    while i < len(a) or j < len(b):
        if left == 1 and i < len(a):
            left, i = a[i], i + 1
            continue
        if right == 1 and j < len(b):
            right, j = b[j], j + 1
            continue
        small, large = min(left, right), max(left, right)
        if small == 1:
            out.append(large)
            left = right = 1
        elif large % small:
            return None
        else:
            # the inner part of the larger axis goes on: the outer sizes must divide
            out.append(small)
            left, right = left // small, right // small
    if left != 1 or right != 1:
        out.append(max(left, right))
    return tuple(out)


def merging(fine: Shape, coarse: Shape) -> Place:
    """Where points of `fine` lie in `coarse`, whose axes are runs of axes of `fine`."""
    rank = len(fine)
    out = []
    d = 0
    for n in coarse:
        factors = [0] * rank
        run = []
        size = 1
        while size < n:
            run.append(d)
            size *= fine[d]
            d += 1
        step = 1
        for axis in reversed(run):
            factors[axis] = step
            step *= fine[axis]
        out.append(Affine(0, tuple(factors)))
    return tuple(out)


def merging_units(shape: Shape, fine: Shape) -> Place:
    """Where points of `shape` lie in `fine`, if they differ in axes of size one only."""
    longs = [d for d, n in enumerate(shape) if n != 1]
    rank = len(shape)
    found = iter(longs)
    return tuple(
        Affine(0, (0,) * rank)
        if n == 1
        else Affine(0, tuple(int(d == at) for at in [next(found)] for d in range(rank)))
        for n in fine
    )


def lengthy(shape: Shape) -> Shape:
    """The sizes other than one."""
    return tuple(n for n in shape if n != 1)


def windows(window: Window, total: int, lead: int, kernel_at: int, point_at: int) -> Place:
    """Where windows read: the first `lead` coordinates, then s·p + d·k - lo for each axis.

    k and p are the dimensions from `kernel_at` and `point_at` on, of a box of `total`.
    """
    spatial = []
    for axis in range(window.rank):
        factors = [0] * total
        factors[point_at + axis] += window.stride[axis]
        factors[kernel_at + axis] += window.dilation[axis]
        spatial.append(Affine(-window.padding[axis][0], tuple(factors)))
    return (*identity(total)[:lead], *spatial)
