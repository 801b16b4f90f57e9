"""Recurrent layers over whole sequences: LSTM, GRU and Elman's, with backpropagation through time.

The projection of all inputs, z = x Wᵀ + b, is one matrix product, made of ordinary ops. What is
left is one op a layer: a loop over time. Its rule runs the loop backward (document 001, section
4.1; Werbos 1990, "Backpropagation through time") for the cotangents of z and of the first state;
those of the weights are then matrix products over all steps at once.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import describe, shape_of
from ..errors import ArgumentError, ShapeError
from . import (
    contract,
    elementwise,
    elman,
    gated_recurrent,
    joining,
    long_short_term,
    sequences,
)

V = TypeVar("V")

__all__ = ["gru", "lstm", "rnn"]


def lstm(
    x: V,
    h0: Any,
    c0: Any,
    w_ih: Any,
    w_hh: Any,
    b_ih: Any = None,
    b_hh: Any = None,
    w_hr: Any = None,
) -> tuple[V, V, V]:
    """A layer of long short-term memory over a sequence: (out, h_n, c_n).

    x (T, N, I), h0 and c0 (N, H), w_ih (4H, I), w_hh (4H, H), biases (4H); out (T, N, H) has every
    hidden state, h_n and c_n (N, H) are the last. With a = x_t W_ihᵀ + b_ih + h_{t-1} W_hhᵀ + b_hh
    cut into four, in PyTorch's order: i, f, o = σ(a_i), σ(a_f), σ(a_o); g = tanh(a_g);
    c_t = f c_{t-1} + i g; h_t = o tanh(c_t), or with w_hr (P, H) its projection w_hr h_t; then h0
    is (N, P) and w_hh (4H, P).

    Raises ShapeError for operands that do not fit, or no steps. Source: Hochreiter and Schmidhuber
    1997, with the forget gate of Gers, Schmidhuber and Cummins 2000.

    >>> x, state = tensor(np.zeros((5, 2, 3))), tensor(np.zeros((2, 4)))
    >>> out, h, c = lstm(x, state, state, tensor(np.ones((16, 3))), tensor(np.ones((16, 4))))
    >>> out.shape, h.shape
    ((5, 2, 4), (2, 4))
    """
    z = _projected("lstm", x, w_ih, _sum(b_ih, b_hh))
    if w_hr is not None:
        return _lstm_with_projection(z, h0, c0, w_hh, w_hr)
    outputs: Any = apply(long_short_term.LSTM(), z, h0, c0, w_hh)
    out, cells, _ = outputs
    return out, out[-1], cells[-1]


def gru(x: V, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> tuple[V, V]:
    """A layer of gated recurrent units over a sequence: (out, h_n).

    x (T, N, I), h0 (N, H), w_ih (3H, I), w_hh (3H, H), biases (3H); out (T, N, H). In PyTorch's
    order and definition, with z = x_t W_ihᵀ + b_ih and a = h_{t-1} W_hhᵀ + b_hh:
    r, u = σ(z_r + a_r), σ(z_u + a_u); n = tanh(z_n + r a_n); h_t = (1 - u) n + u h_{t-1}.

    Raises ShapeError for operands that do not fit, or no steps. Source: Cho et al. 2014, "Learning
    phrase representations using RNN encoder-decoder", section 2.3.
    """
    z = _projected("gru", x, w_ih, b_ih)
    if b_hh is None:
        b_hh = np.zeros(shape_of(w_hh)[:1], w_hh.dtype)
    outputs: Any = apply(gated_recurrent.GRU(), z, h0, w_hh, b_hh)
    return outputs[0], outputs[0][-1]


def rnn(
    x: V,
    h0: Any,
    w_ih: Any,
    w_hh: Any,
    b_ih: Any = None,
    b_hh: Any = None,
    nonlinearity: str = "tanh",
) -> tuple[V, V]:
    """Elman's recurrent layer over a sequence: (out, h_n).

    x (T, N, I), h0 (N, H), w_ih (H, I), w_hh (H, H), biases (H); out (T, N, H) has every
    h_t = φ(x_t W_ihᵀ + b_ih + h_{t-1} W_hhᵀ + b_hh), where φ is "tanh" or "relu".

    Raises ShapeError for operands that do not fit, or no steps; ArgumentError for another φ.
    Source: Elman 1990, "Finding structure in time".
    """
    if nonlinearity not in ("tanh", "relu"):
        raise ArgumentError(
            "unknown nonlinearity",
            expected='"tanh" or "relu"',
            got=repr(nonlinearity),
        )
    z = _projected("rnn", x, w_ih, _sum(b_ih, b_hh))
    out: Any = apply(elman.RNN(nonlinearity), z, h0, w_hh)
    return out, out[-1]


def _lstm_with_projection(z: Any, h: Any, c: Any, w_hh: Any, w_hr: Any) -> tuple[Any, Any, Any]:
    """An LSTM whose hidden state is projected, step by step, from the projected inputs z."""
    out = []
    for t in range(shape_of(z)[0]):
        i, f, g, o = sequences.cut(z[t] + contract.linear(h, w_hh), 4)
        c = elementwise.sigmoid(f) * c + elementwise.sigmoid(i) * elementwise.tanh(g)
        h = contract.linear(elementwise.sigmoid(o) * elementwise.tanh(c), w_hr)
        out.append(h)
    return joining.stack(out), h, c


def _projected(name: str, x: V, w: Any, b: Any) -> Any:
    """x Wᵀ + b for all steps at once."""
    shape, wanted = shape_of(x), shape_of(w)
    if len(shape) != 3 or len(wanted) != 2 or shape[2] != wanted[1]:
        raise ShapeError(
            f"{name} needs a batch of sequences, and weights for their features",
            expected="x (T, N, I), w_ih (gates·H, I)",
            got=f"x: {describe(x)}   w_ih: {describe(w)}",
        )
    return contract.linear(x, w, b)


def _sum(a: Any, b: Any) -> Any:
    """The sum of two biases, either of which may be missing."""
    if a is None or b is None:
        return b if a is None else a
    return a + b
