"""Images in another size: interpolation along each axis in turn, so that any rank will do.

An output at place i along an axis reads the input around s·i (corners aligned) or s·(i + ½) - ½
(pixels as areas), s being the ratio of the sizes. Linear and cubic interpolation weigh two and four
neighbours there (Keys 1981, "Cubic convolution interpolation for digital image processing", a =
-0.75); antialiasing widens the weights to the area of an output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.aval import Shape, describe, shape_of
from ..errors import ArgumentError, ShapeError
from . import adaptive_pooling, contract, indexing, movement

_RANKS = {"linear": 1, "bilinear": 2, "trilinear": 3, "bicubic": 2}
_MODES = ("nearest", "nearest-exact", "area", *_RANKS)
_KEYS = -0.75
_KEYS_ANTIALIAS = -0.5


def _cubic(t: Any, a: float) -> Any:
    """Keys' kernel at distances t."""
    t = np.abs(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = a * (((t - 5) * t + 8) * t - 4)
    return np.where(t <= 1, near, np.where(t < 2, far, 0))


def _places(n: int, m: int, ratio: float, aligned: bool, dtype: Any) -> Any:
    """Where along an axis of n each of m outputs reads, in numbers of the given precision."""
    i = np.arange(m, dtype=dtype)
    if aligned:
        return i * dtype.type((n - 1) / (m - 1) if m > 1 else 0)
    return dtype.type(ratio) * (i + dtype.type(0.5)) - dtype.type(0.5)


def _nearest(x: Any, axis: int, m: int, ratio: float, exact: bool) -> Any:
    n = shape_of(x)[axis]
    i = (np.arange(m) + (0.5 if exact else 0.0)).astype(np.float32)
    places = np.minimum(np.floor(i * np.float32(ratio)).astype(np.intp), n - 1)
    return indexing.take(x, places, axis)


def _weighed(x: Any, axis: int, taps: Sequence[tuple[Any, Any]]) -> Any:
    """The sum of what x has at some places along an axis, times weights."""
    wide = (-1, *(1,) * (len(shape_of(x)) - axis - 1))
    total: Any = None
    for places, weights in taps:
        part = indexing.take(x, places, axis) * weights.astype(x.dtype).reshape(wide)
        total = part if total is None else total + part
    return total


def _linear(x: Any, axis: int, m: int, ratio: float, aligned: bool) -> Any:
    n = shape_of(x)[axis]
    at = np.maximum(_places(n, m, ratio, aligned, x.dtype), 0)
    low = np.minimum(np.floor(at).astype(np.intp), n - 1)
    high = np.minimum(low + 1, n - 1)
    t = at - low
    return _weighed(x, axis, [(low, 1 - t), (high, t)])


def _cubic_along(x: Any, axis: int, m: int, ratio: float, aligned: bool) -> Any:
    n = shape_of(x)[axis]
    at = _places(n, m, ratio, aligned, x.dtype)
    low = np.floor(at).astype(np.intp)
    t = at - low
    return _weighed(
        x, axis, [(np.clip(low + k, 0, n - 1), _cubic(t - k, _KEYS)) for k in (-1, 0, 1, 2)]
    )


def _antialiased(x: Any, axis: int, m: int, ratio: float, aligned: bool, cubic: bool) -> Any:
    """Each output as the mean of the inputs under a kernel as wide as its area, by a matrix."""
    n = shape_of(x)[axis]
    step = ((n - 1) / (m - 1) if m > 1 else 0.0) if aligned else ratio
    width = max(step, 1.0)
    support = (2.0 if cubic else 1.0) * width
    weights = np.zeros((m, n))
    for i in range(m):
        centre = step * (i + 0.5)
        first, last = max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), n)
        t = (np.arange(first, last) - centre + 0.5) / width
        row = _cubic(t, _KEYS_ANTIALIAS) if cubic else np.maximum(1 - np.abs(t), 0)
        weights[i, first:last] = row / row.sum()
    turned = movement.movedim(x, axis, -1)
    return movement.movedim(contract.linear(turned, weights.astype(x.dtype)), -1, axis)


