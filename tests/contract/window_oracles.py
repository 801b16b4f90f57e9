"""Plain loops for the ops that slide windows: convolution, unfolding and pooling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from forward_oracles import filled, oracle


def meetings(window: Any, size: Any) -> Any:
    """Kernel place, input place and output place, for all that meet: i = s p + d k - lo."""
    out = [
        (n + lo + hi - d * (k - 1) - 1) // s + 1
        for n, k, s, d, (lo, hi) in zip(
            size, window.kernel, window.stride, window.dilation, window.padding, strict=True
        )
    ]
    for p in np.ndindex(*out):
        for t in np.ndindex(*window.kernel):
            i = tuple(
                s * a + d * k - lo
                for a, k, s, d, (lo, _) in zip(
                    p, t, window.stride, window.dilation, window.padding, strict=True
                )
            )
            if all(0 <= a < n for a, n in zip(i, size, strict=True)):
                yield t, i, p


def channels(op: Any, outputs: int, inputs: int) -> Any:
    """Output channel, input channel and channel within the group, for all that are connected."""
    for o in range(outputs):
        for c in range(inputs // op.groups):
            yield o, o // (outputs // op.groups) * (inputs // op.groups) + c, c


@oracle("convolution")
def _(op: Any, x: Any, w: Any) -> Any:
    y = np.zeros((x.shape[0], w.shape[0], *op.window.output(x.shape[2:])))
    for t, i, p in meetings(op.window, x.shape[2:]):
        for o, whole, c in channels(op, w.shape[0], x.shape[1]):
            y[(slice(None), o, *p)] += x[(slice(None), whole, *i)] * w[(o, c, *t)]
    return y


@oracle("convolution_input")
def _(op: Any, y: Any, w: Any) -> Any:
    x = np.zeros((y.shape[0], w.shape[1] * op.groups, *op.size))
    for t, i, p in meetings(op.window, op.size):
        for o, whole, c in channels(op, w.shape[0], x.shape[1]):
            x[(slice(None), whole, *i)] += y[(slice(None), o, *p)] * w[(o, c, *t)]
    return x


@oracle("convolution_kernel")
def _(op: Any, x: Any, y: Any) -> Any:
    w = np.zeros((y.shape[1], x.shape[1] // op.groups, *op.window.kernel))
    for t, i, p in meetings(op.window, x.shape[2:]):
        for o, whole, c in channels(op, y.shape[1], x.shape[1]):
            w[(o, c, *t)] += (x[(slice(None), whole, *i)] * y[(slice(None), o, *p)]).sum()
    return w


@oracle("unfold")
def _(op: Any, x: Any) -> Any:
    lead, size = x.shape[: x.ndim - op.window.rank], x.shape[x.ndim - op.window.rank :]
    y = np.zeros((*lead, *op.window.kernel, *op.window.output(size)))
    for t, i, p in meetings(op.window, size):
        y[(..., *t, *p)] = x[(..., *i)]
    return y


@oracle("fold")
def _(op: Any, y: Any) -> Any:
    x = np.zeros((*y.shape[: y.ndim - 2 * op.window.rank], *op.size))
    for t, i, p in meetings(op.window, op.size):
        x[(..., *i)] += y[(..., *t, *p)]
    return x


# Pooling ------------------------------------------------------------------------------------------


def split(x: Any, window: Any) -> tuple[Any, Any]:
    """The leading axes and the axes that the window slides along."""
    return x.shape[: x.ndim - window.rank], x.shape[x.ndim - window.rank :]


def tap_number(window: Any, t: Any) -> int:
    """Row-major number of a place in the kernel."""
    number = 0
    for k, n in zip(t, window.kernel, strict=True):
        number = number * n + k
    return number


def weight(op: Any, size: Any, p: Any) -> float:
    """One over the taps of window p that are inside the input or in the padding that counts."""
    if op.divisor:
        return 1 / op.divisor
    w = op.window
    counts = [
        sum(-before <= s * a + d * k - lo < n + after for k in range(taps))
        for a, n, s, d, taps, (lo, _), (before, after) in zip(
            p, size, w.stride, w.dilation, w.kernel, w.padding, op.counted, strict=True
        )
    ]
    return 1 / math.prod(counts)


@oracle("average_pool")
def _(op: Any, x: Any) -> Any:
    lead, size = split(x, op.window)
    y = np.zeros((*lead, *op.window.output(size)))
    for _, i, p in meetings(op.window, size):
        y[(..., *p)] += x[(..., *i)] * weight(op, size, p)
    return y


@oracle("average_spread")
def _(op: Any, y: Any) -> Any:
    x = np.zeros((*split(y, op.window)[0], *op.size))
    for _, i, p in meetings(op.window, op.size):
        x[(..., *i)] += y[(..., *p)] * weight(op, op.size, p)
    return x


@oracle("max_scatter")
def _(op: Any, y: Any, winners: Any) -> Any:
    x = np.zeros((*split(y, op.window)[0], *op.size))
    for t, i, p in meetings(op.window, op.size):
        won = winners[(..., *p)] == tap_number(op.window, t)
        x[(..., *i)] += np.where(won, y[(..., *p)], 0.0)
    return x


@oracle("max_gather")
def _(op: Any, x: Any, winners: Any) -> Any:
    lead, size = split(x, op.window)
    y = np.zeros((*lead, *op.window.output(size)))
    for t, i, p in meetings(op.window, size):
        won = winners[(..., *p)] == tap_number(op.window, t)
        y[(..., *p)] = np.where(won, x[(..., *i)], y[(..., *p)])
    return y


@oracle("max_positions")
def _(op: Any, winners: Any) -> Any:
    y = np.zeros(winners.shape, np.int64)
    for t, i, p in meetings(op.window, op.size):
        place = 0
        for k, n in zip(i, op.size, strict=True):
            place = place * n + k
        won = winners[(..., *p)] == tap_number(op.window, t)
        y[(..., *p)] = np.where(won, place, y[(..., *p)])
    return y


@oracle("adaptive_arg_max")
def _(op: Any, x: Any) -> Any:
    rank = len(op.out)
    size = x.shape[x.ndim - rank :]

    def element(*at: int) -> int:
        lead, p = at[: x.ndim - rank], at[x.ndim - rank :]
        best, place = -math.inf, -1
        for number, i in enumerate(np.ndindex(*size)):
            inside = all(
                a * n // m <= k < -(-(a + 1) * n // m)
                for a, k, n, m in zip(p, i, size, op.out, strict=True)
            )
            if inside and x[(*lead, *i)] > best:
                best, place = x[(*lead, *i)], number
        return place

    return filled((*x.shape[: x.ndim - rank], *op.out), np.int64, element)
