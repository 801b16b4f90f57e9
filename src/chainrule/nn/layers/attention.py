"""Multi-head attention."""

from __future__ import annotations

from typing import Any

from ... import ops
from ...errors import ArgumentError
from .. import functional, init
from ..module import Module
from ..parameter import Parameter, blank
from . import expect
from .linear import Linear


class MultiheadAttention(Module):
    """y = W_o concat(softmax(q_h k_hᵀ / √d) v_h) + b_o, over heads h of size d = embed_dim / heads.

    q, k and v are projections of query, key and value. Shapes: query (L, N, embed_dim), key
    (S, N, kdim), value (S, N, vdim), with N first if `batch_first`, or without N. Returns the
    output, shaped as the query, and the weights (N, L, S) averaged over heads, or None without
    `need_weights`. Masks: see ``functional.multi_head_attention_forward``. `add_bias_kv` appends a
    learned key and value, `add_zero_attn` ones of zeros.

    Source: Vaswani et al. 2017, section 3.2.

    >>> attention = cr.nn.MultiheadAttention(8, 2, batch_first=True)
    >>> x = zeros(3, 5, 8)
    >>> y, weights = attention(x, x, x)
    >>> y.shape, weights.shape
    ((3, 5, 8), (3, 5, 5))
    """

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        expect.sizes("MultiheadAttention", embed_dim=embed_dim, num_heads=num_heads)
        if embed_dim % num_heads:
            raise ArgumentError(
                "MultiheadAttention cannot divide its features among its heads",
                expected="embed_dim divisible by num_heads",
                got=f"embed_dim={embed_dim}, num_heads={num_heads}",
            )
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        self.add_zero_attn = add_zero_attn
        shapes: dict[str, tuple[int, ...]] = {"in_proj_weight": (3 * embed_dim, embed_dim)}
        if not self._one_size:
            shapes = {
                "q_proj_weight": (embed_dim, embed_dim),
                "k_proj_weight": (embed_dim, self.kdim),
                "v_proj_weight": (embed_dim, self.vdim),
            }
        if bias:
            shapes["in_proj_bias"] = (3 * embed_dim,)
        if add_bias_kv:
            shapes |= {"bias_k": (1, 1, embed_dim), "bias_v": (1, 1, embed_dim)}
        for name in (
            "q_proj_weight", "k_proj_weight", "v_proj_weight", "in_proj_weight", "in_proj_bias",
            "bias_k", "bias_v",
        ):  # fmt: skip
            shape = shapes.get(name)
            made = None if shape is None else blank(*shape, dtype=dtype, device=device)
            self.register_parameter(name, made)
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype)
        self._reset_parameters()

    @property
    def _one_size(self) -> bool:
        """Whether query, key and value have equally many features."""
        return self.kdim == self.embed_dim == self.vdim

    def _reset_parameters(self) -> None:
        """Draw new initial values, as PyTorch does."""
        for weight in (
            self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight,
        ):  # fmt: skip
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        swapped = self.batch_first and expect.tensor(self, query) and query.ndim == 3
        if swapped:
            first = ops.transpose(query, 0, 1)
            second = first if key is query else ops.transpose(key, 0, 1)
            third = second if value is key else ops.transpose(value, 0, 1)
            query, key, value = first, second, third
        y, weights = functional.multi_head_attention_forward(
            query, key, value, self.embed_dim, self.num_heads, self.in_proj_weight,
            self.in_proj_bias, self.bias_k, self.bias_v, self.add_zero_attn, self.dropout,
            self.out_proj.weight, self.out_proj.bias, self.training, key_padding_mask,
            need_weights, attn_mask, not self._one_size, self.q_proj_weight, self.k_proj_weight,
            self.v_proj_weight, None, None, average_attn_weights, is_causal,
        )  # fmt: skip
        return (ops.transpose(y, 0, 1) if swapped else y), weights
