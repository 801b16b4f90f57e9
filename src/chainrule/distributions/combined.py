"""Distributions made of distributions: transformed, joined into events, mixed, relaxed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np

from .. import ops
from ..core.value import recording
from ..errors import ArgumentError
from ..ops.special import lgamma
from ..tensor import Tensor, as_tensor
from . import constraints
from .categorical import Categorical
from .constraints import Constraint
from .discrete import _Binary, clipped
from .distribution import Distribution, floats, summed, uniform_numbers
from .location_scale import Normal
from .transforms import ComposeTransform, ExpTransform, SigmoidTransform, Transform


class Independent(Distribution):
    """A distribution whose last batch axes belong to the event: densities multiply along them.

    >>> Independent(Normal(zeros(3), ones(3)), 1).log_prob(zeros(3)).shape
    ()
    """

    def __init__(
        self,
        base_distribution: Distribution,
        reinterpreted_batch_ndims: int,
        validate_args: bool | None = None,
    ) -> None:
        batch = base_distribution.batch_shape
        n = reinterpreted_batch_ndims
        if not 0 <= n <= len(batch):
            raise ArgumentError(
                "Independent takes axes of the batch", expected=f"0 to {len(batch)}", got=str(n)
            )
        self.base_dist = base_distribution
        self.reinterpreted_batch_ndims = n
        cut = len(batch) - n
        super().__init__(batch[:cut], (*batch[cut:], *base_distribution.event_shape), validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]  # as the base
        """Whether the base's samples are reparameterised."""
        return self.base_dist.has_rsample

    def expand(self, batch_shape: Sequence[int]) -> Self:
        own = self.base_dist.batch_shape[len(self._batch_shape) :]
        base = self.base_dist.expand((*batch_shape, *own))
        return type(self)(base, self.reinterpreted_batch_ndims, validate_args=False)

    @property
    def support(self) -> Constraint:
        return constraints.independent(self.base_dist.support, self.reinterpreted_batch_ndims)

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def mode(self) -> Tensor:
        return self.base_dist.mode

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.base_dist.sample(sample_shape)

    def log_prob(self, value: Any) -> Tensor:
        return summed(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        return summed(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def __repr__(self) -> str:
        return f"Independent({self.base_dist!r}, {self.reinterpreted_batch_ndims})"


class TransformedDistribution(Distribution):
    """The distribution of y = f(x): log p(y) = log p(x) - log |det ∂y/∂x|."""

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Transform | Sequence[Transform],
        validate_args: bool | None = None,
    ) -> None:
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        whole = ComposeTransform(self.transforms)
        base = base_distribution
        shape = (*base.batch_shape, *base.event_shape)
        needed = whole.domain.event_dim - len(base.event_shape)
        if needed > 0:
            base = Independent(base, needed)
        self.base_dist = base
        self._whole = whole
        out = whole.forward_shape(shape)
        events = whole.codomain.event_dim + max(len(base.event_shape) - whole.domain.event_dim, 0)
        super().__init__(out[: len(out) - events], out[len(out) - events :], validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]  # as the base
        """Whether the base's samples are reparameterised."""
        return self.base_dist.has_rsample

    def expand(self, batch_shape: Sequence[int]) -> Self:
        new = type(self).__new__(type(self))
        TransformedDistribution.__init__(
            new, self.base_dist.expand(batch_shape), self.transforms, validate_args=False
        )
        return new

    @property
    def support(self) -> Constraint:
        if not self.transforms:
            return self.base_dist.support
        last = self._whole.codomain
        extra = len(self._event_shape) - last.event_dim
        return constraints.independent(last, extra) if extra > 0 else last

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._whole(self.base_dist.rsample(sample_shape))

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with recording(False):
            return self._whole(self.base_dist.sample(sample_shape))

    def log_prob(self, value: Any) -> Tensor:
        y = self._value(value)
        events = len(self._event_shape)
        total: Any = 0.0
        for part in reversed(self.transforms):
            x = part._inverse(y)
            events += part.domain.event_dim - part.codomain.event_dim
            slope = part.log_abs_det_jacobian(x, y)
            total = total - summed(slope, events - part.domain.event_dim)
            y = x
        base = self.base_dist.log_prob(y)
        return total + summed(base, events - len(self.base_dist.event_shape))

    def _monotonic(self, value: Any) -> tuple[Tensor, Any]:
        """The base's value, and the sign of the slope."""
        y = self._value(value)
        sign: Any = 1
        for part in reversed(self.transforms):
            y, sign = part._inverse(y), sign * part.sign
        return y, sign

    def cdf(self, value: Any) -> Tensor:
        x, sign = self._monotonic(value)
        return sign * (self.base_dist.cdf(x) - 0.5) + 0.5

    def icdf(self, value: Any) -> Tensor:
        sign: Any = 1
        for part in self.transforms:
            sign = sign * part.sign
        x = self.base_dist.icdf(sign * (as_tensor(value) - 0.5) + 0.5)
        return self._whole(x)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_dist!r}, {self.transforms!r})"


