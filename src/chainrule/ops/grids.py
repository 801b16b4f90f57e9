"""Sampling images at the points of a grid, and the grids of affine maps.

Jaderberg et al. 2015, "Spatial transformer networks". Coordinates run from -1 to 1 along each axis,
the last axis of the image first.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.aval import describe, shape_of
from ..errors import ArgumentError, ShapeError
from . import comparison, contract, lookup, movement, selection

_CUBIC = -0.75


def affine_grid(theta: Any, size: Sequence[int], align_corners: bool | None = None) -> Any:
    """Grids (N, H, W, 2) of the points that affine maps theta (N, 2, 3) send those of an image to.

    `size` is (N, C, H, W); with theta (N, 3, 4) and (N, C, D, H, W) it is a grid of volumes. With
    `align_corners` -1 and 1 are the centres of the outermost pixels, else their outer borders.
    """
    shape, spatial = shape_of(theta), tuple(size)[2:]
    rank = len(spatial)
    if rank not in (2, 3) or shape != (size[0], rank, rank + 1):
        raise ShapeError(
            "affine_grid needs a map for each image", got=f"theta {shape}, size {tuple(size)}"
        )
    ends = [1.0 if align_corners else (n - 1) / n for n in spatial]
    axes = [
        np.linspace(-e, e, n) if n > 1 else np.zeros(1) for n, e in zip(spatial, ends, strict=True)
    ]
    points = [*np.meshgrid(*axes, indexing="ij")][::-1]
    base = np.stack([*points, np.ones(spatial)], -1).astype(theta.dtype)
    flat = base.reshape(1, -1, rank + 1)
    grid = contract.matmul(flat, movement.transpose(theta, 1, 2))
    return movement.reshape(grid, (size[0], *spatial, rank))


def grid_sample(
    input: Any,
    grid: Any,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Any:
    """y[n, c, p] = the image input[n, c] at the point grid[n, p], between its pixels.

    input (N, C, H, W) and grid (N, H', W', 2) give (N, C, H', W'); volumes have one axis more.
    `mode` is "bilinear", "nearest" or, of images, "bicubic"; outside there are "zeros", the
    "border", or a "reflection". The derivative flows to the pixels and, unless "nearest", to the
    points. Raises ArgumentError for another mode, ShapeError for shapes that do not fit.

    >>> grid_sample(tensor([[[[1.0, 3.0]]]]), tensor([[[[0.0, 0.0]]]]))
    tensor([[[[2.]]]])
    """
    shape, points = shape_of(input), shape_of(grid)
    rank = len(shape) - 2
    if rank not in (2, 3) or len(points) != rank + 2 or points[0] != shape[0] or points[-1] != rank:
        raise ShapeError(
            "grid_sample needs a point of as many numbers as the image has axes",
            got=f"input: {describe(input)}   grid: {describe(grid)}",
        )
    modes = ("bilinear", "nearest", "bicubic")[: 3 if rank == 2 else 2]
    if mode not in modes or padding_mode not in ("zeros", "border", "reflection"):
        raise ArgumentError(
            "grid_sample does not know this mode",
            expected=f"{', '.join(modes)} with zeros, border or reflection",
            got=f"{mode!r} with {padding_mode!r}",
        )
    aligned = bool(align_corners)
    sizes, count = shape[2:], math.prod(points[1:-1])
    flat = movement.reshape(grid, (points[0], count, rank))
    at = [_pixel(flat[..., rank - 1 - a], n, aligned) for a, n in enumerate(sizes)]
    if mode != "bicubic":
        at = [_padded(x, n, padding_mode, aligned) for x, n in zip(at, sizes, strict=True)]
    taps = [_taps(x, mode) for x in at]
    if mode == "bicubic":
        taps = [
            [(_padded(place, n, padding_mode, aligned), w) for place, w in axis]
            for axis, n in zip(taps, sizes, strict=True)
        ]
    image = movement.reshape(input, (*shape[:2], math.prod(sizes)))
    total: Any = None
    for corner in itertools.product(*taps):
        part = _weighed(image, [place for place, _ in corner], [w for _, w in corner], sizes)
        total = part if total is None else total + part
    return movement.reshape(total, (*shape[:2], *points[1:-1]))


def grid_sampler(
    input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Any:
    """``grid_sample`` with its modes as numbers: bilinear, nearest, bicubic; zeros, border, …"""
    mode = ("bilinear", "nearest", "bicubic")[interpolation_mode]
    padding = ("zeros", "border", "reflection")[padding_mode]
    return grid_sample(input, grid, mode, padding, align_corners)


grid_sampler_2d = grid_sampler_3d = grid_sampler


def _pixel(x: Any, n: int, aligned: bool) -> Any:
    """A coordinate from -1 to 1 as a number of pixels from the first."""
    return (x + 1) * ((n - 1) / 2) if aligned else ((x + 1) * n - 1) * 0.5


def _padded(x: Any, n: int, padding_mode: str, aligned: bool) -> Any:
    """A place brought into the image, as far as the way to pad asks for it."""
    if padding_mode == "zeros":
        return x
    if padding_mode == "reflection":
        low, span = (0.0, float(n - 1)) if aligned else (-0.5, float(n))
        if span == 0:
            return x * 0
        away = abs(x - low)
        turns = comparison.floor(away / span)
        rest = away - turns * span
        x = selection.where(turns % 2 == 0, rest + low, span - rest + low)
    return selection.clip(x, 0.0, float(n - 1))


def _taps(x: Any, mode: str) -> list[tuple[Any, Any]]:
    """The whole places around x along an axis, and the weight of each."""
    if mode == "nearest":
        return [(comparison.round(x), None)]
    low = comparison.floor(x)
    t = x - low
    if mode == "bilinear":
        return [(low, 1 - t), (low + 1, t)]
    return [(low + k, _keys(t - k if k < 1 else k - t, k in (0, 1))) for k in (-1, 0, 1, 2)]


def _keys(t: Any, near: bool) -> Any:
    """Keys' kernel at distances of 0 … 1, or of 1 … 2."""
    a = _CUBIC
    if near:
        return ((a + 2) * t - (a + 3)) * t * t + 1
    return a * (((t - 5) * t + 8) * t - 4)


def _weighed(image: Any, places: Sequence[Any], weights: Sequence[Any], sizes: Any) -> Any:
    """What the image has at whole places, nothing outside it, times the weights."""
    number: Any = None
    inside: Any = None
    for x, n in zip(places, sizes, strict=True):
        here = comparison.logical_and(x >= 0, x <= n - 1)
        inside = here if inside is None else comparison.logical_and(inside, here)
        whole = movement.cast(selection.clip(x, 0.0, float(n - 1)), np.int64)
        number = whole if number is None else number * n + whole
    lead, count = shape_of(image)[:2], shape_of(number)[-1]
    index = movement.expand(movement.unsqueeze(number, 1), (*lead, count))
    weight = movement.cast(inside, image.dtype)
    for w in weights:
        weight = weight if w is None else weight * w
    return lookup.gather(image, 2, index) * movement.unsqueeze(weight, 1)
