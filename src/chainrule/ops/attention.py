"""Scaled dot-product attention, made of products and a softmax."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np

from ..core.aval import describe, shape_of
from ..errors import ArgumentError, ShapeError
from . import comparison, contract, joining, movement, probabilities, random, reduce, selection

V = TypeVar("V")

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: V,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> V:
    """softmax(q kᵀ · scale + mask) v, for query (…, L, E), key (…, S, E) and value (…, S, D).

    `scale` is 1/√E unless given. A mask of truth values lets the pairs take part where it is True;
    another one is added to the scores. `is_causal` lets query i see keys 0 … i. A query that may
    see nothing gives zeros. `enable_gqa` shares each key and value head (axis -3) among several
    query heads. `dropout_p` drops weights, whether in training or not.

    Raises ShapeError for operands that do not fit, ArgumentError for a mask and `is_causal`.
    Source: Vaswani et al. 2017, "Attention is all you need", equation 1.

    >>> x = tensor(np.eye(2))
    >>> scaled_dot_product_attention(x, x, x, is_causal=True)[0]
    tensor([1., 0.], dtype=float64)
    """
    q, k, v = shape_of(query), shape_of(key), shape_of(value)
    if min(len(q), len(k), len(v)) < 2 or q[-1] != k[-1] or k[-2] != v[-2]:
        raise ShapeError(
            "attention cannot combine query, key and value",
            expected="(…, L, E), (…, S, E), (…, S, D)",
            got="   ".join(map(describe, (query, key, value))),
        )
    if is_causal and attn_mask is not None:
        raise ArgumentError("attention takes attn_mask or is_causal, not both")
    if enable_gqa:
        key, value = (_shared(x, q[-3]) for x in (key, value))
    factor = (1.0 / math.sqrt(q[-1]) if q[-1] else 1.0) if scale is None else float(scale)
    source: Any = query
    scores = contract.matmul(source * factor, movement.transpose(key, -2, -1))
    if is_causal:
        attn_mask = np.tri(q[-2], k[-2], dtype=bool)
    shares = _shares(scores, attn_mask)
    if dropout_p:
        shares = random.dropout(shares, dropout_p)
    return contract.matmul(shares, value)  # type: ignore[no-any-return]


def _shares(scores: Any, mask: Any) -> Any:
    """The softmax of the masked scores; zeros in rows that are masked altogether."""
    if mask is None:
        return probabilities.softmax(scores, -1)
    if mask.dtype.kind == "b":
        allowed, scores = mask, selection.where(mask, scores, -math.inf)
    else:
        allowed, scores = comparison.gt(mask, -math.inf), scores + mask
    seeing = reduce.any(allowed, -1, keepdim=True)
    shares = probabilities.softmax(selection.where(seeing, scores, 0.0), -1)
    return selection.where(seeing, shares, 0.0)


def _shared(x: Any, heads: int) -> Any:
    """Keys or values with every head repeated, so that there are `heads` of them."""
    shape = shape_of(x)
    if len(shape) < 3 or heads % shape[-3]:
        raise ShapeError(
            "grouped attention needs query heads divisible by the key heads",
            got=f"{heads} query heads, {describe(x)}",
        )
    copies = [movement.unsqueeze(x, -3)] * (heads // shape[-3])
    return movement.reshape(joining.concatenate(copies, -3), (*shape[:-3], heads, *shape[-2:]))
