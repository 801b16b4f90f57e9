"""Distributions with a location and a scale: x = μ + σ z, with z of a fixed distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from .. import ops
from ..ops.special import erfinv, log_ndtr, ndtr
from ..tensor import Tensor
from . import constraints
from .constraints import Constraint
from .distribution import EULER, LOG_TWO_PI, Distribution, parameters, uniform_numbers


class _LocationScale(Distribution):
    """Base: subclasses give the standard distribution's values from uniform numbers."""

    has_rsample = True
    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "loc": constraints.real,
        "scale": constraints.positive,
    }

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = parameters(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.real

    def _standard(self, value: Any) -> Tensor:
        return (self._value(value) - self.loc) / self.scale

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        u = uniform_numbers(self._extended_shape(sample_shape), self.loc)
        return self.icdf(u)


class Normal(_LocationScale):
    """The normal distribution, p = exp(-(x - μ)² / 2σ²) / (σ √2π).

    >>> Normal(0.0, 1.0).log_prob(tensor(0.0))
    tensor(-0.9189)
    """

    @property
    def mean(self) -> Tensor:
        return self.loc

    mode = mean

    @property
    def variance(self) -> Tensor:
        return self.scale * self.scale

    @property
    def stddev(self) -> Tensor:
        return self.scale

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        z = ops.randn(self._extended_shape(sample_shape), dtype=self.loc.dtype)
        return self.loc + z * self.scale

    def log_prob(self, value: Any) -> Tensor:
        z = self._standard(value)
        return -0.5 * (z * z) - self.scale.log() - 0.5 * LOG_TWO_PI

    def cdf(self, value: Any) -> Tensor:
        return ndtr(self._standard(value))

    def log_cdf(self, value: Any) -> Tensor:
        """The logarithm of ``cdf``, accurate far below the mean."""
        return log_ndtr(self._standard(value))

    def icdf(self, value: Any) -> Tensor:
        return self.loc + self.scale * erfinv(2.0 * value - 1.0) * math.sqrt(2.0)

    def entropy(self) -> Tensor:
        return 0.5 + 0.5 * LOG_TWO_PI + self.scale.log()


class Laplace(_LocationScale):
    """The double exponential distribution, p = exp(-|x - μ| / b) / 2b."""

    @property
    def mean(self) -> Tensor:
        return self.loc

    mode = mean

    @property
    def variance(self) -> Tensor:
        return 2.0 * self.scale * self.scale

    def log_prob(self, value: Any) -> Tensor:
        return -self._standard(value).abs() - (2.0 * self.scale).log()

    def cdf(self, value: Any) -> Tensor:
        z = self._standard(value)
        return 0.5 - 0.5 * z.sign() * ops.expm1(-z.abs())

    def icdf(self, value: Any) -> Tensor:
        u = value - 0.5
        return self.loc - self.scale * u.sign() * ops.log1p(-2.0 * u.abs())

    def entropy(self) -> Tensor:
        return 1.0 + (2.0 * self.scale).log()


class Cauchy(_LocationScale):
    """The Cauchy distribution, p = 1 / (π γ (1 + ((x - x₀) / γ)²)). It has no mean: NaN."""

    @property
    def mean(self) -> Tensor:
        return ops.where(self.loc == self.loc, math.nan, self.loc)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return ops.where(self.loc == self.loc, math.inf, self.loc)

    def log_prob(self, value: Any) -> Tensor:
        z = self._standard(value)
        return -math.log(math.pi) - self.scale.log() - ops.log1p(z * z)

    def cdf(self, value: Any) -> Tensor:
        return ops.atan(self._standard(value)) / math.pi + 0.5

    def icdf(self, value: Any) -> Tensor:
        return ops.tan(math.pi * (value - 0.5)) * self.scale + self.loc

    def entropy(self) -> Tensor:
        return math.log(4.0 * math.pi) + self.scale.log()


class Gumbel(_LocationScale):
    """The distribution of the largest of many, F = exp(-exp(-(x - μ) / β))."""

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * EULER

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale * self.scale * (math.pi**2 / 6.0)

    def log_prob(self, value: Any) -> Tensor:
        z = self._standard(value)
        return -z - (-z).exp() - self.scale.log()

    def cdf(self, value: Any) -> Tensor:
        return (-(-self._standard(value)).exp()).exp()

    def icdf(self, value: Any) -> Tensor:
        return self.loc - self.scale * (-value.log()).log()

    def entropy(self) -> Tensor:
        return self.scale.log() + (1.0 + EULER)


class Uniform(Distribution):
    """Equal density on [low, high).

    >>> Uniform(0.0, 4.0).log_prob(tensor(1.0))
    tensor(-1.3863)
    """

    has_rsample = True
    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "low": constraints.real,
        "high": constraints.real,
    }

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = parameters(low, high)
        super().__init__(self.low.shape, validate_args=validate_args)
        if self._validate:
            self._check(constraints.greater_than(self.low.detach()), self.high, "high of Uniform")

    @property
    def support(self) -> Constraint:
        return constraints.interval(self.low, self.high)

    @property
    def mean(self) -> Tensor:
        return (self.low + self.high) / 2.0

    @property
    def mode(self) -> Tensor:
        return ops.where(self.low == self.low, math.nan, self.low)

    @property
    def variance(self) -> Tensor:
        width = self.high - self.low
        return width * width / 12.0

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        u = ops.rand(self._extended_shape(sample_shape), dtype=self.low.dtype)
        return self.low + u * (self.high - self.low)

    def log_prob(self, value: Any) -> Tensor:
        x = self._value(value)
        inside = ops.cast((x >= self.low) & (x < self.high), self.low.dtype)
        return inside.log() - (self.high - self.low).log()

    def cdf(self, value: Any) -> Tensor:
        x = self._value(value)
        return ((x - self.low) / (self.high - self.low)).clip(0.0, 1.0)

    def icdf(self, value: Any) -> Tensor:
        return self.low + value * (self.high - self.low)

    def entropy(self) -> Tensor:
        return (self.high - self.low).log()


