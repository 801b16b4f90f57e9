"""Convolutions as matrix products of NumPy arrays: copies of windows, then one GEMM a block.

Images are read as (N, *size, C), channels last, whatever their strides, and results are stored so
and returned as transposed views: to the user they are (N, C, *size). Windows are copied a few
images at a time into one buffer that stays in cache, so memory does not grow with the batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..core.aval import Shape
from .window import Window, taps

_BLOCK = 1 << 22
"""Bytes of windows copied at once: they stay in the level-3 cache, and the buffer is reused."""
_FEW = 8
"""With fewer channels than this, runs of channels are too short to copy one by one."""


def correlate(x: Any, w: Any, out: Shape, window: Window, groups: int) -> Any:
    """y[n, o, p] = Σ x[n, c, s·p + d·k - lo] w[o, c, k], of shape (N, O, *out)."""
    n, outputs = x.shape[0], w.shape[0]
    if not x.size:
        return np.zeros((n, outputs, *out), x.dtype)
    if _is_pointwise(window) and groups == 1:
        return _pointwise(x, w.reshape(outputs, -1))
    kernels = _kernel_matrices(w, groups)
    y = np.empty((n, *out, outputs), x.dtype)
    rows = y.reshape(n * math.prod(out), groups, outputs // groups).transpose(1, 0, 2)
    for start, stop, patches in _blocks(x, out, window, groups):
        if groups == 1:
            np.matmul(patches[0], kernels[0], out=rows[0, start:stop])
        else:
            np.matmul(patches, kernels, out=rows[:, start:stop])
    return _channels_second(y)


def correlate_kernel(x: Any, y: Any, window: Window, groups: int) -> Any:
    """w[o, c, k] = Σ x[n, c, s·p + d·k - lo] y[n, o, p], of shape (O, C/groups, *kernel)."""
    out, outputs, channels = y.shape[2:], y.shape[1], x.shape[1] // groups
    if not (x.size and y.size):
        return np.zeros((outputs, channels, *window.kernel), x.dtype)
    if _is_pointwise(window) and groups == 1:
        w = _rows(y).T @ _rows(x)
        return w.reshape(outputs, channels, *window.kernel)
    total = np.zeros((groups, window.taps * channels, outputs // groups), x.dtype)
    images = _channels_last(y)
    per_image = math.prod(out)
    for start, stop, patches in _blocks(x, out, window, groups):
        block = images[start // per_image : stop // per_image]
        rows = block.reshape(stop - start, groups, -1).transpose(1, 0, 2)
        total += np.matmul(patches.swapaxes(1, 2), rows)
    w = total.reshape(groups, *window.kernel, channels, -1)
    order = (0, w.ndim - 1, w.ndim - 2, *range(1, w.ndim - 2))
    return w.transpose(order).reshape(outputs, channels, *window.kernel)


def spread(y: Any, w: Any, size: Shape, window: Window, groups: int) -> Any:
    """x[n, c, i] = Σ y[n, o, p] w[o, c, k] where s·p + d·k - lo = i, of shape (N, C, *size)."""
    n, outputs = y.shape[:2]
    channels = w.shape[1]
    if not (y.size and w.size):
        return np.zeros((n, groups * channels, *size), y.dtype)
    if _is_pointwise(window) and groups == 1:
        return _pointwise(y, w.reshape(outputs, channels).T)
    scatter = _spread_by_taps if channels < _FEW else _spread_by_channels
    return scatter(y, w, size, window, groups)


def _spread_by_channels(y: Any, w: Any, size: Shape, window: Window, groups: int) -> Any:
    """For each tap one product, added to where the tap reads; its rows of channels are long."""
    n, outputs, *out = y.shape
    channels = groups * w.shape[1]
    matrices = np.ascontiguousarray(
        w.reshape(groups, outputs // groups, w.shape[1], window.taps).transpose(3, 0, 1, 2)
    )
    x = np.zeros((n, *size, channels), y.dtype)
    images = _channels_last(y)
    per_image = math.prod(out)
    step = max(1, _BLOCK // (per_image * (outputs + channels) * y.itemsize))
    buffer = np.empty((min(step, n) * per_image, groups, w.shape[1]), y.dtype)
    for first in range(0, n, step):
        block = images[first : first + step]
        count = len(block) * per_image
        rows = block.reshape(count, groups, -1).transpose(1, 0, 2)
        part = buffer[:count]
        target = x[first : first + step]
        for t, at, to in taps(window, size):
            np.matmul(rows, matrices[t], out=part.transpose(1, 0, 2))
            pieces = part.reshape(len(block), *out, channels)
            target[(slice(None), *at)] += pieces[(slice(None), *to)]
    return _channels_second(x)


def _spread_by_taps(y: Any, w: Any, size: Shape, window: Window, groups: int) -> Any:
    """With few channels: one product for all taps, added in long runs along the last axis."""
    n, outputs, *out = y.shape
    channels = w.shape[1]
    matrices = w.reshape(groups, outputs // groups, channels * window.taps).swapaxes(1, 2)
    x = np.zeros((n, groups, channels, *size), y.dtype)
    images = _channels_last(y)
    per_image = math.prod(out)
    step = max(1, _BLOCK // (per_image * groups * channels * window.taps * y.itemsize))
    every = slice(None)
    for first in range(0, n, step):
        block = images[first : first + step]
        rows = block.reshape(len(block) * per_image, groups, -1).transpose(1, 2, 0)
        part = np.matmul(matrices, rows)
        part = part.reshape(groups, channels, window.taps, len(block), *out)
        target = x[first : first + step].transpose(1, 2, 0, *range(3, x.ndim))
        for t, at, to in taps(window, size):
            target[(every, every, every, *at)] += part[(every, every, t, every, *to)]
    return x.reshape(n, groups * channels, *size)


def _is_pointwise(window: Window) -> bool:
    return window.taps == 1 and set(window.stride) == {1} and not window.is_padded


def _pointwise(x: Any, w: Any) -> Any:
    """A 1×1 convolution: one matrix product for all pixels, images left where they are."""
    n, channels, *size = x.shape
    if x.flags.c_contiguous:
        return np.matmul(w, x.reshape(n, channels, math.prod(size))).reshape(n, len(w), *size)
    y = np.matmul(_rows(x), w.T)
    return _channels_second(y.reshape(n, *size, len(w)))


def _rows(x: Any) -> Any:
    """(N, C, *size) as a matrix with one row for each pixel, without copy if stored so."""
    return _channels_last(x).reshape(-1, x.shape[1])


def _channels_last(x: Any) -> Any:
    """The view (N, *size, C) of (N, C, *size)."""
    return x.transpose(0, *range(2, x.ndim), 1)


def _channels_second(x: Any) -> Any:
    """The view (N, C, *size) of (N, *size, C)."""
    return x.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def _kernel_matrices(w: Any, groups: int) -> Any:
    """(O, C/g, *kernel) as one matrix for each group, with a row for each tap and channel."""
    outputs, channels, *kernel = w.shape
    grouped = w.reshape(groups, outputs // groups, channels, math.prod(kernel))
    return grouped.transpose(0, 3, 2, 1).reshape(groups, -1, outputs // groups)


def _blocks(x: Any, out: Shape, window: Window, groups: int) -> Iterator[tuple[int, int, Any]]:
    """For a few images at a time: their range of rows, and their windows as (groups, rows, taps·C).

    A row is a window; a column is a tap and a channel, in the order of ``_kernel_matrices``.
    """
    n, channels = x.shape[:2]
    per_image = math.prod(out)
    width = window.taps * channels
    step = max(1, _BLOCK // max(1, per_image * width * x.itemsize))
    copy = _copy_by_taps if channels // groups < _FEW else _copy_by_windows
    buffers: dict[str, Any] = {}
    for first in range(0, n, step):
        images = x[first : first + step]
        patches = copy(images, out, window, groups, buffers)
        yield first * per_image, (first + len(images)) * per_image, patches


def _copy_by_taps(
    images: Any, out: Shape, window: Window, groups: int, buffers: dict[str, Any]
) -> Any:
    """Windows of images with few channels: for each tap one long run along the last axis."""
    n, channels, *size = images.shape
    shape = (groups, window.taps, channels // groups, n, *out)
    buffer: Any = buffers.get("columns")
    if buffer is None or buffer.shape != shape:
        buffer = buffers["columns"] = np.zeros(shape, images.dtype)
    source = images.reshape(n, groups, channels // groups, *size).swapaxes(0, 1).swapaxes(1, 2)
    every = slice(None)
    for t, at, to in taps(window, tuple(size)):
        buffer[(every, t, every, every, *to)] = source[(every, every, every, *at)]
    return buffer.reshape(groups, window.taps * (channels // groups), -1).swapaxes(1, 2)


def _copy_by_windows(
    images: Any, out: Shape, window: Window, groups: int, buffers: dict[str, Any]
) -> Any:
    """Windows of images with many channels: runs of channels, from a padded copy if need be."""
    source = _channels_last(images)
    if window.is_padded:
        source = _padded(source, window, buffers)
    n, channels = source.shape[0], source.shape[-1]
    steps = source.strides[1:-1]
    view = as_strided(
        source,
        (n, *out, *window.kernel, groups, channels // groups),
        (
            source.strides[0],
            *(s * step for s, step in zip(window.stride, steps, strict=True)),
            *(d * step for d, step in zip(window.dilation, steps, strict=True)),
            source.strides[-1] * (channels // groups),
            source.strides[-1],
        ),
    )
    view = np.moveaxis(view, -2, 0)
    buffer = buffers.get("columns")
    if buffer is None or buffer.shape != view.shape:
        buffer = buffers["columns"] = np.empty(view.shape, images.dtype)
    buffer[...] = view
    return buffer.reshape(groups, n * math.prod(out), window.taps * (channels // groups))


def _padded(source: Any, window: Window, buffers: dict[str, Any]) -> Any:
    """(N, *size, C) in the middle of a zero frame; a border once cleared stays clear."""
    n, *size, channels = source.shape
    frame = [k + lo + hi for k, (lo, hi) in zip(size, window.padding, strict=True)]
    buffer: Any = buffers.get("padded")
    if buffer is None or len(buffer) != n:
        buffer = buffers["padded"] = np.zeros((n, *frame, channels), source.dtype)
    used = [k + min(hi, 0) for k, (_, hi) in zip(size, window.padding, strict=True)]
    inside = [slice(lo, lo + k) for k, (lo, _) in zip(used, window.padding, strict=True)]
    buffer[(slice(None), *inside)] = source[(slice(None), *map(slice, used))]
    return buffer
