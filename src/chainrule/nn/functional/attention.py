"""Attention of several heads, with PyTorch's arguments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import ops
from ...core.aval import describe
from ...errors import ArgumentError, ShapeError


def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, Any]:
    """(output, weights): what ``MultiheadAttention`` computes, from its parameters.

    Shapes: query (L, N, E), key and value (S, N, ·), or all without N; output (L, N, E); weights
    (N, L, S), or (N, heads, L, S) without `average_attn_weights`, or None without `need_weights`.
    Masks are added to the scores, or if they are of truth values, forbid where they are True:
    `key_padding_mask` (N, S), `attn_mask` (L, S) or (N·heads, L, S). `is_causal` says that
    `attn_mask`, which must be given, is the causal one.

    Raises ShapeError, ArgumentError for sizes that do not fit.
    """
    batched = _check(query, key, value, embed_dim_to_check, num_heads, is_causal, attn_mask)
    if not batched:
        query, key, value = _with_batch(query, key, value)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask[None]
    own = (q_proj_weight, k_proj_weight, v_proj_weight)
    weights = own if use_separate_proj_weight else (in_proj_weight,)
    q, k, v = _projected(query, key, value, weights, in_proj_bias)
    if bias_k is not None and bias_v is not None:
        k, v = _appended(k, bias_k), _appended(v, bias_v)
    q, k, v = _heads(q, num_heads), _heads(k, num_heads), _heads(v, num_heads)
    k, v = _fixed(static_k, k), _fixed(static_v, v)
    if add_zero_attn:
        k, v = (ops.pad(x, ((0, 0), (0, 0), (0, 1), (0, 0))) for x in (k, v))
    p = dropout_p if training else 0.0
    y, shares = _attended(q, k, v, _merged(attn_mask, key_padding_mask, q, k), p, need_weights)
    y = ops.permute(y, (2, 0, 1, 3))
    y = ops.linear(ops.reshape(y, (*y.shape[:2], -1)), out_proj_weight, out_proj_bias)
    if shares is not None and average_attn_weights:
        shares = ops.mean(shares, 1)
    if batched:
        return y, shares
    return ops.squeeze(y, 1), None if shares is None else ops.squeeze(shares, 0)


def _attended(q: Any, k: Any, v: Any, mask: Any, p: float, need_weights: bool) -> tuple[Any, Any]:
    """The output of each head (N, heads, L, D), and its weights if they are needed."""
    if not need_weights:
        return ops.scaled_dot_product_attention(q, k, v, mask, p), None
    scores = ops.matmul(q * math.sqrt(1.0 / q.shape[-1]), ops.transpose(k, -2, -1))
    shares = ops.softmax(scores if mask is None else scores + mask, -1)
    shares = ops.dropout(shares, p)
    return ops.matmul(shares, v), shares


def _check(
    query: Any, key: Any, value: Any, size: int, heads: int, is_causal: bool, attn_mask: Any
) -> bool:
    """Whether there is a batch; an error for operands that do not fit."""
    axes = query.ndim
    if axes not in (2, 3) or key.ndim != axes or value.ndim != axes:
        raise ShapeError(
            "attention takes sequences (L, N, E), or (L, E) without a batch",
            got="   ".join(map(describe, (query, key, value))),
        )
    if query.shape[-1] != size or key.shape[:-1] != value.shape[:-1] or size % heads:
        raise ShapeError(
            "attention cannot combine query, key and value",
            expected=f"a query of {size} features, divisible by {heads} heads, and as many keys as "
            "values",
            got="   ".join(map(describe, (query, key, value))),
        )
    if is_causal and attn_mask is None:
        raise ArgumentError(
            "is_causal needs attn_mask", hint="Transformer.generate_square_subsequent_mask(L)"
        )
    return bool(axes == 3)


def _with_batch(query: Any, key: Any, value: Any) -> tuple[Any, ...]:
    """The operands with an axis for the batch; the same ones stay the same."""
    q = ops.unsqueeze(query, 1)
    k = q if key is query else ops.unsqueeze(key, 1)
    return q, k, k if value is key else ops.unsqueeze(value, 1)


def _projected(q: Any, k: Any, v: Any, weights: tuple[Any, ...], bias: Any) -> tuple[Any, ...]:
    """q, k and v times their weights; one product if they are one sequence and one weight."""
    if len(weights) == 1:
        if q is k and k is v:
            return tuple(ops.chunk(ops.linear(q, weights[0], bias), 3, -1))
        weights = ops.chunk(weights[0], 3)
    biases = (None,) * 3 if bias is None else ops.chunk(bias, 3)
    return tuple(ops.linear(x, w, b) for x, w, b in zip((q, k, v), weights, biases, strict=True))


def _appended(x: Any, extra: Any) -> Any:
    """(S, N, E) with one more key or value for each of the batch."""
    return ops.concatenate([x, ops.expand(extra, (1, *x.shape[1:]))])


def _heads(x: Any, heads: int) -> Any:
    """(L, N, E) as (N, heads, L, E / heads)."""
    return ops.permute(ops.reshape(x, (*x.shape[:2], heads, -1)), (1, 2, 0, 3))


def _fixed(given: Any, computed: Any) -> Any:
    """`given` keys or values (N·heads, S, D) in place of the computed ones."""
    if given is None:
        return computed
    return ops.reshape(given, (*computed.shape[:2], *given.shape[1:]))


def _merged(attn_mask: Any, padding_mask: Any, q: Any, k: Any) -> Any:
    """One mask to add to the scores (N, heads, L, S), or None."""
    batch, heads, length, _ = q.shape
    size = k.shape[2]
    total = None
    if attn_mask is not None:
        mask = _additive(attn_mask, size, q.dtype)
        shapes = ((length, size), (batch * heads, length, size))
        if mask.shape not in shapes:
            raise ShapeError(
                "attn_mask does not fit",
                expected=" or ".join(map(str, shapes)),
                got=describe(attn_mask),
            )
        total = mask if mask.ndim == 2 else ops.reshape(mask, (batch, heads, length, size))
    if padding_mask is not None:
        mask = _additive(padding_mask, size, q.dtype)
        if mask.shape != (batch, size):
            raise ShapeError(
                "key_padding_mask does not fit",
                expected=str((batch, size)),
                got=describe(padding_mask),
            )
        mask = ops.reshape(mask, (batch, 1, 1, size))
        total = mask if total is None else total + mask
    return total


def _additive(mask: Any, size: int, dtype: Any) -> Any:
    """A mask as numbers, and with zeros for the keys that the layer itself adds."""
    if mask.dtype.kind == "b":
        mask = ops.cast(ops.where(mask, -np.inf, 0.0), dtype)
    missing = size - mask.shape[-1]
    if missing in (1, 2):
        mask = ops.pad(mask, (*[(0, 0)] * (mask.ndim - 1), (0, missing)))
    return mask