class LogNormal(TransformedDistribution):
    """The distribution of exp(x) for x of Normal(loc, scale)."""

    arg_constraints: ClassVar[dict[str, Constraint]] = Normal.arg_constraints

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        base = Normal(loc, scale, validate_args=validate_args)
        super().__init__(base, ExpTransform(), validate_args)

    @property
    def loc(self) -> Tensor:
        """The mean of the logarithm."""
        return self.base_dist.loc  # type: ignore[attr-defined]  # a Normal

    @property
    def scale(self) -> Tensor:
        """The standard deviation of the logarithm."""
        return self.base_dist.scale  # type: ignore[attr-defined]  # a Normal

    @property
    def mean(self) -> Tensor:
        return (self.loc + 0.5 * self.scale * self.scale).exp()

    @property
    def mode(self) -> Tensor:
        return (self.loc - self.scale * self.scale).exp()

    @property
    def variance(self) -> Tensor:
        s = self.scale * self.scale
        return ops.expm1(s) * (2.0 * self.loc + s).exp()

    def entropy(self) -> Tensor:
        return self.base_dist.entropy() + self.loc


class _LogitRelaxedBernoulli(_Binary):
    """The logit of a relaxed coin: (logits + a logistic number) / temperature."""

    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        self.temperature = floats(temperature)
        self._take(probs, logits)
        super().__init__(self._one.shape, validate_args=validate_args)

    def _remade(self, parameters: dict[str, Tensor]) -> Self:
        return type(self)(self.temperature, **parameters, validate_args=False)

    @property
    def support(self) -> Constraint:
        return constraints.real

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        p = clipped(self.probs)
        u = clipped(uniform_numbers(self._extended_shape(sample_shape), p))
        return (u.log() - ops.log1p(-u) + p.log() - ops.log1p(-p)) / self.temperature

    def log_prob(self, value: Any) -> Tensor:
        x = self._value(value)
        z = self.logits - x * self.temperature
        return self.temperature.log() + z - 2.0 * ops.log1p(z.exp())


class RelaxedBernoulli(TransformedDistribution):
    """A coin that shows something between 0 and 1, nearer to the ends the lower the temperature.

    C. Maddison et al., "The concrete distribution", arXiv:1611.00712; E. Jang et al.,
    "Categorical reparameterization with Gumbel-softmax", arXiv:1611.01144.
    """

    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        base = _LogitRelaxedBernoulli(temperature, probs, logits, validate_args)
        super().__init__(base, SigmoidTransform(), validate_args)

    @property
    def temperature(self) -> Tensor:
        """The temperature."""
        return self.base_dist.temperature  # type: ignore[attr-defined]

    @property
    def probs(self) -> Tensor:
        """The probability of one."""
        return self.base_dist.probs  # type: ignore[attr-defined]

    @property
    def logits(self) -> Tensor:
        """log(p / (1 - p))."""
        return self.base_dist.logits  # type: ignore[attr-defined]


