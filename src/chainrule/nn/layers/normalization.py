"""Batch and instance normalisation."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ... import ops
from ...core.aval import describe
from ...errors import ShapeError
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

    def forward(self, input: Any) -> Any:
        self._check(input)
        tracked = self.num_batches_tracked if self.training else None
        batches = None if tracked is None else tracked + 1
        y = functional.batch_norm(
            input,
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


class BatchNorm3d(_BatchNorm):
    """BatchNorm2d's formula for inputs (N, C, D, H, W)."""

    axes = ("N", "C", "D", "H", "W")


class _InstanceNorm(_BatchNorm):
    """What the instance normalisations share: batch normalisation of each sample by itself."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def forward(self, input: Any) -> Any:
        shape = expect.tensor(self, input)
        full = len(self.axes)
        if len(shape) not in (full - 1, full):
            raise ShapeError(
                f"{type(self).__name__} takes a tensor of axes {' '.join(self.axes)}, or one "
                "without N",
                got=describe(input),
            )
        single = len(shape) < full
        if self.affine and shape[0 if single else 1] != self.num_features:
            raise ShapeError(
                f"{type(self).__name__} built for {self.num_features} channels got another number",
                got=describe(input),
            )
        y = functional.instance_norm(
            ops.unsqueeze(input, 0) if single else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            self.momentum or 0.0,
            self.eps,
        )
        return ops.squeeze(y, 0) if single else y


class InstanceNorm1d(_InstanceNorm):
    """InstanceNorm2d's formula for inputs (N, C, L) and (C, L)."""

    axes = ("N", "C", "L")


class InstanceNorm2d(_InstanceNorm):
    """weight · (x - mean) / √(var + eps) + bias, statistics of each channel of each sample.

    Without `affine` there is no weight and no bias; with `track_running_stats` evaluation uses
    running averages. Inputs (N, C, H, W) and (C, H, W). Source: Ulyanov et al. 2016, eq. 7.

    >>> cr.nn.InstanceNorm2d(3)(rand(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    axes = ("N", "C", "H", "W")


class InstanceNorm3d(_InstanceNorm):
    """InstanceNorm2d's formula for inputs (N, C, D, H, W) and (C, D, H, W)."""

    axes = ("N", "C", "D", "H", "W")
