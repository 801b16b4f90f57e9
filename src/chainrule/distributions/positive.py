"""Distributions on positive numbers and on simplices: the exponential and gamma families."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from .. import ops
from ..ops.special import digamma, igamma, lgamma, xlogy
from ..tensor import Tensor
from . import constraints
from .constraints import Constraint
from .distribution import Distribution, floats, parameters, tiny, uniform_numbers
from .gamma_samples import standard_gamma


class Exponential(Distribution):
    """p = λ exp(-λ x) on x >= 0."""

    has_rsample = True
    arg_constraints: ClassVar[dict[str, Constraint]] = {"rate": constraints.positive}

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        self.rate = floats(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative

    @property
    def mean(self) -> Tensor:
        return 1.0 / self.rate

    stddev = mean

    @property
    def mode(self) -> Tensor:
        return self.rate * 0.0

    @property
    def variance(self) -> Tensor:
        return 1.0 / (self.rate * self.rate)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        u = uniform_numbers(self._extended_shape(sample_shape), self.rate)
        return -u.log() / self.rate

    def log_prob(self, value: Any) -> Tensor:
        return self.rate.log() - self.rate * self._value(value)

    def cdf(self, value: Any) -> Tensor:
        return -ops.expm1(-self.rate * self._value(value))

    def icdf(self, value: Any) -> Tensor:
        return -ops.log1p(-value) / self.rate

    def entropy(self) -> Tensor:
        return 1.0 - self.rate.log()


class Gamma(Distribution):
    """p = β^α x^(α-1) exp(-β x) / Γ(α) on x > 0, with α the concentration and β the rate.

    Samples are reparameterised: M. Figurnov et al., "Implicit reparameterization gradients",
    arXiv:1805.08498.
    """

    has_rsample = True
    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "concentration": constraints.positive,
        "rate": constraints.positive,
    }

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = parameters(concentration, rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        return ((self.concentration - 1.0) / self.rate).clip(0.0)

    @property
    def variance(self) -> Tensor:
        return self.concentration / (self.rate * self.rate)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        drawn = standard_gamma(ops.broadcast_to(self.concentration, shape)) / self.rate
        return ops.maximum(drawn, tiny(drawn))

    def log_prob(self, value: Any) -> Tensor:
        x, a = self._value(value), self.concentration
        return xlogy(a, self.rate) + xlogy(a - 1.0, x) - self.rate * x - lgamma(a)

    def cdf(self, value: Any) -> Tensor:
        return igamma(self.concentration, self.rate * self._value(value))

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - self.rate.log() + lgamma(a) + (1.0 - a) * digamma(a)


class Chi2(Gamma):
    """The distribution of the sum of `df` squares of standard normal numbers."""

    arg_constraints: ClassVar[dict[str, Constraint]] = {"df": constraints.positive}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        self.df = floats(df)
        super().__init__(0.5 * self.df, 0.5, validate_args=validate_args)

    def _parameters(self) -> dict[str, Tensor]:
        return {"df": self.df}


class InverseGamma(Distribution):
    """The distribution of 1 / x for x of Gamma(concentration, rate)."""

    has_rsample = True
    arg_constraints: ClassVar[dict[str, Constraint]] = Gamma.arg_constraints

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = parameters(concentration, rate)
        super().__init__(self.rate.shape, validate_args=validate_args)
        self._base = Gamma(self.concentration, self.rate, validate_args=False)

    @property
    def support(self) -> Constraint:
        return constraints.positive

    @property
    def mean(self) -> Tensor:
        a = self.concentration
        return ops.where(a > 1, self.rate / (a - 1.0), math.inf)

    @property
    def mode(self) -> Tensor:
        return self.rate / (self.concentration + 1.0)

    @property
    def variance(self) -> Tensor:
        a = self.concentration
        spread = self.rate * self.rate / ((a - 1.0) * (a - 1.0) * (a - 2.0))
        return ops.where(a > 2, spread, math.inf)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return 1.0 / self._base.rsample(sample_shape)

    def log_prob(self, value: Any) -> Tensor:
        x = self._value(value)
        return self._base.log_prob(1.0 / x) - 2.0 * x.log()

    def cdf(self, value: Any) -> Tensor:
        return 1.0 - self._base.cdf(1.0 / self._value(value))

    def entropy(self) -> Tensor:
        a = self.concentration
        return a + self.rate.log() + lgamma(a) - (1.0 + a) * digamma(a)


class Dirichlet(Distribution):
    """p = ∏ᵢ xᵢ^(αᵢ-1) / B(α) on vectors of shares, Σ xᵢ = 1."""

    has_rsample = True
    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "concentration": constraints.independent(constraints.positive, 1)
    }

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        self.concentration = floats(concentration)
        shape = self.concentration.shape
        if not shape:
            raise ValueError("the concentration of Dirichlet is a vector")
        super().__init__(shape[:-1], shape[-1:], validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.simplex

    @property
    def _total(self) -> Tensor:
        return self.concentration.sum(-1, True)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self._total

    @property
    def mode(self) -> Tensor:
        above = (self.concentration - 1.0).clip(0.0)
        mode = above / above.sum(-1, True)
        n = self.concentration.shape[-1]
        corner = ops.one_hot(above.argmax(-1), n)
        none = (self.concentration < 1).all(-1, True)
        return ops.where(none, ops.cast(corner, mode.dtype), mode)

    @property
    def variance(self) -> Tensor:
        a, total = self.concentration, self._total
        return a * (total - a) / (total * total * (total + 1.0))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        drawn = standard_gamma(ops.broadcast_to(self.concentration, shape))
        drawn = ops.maximum(drawn, tiny(drawn))
        return drawn / drawn.sum(-1, True)

    def log_prob(self, value: Any) -> Tensor:
        a, x = self.concentration, self._value(value)
        return xlogy(a - 1.0, x).sum(-1) + lgamma(a.sum(-1)) - lgamma(a).sum(-1)

    def entropy(self) -> Tensor:
        a, n = self.concentration, self.concentration.shape[-1]
        total = a.sum(-1)
        return (
            lgamma(a).sum(-1) - lgamma(total) - (n - total) * digamma(total)
            - ((a - 1.0) * digamma(a)).sum(-1)
        )  # fmt: skip


class Beta(Distribution):
    """p = x^(a-1) (1 - x)^(b-1) / B(a, b) on 0 < x < 1, with the concentrations a (1) and b (0)."""

    has_rsample = True
    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }

    def __init__(
        self, concentration1: Any, concentration0: Any, validate_args: bool | None = None
    ) -> None:
        self.concentration1, self.concentration0 = parameters(concentration1, concentration0)
        super().__init__(self.concentration1.shape, validate_args=validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.unit_interval

    @property
    def _total(self) -> Tensor:
        return self.concentration1 + self.concentration0

    @property
    def _both(self) -> Dirichlet:
        a = ops.stack([self.concentration1, self.concentration0], -1)
        return Dirichlet(a, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.concentration1 / self._total

    @property
    def mode(self) -> Tensor:
        return self._both.mode[..., 0]

    @property
    def variance(self) -> Tensor:
        total = self._total
        return self.concentration1 * self.concentration0 / (total * total * (total + 1.0))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._both.rsample(sample_shape)[..., 0]

    def log_prob(self, value: Any) -> Tensor:
        x, a, b = self._value(value), self.concentration1, self.concentration0
        ends = xlogy(a - 1.0, x) + xlogy(b - 1.0, 1.0 - x)
        return ends + lgamma(a + b) - lgamma(a) - lgamma(b)

    def entropy(self) -> Tensor:
        return self._both.entropy()


class StudentT(Distribution):
    """The distribution of μ + σ z / √(v / ν), with z normal and v of Chi2(ν)."""

    has_rsample = True
    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }

    def __init__(
        self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        self.df, self.loc, self.scale = parameters(df, loc, scale)
        super().__init__(self.df.shape, validate_args=validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.real

    @property
    def mean(self) -> Tensor:
        return ops.where(self.df > 1, self.loc, math.nan)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        finite = self.scale * self.scale * self.df / (self.df - 2.0)
        heavy = ops.where(self.df > 1, ops.where(self.df > 0, math.inf, self.df), math.nan)
        return ops.where(self.df > 2, finite, heavy)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        z = ops.randn(self._extended_shape(sample_shape), dtype=self.df.dtype)
        v = Chi2(self.df, validate_args=False).rsample(sample_shape)
        return self.loc + self.scale * z * ops.rsqrt(v / self.df)

    def log_prob(self, value: Any) -> Tensor:
        z = (self._value(value) - self.loc) / self.scale
        half = 0.5 * (self.df + 1.0)
        norm = (
            self.scale.log() + 0.5 * self.df.log() + 0.5 * math.log(math.pi)
            + lgamma(0.5 * self.df) - lgamma(half)
        )  # fmt: skip
        return -half * ops.log1p(z * z / self.df) - norm

    def entropy(self) -> Tensor:
        half, rest = 0.5 * (self.df + 1.0), 0.5 * self.df
        beta = lgamma(rest) + lgamma(self.df * 0.0 + 0.5) - lgamma(half)
        return (
            self.scale.log() + half * (digamma(half) - digamma(rest)) + 0.5 * self.df.log() + beta
        )


class Weibull(Distribution):
    """F = 1 - exp(-(x / λ)^k) on x >= 0, with λ the scale and k the concentration."""

    has_rsample = True
    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "scale": constraints.positive,
        "concentration": constraints.positive,
    }

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = parameters(scale, concentration)
        super().__init__(self.scale.shape, validate_args=validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.positive

    def _moment(self, n: float) -> Tensor:
        return lgamma(1.0 + n / self.concentration).exp()

    @property
    def mean(self) -> Tensor:
        return self.scale * self._moment(1.0)

    @property
    def mode(self) -> Tensor:
        k = self.concentration
        return self.scale * ((k - 1.0).clip(0.0) / k) ** (1.0 / k)

    @property
    def variance(self) -> Tensor:
        first = self._moment(1.0)
        return self.scale * self.scale * (self._moment(2.0) - first * first)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        u = uniform_numbers(self._extended_shape(sample_shape), self.scale)
        return self.scale * (-u.log()) ** (1.0 / self.concentration)

    def log_prob(self, value: Any) -> Tensor:
        x, k = self._value(value) / self.scale, self.concentration
        return k.log() - self.scale.log() + (k - 1.0) * x.log() - x**k

    def cdf(self, value: Any) -> Tensor:
        return -ops.expm1(-((self._value(value) / self.scale) ** self.concentration))

    def icdf(self, value: Any) -> Tensor:
        return self.scale * (-ops.log1p(-value)) ** (1.0 / self.concentration)

    def entropy(self) -> Tensor:
        k = self.concentration
        return 0.57721566490153286061 * (1.0 - 1.0 / k) + (self.scale / k).log() + 1.0


class Pareto(Distribution):
    """p = α m^α / x^(α+1) on x >= m, with m the scale."""

    has_rsample = True
    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "scale": constraints.positive,
        "alpha": constraints.positive,
    }

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self.scale, self.alpha = parameters(scale, alpha)
        super().__init__(self.scale.shape, validate_args=validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.greater_than_eq(self.scale)

    @property
    def mean(self) -> Tensor:
        a = self.alpha
        return ops.where(a > 1, a * self.scale / (a - 1.0), math.inf)

    @property
    def mode(self) -> Tensor:
        return self.scale

    @property
    def variance(self) -> Tensor:
        a = self.alpha
        finite = self.scale * self.scale * a / ((a - 1.0) * (a - 1.0) * (a - 2.0))
        return ops.where(a > 2, finite, math.inf)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        u = uniform_numbers(self._extended_shape(sample_shape), self.scale)
        return self.scale * (-u.log() / self.alpha).exp()

    def log_prob(self, value: Any) -> Tensor:
        x, a = self._value(value), self.alpha
        return a.log() + a * self.scale.log() - (a + 1.0) * x.log()

    def cdf(self, value: Any) -> Tensor:
        return 1.0 - (self.scale / self._value(value)) ** self.alpha

    def icdf(self, value: Any) -> Tensor:
        return self.scale * (-ops.log1p(-value) / self.alpha).exp()

    def entropy(self) -> Tensor:
        return (self.scale / self.alpha).log() + 1.0 + 1.0 / self.alpha
