"""The transformer: layers of attention and feed-forward networks, and stacks of them.

Source: Vaswani et al. 2017, "Attention is all you need", section 3; with `norm_first`, Xiong et al.
2020. Shapes: sequences (L, N, d_model), with N first if `batch_first`, or without N. Masks are
those of ``MultiheadAttention``.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from ... import creation, ops
from ...core.aval import describe
from ...errors import ArgumentError, ShapeError
from .. import functional, init
from ..containers import ModuleList
from ..module import Module
from .attention import MultiheadAttention
from .dropout import Dropout
from .layer_normalization import LayerNorm
from .linear import Linear

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"relu": functional.relu, "gelu": functional.gelu}


class _Layer(Module):
    """What the layers of encoder and decoder share: sizes, the feed-forward network, norms."""

    attentions: tuple[str, ...]

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Any], Any] = functional.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if isinstance(activation, str) and activation not in ACTIVATIONS:
            raise ArgumentError(
                "unknown activation", expected=", ".join(ACTIVATIONS), got=repr(activation)
            )
        for name in self.attentions:
            attention = MultiheadAttention(
                d_model, nhead, dropout=dropout, bias=bias, batch_first=batch_first,
                device=device, dtype=dtype,
            )  # fmt: skip
            self.register_module(name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias, device, dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, device, dtype)
        self.norm_first = norm_first
        count = len(self.attentions) + 1
        for i in range(1, count + 1):
            norm = LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)
            self.register_module(f"norm{i}", norm)
        for i in range(1, count + 1):
            self.register_module(f"dropout{i}", Dropout(dropout))
        self.activation = ACTIVATIONS[activation] if isinstance(activation, str) else activation

    def _attended(
        self, attention: Module, dropout: Module, x: Any, memory: Any, **masks: Any
    ) -> Any:
        y = attention(x, memory, memory, need_weights=False, **masks)[0]
        return dropout(y)

    def _fed_forward(self, x: Any) -> Any:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def _added(self, norm: Module, x: Any, block: Callable[[Any], Any]) -> Any:
        """x plus a block of it, normalised before the block or after the sum."""
        return x + block(norm(x)) if self.norm_first else norm(x + block(x))


class TransformerEncoderLayer(_Layer):
    """x + attention(x), normalised, then x + feed-forward(x), normalised.

    With `norm_first` each block normalises its input instead. `activation` is "relu", "gelu" or a
    function.

    >>> layer = cr.nn.TransformerEncoderLayer(8, nhead=2, dim_feedforward=16, batch_first=True)
    >>> layer(zeros(3, 5, 8)).shape
    (3, 5, 8)
    """

    attentions = ("self_attn",)

    def forward(
        self,
        src: Any,
        src_mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool = False,
    ) -> Any:
        masks = {
            "attn_mask": src_mask,
            "key_padding_mask": src_key_padding_mask,
            "is_causal": is_causal,
        }
        x = self._added(
            self.norm1, src, lambda y: self._attended(self.self_attn, self.dropout1, y, y, **masks)
        )
        return self._added(self.norm2, x, lambda y: self.dropout2(self._fed_forward(y)))


class TransformerDecoderLayer(_Layer):
    """Attention within the target, attention from it to the encoder's output, feed-forward.

    >>> layer = cr.nn.TransformerDecoderLayer(8, nhead=2, dim_feedforward=16)
    >>> layer(zeros(4, 3, 8), memory=zeros(6, 3, 8)).shape
    (4, 3, 8)
    """

    attentions = ("self_attn", "multihead_attn")

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        own = {
            "attn_mask": tgt_mask,
            "key_padding_mask": tgt_key_padding_mask,
            "is_causal": tgt_is_causal,
        }
        across = {
            "attn_mask": memory_mask,
            "key_padding_mask": memory_key_padding_mask,
            "is_causal": memory_is_causal,
        }
        x = self._added(
            self.norm1, tgt, lambda y: self._attended(self.self_attn, self.dropout1, y, y, **own)
        )
        x = self._added(
            self.norm2,
            x,
            lambda y: self._attended(self.multihead_attn, self.dropout2, y, memory, **across),
        )
        return self._added(self.norm3, x, lambda y: self.dropout3(self._fed_forward(y)))


class _Stack(Module):
    """Copies of one layer, one after another, and perhaps a norm at the end."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = ModuleList([deepcopy(layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.register_module("norm", norm)

    def _finished(self, x: Any) -> Any:
        return x if self.norm is None else self.norm(x)


class TransformerEncoder(_Stack):
    """`num_layers` copies of an encoder layer; they start with the same weights, as in PyTorch.

    `enable_nested_tensor` and `mask_check` are accepted and have no effect.
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__(encoder_layer, num_layers, norm)

    def forward(
        self,
        src: Any,
        mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool | None = None,
    ) -> Any:
        for layer in self.layers:
            src = layer(
                src,
                src_mask=mask,
                src_key_padding_mask=src_key_padding_mask,
                is_causal=bool(is_causal),
            )
        return self._finished(src)


class TransformerDecoder(_Stack):
    """`num_layers` copies of a decoder layer."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=bool(tgt_is_causal),
                memory_is_causal=memory_is_causal,
            )
        return self._finished(tgt)


class Transformer(Module):
    """Encoder and decoder: a source (S, N, d_model) and a target (T, N, d_model) to the latter.

    Embeddings, positions and the last projection are the user's. Matrices start as
    ``init.xavier_uniform_``. `custom_encoder` and `custom_decoder` replace the two halves.

    >>> net = cr.nn.Transformer(8, 2, 1, 1, dim_feedforward=16)
    >>> mask = cr.nn.Transformer.generate_square_subsequent_mask(4)
    >>> net(zeros(6, 3, 8), zeros(4, 3, 8), tgt_mask=mask).shape
    (4, 3, 8)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Any], Any] = functional.relu,
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        own = (
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first,
            norm_first, bias, device, dtype,
        )  # fmt: skip

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)

        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*own), num_encoder_layers, norm()
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*own), num_decoder_layers, norm()
        )
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def forward(
        self,
        src: Any,
        tgt: Any,
        src_mask: Any = None,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        src_key_padding_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        if src.ndim != tgt.ndim or src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise ShapeError(
                f"Transformer takes source and target of {self.d_model} features",
                got=f"src: {describe(src)}   tgt: {describe(tgt)}",
            )
        memory = self.encoder(
            src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal
        )
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Any:
        """A mask (sz, sz) to add to scores: 0 on and below the diagonal, -inf above."""
        return ops.triu(creation.full((sz, sz), float("-inf"), dtype=dtype), 1)
