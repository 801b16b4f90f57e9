"""Functions that end in a logarithm, with its limits at 0, and the normalised sinc."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from ...core.apply import apply
from ...core.aval import SCALARS, Data
from ...core.families import Elementwise, Unary
from ...core.op import BOTH, INPUTS
from ...core.sampling import Sample, floats
from .. import arithmetic, elementwise, reduce

V = TypeVar("V")

_PAIR = ((0.25, 2.0), (0.25, 3.0))


class Entr(Unary):
    """y = -x log x, 0 at 0, -inf below;  dy/dx = -1 - log x."""

    floating = True
    expr = "where({0} > 0, -{0} * log({0}), where({0} == 0, 0, where({0} < 0, -inf, {0})))"
    math = ("-1 - log({0})",)
    domain = ((0.25, 3.0),)

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        y = -x * np.log(np.where(x > 0, x, x.dtype.type(1)))
        return np.where(x < 0, x.dtype.type(-np.inf), y)

    def slope(self, x: Data, y: Data) -> Data:
        return -1.0 - elementwise.log(x)


class Xlogy(Elementwise):
    """y = x log z, 0 where x = 0 and z is no NaN;  ∂y/∂x = log z, ∂y/∂z = x / z."""

    floating = True
    needs = INPUTS
    expr = "where(({0} == 0) & ({1} == {1}), 0, {0} * log({1}))"
    math = ("log({1})", "{0} / {1}")
    domain = _PAIR

    def forward(self, *xs: Any) -> Any:
        x, z = xs
        zero = np.equal(x, 0) & ~np.isnan(z)
        return x * np.log(np.where(zero, np.asarray(z).dtype.type(1), z))

    def partial(self, i: int, xs: Sequence[Data], y: Data) -> Data:
        x, z = xs
        if i == 1:
            return x / z
        if type(z) in SCALARS and z > 0:
            return math.log(z)
        flat = arithmetic.logical_and(arithmetic.eq(x, 0), arithmetic.le(z, 0))
        return arithmetic.where(flat, 0.0, elementwise.log(arithmetic.where(flat, 1.0, z)))


class Xlog1py(Elementwise):
    """y = x log(1 + z), 0 where x = 0 and z is no NaN;  ∂y/∂x = log(1 + z), ∂y/∂z = x / (1 + z)."""

    floating = True
    needs = INPUTS
    expr = "where(({0} == 0) & ({1} == {1}), 0, {0} * log1p({1}))"
    math = ("log1p({1})", "{0} / (1 + {1})")
    domain = _PAIR

    def forward(self, *xs: Any) -> Any:
        x, z = xs
        zero = np.equal(x, 0) & ~np.isnan(z)
        return x * np.log1p(np.where(zero, np.asarray(z).dtype.type(0), z))

    def partial(self, i: int, xs: Sequence[Data], y: Data) -> Data:
        x, z = xs
        if i == 1:
            return x / (z + 1.0)
        if type(z) in SCALARS and z > -1:
            return math.log1p(z)
        flat = arithmetic.logical_and(arithmetic.eq(x, 0), arithmetic.le(z, -1))
        return arithmetic.where(flat, 0.0, elementwise.log1p(arithmetic.where(flat, 0.0, z)))


class Sinc(Unary):
    """y = sin(πx) / (πx), 1 at 0;  dy/dx = (cos(πx) - y) / x, 0 at 0."""

    floating = True
    needs = BOTH
    expr = "where({0} == 0, 1, sin(3.141592653589793 * {0}) / (3.141592653589793 * {0}))"
    math = ("(cos(pi * {0}) - sin(pi * {0}) / (pi * {0})) / {0}",)
    domain = ((0.3, 2.0),)

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        return np.sinc(x).astype(x.dtype, copy=False)

    def slope(self, x: Data, y: Data) -> Data:
        # Next to 0 the difference would leave rounding divided by x: the series, in x², is exact.
        near = arithmetic.lt(arithmetic.abs(x), 0.01)
        square = x * x * (math.pi * math.pi)
        series = x * ((square * (1.0 / 30.0) - 1.0 / 3.0) - square * square / 840.0)
        far = (elementwise.cos(x * math.pi) - y) / arithmetic.where(near, 1.0, x)
        return arithmetic.where(near, series * (math.pi * math.pi), far)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        yield from super().samples()
        yield Sample(cls(), floats((3,), low=0.006, high=0.0099))


ENTR, XLOGY, XLOG1PY, SINC = Entr(), Xlogy(), Xlog1py(), Sinc()


def entr(input: V) -> V:
    """-x log x, elementwise: 0 at 0, -inf for negative x.  dy/dx = -1 - log x, inf at 0.

    >>> entr(tensor([0.0, 0.5, 1.0]))
    tensor([-0.0000,  0.3466, -0.0000])
    """
    return apply(ENTR, input)


def xlogy(input: Any, other: Any) -> Any:
    """x log z, elementwise, and 0 where x is 0, even for z = 0.  ∂/∂x = log z, ∂/∂z = x / z.

    >>> xlogy(tensor([0.0, 2.0]), tensor([0.0, 1.0]))
    tensor([0., 0.])
    """
    return apply(XLOGY, input, other)


def xlog1py(input: Any, other: Any) -> Any:
    """x log(1 + z), elementwise, and 0 where x is 0.  ∂/∂x = log(1 + z), ∂/∂z = x / (1 + z)."""
    return apply(XLOG1PY, input, other)


def logit(input: V, eps: float | None = None) -> V:
    """log(x / (1 - x)), the inverse of sigmoid; with `eps`, x is first limited to eps … 1 - eps.

    dy/dx = 1 / (x (1 - x)). NaN outside [0, 1].

    >>> logit(tensor([0.5, 1.0]))
    tensor([ 0., inf])
    """
    x: Any = reduce.as_float(input)
    if eps is not None:
        x = arithmetic.clip(x, eps, 1.0 - eps)
    y: V = elementwise.log(x / (1.0 - x))
    return y


def sinc(input: V) -> V:
    """sin(πx) / (πx), 1 at 0.  dy/dx = (cos(πx) - y) / x, 0 at 0.

    >>> sinc(tensor([0.0, 0.5]))
    tensor([1.0000, 0.6366])
    """
    return apply(SINC, input)