class _Half(Distribution):
    """The absolute value of a variable that is symmetric around zero."""

    has_rsample = True
    arg_constraints: ClassVar[dict[str, Constraint]] = {"scale": constraints.positive}
    _whole: ClassVar[type[_LocationScale]]

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        (self.scale,) = parameters(scale)
        super().__init__(self.scale.shape, validate_args=validate_args)
        self._base = self._whole(self.scale * 0.0, self.scale, validate_args=False)

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative

    @property
    def mode(self) -> Tensor:
        return self.scale * 0.0

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._base.rsample(sample_shape).abs()

    def log_prob(self, value: Any) -> Tensor:
        x = self._value(value)
        return ops.where(x >= 0, self._base.log_prob(x) + math.log(2.0), -math.inf)

    def cdf(self, value: Any) -> Tensor:
        return 2.0 * self._base.cdf(self._value(value)) - 1.0

    def icdf(self, value: Any) -> Tensor:
        return self._base.icdf((value + 1.0) / 2.0)

    def entropy(self) -> Tensor:
        return self._base.entropy() - math.log(2.0)


class HalfNormal(_Half):
    """|x| for x normal with mean zero."""

    _whole = Normal

    @property
    def mean(self) -> Tensor:
        return self.scale * math.sqrt(2.0 / math.pi)

    @property
    def variance(self) -> Tensor:
        return self.scale * self.scale * (1.0 - 2.0 / math.pi)


class HalfCauchy(_Half):
    """|x| for x of a Cauchy distribution around zero. Its mean is infinite."""

    _whole = Cauchy

    @property
    def mean(self) -> Tensor:
        return ops.where(self.scale > 0, math.inf, self.scale)

    @property
    def variance(self) -> Tensor:
        return self._base.variance