def _sizes(
    input: Any, size: Any, scale_factor: Any, recompute: bool | None
) -> tuple[Shape, tuple[float, ...]]:
    """The output's sizes, and the ratio of the input's to it along each axis."""
    given = shape_of(input)[2:]
    rank = len(given)
    if (size is None) == (scale_factor is None):
        raise ArgumentError("interpolate needs a size or a scale_factor, and not both")
    if size is not None:
        out = (int(size),) * rank if isinstance(size, (int, np.integer)) else tuple(map(int, size))
        factors: tuple[float, ...] | None = None
    else:
        one = isinstance(scale_factor, (int, float))
        factors = (float(scale_factor),) * rank if one else tuple(map(float, scale_factor))
        if len(factors) == rank:
            out = tuple(math.floor(n * f) for n, f in zip(given, factors, strict=True))
    if len(factors or out) != rank or min(out, default=1) < 1:
        raise ArgumentError(
            "interpolate needs a size of one or more for each axis",
            expected=f"{rank} of them",
            got=f"size={size}, scale_factor={scale_factor} for {describe(input)}",
        )
    if factors is None or recompute:
        return out, tuple(n / m for n, m in zip(given, out, strict=True))
    return out, tuple(1 / f for f in factors)


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """(N, C, …) in another size along the axes after the channels.

    `mode` is "nearest", "nearest-exact" (of pixels as areas), "linear", "bilinear" or "trilinear"
    for one, two or three axes, "bicubic", or "area" (means of adaptive windows). The sizes come
    from `size` or, rounded down, from `scale_factor`, which also sets the ratio unless
    `recompute_scale_factor`. With `align_corners` the outermost pixels fall on each other.
    The derivative spreads each output over the inputs that it read.

    Raises ArgumentError for another mode or option, ShapeError for too few axes.

    >>> interpolate(tensor([[[1.0, 3.0]]]), 4, mode="linear")
    tensor([[[1.0000, 1.5000, 2.5000, 3.0000]]])
    """
    rank = len(shape_of(input)) - 2
    if mode not in _MODES:
        raise ArgumentError("no such mode", expected=", ".join(_MODES), got=repr(mode))
    if rank < 1 or _RANKS.get(mode, rank) != rank or rank > 3:
        raise ShapeError(
            f"interpolate by {mode!r} needs another number of axes",
            expected=f"(N, C) and {_RANKS.get(mode, '1 to 3')} more",
            got=describe(input),
        )
    if align_corners is not None and mode not in _RANKS:
        raise ArgumentError("align_corners is for linear and cubic modes", got=f"mode={mode!r}")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ArgumentError("antialias is for bilinear and bicubic", got=f"mode={mode!r}")
    out, ratios = _sizes(input, size, scale_factor, recompute_scale_factor)
    if mode == "area":
        pool = (
            adaptive_pooling.adaptive_avg_pool1d,
            adaptive_pooling.adaptive_avg_pool2d,
            adaptive_pooling.adaptive_avg_pool3d,
        )[rank - 1]
        return pool(input, out)
    y, aligned = input, bool(align_corners)
    for axis, (m, ratio) in enumerate(zip(out, ratios, strict=True), 2):
        if antialias:
            y = _antialiased(y, axis, m, ratio, aligned, mode == "bicubic")
        elif mode in ("nearest", "nearest-exact"):
            y = _nearest(y, axis, m, ratio, mode == "nearest-exact")
        else:
            along = _cubic_along if mode == "bicubic" else _linear
            y = along(y, axis, m, ratio, aligned)
    return y


def upsample(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:
    """``interpolate`` under its older name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """``interpolate`` by the nearest pixel."""
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """``interpolate`` by two linear weights along each of two axes, corners aligned."""
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)
