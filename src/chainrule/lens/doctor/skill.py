"""How good outputs are, from the outputs and targets themselves: the mean of a loss, and the least
that one constant output would reach.

What a program adds to its loss, and whether it sums or averages, does not change either.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .evidence import LossCall

CLASSES = ("cross_entropy", "nll_loss")
_SQUARES = ("mse_loss", "difference", "gaussian_nll_loss")
_NEAR = ("smooth_l1_loss", "huber_loss")
_TINY = 1e-12


def level(call: LossCall) -> float:
    """The mean loss of one call; nan if its kind or its shapes have no such mean."""
    x, y = _rows(call)
    if x is None or not len(y):
        return math.nan
    with np.errstate(all="ignore"):
        if call.kind in CLASSES:
            return _of_classes(call, x, y)
        if call.kind == "binary_cross_entropy_with_logits":
            gain = _gain(call, y)
            return float((gain * y * np.logaddexp(0, -x) + (1 - y) * np.logaddexp(0, x)).mean())
        if call.kind == "binary_cross_entropy":
            p = np.clip(x, _TINY, 1 - _TINY)
            return float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean())
        return _distance(call.kind, x - y)


def constant_level(calls: Sequence[LossCall]) -> float:
    """The mean loss of the best constant output, for the targets of these calls; or nan."""
    parts = [_rows(call) for call in calls]
    kept = [y for x, y in parts if x is not None and len(y)]
    if not kept or len({y.shape[1:] for y in kept}) > 1:
        return math.nan
    call, y = calls[0], np.concatenate(kept)
    if call.kind in CLASSES:
        counts = _weights(call, y) * (np.bincount(y) if y.ndim == 1 else y.sum(axis=0))
        p = counts / max(counts.sum(), _TINY)
        return float(-(p * np.log(np.clip(p, _TINY, 1))).sum())
    if call.kind.startswith("binary_cross_entropy"):
        gain, mean = _gain(call, y), np.clip(y.mean(axis=0), _TINY, 1 - _TINY)
        p = gain * mean / (gain * mean + 1 - mean)
        return float(-(gain * mean * np.log(p) + (1 - mean) * np.log(1 - p)).mean())
    centre = np.mean if call.kind in _SQUARES else np.median
    return _distance(call.kind, y - centre(y, axis=0))


def _distance(kind: str, d: Any) -> float:
    if kind in _SQUARES:
        return float((d * d).mean())
    if kind == "l1_loss":
        return float(np.abs(d).mean())
    if kind in _NEAR:
        return float(np.where(np.abs(d) < 1, 0.5 * d * d, np.abs(d) - 0.5).mean())
    return math.nan


def _rows(call: LossCall) -> tuple[Any, Any]:
    """Outputs and targets, one row each; None for outputs that do not fit the targets."""
    x, y = np.asarray(call.prediction), np.asarray(call.target)
    if call.kind in CLASSES and y.dtype.kind in "iu":
        if x.ndim < 2 or x.size // max(1, x.shape[1]) != y.size:
            return None, y
        x, y = np.moveaxis(x, 1, -1).reshape(-1, x.shape[1]), y.ravel()
        kept = (y >= 0) & (y < x.shape[1]) & (y != call.ignored)
        return x[kept].astype(np.float64), y[kept]
    if x.size != y.size or not y.ndim:
        return None, y
    rows = len(y) if call.kind not in CLASSES or y.ndim == 2 else 1
    shape = (rows, y.size // max(1, rows))
    return x.reshape(shape).astype(np.float64), y.reshape(shape).astype(np.float64)


def _of_classes(call: LossCall, x: Any, y: Any) -> float:
    if call.kind == "cross_entropy":
        x = x - x.max(axis=1, keepdims=True)
        x = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    if y.ndim == 2:
        return float(-(y * x).sum(axis=1).mean())
    weights = _weights(call, y)[y]
    return float(-(weights * x[np.arange(len(y)), y]).sum() / max(weights.sum(), _TINY))


def _weights(call: LossCall, y: Any) -> Any:
    """The weight of each class that occurs; all one if the loss has none."""
    count = int(y.max(initial=-1)) + 1 if y.ndim == 1 else y.shape[1]
    given = np.ones(count) if call.weight is None else np.ravel(call.weight).astype(np.float64)
    return given[:count] if len(given) >= count else np.ones(count)


def _gain(call: LossCall, y: Any) -> Any:
    given = np.asarray(1.0 if call.weight is None else call.weight, np.float64)
    return given if given.size in (1, y.shape[-1]) else np.asarray(1.0)