class RelaxedOneHotCategorical(Categorical):
    """Shares of categories, nearer to one-hot the lower the temperature (Gumbel-softmax)."""

    has_rsample = True
    has_enumerate_support = False

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        self.temperature = floats(temperature)
        super().__init__(probs, logits, validate_args)

    def _shapes(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return shape[:-1], shape[-1:]

    def _remade(self, parameters: dict[str, Tensor]) -> Self:
        return type(self)(self.temperature, **parameters, validate_args=False)

    @property
    def support(self) -> Constraint:
        return constraints.simplex

    @property
    def mean(self) -> Tensor:
        raise self._lacks("a mean in closed form")

    mode = variance = mean

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        u = clipped(uniform_numbers(self._extended_shape(sample_shape), self._one))
        scores = (self.logits - (-u.log()).log()) / self.temperature
        return ops.softmax(scores, -1)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with recording(False):
            return self.rsample(sample_shape).detach()

    def log_prob(self, value: Any) -> Tensor:
        x, n = self._value(value).log(), self._num_events
        scale = lgamma(Tensor(float(n), x.dtype)) + (n - 1) * self.temperature.log()
        scores = self.logits - x * self.temperature
        scores = (scores - ops.logsumexp(scores, -1, True)).sum(-1)
        return scores + scale - x.sum(-1)

    def entropy(self) -> Tensor:
        raise self._lacks("an entropy in closed form")


class MixtureSameFamily(Distribution):
    """A mixture: a Categorical says which of the component distribution's last batch axis it is."""

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        component = component_distribution
        n = mixture_distribution._num_events
        if not component.batch_shape or component.batch_shape[-1] != n:
            raise ArgumentError(
                "a mixture needs a component for each category, along the last batch axis",
                expected=str(n),
                got=str(component.batch_shape),
            )
        self.mixture_distribution, self.component_distribution = mixture_distribution, component
        super().__init__(component.batch_shape[:-1], component.event_shape, validate_args)

    def expand(self, batch_shape: Sequence[int]) -> Self:
        n = self.mixture_distribution._num_events
        return type(self)(
            self.mixture_distribution.expand(batch_shape),
            self.component_distribution.expand((*batch_shape, n)),
            validate_args=False,
        )

    @property
    def support(self) -> Constraint:
        return self.component_distribution.support

    def _weights(self) -> Tensor:
        probs = self.mixture_distribution.probs
        return probs.reshape(*probs.shape, *(1,) * len(self._event_shape))

    @property
    def _axis(self) -> int:
        return -1 - len(self._event_shape)

    @property
    def mean(self) -> Tensor:
        return (self._weights() * self.component_distribution.mean).sum(self._axis)

    @property
    def variance(self) -> Tensor:
        weights, component = self._weights(), self.component_distribution
        away = component.mean - ops.unsqueeze(self.mean, self._axis)
        return (weights * (component.variance + away * away)).sum(self._axis)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with recording(False):
            events = len(self._event_shape)
            which = self.mixture_distribution.expand(self._batch_shape).sample(sample_shape)
            chosen = ops.one_hot(which, self.mixture_distribution._num_events)
            drawn = self.component_distribution.sample(sample_shape)
            mask = ops.cast(chosen, np.dtype(np.bool_)).reshape(*chosen.shape, *(1,) * events)
            return ops.where(mask, drawn, 0.0).sum(self._axis)

    def log_prob(self, value: Any) -> Tensor:
        x = ops.unsqueeze(self._value(value), self._axis)
        parts = self.component_distribution.log_prob(x)
        return ops.logsumexp(parts + ops.log_softmax(self.mixture_distribution.logits, -1), -1)

    def cdf(self, value: Any) -> Tensor:
        x = ops.unsqueeze(self._value(value), self._axis)
        return (self.component_distribution.cdf(x) * self.mixture_distribution.probs).sum(-1)
