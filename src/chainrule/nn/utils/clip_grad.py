"""Gradient clipping: the remedy for exploding gradients, by norm or by value."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ... import ops
from ...core.aval import Data
from ...core.value import Value, recording
from ...errors import TrainingError
from ...tensor import Tensor


def get_total_norm(
    tensors: Iterable[Tensor] | Tensor,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all elements of all tensors, as if they were one vector: (Σ |x|ᵖ)^(1/p).

    `norm_type` is p; ``math.inf`` gives the largest absolute value. Zero without any tensor.
    `foreach` has no effect. Raises TrainingError for a norm that is not finite, if asked to.

    >>> get_total_norm([tensor([3.0]), tensor([[4.0]])])
    tensor(5.)
    """
    arrays = [t.array for t in ([tensors] if isinstance(tensors, Tensor) else tensors)]
    with recording(False):
        total = _tensor(_norm([a for a in arrays if math.prod(a.shape)], float(norm_type)))
    if error_if_nonfinite and not ops.isfinite(total.array):
        raise TrainingError("the gradient norm is not finite", got=str(total.array))
    return total


def clip_grad_norm_(
    parameters: Iterable[Tensor] | Tensor,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients by min(1, max_norm / (norm + 1e-6)); returns the norm they had.

    The norm is taken over all of them together. R. Pascanu et al., "On the difficulty of training
    recurrent neural networks" (ICML 2013), algorithm 1. Parameters without a gradient are left out.

    Raises TrainingError for a norm that is not finite, if asked to.

    >>> w = tensor([1.0, 1.0], requires_grad=True)
    >>> (w * tensor([30.0, 40.0])).sum().backward()
    >>> clip_grad_norm_([w], max_norm=1.0)
    tensor(50.)
    >>> w.grad
    tensor([0.6000, 0.8000])
    """
    grads = _gradients(parameters)
    total = get_total_norm(grads, norm_type, error_if_nonfinite)
    _scale(grads, max_norm, total)
    return total


def clip_grads_with_norm_(
    parameters: Iterable[Tensor] | Tensor,
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,
) -> None:
    """Scale all gradients by min(1, max_norm / (total_norm + 1e-6)), a norm computed before."""
    _scale(_gradients(parameters), max_norm, total_norm)


def clip_grad_value_(
    parameters: Iterable[Tensor] | Tensor, clip_value: float, foreach: bool | None = None
) -> None:
    """Limit every element of every gradient to [-clip_value, clip_value]."""
    limit = float(clip_value)
    with recording(False):
        for grad in _gradients(parameters):
            grad.array = ops.clip(grad.array, -limit, limit)


def _scale(grads: list[Tensor], max_norm: float, total: Tensor) -> None:
    with recording(False):
        scale = ops.minimum(float(max_norm) / (total.array + 1e-6), 1.0)
        for grad in grads:
            # NumPy lets a float64 scalar widen a float32 array.
            grad.array = grad.array * ops.cast(scale, grad.dtype)


def _gradients(parameters: Iterable[Tensor] | Tensor) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Value) else parameters
    return [p.grad for p in given if p.grad is not None]


def _norm(arrays: list[Data], p: float) -> Data:
    """The p-norm of each array, and then of these norms."""
    if not arrays:
        return np.zeros((), np.float32)
    if p == math.inf:
        parts = [ops.amax(ops.abs(a)) for a in arrays]
        largest = parts[0]
        for part in parts[1:]:
            largest = ops.maximum(largest, part)
        return largest
    if p == 2.0:
        return ops.sqrt(_sum([ops.sum(a * a) for a in arrays]))
    return _sum([ops.sum(ops.abs(a) ** p) for a in arrays]) ** (1.0 / p)


def _sum(parts: list[Data]) -> Data:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _tensor(array: Any) -> Tensor:
    return Tensor.wrap(np.asarray(array) if isinstance(array, np.generic) else array)
