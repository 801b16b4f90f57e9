"""Invertible functions with known Jacobians, to make distributions from distributions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .. import ops
from ..errors import ArgumentError
from ..tensor import Tensor
from . import constraints
from .constraints import Constraint
from .distribution import summed, tiny


class Transform:
    """y = f(x), with an inverse and log |det ∂y/∂x|. ``t.inv`` is the inverse transform.

    `domain_event_dim` and `codomain_event_dim` are the numbers of axes that it acts on together;
    `sign` is that of the slope of a monotonic function of numbers, or 0.
    """

    bijective: ClassVar[bool] = True
    domain: Constraint = constraints.real
    codomain: Constraint = constraints.real
    sign: Any = 0

    def __init__(self, cache_size: int = 0) -> None:
        del cache_size  # samples remember nothing: inverses are computed

    @property
    def event_dim(self) -> int:
        """Number of axes of a value, if it is the same on both sides."""
        return max(self.domain.event_dim, self.codomain.event_dim)

    @property
    def inv(self) -> Transform:
        """The inverse."""
        return _Inverse(self)

    def __call__(self, x: Tensor) -> Tensor:
        """y = f(x)."""
        raise NotImplementedError

    def _inverse(self, y: Tensor) -> Tensor:
        """x with f(x) = y."""
        raise NotImplementedError

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """log |det ∂y/∂x|, one number for each event."""
        raise NotImplementedError

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Shape of y for a shape of x."""
        return tuple(shape)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Shape of x for a shape of y."""
        return tuple(shape)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Inverse(Transform):
    """A transform the other way around."""

    def __init__(self, transform: Transform) -> None:
        self._of = transform
        self.domain, self.codomain = transform.codomain, transform.domain
        self.sign = transform.sign

    @property
    def inv(self) -> Transform:
        return self._of

    def __call__(self, x: Tensor) -> Tensor:
        return self._of._inverse(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self._of(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -self._of.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        return self._of.inverse_shape(shape)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        return self._of.forward_shape(shape)


class ComposeTransform(Transform):
    """Transforms one after the other, the first in the list first."""

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        self.parts = list(parts)
        if not self.parts:
            self.sign = 1
            return
        # each part widens the event to the axes it needs
        width = self.parts[-1].codomain.event_dim
        for part in reversed(self.parts):
            width = part.domain.event_dim + max(width - part.codomain.event_dim, 0)
        first = self.parts[0].domain
        extra = width - first.event_dim
        self.domain = constraints.independent(first, extra) if extra else first
        out = self.parts[0].domain.event_dim
        for part in self.parts:
            out = part.codomain.event_dim + max(out - part.domain.event_dim, 0)
        last = self.parts[-1].codomain
        extra = out - last.event_dim
        self.codomain = constraints.independent(last, extra) if extra else last
        self.sign = math.prod([part.sign for part in self.parts]) if _plain(self.parts) else 0

    def __call__(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x

    def _inverse(self, y: Tensor) -> Tensor:
        for part in reversed(self.parts):
            y = part._inverse(y)
        return y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        if not self.parts:
            return x * 0.0
        total: Any = 0.0
        width = self.domain.event_dim
        for part in self.parts:
            y = part(x)
            total = total + summed(part.log_abs_det_jacobian(x, y), width - part.domain.event_dim)
            width += part.codomain.event_dim - part.domain.event_dim
            x = y
        return total

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        for part in self.parts:
            shape = part.forward_shape(shape)
        return tuple(shape)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        for part in reversed(self.parts):
            shape = part.inverse_shape(shape)
        return tuple(shape)


def _plain(parts: Sequence[Transform]) -> bool:
    return all(isinstance(part.sign, int) for part in parts)


class IndependentTransform(Transform):
    """A transform whose last `reinterpreted_batch_ndims` batch axes belong to the event."""

    def __init__(
        self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0
    ) -> None:
        self.base_transform = base_transform
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        n = reinterpreted_batch_ndims
        self.domain = constraints.independent(base_transform.domain, n)
        self.codomain = constraints.independent(base_transform.codomain, n)

    def __call__(self, x: Tensor) -> Tensor:
        return self.base_transform(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.base_transform._inverse(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        inner = self.base_transform.log_abs_det_jacobian(x, y)
        return summed(inner, self.reinterpreted_batch_ndims)


class AffineTransform(Transform):
    """y = loc + scale x."""

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        self.loc, self.scale = loc, scale
        self._event_dim = event_dim
        self.domain = self.codomain = constraints.independent(constraints.real, event_dim)

    @property
    def sign(self) -> Any:
        """The sign of the scale."""
        if isinstance(self.scale, Tensor):
            return self.scale.sign()
        return int(np.sign(self.scale))

    def __call__(self, x: Tensor) -> Tensor:
        return self.loc + self.scale * x

    def _inverse(self, y: Tensor) -> Tensor:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        if isinstance(self.scale, Tensor):
            slope = self.scale.abs().log() + x * 0.0
        else:
            slope = x * 0.0 + math.log(abs(self.scale))
        return summed(slope, self._event_dim)


class ExpTransform(Transform):
    """y = exp(x)."""

    codomain = constraints.positive
    sign = 1

    def __call__(self, x: Tensor) -> Tensor:
        return x.exp()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x


class PowerTransform(Transform):
    """y = x^exponent, for positive x."""

    domain = codomain = constraints.positive

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        self.exponent = exponent

    @property
    def sign(self) -> Any:
        """The sign of the exponent."""
        if isinstance(self.exponent, Tensor):
            return self.exponent.sign()
        return int(np.sign(self.exponent))

    def __call__(self, x: Tensor) -> Tensor:
        return x**self.exponent

    def _inverse(self, y: Tensor) -> Tensor:
        return y ** (1.0 / self.exponent)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return (self.exponent * y / x).abs().log()


class SigmoidTransform(Transform):
    """y = 1 / (1 + exp(-x))."""

    codomain = constraints.unit_interval
    sign = 1

    def __call__(self, x: Tensor) -> Tensor:
        return x.sigmoid().clip(tiny(x), 1.0 - float(np.finfo(x.dtype).eps))

    def _inverse(self, y: Tensor) -> Tensor:
        y = y.clip(tiny(y), 1.0 - float(np.finfo(y.dtype).eps))
        return y.log() - ops.log1p(-y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -ops.softplus(-x) - ops.softplus(x)


class TanhTransform(Transform):
    """y = tanh(x)."""

    codomain = constraints.interval(-1.0, 1.0)
    sign = 1

    def __call__(self, x: Tensor) -> Tensor:
        return x.tanh()

    def _inverse(self, y: Tensor) -> Tensor:
        return 0.5 * (ops.log1p(y) - ops.log1p(-y))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return 2.0 * (math.log(2.0) - x - ops.softplus(-2.0 * x))


class SoftplusTransform(Transform):
    """y = log(1 + exp(x))."""

    codomain = constraints.positive
    sign = 1

    def __call__(self, x: Tensor) -> Tensor:
        return ops.softplus(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return (-ops.expm1(-y)).log() + y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -ops.softplus(-x)


class AbsTransform(Transform):
    """y = |x|, which is no bijection: its inverse gives the positive one."""

    bijective = False
    codomain = constraints.nonnegative

    def __call__(self, x: Tensor) -> Tensor:
        return x.abs()

    def _inverse(self, y: Tensor) -> Tensor:
        return y


class SoftmaxTransform(Transform):
    """y = softmax(x), which is no bijection: its inverse gives logarithms."""

    bijective = False
    domain = constraints.real_vector
    codomain = constraints.simplex

    def __call__(self, x: Tensor) -> Tensor:
        return ops.softmax(x, -1)

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()


class StickBreakingTransform(Transform):
    """From n - 1 numbers to n shares: each breaks off a part of what is left of a stick."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    def _offset(self, x: Tensor) -> Tensor:
        n = x.shape[-1]
        return Tensor(np.log(np.arange(n, 0, -1)).astype(x.dtype))

    def __call__(self, x: Tensor) -> Tensor:
        z = (x - self._offset(x)).sigmoid()
        z = z.clip(tiny(x), 1.0 - float(np.finfo(x.dtype).eps))
        left = ops.log1p(-z).cumsum(-1).exp()
        one = left[..., :1] * 0.0 + 1.0
        return ops.concatenate([z, one], -1) * ops.concatenate([one, left], -1)

    def _inverse(self, y: Tensor) -> Tensor:
        shares = y[..., :-1]
        left = ops.maximum(1.0 - shares.cumsum(-1), tiny(y))
        return shares.log() - left.log() + self._offset(shares)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        x = x - self._offset(x)
        return (-x + ops.logsigmoid(x) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        return (*shape[:-1], shape[-1] + 1)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        return (*shape[:-1], shape[-1] - 1)


class ReshapeTransform(Transform):
    """The same numbers in another event shape."""

    def __init__(
        self, in_shape: Sequence[int], out_shape: Sequence[int], cache_size: int = 0
    ) -> None:
        self.in_shape, self.out_shape = tuple(in_shape), tuple(out_shape)
        if math.prod(self.in_shape) != math.prod(self.out_shape):
            raise ArgumentError(
                "a reshaped event keeps its number of elements",
                got=f"{self.in_shape} to {self.out_shape}",
            )
        self.domain = constraints.independent(constraints.real, len(self.in_shape))
        self.codomain = constraints.independent(constraints.real, len(self.out_shape))

    def __call__(self, x: Tensor) -> Tensor:
        return x.reshape(self.forward_shape(x.shape))

    def _inverse(self, y: Tensor) -> Tensor:
        return y.reshape(self.inverse_shape(y.shape))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return summed(x, len(self.in_shape)) * 0.0

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        return (*shape[: len(shape) - len(self.in_shape)], *self.out_shape)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        return (*shape[: len(shape) - len(self.out_shape)], *self.in_shape)


identity_transform = ComposeTransform([])
