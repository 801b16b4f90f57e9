"""Dropout: noise while training, nothing in evaluation."""

from __future__ import annotations

import math
from typing import Any

from ... import ops
from ...core.aval import describe
from ...errors import ArgumentError, ShapeError
from .activations import placed

_ALPHA = -1.7580993408473766
"""Where SELU saturates: -λα, which takes the place of zero in alpha dropout."""


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zeros with probability p, and everything else divided by 1 - p; nothing in evaluation."""
    return placed(ops.dropout(input, p, training), input, inplace)


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of (N, C, L) or (C, L)."""
    return placed(_channels("dropout1d", input, p, training, 3), input, inplace)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of (N, C, H, W)."""
    return placed(ops.feature_dropout(input, p, training), input, inplace)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W)."""
    return placed(_channels("dropout3d", input, p, training, 5), input, inplace)


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout that keeps mean 0 and variance 1, for networks of SELU: see ``AlphaDropout``."""
    return placed(_alpha(input, p, training, input.shape), input, inplace)


def feature_alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Any:
    """``alpha_dropout`` of whole channels, axis 1."""
    if training and p and input.ndim < 2:
        raise ShapeError("feature_alpha_dropout takes (N, C, …)", got=describe(input))
    shape = (*input.shape[:2], *(1,) * (input.ndim - 2))
    return placed(_alpha(input, p, training, shape), input, inplace)


def _channels(name: str, x: Any, p: float, training: bool, axes: int) -> Any:
    """Dropout of channels, of an input that may lack the axis of the batch."""
    if x.ndim == axes - 1:
        return ops.squeeze(ops.feature_dropout(ops.unsqueeze(x, 0), p, training), 0)
    if x.ndim != axes:
        raise ShapeError(f"{name} takes {axes} axes, or one less without a batch", got=describe(x))
    return ops.feature_dropout(x, p, training)


def _alpha(x: Any, p: float, training: bool, shape: tuple[int, ...]) -> Any:
    """a (x m + α' (1 - m)) + b with a mask m of `shape`; Klambauer et al. 2017, section 3."""
    if not 0 <= p <= 1:
        raise ArgumentError("a dropout probability lies between 0 and 1", got=f"p={p}")
    if not training or p == 0:
        return x
    if p == 1:
        return x * 0.0
    keep = 1.0 - p
    scale = 1.0 / math.sqrt(keep + _ALPHA**2 * keep * p)
    kept = ops.lt(ops.rand(shape, dtype=x.dtype), keep)
    return ops.where(kept, x, _ALPHA) * scale - scale * _ALPHA * p
