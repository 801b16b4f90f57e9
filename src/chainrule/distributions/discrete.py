"""Distributions on integers and on categories."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .. import ops
from ..core.value import is_traced, recording
from ..errors import ArgumentError
from ..ops.special import igammac, lgamma, xlogy
from ..tensor import Tensor, as_tensor
from . import constraints
from .constraints import Constraint
from .distribution import Distribution, epsilon, floats, one_of, parameters, uniform_numbers
from .positive import Gamma


def clipped(probs: Tensor) -> Tensor:
    """Probabilities between the dtype's epsilon and one less it: their logarithms are finite."""
    eps = epsilon(probs)
    return probs.clip(eps, 1.0 - eps)


class _Binary(Distribution):
    """Base of what is made of coins, given by `probs` or by `logits` = log(p / (1 - p))."""

    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }

    def _take(self, probs: Any, logits: Any, **others: Any) -> None:
        """Set the parameter that was given, and `others`, broadcast against each other."""
        self._given = one_of(type(self).__name__, probs=probs, logits=logits)
        values = parameters(probs if logits is None else logits, *others.values())
        for name, value in zip([self._given, *others], values, strict=True):
            vars(self)[name] = value

    def __getattr__(self, name: str) -> Any:
        if name == "probs" and "logits" in vars(self):
            return self.logits.sigmoid()
        if name == "logits" and "probs" in vars(self):
            p = clipped(self.probs)
            return p.log() - ops.log1p(-p)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def _one(self) -> Tensor:
        """The parameter that was given."""
        return vars(self)[self._given]

    @property
    def param_shape(self) -> tuple[int, ...]:
        """Shape of the probabilities."""
        return self._one.shape

    def _log_p(self) -> tuple[Tensor, Tensor]:
        """log p and log (1 - p)."""
        return ops.logsigmoid(self.logits), ops.logsigmoid(-self.logits)


