"""Pooling layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from ... import ops
from ..module import Module
from . import expect

Sizes: TypeAlias = int | tuple[int, ...]


class _MaxPool(Module):
    """What the maximum poolings share."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = _checked(self, kernel_size=kernel_size)
        self.stride = _checked(self, stride=kernel_size if stride is None else stride)
        self.padding = _checked(self, 0, padding=padding)
        self.dilation = _checked(self, dilation=dilation)
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest value in each window of (N, C, L); at ties the first wins, in backward too."""

    def forward(self, x: Any) -> Any:
        expect.tensor(self, x)
        return ops.max_pool1d(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )


class MaxPool2d(_MaxPool):
    """The largest value in each window of (N, C, H, W); at ties the first wins, in backward too.

    H' = ⌊(H + 2 padding - dilation (K - 1) - 1) / stride⌋ + 1, rounded up with `ceil_mode`. The
    stride is the kernel size unless given. With `return_indices`, the places of the maxima in the
    plane H × W are returned too.

    >>> cr.nn.MaxPool2d(2)(zeros(128, 32, 26, 26)).shape
    (128, 32, 13, 13)
    """

    def forward(self, x: Any) -> Any:
        expect.tensor(self, x)
        return ops.max_pool2d(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )


class AvgPool1d(Module):
    """The mean of each window of (N, C, L); zeros of the padding count unless told otherwise."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = _checked(self, kernel_size=kernel_size)
        self.stride = _checked(self, stride=kernel_size if stride is None else stride)
        self.padding = _checked(self, 0, padding=padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, x: Any) -> Any:
        expect.tensor(self, x)
        return ops.avg_pool1d(
            x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )

    def extra_repr(self) -> str:
        sizes = (self.kernel_size, self.stride, self.padding)
        kernel, stride, padding = (n if isinstance(n, tuple) else (n,) for n in sizes)
        return f"kernel_size={kernel}, stride={stride}, padding={padding}"


class AvgPool2d(Module):
    """The mean of each window of (N, C, H, W).

    Zeros of the padding count unless ``count_include_pad=False``; `divisor_override` replaces the
    number of elements that the sum is divided by.

    >>> cr.nn.AvgPool2d(2)(ones(1, 1, 4, 4)).shape
    (1, 1, 2, 2)
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = _checked(self, kernel_size=kernel_size)
        self.stride = _checked(self, stride=kernel_size if stride is None else stride)
        self.padding = _checked(self, 0, padding=padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, x: Any) -> Any:
        expect.tensor(self, x)
        return ops.avg_pool2d(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AdaptivePool(Module):
    """What the adaptive poolings share: windows chosen so that the output has a given size."""

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveMaxPool(_AdaptivePool):
    """Adaptive maximum pooling, which can also tell where the maxima were."""

    def __init__(
        self, output_size: int | Sequence[int | None] | None, return_indices: bool = False
    ) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveAvgPool1d(_AdaptivePool):
    """Means of windows that divide the last axis into `output_size` parts."""

    def forward(self, x: Any) -> Any:
        expect.tensor(self, x)
        return ops.adaptive_avg_pool1d(x, self.output_size)


class AdaptiveAvgPool2d(_AdaptivePool):
    """Means of windows that divide H × W into `output_size` parts; None keeps an axis.

    Window i of n reaches from ⌊i H / n⌋ to ⌈(i + 1) H / n⌉.

    >>> cr.nn.AdaptiveAvgPool2d((1, 1))(zeros(2, 64, 7, 5)).shape
    (2, 64, 1, 1)
    """

    def forward(self, x: Any) -> Any:
        expect.tensor(self, x)
        return ops.adaptive_avg_pool2d(x, self.output_size)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Maxima of windows that divide the last axis into `output_size` parts."""

    def forward(self, x: Any) -> Any:
        expect.tensor(self, x)
        return ops.adaptive_max_pool1d(x, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Maxima of windows that divide H × W into `output_size` parts; None keeps an axis."""

    def forward(self, x: Any) -> Any:
        expect.tensor(self, x)
        return ops.adaptive_max_pool2d(x, self.output_size, self.return_indices)


def _checked(layer: Module, minimum: int = 1, **argument: Any) -> Any:
    """The value of one argument, a number or a tuple of them; ArgumentError if it is neither."""
    ((name, value),) = argument.items()
    given = tuple(value) if isinstance(value, list) else value
    expect.sizes(type(layer).__name__, minimum, **{name: given})
    return given
