"""Batch and layer normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ... import ops
from ...core.aval import describe
from ...errors import ArgumentError, ShapeError
from ...tensor import Tensor
from .. import functional, init
from ..module import Module
from ..parameter import Parameter, blank
from . import expect


class _BatchNorm(Module):
    """What the batch normalisations share."""

    axes: ClassVar[tuple[str, ...]]
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        expect.sizes(type(self).__name__, num_features=num_features)
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        new = blank(num_features, dtype=dtype, device=device)
        self.register_parameter("weight", new if affine else None)
        self.register_parameter(
            "bias", blank(num_features, dtype=dtype, device=device) if affine and bias else None
        )
        for name, start in (("running_mean", np.zeros), ("running_var", np.ones)):
            self.register_buffer(
                name, Tensor(start(num_features, new.dtype)) if track_running_stats else None
            )
        self.register_buffer(
            "num_batches_tracked", Tensor(0, np.int64) if track_running_stats else None
        )
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the running statistics: mean 0, variance 1, no batches."""
        for buffer, value in (
            (self.running_mean, 0.0), (self.running_var, 1.0), (self.num_batches_tracked, 0),
        ):  # fmt: skip
            if buffer is not None:
                init.constant_(buffer, value)

    def reset_parameters(self) -> None:
        """Start again with weight 1, bias 0 and no statistics."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, x: Any) -> Any:
        self._check(x)
        tracked = self.num_batches_tracked if self.training else None
        batches = None if tracked is None else tracked + 1
        y = functional.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            self._momentum(batches),
            self.eps,
        )
        if tracked is not None and batches is not None:
            tracked.array = batches.array
        return y

    def _momentum(self, batches: Tensor | None) -> float:
        """The weight of a new batch; without a momentum, that of one among all `batches`."""
        if self.momentum is not None:
            return self.momentum
        return 1.0 if batches is None else 1 / int(batches)

    def _check(self, x: Any) -> None:
        shape = expect.tensor(self, x)
        name = type(self).__name__
        full = len(self.axes)
        if len(shape) != full and not (full == 3 and len(shape) == 2):
            raise ShapeError(
                f"{name} takes a tensor of axes {' '.join(self.axes)}",
                got=describe(x),
                hint="a batch of one needs its axis too: x.unsqueeze(0)"
                if len(shape) == full - 1
                else None,
            )
        if shape[1] != self.num_features:
            raise ShapeError(
                f"{name} built for {self.num_features} channels got {shape[1]}",
                expected=f"axis 1 of size {self.num_features}",
                got=describe(x),
            )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """BatchNorm2d's formula for inputs (N, C) and (N, C, L).

    >>> cr.nn.BatchNorm1d(4)(zeros(8, 4)).shape
    (8, 4)
    """

    axes = ("N", "C", "L")


class BatchNorm2d(_BatchNorm):
    """y = weight · (x - mean) / √(var + eps) + bias, with mean and variance of each channel.

    In training they are those of the batch (N, C, H, W), the variance being the biased one, and
    running averages are updated: r ← (1 - momentum) r + momentum · batch, the variance there being
    the unbiased one; momentum None stands for the plain average over all batches. In evaluation the
    running averages are used.

    Raises ShapeError for another number of channels or axes, or in training for one value per
    channel. Source: Ioffe & Szegedy 2015, algorithms 1 and 2.

    >>> norm = cr.nn.BatchNorm2d(3)
    >>> norm(rand(2, 3, 4, 4)).shape, norm.num_batches_tracked
    ((2, 3, 4, 4), tensor(1))
    """

    axes = ("N", "C", "H", "W")


class LayerNorm(Module):
    """y = weight · (x - mean) / √(var + eps) + bias, over the last axes of each sample.

    `normalized_shape` says which: its length is their number. The variance is the biased one.
    Source: Ba, Kiros & Hinton 2016, eq. 3 and 4.

    >>> cr.nn.LayerNorm(4)(rand(2, 3, 4)).shape
    (2, 3, 4)
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        self.normalized_shape = tuple(shape)
        expect.sizes("LayerNorm", normalized_shape=self.normalized_shape)
        if not self.normalized_shape:
            raise ArgumentError("LayerNorm normalises at least one axis", got="no sizes")
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        for name, wanted in (("weight", elementwise_affine), ("bias", elementwise_affine and bias)):
            self.register_parameter(
                name,
                blank(*self.normalized_shape, dtype=dtype, device=device) if wanted else None,
            )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start again with weight 1 and bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, x: Any) -> Any:
        shape = expect.tensor(self, x)
        if shape[-len(self.normalized_shape) :] != self.normalized_shape:
            raise ShapeError(
                f"LayerNorm built for last axes {self.normalized_shape} got {shape}",
                expected="[…," + ",".join(map(str, self.normalized_shape)) + "]",
                got=describe(x),
            )
        return ops.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )
