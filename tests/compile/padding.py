"""Convolutions as sums over the taps of a window that never touch padding.

The interpreter multiplies the zeros around an image, and compiled programs leave out what they can:
an infinity or NaN meets a zero there, or does not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from chainrule.ops import lowering
from chainrule.ops.window import Window

Boxes = tuple[tuple[int, ...], tuple[slice, ...], tuple[slice, ...]]


def boxes(window: Window, size: Sequence[int], out: Sequence[int]) -> Iterator[Boxes]:
    """For each tap the inputs that it meets, and the outputs that it meets them for."""
    for tap in np.ndindex(*window.kernel):
        inputs, outputs = [], []
        for axis, k in enumerate(tap):
            step = window.stride[axis]
            first = window.dilation[axis] * k - window.padding[axis][0]
            places = [p for p in range(out[axis]) if 0 <= step * p + first < size[axis]]
            low, count = (places[0], len(places)) if places else (0, 0)
            start = step * low + first if places else 0
            inputs.append(slice(start, start + step * count, step) if count else slice(0, 0))
            outputs.append(slice(low, low + count))
        yield tap, tuple(inputs), tuple(outputs)


def _groups(groups: int, *channels: int) -> Iterator[list[slice]]:
    for g in range(groups):
        yield [slice(g * n // groups, (g + 1) * n // groups) for n in channels]


def correlate(x: Any, w: Any, out: Sequence[int], window: Window, groups: int) -> Any:
    y = np.zeros((x.shape[0], w.shape[0], *out), x.dtype)
    for tap, inputs, outputs in boxes(window, x.shape[2:], out):
        for c, o in _groups(groups, x.shape[1], w.shape[0]):
            y[(slice(None), o, *outputs)] += np.einsum(
                "nc...,oc->no...", x[(slice(None), c, *inputs)], w[(o, slice(None), *tap)]
            )
    return y


def spread(y: Any, w: Any, size: Sequence[int], window: Window, groups: int) -> Any:
    x = np.zeros((y.shape[0], w.shape[1] * groups, *size), y.dtype)
    for tap, inputs, outputs in boxes(window, size, y.shape[2:]):
        for c, o in _groups(groups, x.shape[1], w.shape[0]):
            x[(slice(None), c, *inputs)] += np.einsum(
                "no...,oc->nc...", y[(slice(None), o, *outputs)], w[(o, slice(None), *tap)]
            )
    return x


def correlate_kernel(x: Any, y: Any, window: Window, groups: int) -> Any:
    w = np.zeros((y.shape[1], x.shape[1] // groups, *window.kernel), x.dtype)
    for tap, inputs, outputs in boxes(window, x.shape[2:], y.shape[2:]):
        for c, o in _groups(groups, x.shape[1], y.shape[1]):
            a, b = x[(slice(None), c, *inputs)], y[(slice(None), o, *outputs)]
            flat = [part.reshape(*part.shape[:2], math.prod(part.shape[2:])) for part in (a, b)]
            w[(o, slice(None), *tap)] = np.einsum("ncp,nop->oc", *flat)
    return w


def leave_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the interpreter's convolutions leave out all padding."""
    for function in (correlate, spread, correlate_kernel):
        monkeypatch.setattr(lowering, function.__name__, function)
