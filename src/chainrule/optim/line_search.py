"""A line search for the strong Wolfe conditions, with cubic interpolation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

DECREASE = 1e-4
"""c₁: the value must fall by this share of what the slope promises."""
CURVATURE = 0.9
"""c₂: the slope must fall to this share of what it was."""


class Point(NamedTuple):
    """A place on the line: step length, value, gradient, and slope along the line."""

    t: float
    value: float
    gradient: Any
    slope: float


def strong_wolfe(
    at: Callable[[float], Point], start: Point, first: float, length: float,
    *, tolerance: float, most: int = 25,
) -> tuple[Point, int]:  # fmt: skip
    """A point on the line with the strong Wolfe conditions, and how often `at` was called.

    φ(t) <= φ(0) + c₁ t φ'(0) and |φ'(t)| <= c₂ |φ'(0)|. The best point so far if none is found in
    `most` evaluations, or the bracket, times `length` (the direction's largest component), falls
    below `tolerance`. J. Nocedal, S. Wright, "Numerical optimization" (2006), algorithms 3.5, 3.6.
    """
    bracket, used, done = _bracket(at, start, first, most)
    if len(bracket) == 1:
        return bracket[0], used + 1
    low, high = sorted(bracket, key=lambda p: p.value)
    stuck = False
    while not done and used < most and abs(high.t - low.t) * length >= tolerance:
        left, right = sorted((low.t, high.t))
        t = interpolated(low, high, left, right)
        # too near an end, twice or beyond it: the bracket must shrink by a tenth
        margin = 0.1 * (right - left)
        near = min(right - t, t - left) < margin
        if near and (stuck or t >= right or t <= left):
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
            near = False
        stuck = near
        point = at(t)
        used += 1
        if _is_too_high(point, start) or point.value >= low.value:
            low, high = sorted((low, point), key=lambda p: p.value)
            continue
        if abs(point.slope) <= -CURVATURE * start.slope:
            done = True
        elif point.slope * (high.t - low.t) >= 0:
            high = low
        low = point
    return low, used + 1


def _bracket(
    at: Callable[[float], Point], start: Point, first: float, most: int
) -> tuple[list[Point], int, bool]:
    """Points between which one is that satisfies the conditions, or that point itself."""
    before, point, used = start, at(first), 0
    while used < most:
        if _is_too_high(point, start) or (used > 1 and point.value >= before.value):
            return [before, point], used, False
        if abs(point.slope) <= -CURVATURE * start.slope:
            return [point], used, True
        if point.slope >= 0:
            return [before, point], used, False
        least, largest = point.t + 0.01 * (point.t - before.t), point.t * 10
        t = interpolated(before, point, least, largest)
        before, point = point, at(t)
        used += 1
    return [start, point], used, False


def _is_too_high(point: Point, start: Point) -> bool:
    return point.value > start.value + DECREASE * point.t * start.slope


def interpolated(a: Point, b: Point, least: float, most: float) -> float:
    """Where the cubic through two points with their slopes is lowest, within bounds."""
    left, right = (a, b) if a.t <= b.t else (b, a)
    width = right.t - left.t
    if width == 0:
        return (least + most) / 2.0
    d1 = left.slope + right.slope - 3 * (left.value - right.value) / -width
    square = d1 * d1 - left.slope * right.slope
    if not square >= 0:
        return (least + most) / 2.0
    d2 = math.sqrt(square)
    bottom = right.slope - left.slope + 2 * d2
    if bottom == 0:
        return (least + most) / 2.0
    t = right.t - width * ((right.slope + d2 - d1) / bottom)
    return min(max(t, least), most)
