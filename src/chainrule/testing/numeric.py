"""Derivatives by differences, in float64: the oracle that knows nothing of any rule.

``numerical_gradient`` is the plain central difference of the teaching documents. The checks use
``directional_difference``: central differences at halving steps, extrapolated to step zero
(Richardson; the stopping rule is C. Ridders, Accurate computation of F'(x) and F'(x)F''(x),
Advances in Engineering Software 4(2), 1982). Two steps already reach 1e-12 for smooth functions;
more are taken only where the extrapolation has not settled, for instance next to a kink.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float64]
Arrays: TypeAlias = Sequence[NDArray[Any]]

MACHINE_EPSILON = float(np.finfo(np.float64).eps)
DEFAULT_STEP = 1e-3
_MAX_STEPS = 14
_SETTLED = 1e-9
"""Relative change between extrapolations below which no further step is taken."""
_KINK_RATIO = 0.75
"""The gap between one-sided slopes halves with the step (ratio 0.5) where a function is smooth, and
stays (1.0) at a kink or grows (2.0) at a jump."""
_JUMP_RATIO = 1.3
"""Growth of the central difference as the step halves from which a jump is concluded."""
_KINK_GAP = 1e-4
"""Smallest gap, relative to the slopes, that is called a kink."""
_ROUNDOFF = 32.0
"""Roundings that may add up in one function value before their sum is no longer called noise."""


def numerical_gradient(
    f: Callable[[NDArray[Any]], Any], x: NDArray[Any], h: float = 1e-5
) -> Vector:
    """Gradient of a scalar function of one array, element by element: (f(x+h) - f(x-h)) / 2h.

    The function of the same name in document 003 ("Backpropagation explained", section
    "Gradient checking"), for arrays of any shape.

    >>> numerical_gradient(lambda x: np.sum(x**2), np.array([1.0, 2.0, 3.0])).round(6)
    array([2., 4., 6.])
    """
    x = np.asarray(x, np.float64)
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        x_plus, x_minus = x.copy(), x.copy()
        x_plus[index] += h
        x_minus[index] -= h
        gradient[index] = (float(f(x_plus)) - float(f(x_minus))) / (2 * h)
    return gradient


@dataclass(frozen=True)
class Difference:
    """J dx by differences, flat over all outputs, with what is known about its accuracy."""

    value: Vector
    """J dx; NaN where the function was not finite near the point."""
    error: Vector
    """Observed: how much the last extrapolation still changed."""
    noise: Vector
    """Expected: rounding of the function values, divided by the step."""
    kink: NDArray[np.bool_]
    """Whether the slopes from the left and from the right disagree, at every step tried."""
    left: Vector
    right: Vector
    evaluations: int


def flatten(arrays: Arrays) -> Vector:
    """All elements of all arrays, in order, as one float64 vector."""
    if not arrays:
        return np.zeros(0)
    return np.concatenate([np.asarray(a, np.float64).reshape(-1) for a in arrays])


def directional_difference(
    f: Callable[[list[NDArray[Any]]], Arrays],
    xs: Arrays,
    dxs: Sequence[NDArray[Any] | None],
    *,
    step: float = DEFAULT_STEP,
    center: Vector | None = None,
) -> Difference:
    """The derivative of `f` at `xs` along `dxs` (None: that input stays), for all outputs at once.

    `step` is the first step; it is halved until the extrapolation settles, 14 times at most.
    `center` is ``f(xs)`` if it is known already.
    """

    def at(h: float) -> Vector:
        moved = [x if dx is None else x + h * dx for x, dx in zip(xs, dxs, strict=True)]
        with np.errstate(all="ignore"):
            return flatten(f(moved))

    f0 = flatten(f(list(xs))) if center is None else center
    tableau = _Tableau(f0)
    h = step
    for _ in range(_MAX_STEPS):
        tableau.add(h, at(h), at(-h))
        if tableau.settled():
            break
        h /= 2
    return tableau.result()


class _Tableau:
    """Ridders' triangle of extrapolated central differences, for every output element at once."""

    def __init__(self, f0: Vector) -> None:
        self._f0 = f0
        self._magnitude = np.abs(f0)
        self._row: list[Vector] = []
        self._value = np.full_like(f0, np.nan)
        self._error = np.full_like(f0, np.inf)
        self._noise = np.full_like(f0, np.inf)
        self._gap_before = np.full_like(f0, np.nan)
        self._gap = np.full_like(f0, np.nan)
        self._central = np.full_like(f0, np.nan)
        self._central_before = np.full_like(f0, np.nan)
        self._left = np.full_like(f0, np.nan)
        self._right = np.full_like(f0, np.nan)
        self._moves = np.zeros(f0.shape, np.bool_)
        self._h = 0.0
        self._steps = 0

    def add(self, h: float, plus: Vector, minus: Vector) -> None:
        """Take the central difference at step `h` and extrapolate with the earlier ones."""
        self._steps += 1
        self._h = h
        with np.errstate(all="ignore"):
            self._magnitude = np.fmax(self._magnitude, np.fmax(np.abs(plus), np.abs(minus)))
            self._one_sided(h, plus, minus)
            row = [_minus(plus, minus) / (2 * h)]
            for k, above in enumerate(self._row[:5], start=1):
                row.append(row[-1] + (row[-1] - above) / (4.0**k - 1.0))
            self._moves |= plus != minus
            noise = self._rounding(h)
            for k in range(1, len(row)):
                error = np.fmax(np.abs(row[k] - row[k - 1]), np.abs(row[k] - self._row[k - 1]))
                better = error < self._error
                self._value = np.where(better, row[k], self._value)
                self._error = np.where(better, error, self._error)
                self._noise = np.where(better, noise, self._noise)
        self._row = row

    def _rounding(self, h: float) -> Vector:
        """What rounding may amount to: of f, over h; of a rule, where f did not move at all."""
        magnitude = np.where(np.isfinite(self._magnitude), self._magnitude, 0.0)
        rounding = _ROUNDOFF * MACHINE_EPSILON * magnitude
        return np.where(self._moves, rounding / h, rounding)

    def _one_sided(self, h: float, plus: Vector, minus: Vector) -> None:
        self._gap_before = self._gap
        self._right = _minus(plus, self._f0) / h
        self._left = _minus(self._f0, minus) / h
        self._gap = np.abs(self._right - self._left)
        self._central_before = self._central
        self._central = 0.5 * (self._left + self._right)

    def settled(self) -> bool:
        """Whether every element's extrapolation stands still, up to rounding."""
        if self._steps < 2:
            return False
        return bool(self._settled().all())

    def _settled(self) -> NDArray[np.bool_]:
        return self._error <= _SETTLED * np.abs(self._value) + self._noise

    def result(self) -> Difference:
        """The best value for each element, and whether it sits on a kink."""
        with np.errstate(all="ignore"):
            slope = np.fmax(np.abs(self._left), np.abs(self._right))
            noise = self._rounding(self._h)
            stays = self._gap > _KINK_RATIO * self._gap_before
            kink = stays & (self._gap > _KINK_GAP * slope + 4 * noise.max(initial=0.0))
            edge = np.isfinite(self._left) ^ np.isfinite(self._right)
            grows = np.abs(self._central) > _JUMP_RATIO * np.abs(self._central_before)
            jump = grows & (np.abs(self._central) > 4 * noise.max(initial=0.0)) & ~self._settled()
        return Difference(
            self._value, self._error, self._noise, kink | edge | jump,
            self._left, self._right, 2 * self._steps,
        )  # fmt: skip


