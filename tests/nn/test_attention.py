"""Attention and the transformer, against NumPy and by what they must not see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import nn
from chainrule.errors import ArgumentError, ShapeError

rng = np.random.default_rng(5)


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_scaled_dot_product_attention_is_its_formula() -> None:
    q, k, v = (rng.normal(size=(2, n, d)) for n, d in ((3, 4), (5, 4), (5, 6)))
    expected = softmax(q @ np.swapaxes(k, 1, 2) / 2) @ v
    got = F.scaled_dot_product_attention(cr.tensor(q), cr.tensor(k), cr.tensor(v))
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12)


def test_a_query_that_may_see_nothing_gives_zeros_and_finite_gradients() -> None:
    x = cr.tensor(rng.normal(size=(2, 3)), requires_grad=True)
    for mask in (np.array([[True, False], [False, False]]), np.array([[0, 0], [-np.inf, -np.inf]])):
        y = F.scaled_dot_product_attention(x, x, x, cr.tensor(mask))
        assert (y[1] == 0).all()
        y.sum().backward()
        assert cr.isfinite(x.grad).all()


def test_multihead_attention_is_its_formula() -> None:
    layer = nn.MultiheadAttention(6, 2, batch_first=True).double()
    x = rng.normal(size=(2, 4, 6))
    w, b = layer.in_proj_weight.detach().numpy(), layer.in_proj_bias.detach().numpy()
    q, k, v = np.split(x @ w.T + b, 3, -1)
    heads, shares = [], []
    for h in (slice(0, 3), slice(3, 6)):
        shares.append(softmax(q[..., h] @ np.swapaxes(k[..., h], 1, 2) / np.sqrt(3)))
        heads.append(shares[-1] @ v[..., h])
    out = layer.out_proj
    expected = np.concatenate(heads, -1) @ out.weight.detach().numpy().T + out.bias.detach().numpy()
    t = cr.tensor(x)
    y, weights = layer(t, t, t)
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-10)
    np.testing.assert_allclose(weights.detach().numpy(), np.mean(shares, 0), rtol=1e-10)
    fast, none = layer(t, t, t, need_weights=False)
    assert none is None
    np.testing.assert_allclose(fast.detach().numpy(), expected, rtol=1e-10)


def test_masked_keys_do_not_count() -> None:
    layer = nn.MultiheadAttention(4, 2, batch_first=True).eval()
    x = cr.randn(1, 5, 4)
    hidden = cr.tensor([[False, False, False, True, True]])
    got = layer(x, x, x, key_padding_mask=hidden)[0][:, :3]
    short = x[:, :3]
    np.testing.assert_allclose(
        got.detach().numpy(), layer(short, short, short)[0].detach().numpy(), atol=1e-6
    )


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_causal_encoder_does_not_see_the_future(norm_first: bool) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, norm_first=norm_first, batch_first=True)
    net = nn.TransformerEncoder(layer, 2).eval()
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    x = rng.normal(size=(1, 5, 8)).astype(np.float32)
    changed = x.copy()
    changed[:, 3] += 1
    a, b = (net(cr.tensor(v), mask=mask, is_causal=True).detach().numpy() for v in (x, changed))
    np.testing.assert_allclose(a[:, :3], b[:, :3], atol=1e-6)
    assert abs(a[:, 3:] - b[:, 3:]).max() > 1e-3
    assert layer is not net.layers[0]


def test_the_transformer_trains_all_its_parameters() -> None:
    net = nn.Transformer(8, 2, 1, 1, 16, 0.1, activation="gelu", batch_first=True)
    net(cr.randn(2, 4, 8), cr.randn(2, 3, 8)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_wrong_operands_are_refused() -> None:
    layer = nn.MultiheadAttention(4, 2)
    x = cr.zeros(3, 2, 4)
    with pytest.raises(ArgumentError, match="divide"):
        nn.MultiheadAttention(5, 2)
    with pytest.raises(ShapeError, match="cannot combine"):
        layer(cr.zeros(3, 2, 6), x, x)
    with pytest.raises(ShapeError, match="attn_mask"):
        layer(x, x, x, attn_mask=cr.zeros(3, 4, 4))
    with pytest.raises(ShapeError, match="key_padding_mask"):
        layer(x, x, x, key_padding_mask=cr.zeros(3, 3))
    with pytest.raises(ArgumentError, match="is_causal"):
        layer(x, x, x, is_causal=True)
    with pytest.raises(ArgumentError, match="not both"):
        F.scaled_dot_product_attention(x, x, x, cr.zeros(2, 2), is_causal=True)
    with pytest.raises(ArgumentError, match="activation"):
        nn.TransformerEncoderLayer(4, 2, activation="tanh")
    with pytest.raises(ShapeError, match="features"):
        nn.Transformer(4, 2, 1, 1, 8)(cr.zeros(2, 1, 4), cr.zeros(2, 1, 3))
