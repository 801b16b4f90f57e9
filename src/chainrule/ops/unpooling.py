"""Pooling by powers, by random windows, and backwards: lp_pool, fractional_max_pool, max_unpool."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.aval import describe, shape_of
from ..errors import ArgumentError, ShapeError
from . import (
    arithmetic,
    average_pooling,
    comparison,
    elementwise,
    lookup,
    movement,
    random,
    reduce,
    selection,
    window,
)
from . import scattered as scatters
from .arithmetic import pow as power
from .movement import cast
from .window import Sizes

# Powers -------------------------------------------------------------------------------------------


def _lp_pool(
    pool: Callable[..., Any],
    rank: int,
    input: Any,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None,
    ceil_mode: bool,
) -> Any:
    kernel = window.ints("kernel_size", kernel_size, rank, 1)
    mean = pool(power(input, norm_type), kernel, stride, 0, ceil_mode)
    total = comparison.sign(mean) * elementwise.relu(abs(mean)) * math.prod(kernel)
    return power(total, 1.0 / norm_type)


def lp_pool1d(
    input: Any,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> Any:
    """(Σ xᵖ)^(1/p) of each window along the last axis; the derivative is infinite where Σ = 0.

    >>> lp_pool1d(tensor([[3.0, 4.0]]), 2, 2)
    tensor([[5.]])
    """
    pool = average_pooling.avg_pool1d
    return _lp_pool(pool, 1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Any,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> Any:
    """(Σ xᵖ)^(1/p) of each window of the last two axes; see ``lp_pool1d``."""
    pool = average_pooling.avg_pool2d
    return _lp_pool(pool, 2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Any,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> Any:
    """(Σ xᵖ)^(1/p) of each window of the last three axes; see ``lp_pool1d``."""
    pool = average_pooling.avg_pool3d
    return _lp_pool(pool, 3, input, norm_type, kernel_size, stride, ceil_mode)


# Random windows -----------------------------------------------------------------------------------


def _starts(samples: Any, n: int, m: int, kernel: int) -> Any:
    """Where m windows along an axis of n begin, for each number from [0, 1).

    Graham 2014, "Fractional max-pooling": the steps are in pseudorandom order.
    """
    steps = np.arange(m)
    alpha = (n - kernel) / max(1, m - 1)
    u = arithmetic.mul(movement.unsqueeze(samples, -1), alpha)
    starts = _floor(arithmetic.add(u, steps * alpha)) - _floor(u)
    return selection.where(steps == m - 1, n - kernel, starts)


def _floor(x: Any) -> Any:
    return cast(x, np.dtype(np.int64))


def _fractional_max_pool(
    input: Any,
    kernel_size: Sizes,
    output_size: Any,
    output_ratio: Any,
    return_indices: bool,
    samples: Any,
    rank: int,
) -> Any:
    shape = shape_of(input)
    single = len(shape) == rank + 1
    if single:
        shape = (1, *shape)
    if len(shape) != rank + 2:
        raise ShapeError(f"fractional_max_pool{rank}d needs images", got=describe(input))
    kernel, sizes = window.ints("kernel_size", kernel_size, rank, 1), shape[2:]
    if (output_size is None) == (output_ratio is None):
        raise ArgumentError("fractional pooling needs an output_size or an output_ratio")
    if output_size is None:
        ratios = (output_ratio,) * rank if isinstance(output_ratio, float) else tuple(output_ratio)
        out = tuple(int(n * r) for n, r in zip(sizes, ratios, strict=True))
    else:
        out = window.ints("output_size", output_size, rank, 1)
    if any(m + k - 1 > n for n, m, k in zip(sizes, out, kernel, strict=True)):
        raise ShapeError("the windows do not fit their input", got=f"{sizes}, {out} of {kernel}")
    if samples is None:
        samples = random.rand((*shape[:2], rank))
    numbers = cast(samples, np.dtype(np.float64))[: shape[0]]
    place: Any = np.zeros((1,) * (2 + 2 * rank), np.int64)
    for axis, (n, m, k) in enumerate(zip(sizes, out, kernel, strict=True)):
        # of images the first number is for the last axis, of volumes for the first, as in PyTorch
        starts = _starts(numbers[..., 1 - axis if rank == 2 else axis], n, m, k)
        at = arithmetic.add(movement.unsqueeze(starts, -1), np.arange(k))
        wide = [*shape[:2], *(1,) * (2 * rank)]
        wide[2 + axis], wide[2 + rank + axis] = m, k
        place = arithmetic.add(arithmetic.mul(place, n), movement.reshape(at, tuple(wide)))
    windows = (*shape[:2], math.prod(out), math.prod(kernel))
    place = movement.reshape(place, windows)
    flat = movement.reshape(input, (*shape[:2], math.prod(sizes)))
    wide_index = movement.reshape(place, (*shape[:2], math.prod(windows[2:])))
    taken = movement.reshape(lookup.gather(flat, 2, wide_index), windows)
    values, winners = reduce.max(taken, -1)
    lead = shape[1:2] if single else shape[:2]
    values = movement.reshape(values, (*lead, *out))
    if not return_indices:
        return values
    chosen = lookup.gather(place, 3, movement.unsqueeze(winners, -1))
    return values, movement.reshape(chosen, (*lead, *out))


def fractional_max_pool2d(
    input: Any,
    kernel_size: Sizes,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """The largest element of windows whose places are drawn at random, as many as asked for.

    Source: Graham 2014, "Fractional max-pooling". `_random_samples` (N, C, 2) in [0, 1) settles
    the places. Raises ArgumentError unless one of `output_size` and `output_ratio` is given.
    """
    return _fractional_max_pool(
        input, kernel_size, output_size, output_ratio, return_indices, _random_samples, 2
    )


def fractional_max_pool3d(
    input: Any,
    kernel_size: Sizes,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """``fractional_max_pool2d`` along three axes."""
    return _fractional_max_pool(
        input, kernel_size, output_size, output_ratio, return_indices, _random_samples, 3
    )


# Backwards ----------------------------------------------------------------------------------------


def _max_unpool(
    input: Any,
    indices: Any,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    output_size: Sequence[int] | None,
    rank: int,
) -> Any:
    shape = shape_of(input)
    if len(shape) not in (rank + 1, rank + 2) or shape_of(indices) != shape:
        raise ShapeError(
            f"max_unpool{rank}d needs a place for each element",
            got=f"input: {describe(input)}   indices: {describe(indices)}",
        )
    kernel = window.ints("kernel_size", kernel_size, rank, 1)
    step = kernel if stride is None else window.ints("stride", stride, rank, 1)
    pads = window.ints("padding", padding, rank, 0)
    lead, small = shape[: len(shape) - rank], shape[len(shape) - rank :]
    size = tuple(
        (n - 1) * s - 2 * p + k for n, s, p, k in zip(small, step, pads, kernel, strict=True)
    )
    if output_size is not None:
        wanted = tuple(output_size)[-rank:]
        if any(abs(n - m) >= s for n, m, s in zip(wanted, size, step, strict=True)):
            raise ArgumentError(
                "this output_size does not pool to the input",
                expected=f"within {step} of {size}",
                got=str(wanted),
            )
        size = wanted
    flat = (*lead, math.prod(small))
    zeros = np.zeros((*lead, math.prod(size)), input.dtype)
    y = scatters.scatter(zeros, -1, movement.reshape(indices, flat), movement.reshape(input, flat))
    return movement.reshape(y, (*lead, *size))


def max_unpool1d(
    input: Any,
    indices: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Any:
    """Zeros with the elements at the places that ``max_pool1d(return_indices=True)`` named.

    Of several elements for one place the last stays. `output_size` chooses among the sizes that
    pool to the input's. Raises ArgumentError for one that does not.
    """
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 1)


def max_unpool2d(
    input: Any,
    indices: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Any:
    """``max_unpool1d`` along two axes."""
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 2)


def max_unpool3d(
    input: Any,
    indices: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Any:
    """``max_unpool1d`` along three axes."""
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 3)
