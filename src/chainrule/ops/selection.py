"""Elementwise selection: maximum, minimum, clip and where.

Derivatives at the awkward points: maximum and minimum split it evenly at ties, clip passes it at
the bounds, where passes nothing to the branch not taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import SCALARS, Aval, Data, broadcast_shapes, promote, result_dtype, shape_of
from ..core.families import Elementwise, Unary
from ..core.op import Active, Cotangents, Needs
from ..core.sampling import Sample, distinct
from ..errors import ArgumentError
from . import comparison

V = TypeVar("V")

_PAIR = ((-2.0, 2.0), (-2.0, 2.0))


class _Extremum(Elementwise, abstract=True):
    """The derivative goes to the chosen operand, half to each at ties, nowhere with a NaN."""

    domain = _PAIR

    def wins(self, i: int, xs: Sequence[Data]) -> tuple[Data, Data]:
        """Whether operand i is chosen alone, and whether it is chosen at all."""
        raise NotImplementedError

    def weigh(self, t: Data, i: int, xs: Sequence[Data]) -> Data:
        """t times 1, 1/2 or 0. Masks, not ``where``: that takes ten times as long in NumPy."""
        alone, chosen = self.wins(i, xs)
        return (t * alone + t * chosen) * 0.5

    def partial(self, i: int, xs: Sequence[Data], y: Data) -> Data:
        alone, chosen = self.wins(i, xs)
        return where(alone, 1.0, where(chosen, 0.5, 0.0))

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        return [None if a is None else self.weigh(ct, i, xs) for i, a in enumerate(active)]

    def jvp(self, dxs: Sequence[Data | None], xs: Sequence[Data], y: Data) -> Data:
        terms = [self.weigh(dx, i, xs) for i, dx in enumerate(dxs) if dx is not None]
        return terms[0] if len(terms) == 1 else terms[0] + terms[1]


class Maximum(_Extremum):
    """y = max(a, b);  dy/da = 1 where a > b, 1/2 where a = b, else 0."""

    expr = "maximum({0}, {1})"
    math = (
        "where({0} > {1}, 1, where({0} == {1}, 0.5, 0))",
        "where({1} > {0}, 1, where({0} == {1}, 0.5, 0))",
    )
    forward: ClassVar[Any] = np.maximum

    def wins(self, i: int, xs: Sequence[Data]) -> tuple[Data, Data]:
        return comparison.gt(xs[i], xs[1 - i]), comparison.ge(xs[i], xs[1 - i])


class Minimum(_Extremum):
    """y = min(a, b);  dy/da = 1 where a < b, 1/2 where a = b, else 0."""

    expr = "minimum({0}, {1})"
    math = (
        "where({0} < {1}, 1, where({0} == {1}, 0.5, 0))",
        "where({1} < {0}, 1, where({0} == {1}, 0.5, 0))",
    )
    forward: ClassVar[Any] = np.minimum

    def wins(self, i: int, xs: Sequence[Data]) -> tuple[Data, Data]:
        return comparison.lt(xs[i], xs[1 - i]), comparison.le(xs[i], xs[1 - i])


class Clip(Unary):
    """y = min(max(x, low), high);  dy/dx = 1 where low <= x <= high, else 0."""

    low: float = -math.inf
    high: float = math.inf

    expr = "minimum(maximum({0}, {low}), {high})"
    math = ("where(({0} >= {low}) & ({0} <= {high}), 1, 0)",)

    @property
    def _bounds(self) -> tuple[float | None, float | None]:
        low, high = self.low, self.high
        return (None if low == -math.inf else low, None if high == math.inf else high)

    def infer(self, *xs: Any) -> Aval:
        x = xs[0]
        bounds = [b for b in self._bounds if b is not None]
        return Aval(shape_of(x), result_dtype((x, *bounds)))

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        low, high = self._bounds
        if x.dtype.kind != "f":
            x = x.astype(self.infer(x).dtype, copy=False)
        if low is not None:
            x = np.maximum(x, low)
        return x if high is None else np.minimum(x, high)

    def inside(self, x: Data) -> Data:
        """Where x is within the bounds, or at one."""
        low, high = self._bounds
        if low is None:
            return comparison.le(x, high)
        above = comparison.ge(x, low)
        return above if high is None else comparison.logical_and(above, comparison.le(x, high))

    def slope(self, x: Data, y: Data) -> Data:
        return where(self.inside(x), 1.0, 0.0)

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        return (ct * self.inside(xs[0]),)

    def jvp(self, dxs: Sequence[Data | None], xs: Sequence[Data], y: Data) -> Data:
        return dxs[0] * self.inside(xs[0])

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for low, high in ((-0.7, 0.7), (-0.7, math.inf), (-math.inf, 0.7)):
            for shape in ((), (1,), (2, 3), (0,), (3, 1, 2)):
                yield Sample(cls(low, high), (distinct(*shape),))


class Where(Elementwise):
    """y = a where the condition holds, else b;  the derivative goes to the one taken."""

    promotes = False
    needs = Needs(inputs=(0,))
    expr = "where({0}, {1}, {2})"
    math = ("0", "where({0}, 1, 0)", "where({0}, 0, 1)")
    domain = ((0.0, 1.0), *_PAIR)
    kinds = ("bool", "float", "float")

    def infer(self, *xs: Any) -> Aval:
        return Aval(broadcast_shapes(*[shape_of(x) for x in xs]), result_dtype(xs[1:]))

    def forward(self, *xs: Any) -> Any:
        condition, a, b = xs
        if type(a) in SCALARS and type(b) in SCALARS:
            return np.where(condition, a, b).astype(result_dtype((a, b)), copy=False)
        return np.where(condition, *promote([a, b], False))

    def partial(self, i: int, xs: Sequence[Data], y: Data) -> Data:
        if i == 0:
            return 0.0
        return where(xs[0], 1.0, 0.0) if i == 1 else where(xs[0], 0.0, 1.0)

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        condition = xs[0]
        return (
            None,
            None if active[1] is None else where(condition, ct, 0.0),
            None if active[2] is None else where(condition, 0.0, ct),
        )

    def jvp(self, dxs: Sequence[Data | None], xs: Sequence[Data], y: Data) -> Data:
        _, da, db = dxs
        return where(xs[0], 0.0 if da is None else da, 0.0 if db is None else db)


MAXIMUM, MINIMUM, WHERE = Maximum(), Minimum(), Where()


def maximum(a: V, b: Any) -> V:
    """The greater of a and b, elementwise; NaN if either is. Ties share the derivative evenly.

    >>> maximum(tensor([1.0, 5.0]), tensor([3.0, 2.0]))
    tensor([3., 5.])
    """
    return apply(MAXIMUM, a, b)


def minimum(a: V, b: Any) -> V:
    """The lesser of a and b, elementwise; NaN if either is. Ties share the derivative evenly."""
    return apply(MINIMUM, a, b)


def clip(x: V, min: Any = None, max: Any = None) -> V:
    """x limited to ``min <= y <= max``; either bound may be None, a number or a tensor.

    dy/dx = 1 within the bounds and at them, 0 beyond, where a tensor bound gets the derivative.
    If min > max, the result is max. Raises ArgumentError without any bound.

    >>> clip(tensor([-2.0, 0.5, 2.0]), -1, 1)
    tensor([-1.0000,  0.5000,  1.0000])
    """
    if min is None and max is None:
        raise ArgumentError("clip needs min or max", got="neither")
    if all(bound is None or type(bound) in SCALARS for bound in (min, max)):
        low = -math.inf if min is None else min
        return apply(Clip(low, math.inf if max is None else max), x)
    y: Any = x if min is None else where(comparison.lt(x, min), min, x)
    if max is not None:
        y = where(comparison.gt(y, max), max, y)
    return y  # type: ignore[no-any-return]  # of the type of x


def where(condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds (is nonzero), else b, with broadcasting.

    The derivative goes to the branch taken. The branch not taken gets zero; if it was computed by
    something with an infinite derivative there, such as log at 0, the product is NaN: make the
    operand safe, ``where(x > 0, log(where(x > 0, x, 1)), 0)``.

    >>> where(tensor([True, False]), tensor([1.0, 2.0]), 0.0)
    tensor([1., 0.])
    """
    return apply(WHERE, condition, a, b)
