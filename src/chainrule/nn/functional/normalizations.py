"""Normalisations, with their running statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import ops
from ...core.aval import describe
from ...errors import ArgumentError, ShapeError


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """(x - mean) / √(var + eps) · weight + bias for each channel, axis 1.

    In training the statistics are the batch's, and the tensors `running_mean` and `running_var`, if
    given, take on new values; otherwise they are the statistics. Nothing, in training, stays as it
    is.
    """
    if training and 0 in input.shape:
        return ops.identity(input)
    if not training or running_mean is None:
        return ops.batch_norm(
            input, running_mean, running_var, weight, bias, training, momentum, eps
        )
    y, mean, var = ops.batch_norm_stats(
        input, running_mean, running_var, weight, bias, momentum, eps
    )
    running_mean.array = mean.array
    running_var.array = var.array
    return y


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """``batch_norm`` of each sample by itself: statistics of each channel of each sample.

    Running statistics are averages over the samples. Source: Ulyanov et al. 2016, eq. 7.
    """
    if not use_input_stats:
        return ops.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    n, c, *rest = input.shape
    if math.prod(rest) == 1:
        raise ShapeError(
            "instance_norm needs more than one value for each channel of each sample",
            got=describe(input),
        )
    old_mean, old_var, gain, shift = (
        None if p is None else ops.tile(p, n) for p in (running_mean, running_var, weight, bias)
    )
    x = ops.reshape(input, (1, n * c, *rest))
    y, mean, var = ops.batch_norm_stats(x, old_mean, old_var, gain, shift, momentum, eps)
    for running, new in ((running_mean, mean), (running_var, var)):
        if running is not None:
            running.array = ops.mean(ops.reshape(new, (n, c)), 0).array
    return ops.reshape(y, input.shape)


def rms_norm(
    input: Any,
    normalized_shape: int | Sequence[int],
    weight: Any = None,
    eps: float | None = None,
) -> Any:
    """x / √(mean(x²) + eps) · weight over the last axes, of shape `normalized_shape`.

    Without `eps`, the distance from 1 to the next number of the dtype. Source: Zhang & Sennrich
    2019, eq. 4.

    >>> cr.nn.functional.rms_norm(tensor([3.0, 4.0]), (2,))
    tensor([0.8485, 1.1314])
    """
    own = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not own or tuple(input.shape[-len(own) :]) != own:
        raise ShapeError(
            "rms_norm needs an input that ends with normalized_shape",
            expected=f"(…, {', '.join(map(str, own))})",
            got=describe(input),
        )
    least = float(np.finfo(input.dtype).eps) if eps is None else eps
    axes = tuple(range(-len(own), 0))
    y = input * ops.rsqrt(ops.mean(input * input, axes, keepdim=True) + least)
    return y if weight is None else y * weight


def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """x / (k + α mean(x²))^β, the mean over `size` neighbouring channels, zeros beyond the ends.

    Source: Krizhevsky et al. 2012, section 3.3, with the mean in place of the sum, as in PyTorch.
    """
    if input.ndim < 3:
        raise ShapeError("local_response_norm takes (N, C, …)", got=describe(input))
    if size < 1:
        raise ArgumentError("local_response_norm takes at least one channel", got=f"size={size}")
    around = [(0, 0), (size // 2, (size - 1) // 2), *[(0, 0)] * (input.ndim - 2)]
    squares = ops.pad(input * input, around)
    channels = input.shape[1]
    total = squares[:, :channels]
    for shift in range(1, size):
        total = total + squares[:, shift : shift + channels]
    return input / (total * (alpha / size) + k) ** beta
