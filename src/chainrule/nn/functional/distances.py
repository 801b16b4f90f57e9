"""Distances, similarities and unit vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import ops
from ...core.aval import broadcast_shapes


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """x / max(‖x‖ₚ, eps) along `dim`."""
    return input / ops.maximum(ops.norm(input, p, dim, keepdim=True), eps)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """x₁ · x₂ / (max(‖x₁‖, eps) max(‖x₂‖, eps)) along `dim`, of operands broadcast to one shape."""
    # A vector that is broadcast along `dim` has the norm of all its copies.
    shape = broadcast_shapes(x1.shape, x2.shape)
    x1, x2 = ops.expand(x1, shape), ops.expand(x2, shape)
    norms: Callable[[Any], Any] = lambda x: ops.maximum(ops.norm(x, 2.0, dim), eps)  # noqa: E731
    return ops.sum(x1 * x2, dim) / (norms(x1) * norms(x2))


def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Any:
    """‖x₁ - x₂ + eps‖ₚ along the last axis; eps keeps the derivative finite at equal vectors.

    >>> cr.nn.functional.pairwise_distance(tensor([[3.0, 4.0]]), zeros(1, 2))
    tensor([5.0000])
    """
    return ops.norm(x1 - x2 + eps, p, -1, keepdim)


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """yₖ = x₁ᵀ Wₖ x₂ + bₖ, for inputs (…, I₁) and (…, I₂), weights (K, I₁, I₂) and biases (K)."""
    y = ops.einsum("...i,kij,...j->...k", input1, weight, input2)
    return y if bias is None else y + bias
