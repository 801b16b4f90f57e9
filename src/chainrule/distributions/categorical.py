"""Distributions on categories: numbers, one-hot vectors and counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .. import ops
from ..core.value import recording
from ..errors import ArgumentError, ShapeError
from ..ops.special import lgamma
from ..tensor import Tensor
from . import constraints
from .constraints import Constraint
from .discrete import Binomial, clipped, values_of
from .distribution import Distribution, floats, one_of


class Categorical(Distribution):
    """One of the numbers 0 … n-1, with `probs` (scaled to add up to one) or `logits` = log p + c.

    >>> Categorical(logits=tensor([0.0, 0.0])).entropy()
    tensor(0.6931)
    """

    has_enumerate_support = True
    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "probs": constraints.independent(constraints.nonnegative, 1),
        "logits": constraints.real_vector,
    }

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        name = type(self).__name__
        given = one_of(name, probs=probs, logits=logits)
        weights = floats(probs if logits is None else logits)
        if not weights.shape:
            raise ShapeError(f"{name} needs at least one axis, of categories", got="a number")
        vars(self)[given] = weights
        self._given = given
        super().__init__(*self._shapes(weights.shape), validate_args=validate_args)
        if given == "probs":
            self.probs = weights / weights.sum(-1, True)
        else:
            self.logits = weights - ops.logsumexp(weights, -1, True)

    def _shapes(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return shape[:-1], ()

    def __getattr__(self, name: str) -> Any:
        if name == "probs" and "logits" in vars(self):
            return self.logits.exp()
        if name == "logits" and "probs" in vars(self):
            return clipped(self.probs).log()
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def _one(self) -> Tensor:
        return vars(self)[self._given]

    @property
    def param_shape(self) -> tuple[int, ...]:
        """Shape of the probabilities."""
        return self._one.shape

    @property
    def _num_events(self) -> int:
        return self._one.shape[-1]

    @property
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def mean(self) -> Tensor:
        return self._zeros(Tensor(math.nan, self._one.dtype))

    @property
    def mode(self) -> Tensor:
        return self._one.argmax(-1)

    variance = mean

    def _draw(self, shape: Sequence[int]) -> Tensor:
        """Categories, for a shape of samples and batches: where a uniform number falls."""
        with recording(False):
            sums = self.probs.detach().cumsum(-1)
            u = ops.rand((*shape, 1), dtype=sums.dtype) * sums[..., -1:]
            number = (u >= sums).sum(-1)
            # categories of probability zero at the end are not reached by rounding either
            last = self._num_events - 1 - ops.flip(sums < sums[..., -1:], -1).argmax(-1) + 1
            none = ops.logical_not((sums < sums[..., -1:]).any(-1))
            return ops.minimum(number, ops.where(none, 0, last))

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._draw((*sample_shape, *self._batch_shape))

    def log_prob(self, value: Any) -> Tensor:
        x = ops.cast(self._value(value), np.dtype(np.int64))
        logits = self.logits
        shape = np.broadcast_shapes(x.shape, self._batch_shape)
        logits = ops.broadcast_to(logits, (*shape, self._num_events))
        chosen = ops.unsqueeze(ops.broadcast_to(x, shape), -1)
        return ops.squeeze(ops.gather(logits, -1, chosen), -1)

    def entropy(self) -> Tensor:
        least = float(np.finfo(self._one.dtype).min)
        return -(ops.maximum(self.logits, least) * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return values_of(np.arange(self._num_events), self, expand, np.dtype(np.int64))


class OneHotCategorical(Categorical):
    """A category as a vector with a one in its place."""

    def _shapes(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return shape[:-1], shape[-1:]

    @property
    def support(self) -> Constraint:
        return constraints.one_hot

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        return self._encoded(self._one.argmax(-1))

    @property
    def variance(self) -> Tensor:
        return self.probs * (1.0 - self.probs)

    def _encoded(self, numbers: Tensor) -> Tensor:
        return ops.cast(ops.one_hot(numbers, self._num_events), self._one.dtype)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._encoded(self._draw((*sample_shape, *self._batch_shape)))

    def log_prob(self, value: Any) -> Tensor:
        x = self._value(value)
        return ops.where(x == 0, 0.0, x * self.logits).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        n = self._num_events
        rows = Tensor(
            np.eye(n, dtype=self._one.dtype).reshape(n, *(1,) * len(self._batch_shape), n)
        )
        return ops.broadcast_to(rows, (n, *self._batch_shape, n)) if expand else rows


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """OneHotCategorical whose samples pass gradients to the probabilities as if they were these."""

    has_rsample = True

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        probs = self.probs
        return self.sample(sample_shape) + (probs - probs.detach())


class Multinomial(Categorical):
    """How often each category comes up in `total_count` draws."""

    has_enumerate_support = False

    def __init__(
        self,
        total_count: int = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(total_count, int) or total_count < 0:
            raise ArgumentError("total_count is a number of draws", got=repr(total_count))
        self.total_count = total_count
        super().__init__(probs, logits, validate_args)

    def _shapes(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return shape[:-1], shape[-1:]

    def _remade(self, parameters: dict[str, Tensor]) -> Multinomial:
        return type(self)(self.total_count, **parameters, validate_args=False)

    @property
    def support(self) -> Constraint:
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.probs * float(self.total_count)

    @property
    def mode(self) -> Tensor:
        raise self._lacks("a mode in closed form")

    @property
    def variance(self) -> Tensor:
        return self.mean * (1.0 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        drawn = self._draw((self.total_count, *sample_shape, *self._batch_shape))
        return ops.cast(ops.one_hot(drawn, self._num_events).sum(0), self._one.dtype)

    def log_prob(self, value: Any) -> Tensor:
        x = self._value(value)
        logits = ops.where((x == 0) & (self.logits == -math.inf), 0.0, self.logits)
        return lgamma(x.sum(-1) + 1.0) - lgamma(x + 1.0).sum(-1) + (x * logits).sum(-1)

    def entropy(self) -> Tensor:
        n = self.total_count
        binomial = Binomial(n, probs=self.probs, validate_args=False)
        support = binomial.enumerate_support(expand=False)[1:]
        log_n = lgamma(Tensor(n + 1.0, self._one.dtype))
        parts = (binomial.log_prob(support).exp() * lgamma(support + 1.0)).sum((0, -1))
        plain = Categorical(probs=self.probs, validate_args=False).entropy()
        return n * plain - log_n + parts