class Bernoulli(_Binary):
    """1 with probability p, else 0.

    >>> Bernoulli(0.25).log_prob(tensor(1.0))
    tensor(-1.3863)
    """

    has_enumerate_support = True

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._take(probs, logits)
        super().__init__(self._one.shape, validate_args=validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.boolean

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        p = self.probs
        likely = ops.cast(p >= 0.5, p.dtype)
        return ops.where(p == 0.5, math.nan, likely)

    @property
    def variance(self) -> Tensor:
        return self.probs * (1.0 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with recording(False):
            u = ops.rand(self._extended_shape(sample_shape), dtype=self._one.dtype)
            return ops.cast(u < self.probs.detach(), u.dtype)

    def log_prob(self, value: Any) -> Tensor:
        return -ops.binary_cross_entropy_with_logits(
            *_pair(self.logits, self._value(value)), reduction="none"
        )

    def entropy(self) -> Tensor:
        return ops.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return values_of(np.arange(2), self, expand)


class Geometric(_Binary):
    """The number of failures before the first success, P(k) = (1 - p)ᵏ p."""

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._take(probs, logits)
        super().__init__(self._one.shape, validate_args=validate_args)
        if self._validate and self._given == "probs":
            self._check(constraints.positive, self.probs, "probs of Geometric")

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative_integer

    @property
    def mean(self) -> Tensor:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Tensor:
        return self.probs * 0.0

    @property
    def variance(self) -> Tensor:
        p = self.probs
        return (1.0 / p - 1.0) / p

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with recording(False):
            u = uniform_numbers(self._extended_shape(sample_shape), self._one)
            return ops.floor(u.log() / ops.log1p(-self.probs.detach()))

    def log_prob(self, value: Any) -> Tensor:
        p = self.probs
        return xlogy(*_pair(self._value(value), 1.0 - p)) + p.log()

    def entropy(self) -> Tensor:
        bits = ops.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")
        return bits / self.probs


class Binomial(_Binary):
    """The number of successes among `total_count` tries."""

    has_enumerate_support = True
    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "total_count": constraints.nonnegative_integer,
        **_Binary.arg_constraints,
    }

    def __init__(
        self,
        total_count: Any = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        self.total_count: Tensor
        self._take(probs, logits, total_count=total_count)
        super().__init__(self._one.shape, validate_args=validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        return ops.minimum(ops.floor((self.total_count + 1.0) * self.probs), self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.mean * (1.0 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        most = _largest(self.total_count, "the total_count of Binomial")
        with recording(False):
            shape = self._extended_shape(sample_shape)
            u = ops.rand((most, *shape), dtype=self._one.dtype)
            tries = np.arange(most).reshape(most, *(1,) * len(shape))
            hits = (u < self.probs.detach()) & (self.total_count.detach() > tries)
            return ops.cast(hits.sum(0), u.dtype)

    def log_prob(self, value: Any) -> Tensor:
        n, k = self.total_count, self._value(value)
        logits = self.logits
        ways = lgamma(n + 1.0) - lgamma(k + 1.0) - lgamma(n - k + 1.0)
        return ways + k * logits - n * ops.softplus(logits)

    def entropy(self) -> Tensor:
        _equal(self.total_count, "total_count")
        log_prob = self.log_prob(self.enumerate_support(expand=False))
        return -(log_prob.exp() * log_prob).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        _equal(self.total_count, "total_count")
        most = _largest(self.total_count, "the total_count of Binomial")
        return values_of(np.arange(most + 1), self, expand)


class NegativeBinomial(_Binary):
    """The number of successes before `total_count` failures."""

    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "total_count": constraints.nonnegative,
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }

    def __init__(
        self,
        total_count: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        self.total_count: Tensor
        self._take(probs, logits, total_count=total_count)
        super().__init__(self._one.shape, validate_args=validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative_integer

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Tensor:
        return ops.floor((self.total_count - 1.0) * self.logits.exp()).clip(0.0)

    @property
    def variance(self) -> Tensor:
        return self.mean / (-self.logits).sigmoid()

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        from_gamma = Gamma(self.total_count, (-self.logits).exp(), validate_args=False)
        return Poisson(from_gamma.sample(sample_shape), validate_args=False).sample()

    def log_prob(self, value: Any) -> Tensor:
        n, k = self.total_count, self._value(value)
        log_p, log_q = self._log_p()
        ways = lgamma(n + k) - lgamma(k + 1.0) - lgamma(n)
        return n * log_q + k * log_p + ops.where(n + k == 0.0, 0.0, ways)


class Poisson(Distribution):
    """P(k) = λᵏ e^-λ / k!.

    Samples are found by bisection of the distribution function: exact up to the resolution of the
    uniform numbers they are made of.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {"rate": constraints.nonnegative}

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        self.rate = floats(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative_integer

    @property
    def mean(self) -> Tensor:
        return self.rate

    variance = mean

    @property
    def mode(self) -> Tensor:
        return ops.floor(self.rate)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with recording(False):
            wide = np.dtype(np.float64)
            shape = self._extended_shape(sample_shape)
            rate = ops.broadcast_to(ops.cast(self.rate.detach(), wide), shape)
            u = uniform_numbers(shape, rate)
            low, high = rate * 0.0 - 1.0, ops.floor(rate + 12.0 * rate.sqrt() + 40.0)
            for _ in range(64 if is_traced(high.array) else _halvings(high)):
                middle = ops.floor((low + high) / 2.0)
                reached = igammac(middle + 1.0, rate) >= u
                low = ops.where(reached, low, middle)
                high = ops.where(reached, middle, high)
            return ops.cast(high, self.rate.dtype)

    def log_prob(self, value: Any) -> Tensor:
        k = self._value(value)
        return xlogy(*_pair(k, self.rate)) - self.rate - lgamma(k + 1.0)


def _pair(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two tensors in the floating-point dtype of either, broadcast."""
    x, y = parameters(a, b)
    return x, y


def values_of(numbers: Any, distribution: Distribution, expand: bool, dtype: Any = None) -> Tensor:
    """Numbers along a first axis, beside the batch's."""
    batch = distribution.batch_shape
    one: Any = getattr(distribution, "_one")  # noqa: B009  every discrete one here has it
    column = as_tensor(numbers.astype(one.dtype if dtype is None else dtype))
    column = column.reshape(len(numbers), *(1,) * len(batch))
    return ops.broadcast_to(column, (len(numbers), *batch)) if expand else column


def _largest(count: Tensor, what: str) -> int:
    if is_traced(count.array):
        raise ArgumentError(f"{what} must be known while tracing", hint="pass a Python number")
    return int(count.array.max(initial=0))


def _equal(count: Tensor, name: str) -> None:
    if count.numel() and float(count.array.min()) != float(count.array.max()):
        raise NotImplementedError(f"values of different {name} cannot be enumerated together")


def _halvings(high: Tensor) -> int:
    """How many steps a bisection from -1 to `high` takes."""
    return int(float(high.array.max(initial=0.0)) + 2).bit_length() + 1
