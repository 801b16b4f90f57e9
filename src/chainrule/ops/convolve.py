"""Convolutions along one, two and three axes, and their transposes, with PyTorch's signatures."""

from __future__ import annotations

from typing import Any, TypeVar

from ..core.apply import apply
from ..core.aval import describe, shape_of
from ..errors import ArgumentError, ShapeError
from . import arithmetic, movement
from .convolution import Convolution, ConvolutionInput
from .window import Sizes, ints, make_window

V = TypeVar("V")


def conv1d(
    x: V,
    weight: Any,
    bias: Any = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> V:
    """Cross-correlation along one axis; see ``conv2d``.  (N, C, L) gives (N, O, L').

    >>> conv1d(tensor([[[1.0, 2.0, 4.0, 8.0]]]), tensor([[[-1.0, 1.0]]]))
    tensor([[[1., 2., 4.]]])
    """
    return _convolve(x, weight, bias, stride, padding, dilation, groups, 1)


def conv2d(
    x: V,
    weight: Any,
    bias: Any = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> V:
    """y[n, o, p, q] = b[o] + Σ_{c,i,j} x[n, c, s·p + d·i - pad, s·q + d·j - pad] w[o, c, i, j].

    x (N, C, H, W) or (C, H, W) and weight (O, C/groups, kh, kw) give (N, O, H', W'), with
    H' = ⌊(H + 2·pad - d(kh-1) - 1)/s⌋ + 1. The kernel is not flipped, as in PyTorch. `padding` may
    be "same" (stride 1) or "valid". The gradients are the transposed convolution of ȳ with w, and
    the correlation of x with ȳ. The result is stored channels-last, which shows in strides only.

    Raises ShapeError if the channels do not fit or the kernel is larger than its input.

    >>> conv2d(tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), tensor([[[[1.0, 0.0], [0.0, 1.0]]]]))
    tensor([[[[5.]]]])
    """
    return _convolve(x, weight, bias, stride, padding, dilation, groups, 2)


def conv3d(
    x: V,
    weight: Any,
    bias: Any = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> V:
    """Cross-correlation of (N, C, D, H, W) along three axes; see ``conv2d``."""
    return _convolve(x, weight, bias, stride, padding, dilation, groups, 3)


def _convolve(
    x: V,
    weight: Any,
    bias: Any,
    stride: Sizes,
    padding: Sizes | str,
    dilation: Sizes,
    groups: int,
    rank: int,
) -> V:
    _check_weight(weight, groups, rank)
    w = make_window(shape_of(weight)[2:], stride, padding, dilation, rank)
    single = len(shape_of(x)) == rank + 1
    y = apply(Convolution(w, groups), movement.unsqueeze(x, 0) if single else x, weight)
    return _finished(y, bias, rank, single)


def _check_weight(weight: Any, groups: int, rank: int) -> None:
    shape = shape_of(weight)
    if len(shape) != rank + 2 or 0 in shape[2:]:
        raise ShapeError(
            f"the weight of a {rank}-d convolution has {rank + 2} dimensions",
            expected=f"(O, C/groups, {', '.join(('kd', 'kh', 'kw')[3 - rank :])})",
            got=describe(weight),
        )
    if not isinstance(groups, int) or groups < 1:
        raise ArgumentError("groups must be a positive integer", got=repr(groups))


def _finished(y: V, bias: Any, rank: int, single: bool) -> V:
    """y with the bias added to each channel, without the axis added to a single image."""
    if bias is not None:
        outputs = shape_of(y)[1]
        if shape_of(bias) != (outputs,):
            raise ShapeError(
                "the bias of a convolution has one number for each output channel",
                expected=f"({outputs},)",
                got=describe(bias),
            )
        y = arithmetic.add(y, movement.reshape(bias, (-1, *(1,) * rank)))
    return movement.squeeze(y, 0) if single else y


def conv_transpose1d(
    x: V,
    weight: Any,
    bias: Any = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> V:
    """The transpose of ``conv1d``; see ``conv_transpose2d``.  (N, C, L) gives (N, O, L').

    >>> conv_transpose1d(tensor([[[1.0, 2.0]]]), tensor([[[1.0, 10.0]]]), stride=2)
    tensor([[[ 1., 10.,  2., 20.]]])
    """
    return _convolve_transposed(x, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    x: V,
    weight: Any,
    bias: Any = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> V:
    """Spread each input over a kernel: the map whose transpose is ``conv2d`` with this weight.

    x (N, C, H, W) and weight (C, O/groups, kh, kw) give (N, O, H', W'), with
    H' = (H-1)·s - 2·pad + d(kh-1) + output_padding + 1 (Dumoulin and Visin 2016, "A guide to
    convolution arithmetic for deep learning", section 4).

    Raises ShapeError if the channels do not fit, ArgumentError unless the output padding is less
    than the stride or the dilation.
    """
    return _convolve_transposed(x, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    x: V,
    weight: Any,
    bias: Any = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> V:
    """The transpose of ``conv3d``; see ``conv_transpose2d``."""
    return _convolve_transposed(x, weight, bias, stride, padding, output_padding, groups, dilation)


def _convolve_transposed(
    x: V,
    weight: Any,
    bias: Any,
    stride: Sizes,
    padding: Sizes,
    output_padding: Sizes,
    groups: int,
    dilation: Sizes,
) -> V:
    rank = len(shape_of(weight)) - 2
    _check_weight(weight, groups, rank)
    w = make_window(shape_of(weight)[2:], stride, padding, dilation, rank)
    extra = ints("output_padding", output_padding, rank, 0)
    if any(n >= max(s, d) for n, s, d in zip(extra, w.stride, w.dilation, strict=True)):
        raise ArgumentError(
            "output_padding only settles which of several sizes is meant",
            expected="less than the stride or the dilation",
            got=f"output_padding={extra}, stride={w.stride}, dilation={w.dilation}",
        )
    single = len(shape_of(x)) == rank + 1
    if single:
        x = movement.unsqueeze(x, 0)
    size = tuple(
        (n - 1) * s - 2 * lo + span + more
        for n, s, (lo, _), span, more in zip(
            shape_of(x)[2:], w.stride, w.padding, w.span, extra, strict=True
        )
    )
    # of sizes that differ by a stride or more, only one is that of x: cut the padding behind it
    pads = [
        (lo, hi - n // s * s) for n, s, (lo, hi) in zip(extra, w.stride, w.padding, strict=True)
    ]
    w = w._replace(padding=tuple(pads))
    y = apply(ConvolutionInput(w, groups, size), x, weight)
    return _finished(y, bias, rank, single)