def _minus(a: Vector, b: Vector) -> Vector:
    """a - b, with infinity minus the same infinity zero: that element does not move."""
    return np.where(a == b, 0.0, a - b)


@dataclass(frozen=True)
class Comparison:
    """A derivative from a rule beside the same derivative from differences."""

    analytic: float
    numeric: float
    error: float
    """|analytic - numeric| relative to the larger of the two; 0 within rounding noise."""
    ok: bool
    settled: bool
    """Whether the differences are accurate enough to judge."""

    @property
    def wrong(self) -> str:
        """Empty if the two agree, else both."""
        return "" if self.ok else f"{self.analytic:.9g} instead of {self.numeric:.9g}"


def compare(
    analytic: float, numeric: float, *, noise: float, error: float, rtol: float, atol: float = 0.0,
    scale: float = 0.0,
) -> Comparison:  # fmt: skip
    """Compare relative to the two numbers themselves, so a small derivative that is wrong fails.

    Only rounding is excused: `noise` is what it can amount to in the differences, `error` is what
    they were seen to scatter, which counts up to 1e-8 of `scale`, the other derivatives' size.
    """
    if not (np.isfinite(analytic) and np.isfinite(numeric)):
        same = analytic == numeric
        return Comparison(analytic, numeric, 0.0 if same else float("inf"), same, True)
    gap = abs(analytic - numeric)
    size = max(abs(analytic), abs(numeric))
    excused = atol + noise + min(4.0 * error, 1e-8 * scale)
    relative = 0.0 if gap <= excused else gap / size
    settled = error <= max(0.5 * gap, rtol * size, noise)
    return Comparison(analytic, numeric, relative, gap <= rtol * size + excused, settled)
