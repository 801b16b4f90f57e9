"""Convolution layers and their transposes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, TypeAlias

from ...errors import ArgumentError, ShapeError
from .. import functional, init
from ..module import Module
from ..parameter import Parameter, blank
from . import expect

Sizes: TypeAlias = int | tuple[int, ...]
Padding: TypeAlias = Sizes | Literal["same", "valid"]


class _Convolution(Module):
    """What the convolutions share: their arguments, parameters and initial values."""

    axes: ClassVar[tuple[str, ...]]
    transposed: ClassVar[bool] = False
    output_padding: tuple[int, ...] = ()
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._check(in_channels, out_channels, groups, padding, padding_mode)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = self._sizes("kernel_size", kernel_size)
        self.stride = self._sizes("stride", stride)
        self.padding = (
            padding if isinstance(padding, str) else self._sizes("padding", padding, minimum=0)
        )
        self.dilation = self._sizes("dilation", dilation)
        self.groups = groups
        self.padding_mode = padding_mode
        first, second = out_channels, in_channels // groups
        if self.transposed:
            first, second = in_channels, out_channels // groups
        self.weight = blank(first, second, *self.kernel_size, dtype=dtype, device=device)
        if bias:
            self.bias = blank(out_channels, dtype=dtype, device=device)
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _check(self, inside: int, outside: int, groups: int, padding: Any, mode: str) -> None:
        name = type(self).__name__
        expect.sizes(name, in_channels=inside, out_channels=outside, groups=groups)
        if inside % groups or outside % groups:
            raise ArgumentError(
                f"{name} cannot divide its channels into {groups} groups",
                expected="in_channels and out_channels divisible by groups",
                got=f"in_channels={inside}, out_channels={outside}",
            )
        if isinstance(padding, str) and (self.transposed or padding not in ("same", "valid")):
            raise ArgumentError(
                f"{name} does not know padding={padding!r}",
                expected="numbers" if self.transposed else "numbers, 'same' or 'valid'",
            )
        modes = ("zeros",) if self.transposed else ("zeros", "reflect", "replicate", "circular")
        if mode not in modes:
            raise ArgumentError(
                f"{name} does not know this padding_mode", expected=", ".join(modes), got=repr(mode)
            )

    def _sizes(self, argument: str, value: Any, minimum: int = 1) -> tuple[int, ...]:
        """One number per spatial axis."""
        count = len(self.axes) - 2
        given = tuple(value) if isinstance(value, Sequence) else (value,) * count
        expect.sizes(type(self).__name__, minimum, **{argument: given})
        if len(given) != count:
            raise ArgumentError(
                f"{type(self).__name__} takes {argument} as one number or {count}", got=repr(value)
            )
        return given

    def _padded(self, x: Any) -> tuple[Any, Padding]:
        """The input with its border, and what padding is left to the convolution."""
        if self.padding_mode == "zeros" or self.padding == "valid":
            return x, self.padding
        border: list[int] = []
        for axis in reversed(range(len(self.kernel_size))):
            if isinstance(self.padding, tuple):
                border += [self.padding[axis]] * 2
            else:
                total = self.dilation[axis] * (self.kernel_size[axis] - 1)
                border += [total // 2, total - total // 2]
        return functional.pad(x, border, self.padding_mode), 0

    def reset_parameters(self) -> None:
        """Draw new initial values: uniform on ±1/√fan_in, as in PyTorch."""
        init.fan_in_uniform_(self.weight, self.bias)

    def extra_repr(self) -> str:
        parts = [
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        ]
        if self.padding != (0,) * len(self.kernel_size):
            parts.append(f"padding={self.padding}")
        if self.dilation != (1,) * len(self.kernel_size):
            parts.append(f"dilation={self.dilation}")
        if any(self.output_padding):
            parts.append(f"output_padding={self.output_padding}")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        return ", ".join(parts)


class Conv1d(_Convolution):
    """y[n, o, l] = bias[o] + Σ_{c,k} weight[o, c, k] · x[n, c, stride·l + dilation·k - padding].

    Shapes: x (N, C, L) or (C, L) → y (N, out_channels, L'); weight (out_channels, C/groups, K).
    L' = ⌊(L + 2 padding - dilation (K - 1) - 1) / stride⌋ + 1. Padding may be "same" or "valid".

    >>> cr.nn.Conv1d(3, 8, kernel_size=5)(zeros(2, 3, 20)).shape
    (2, 8, 16)
    """

    axes = ("N", "C", "L")

    def forward(self, input: Any) -> Any:
        expect.channels(self, input, self.in_channels, self.axes, "in_channels")
        x, padding = self._padded(input)
        return functional.conv1d(
            x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


class Conv2d(_Convolution):
    """y[n, o, i, j] = bias[o] + Σ_{c,k,l} weight[o, c, k, l] · x[n, c, i + k, j + l].

    So for stride 1 without padding; with stride s, padding p and dilation d the input is read at
    s·i + d·k - p. Shapes: x (N, C, H, W) or (C, H, W) → y (N, out_channels, H', W'); weight
    (out_channels, C/groups, KH, KW); H' = ⌊(H + 2p - d (KH - 1) - 1) / s⌋ + 1.

    Raises ShapeError for an input with another number of channels or axes.

    >>> cr.nn.Conv2d(1, 32, kernel_size=3)(zeros(128, 1, 28, 28)).shape
    (128, 32, 26, 26)
    """

    axes = ("N", "C", "H", "W")

    def forward(self, input: Any) -> Any:
        expect.channels(self, input, self.in_channels, self.axes, "in_channels")
        x, padding = self._padded(input)
        return functional.conv2d(
            x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


class Conv3d(_Convolution):
    """Conv2d's formula with one more axis.

    Shapes: x (N, C, D, H, W) or (C, D, H, W) → y (N, out_channels, D', H', W'); weight
    (out_channels, C/groups, KD, KH, KW).
    """

    axes = ("N", "C", "D", "H", "W")

    def forward(self, input: Any) -> Any:
        expect.channels(self, input, self.in_channels, self.axes, "in_channels")
        x, padding = self._padded(input)
        return functional.conv3d(
            x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


class _ConvolutionTranspose(_Convolution):
    """What the transposed convolutions share."""

    transposed = True
    padding: tuple[int, ...]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip
        self.output_padding = self._sizes("output_padding", output_padding, minimum=0)

    def _output_padding(self, x: Any, output_size: Sequence[int] | None) -> tuple[int, ...]:
        """The output padding that gives `output_size`, or the one this layer was built with."""
        if output_size is None:
            return self.output_padding
        spatial = len(self.kernel_size)
        wanted = tuple(output_size)[-spatial:]
        smallest = tuple(
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                x.shape[-spatial:],
                self.stride,
                self.padding,
                self.dilation,
                self.kernel_size,
                strict=True,
            )
        )
        extra = tuple(w - n for w, n in zip(wanted, smallest, strict=True))
        if any(not 0 <= e < s for e, s in zip(extra, self.stride, strict=True)):
            raise ShapeError(
                f"{type(self).__name__} cannot give an output of size {wanted}",
                expected=f"{smallest} and less than one stride {self.stride} more",
            )
        return extra


class ConvTranspose1d(_ConvolutionTranspose):
    """The transpose of Conv1d as a linear map: what Conv1d does to gradients.

    Shapes: x (N, in_channels, L) → y (N, out_channels, L'); weight (in_channels,
    out_channels/groups, K). L' = (L - 1) stride - 2 padding + dilation (K - 1) + output_padding
    + 1.

    >>> cr.nn.ConvTranspose1d(4, 2, kernel_size=3, stride=2)(zeros(1, 4, 5)).shape
    (1, 2, 11)
    """

    axes = ("N", "C", "L")

    def forward(self, input: Any, output_size: Sequence[int] | None = None) -> Any:
        expect.channels(self, input, self.in_channels, self.axes, "in_channels")
        return functional.conv_transpose1d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self._output_padding(input, output_size),
            self.groups,
            self.dilation,
        )


class ConvTranspose2d(_ConvolutionTranspose):
    """The transpose of Conv2d as a linear map: what Conv2d does to gradients.

    Shapes: x (N, in_channels, H, W) → y (N, out_channels, H', W'); weight (in_channels,
    out_channels/groups, KH, KW). `output_size` in the call chooses among the sizes that a strided
    convolution maps to H, W.

    >>> cr.nn.ConvTranspose2d(8, 3, kernel_size=2, stride=2)(zeros(1, 8, 7, 7)).shape
    (1, 3, 14, 14)
    """

    axes = ("N", "C", "H", "W")

    def forward(self, input: Any, output_size: Sequence[int] | None = None) -> Any:
        expect.channels(self, input, self.in_channels, self.axes, "in_channels")
        return functional.conv_transpose2d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self._output_padding(input, output_size),
            self.groups,
            self.dilation,
        )


class ConvTranspose3d(_ConvolutionTranspose):
    """The transpose of Conv3d as a linear map: what Conv3d does to gradients.

    Shapes: x (N, in_channels, D, H, W) → y (N, out_channels, D', H', W'); weight (in_channels,
    out_channels/groups, KD, KH, KW).
    """

    axes = ("N", "C", "D", "H", "W")

    def forward(self, input: Any, output_size: Sequence[int] | None = None) -> Any:
        expect.channels(self, input, self.in_channels, self.axes, "in_channels")
        return functional.conv_transpose3d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self._output_padding(input, output_size),
            self.groups,
            self.dilation,
        )
