"""Pooling layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias

from ...errors import ArgumentError
from .. import functional
from ..module import Module
from . import expect

Sizes: TypeAlias = int | tuple[int, ...]
Target: TypeAlias = int | Sequence[int | None] | None


class _MaxPool(Module):
    """What the maximum poolings share."""

    pool: ClassVar[Callable[..., Any]]

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

    def forward(self, input: Any) -> Any:
        expect.tensor(self, input)
        return self.pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest value in each window of (N, C, L); at ties the first wins, in backward too."""

    pool = staticmethod(functional.max_pool1d)


class MaxPool2d(_MaxPool):
    """The largest value in each window of (N, C, H, W); at ties the first wins, in backward too.

    H' = ⌊(H + 2 padding - dilation (K - 1) - 1) / stride⌋ + 1, rounded up with `ceil_mode`. The
    stride is the kernel size unless given. With `return_indices`, the places of the maxima in the
    plane H × W are returned too.

    >>> cr.nn.MaxPool2d(2)(zeros(128, 32, 26, 26)).shape
    (128, 32, 13, 13)
    """

    pool = staticmethod(functional.max_pool2d)


class MaxPool3d(_MaxPool):
    """The largest value in each window of (N, C, D, H, W); see MaxPool2d."""

    pool = staticmethod(functional.max_pool3d)


class _MaxUnpool(Module):
    """What the inverses of maximum pooling share."""

    unpool: ClassVar[Callable[..., Any]]

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        super().__init__()
        self.kernel_size = _checked(self, kernel_size=kernel_size)
        self.stride = _checked(self, stride=kernel_size if stride is None else stride)
        self.padding = _checked(self, 0, padding=padding)

    def forward(self, input: Any, indices: Any, output_size: Sequence[int] | None = None) -> Any:
        return self.unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Puts maxima back where MaxPool1d found them (`return_indices`), zeros elsewhere."""

    unpool = staticmethod(functional.max_unpool1d)


class MaxUnpool2d(_MaxUnpool):
    """Puts maxima back where MaxPool2d found them (`return_indices`), zeros elsewhere.

    `output_size` chooses among the sizes that the pooling maps to the same one.
    """

    unpool = staticmethod(functional.max_unpool2d)


class MaxUnpool3d(_MaxUnpool):
    """Puts maxima back where MaxPool3d found them (`return_indices`), zeros elsewhere."""

    unpool = staticmethod(functional.max_unpool3d)


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

    def forward(self, input: Any) -> Any:
        expect.tensor(self, input)
        return functional.avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )

    def extra_repr(self) -> str:
        sizes = (self.kernel_size, self.stride, self.padding)
        kernel, stride, padding = (n if isinstance(n, tuple) else (n,) for n in sizes)
        return f"kernel_size={kernel}, stride={stride}, padding={padding}"


class _AvgPool(Module):
    """What the mean poolings of planes and volumes share."""

    pool: ClassVar[Callable[..., Any]]

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

    def forward(self, input: Any) -> Any:
        expect.tensor(self, input)
        return self.pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(_AvgPool):
    """The mean of each window of (N, C, H, W).

    Zeros of the padding count unless ``count_include_pad=False``; `divisor_override` replaces the
    number of elements that the sum is divided by.

    >>> cr.nn.AvgPool2d(2)(ones(1, 1, 4, 4)).shape
    (1, 1, 2, 2)
    """

    pool = staticmethod(functional.avg_pool2d)


class AvgPool3d(_AvgPool):
    """The mean of each window of (N, C, D, H, W); see AvgPool2d."""

    pool = staticmethod(functional.avg_pool3d)


class _LPPool(Module):
    """What the power poolings share: (Σ xᵖ)^(1/p) over each window."""

    pool: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        norm_type: float,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = _checked(self, kernel_size=kernel_size)
        self.stride = None if stride is None else _checked(self, stride=stride)
        self.ceil_mode = ceil_mode

    def forward(self, input: Any) -> Any:
        expect.tensor(self, input)
        return self.pool(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """(Σ xᵖ)^(1/p) of each window of (N, C, L): the sum for p = 1, the maximum as p grows."""

    pool = staticmethod(functional.lp_pool1d)


class LPPool2d(_LPPool):
    """(Σ xᵖ)^(1/p) of each window of (N, C, H, W); see LPPool1d."""

    pool = staticmethod(functional.lp_pool2d)


class LPPool3d(_LPPool):
    """(Σ xᵖ)^(1/p) of each window of (N, C, D, H, W); see LPPool1d."""

    pool = staticmethod(functional.lp_pool3d)


class _FractionalMaxPool(Module):
    """What the fractional maximum poolings share."""

    pool: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        kernel_size: Sizes,
        output_size: Sizes | None = None,
        output_ratio: float | tuple[float, ...] | None = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> None:
        super().__init__()
        if (output_size is None) == (output_ratio is None):
            raise ArgumentError(f"{type(self).__name__} takes output_size or output_ratio")
        self.kernel_size = _checked(self, kernel_size=kernel_size)
        self.output_size = output_size
        self.output_ratio = output_ratio
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)

    def forward(self, input: Any) -> Any:
        return self.pool(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            self._random_samples,
        )


class FractionalMaxPool2d(_FractionalMaxPool):
    """Maxima of windows at random steps that give an output of any smaller size.

    Source: Graham 2015, section 2, with pseudo-random windows that overlap.
    """

    pool = staticmethod(functional.fractional_max_pool2d)


class FractionalMaxPool3d(_FractionalMaxPool):
    """FractionalMaxPool2d with one more axis."""

    pool = staticmethod(functional.fractional_max_pool3d)


class _AdaptivePool(Module):
    """What the adaptive poolings share: windows chosen so that the output has a given size."""

    pool: ClassVar[Callable[..., Any]]

    def __init__(self, output_size: Target) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Any) -> Any:
        expect.tensor(self, input)
        return self.pool(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveMaxPool(_AdaptivePool):
    """Adaptive maximum pooling, which can also tell where the maxima were."""

    def __init__(self, output_size: Target, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Any) -> Any:
        expect.tensor(self, input)
        return self.pool(input, self.output_size, self.return_indices)


class AdaptiveAvgPool1d(_AdaptivePool):
    """Means of windows that divide the last axis into `output_size` parts."""

    pool = staticmethod(functional.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptivePool):
    """Means of windows that divide H × W into `output_size` parts; None keeps an axis.

    Window i of n reaches from ⌊i H / n⌋ to ⌈(i + 1) H / n⌉.

    >>> cr.nn.AdaptiveAvgPool2d((1, 1))(zeros(2, 64, 7, 5)).shape
    (2, 64, 1, 1)
    """

    pool = staticmethod(functional.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptivePool):
    """Means of windows that divide D × H × W into `output_size` parts; None keeps an axis."""

    pool = staticmethod(functional.adaptive_avg_pool3d)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Maxima of windows that divide the last axis into `output_size` parts."""

    pool = staticmethod(functional.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Maxima of windows that divide H × W into `output_size` parts; None keeps an axis."""

    pool = staticmethod(functional.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Maxima of windows that divide D × H × W into `output_size` parts; None keeps an axis."""

    pool = staticmethod(functional.adaptive_max_pool3d)


def _checked(layer: Module, minimum: int = 1, **argument: Any) -> Any:
    """The value of one argument, a number or a tuple of them; ArgumentError if it is neither."""
    ((name, value),) = argument.items()
    given = tuple(value) if isinstance(value, list) else value
    expect.sizes(type(layer).__name__, minimum, **{name: given})
    return given
