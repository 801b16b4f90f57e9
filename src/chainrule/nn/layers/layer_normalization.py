"""Normalisation of each sample over its features: layer, group, root mean square, local."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import ops
from ...core.aval import describe
from ...errors import ArgumentError, ShapeError
from .. import functional, init
from ..module import Module
from ..parameter import Parameter, blank
from . import expect


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

    def forward(self, input: Any) -> Any:
        shape = expect.tensor(self, input)
        if shape[-len(self.normalized_shape) :] != self.normalized_shape:
            raise ShapeError(
                f"LayerNorm built for last axes {self.normalized_shape} got {shape}",
                expected="[…," + ",".join(map(str, self.normalized_shape)) + "]",
                got=describe(input),
            )
        return ops.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """y = weight · x / √(mean(x²) + eps), over the last axes of each sample.

    Without `eps`, the distance from 1 to the next number of the input's dtype.
    Source: Zhang & Sennrich 2019, eq. 4.
    """

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        self.normalized_shape = tuple(shape)
        expect.sizes("RMSNorm", normalized_shape=self.normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        new = blank(*self.normalized_shape, dtype=dtype, device=device)
        self.register_parameter("weight", new if elementwise_affine else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start again with weight 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Any) -> Any:
        return functional.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class GroupNorm(Module):
    """y = weight · (x - mean) / √(var + eps) + bias, over groups of channels of each sample.

    Shapes: x (N, C, …); weight and bias (C). Source: Wu & He 2018, section 3.1.

    >>> cr.nn.GroupNorm(2, 6)(rand(3, 6, 4, 4)).shape
    (3, 6, 4, 4)
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        expect.sizes("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ArgumentError(
                "GroupNorm cannot divide its channels into groups",
                expected="num_channels divisible by num_groups",
                got=f"num_groups={num_groups}, num_channels={num_channels}",
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            made = blank(num_channels, dtype=dtype, device=device) if wanted else None
            self.register_parameter(name, made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start again with weight 1 and bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Any) -> Any:
        return functional.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class LocalResponseNorm(Module):
    """x / (k + α mean(x²))^β over `size` neighbouring channels.  (Krizhevsky et al. 2012)"""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        expect.sizes("LocalResponseNorm", size=size)
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Any) -> Any:
        return functional.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
