"""Finite differences of a twin: the scalar is computed again with a leaf moved a little."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from ..core.aval import Data
from ..core.value import Item, Node
from .twin import Twin

_FIRST: Final = 1e-2
"""The largest step, for a leaf of size one."""
_SHRINK: Final = 4.0
_STEPS: Final = 20
_CLOSE: Final = 1e-11
_ROUNDING: Final = 2.0**-51
"""Of the value of a function of several operations."""
_SIDES: Final = (1e-5, 1e-7)


class Slope(NamedTuple):
    """A derivative by finite differences."""

    value: float
    error: float
    """How much the estimate may be off."""
    left: float
    """By values on one side only."""
    right: float
    is_kink: bool
    """Whether the slopes of the two sides stay apart however small the step is."""


def rerun(twin: Twin, leaf: Node) -> Callable[[Data], float]:
    """The scalar of a twin as a function of the value of one leaf."""
    on_path = {leaf}
    cone = []
    for node in twin.order:
        if any(parent in on_path for parent in node.parents):
            on_path.add(node)
            cone.append((node, twin.operands(node)))

    def compute(value: Data) -> float:
        now: dict[Node | None, Any] = {leaf: value}
        for node, xs in cone:
            fresh = [now.get(p, x) for p, x in zip(node.parents, xs, strict=True)]
            assert node.op is not None
            now[node] = fresh[0][node.op.index] if type(node.op) is Item else node.op(*fresh)
        return float(now[twin.root])

    return compute


def slope(twin: Twin, leaf: Node, direction: Data) -> Slope:
    """The derivative of the scalar along a direction of one leaf, by central differences.

    Steps shrink and the results are extrapolated to none; the estimate that changed least counts
    (Ridders 1982, "Accurate computation of F′(x) and F′(x)F″(x)"; Press et al., Numerical Recipes,
    section 5.7).
    """
    f, x = rerun(twin, leaf), np.asarray(twin.values[leaf])
    size = float(np.max(np.abs(direction), initial=0.0)) or 1.0
    reach = max(1.0, float(np.max(np.abs(x[direction != 0]), initial=0.0)))
    return slope_of(lambda h: f(x + h * direction), 1 / size, min(reach, 10.0) / size)


def slope_of(f: Callable[[float], float], unit: float = 1.0, reach: float = 1.0) -> Slope:
    """The derivative at zero of a function of one number, by differences of values.

    The first step is a hundredth of `reach`; slopes of one side take a small part of `unit`.

    >>> f"{slope_of(math.exp).value:.9f}", slope_of(math.fabs).is_kink
    ('1.000000000', True)
    """
    value, error = extrapolated(f, _FIRST * reach)
    here, gaps, left, right = f(0.0), [], 0.0, 0.0
    for h in _SIDES:
        left, right = (here - f(-h * unit)) / (h * unit), (f(h * unit) - here) / (h * unit)
        gaps.append(abs(right - left))
    noise = 1e-5 * max(abs(left), abs(right), 1e-2 / unit) + 1e-15 * abs(here) / (_SIDES[1] * unit)
    return Slope(value, error, left, right, gaps[1] > 0.5 * gaps[0] and gaps[1] > noise)


def extrapolated(f: Callable[[float], float], h: float) -> tuple[float, float]:
    """The limit of central differences at no step, and an estimate of its error.

    The error is how much the last extrapolation changed, and what rounding does to the values.
    Steps at which there is no number, such as those that leave the domain, are passed over.
    """
    row: list[float] = []
    best, least = math.nan, math.inf
    for _ in range(_STEPS):
        above, below = f(h), f(-h)
        previous, row = row, [(above - below) / (2 * h)]
        noise = _ROUNDING * max(abs(above), abs(below)) / h
        h /= _SHRINK
        if not math.isfinite(row[0]):
            row = []
            continue
        factor = 1.0
        for before in previous:
            factor *= _SHRINK**2
            row.append((row[-1] * factor - before) / (factor - 1))
            error = max(abs(row[-1] - row[-2]), abs(row[-1] - before)) + noise
            if error < least:
                best, least = row[-1], error
        if least < _CLOSE * abs(best) or noise > least:
            break
    return best, least
