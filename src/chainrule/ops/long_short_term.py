"""The LSTM over a whole sequence, and its backpropagation through time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval, Data, result_dtype, shape_of
from ..core.families import Fused
from ..core.op import Active, Cotangents, Needs
from ..core.sampling import Sample, floats
from . import contract, elementwise, joining, movement, sequences


class LSTM(Fused, name="lstm"):
    """Outputs h (T, N, H), cells c (T, N, H) and gates i, f, g, o (T, N, 4H) of an LSTM layer.

    From z (T, N, 4H), h₀ and c₀ (N, H), W (4H, H): with a = z_t + h_{t-1} Wᵀ cut in four,
    i, f, o = σ(a_i), σ(a_f), σ(a_o); g = tanh(a_g); c_t = f c_{t-1} + i g; h_t = o tanh(c_t).
    """

    recurrent = True
    needs = Needs(inputs=(1, 2, 3), output=True)
    n_out = 3
    promotes = True
    floating = True

    def infer(self, *xs: Any) -> tuple[Aval, ...]:
        steps, batch, hidden = sequences.check_sizes("lstm", 4, xs[0], xs[1:3], xs[3])
        dtype = result_dtype(xs, floating=True)
        state = Aval((steps, batch, hidden), dtype)
        return state, state, Aval((steps, batch, 4 * hidden), dtype)

    def forward(self, *xs: Any) -> tuple[Any, ...]:
        self.infer(*xs)
        z, h, c, w = xs
        hidden = h.shape[1]
        gates = np.empty_like(z, order="C")
        out, cells = (np.empty((*z.shape[:2], hidden), z.dtype) for _ in range(2))
        # σ(a) = (1 + tanh(a/2)) / 2: one vectorised tanh serves all four gates
        half = np.full(4 * hidden, 0.5, z.dtype)
        half[2 * hidden : 3 * hidden] = 1
        w, shift = np.ascontiguousarray((w * half[:, None]).T), 1 - half
        for t, a in enumerate(gates):
            np.matmul(h, w, out=a)
            a += z[t] * half
            np.tanh(a, out=a)
            a *= half
            a += shift
            i, f, g, o = sequences.cut(a, 4)
            c = np.multiply(f, c, out=cells[t])
            c += i * g
            h = np.tanh(c, out=out[t])
            h *= o
        return out, cells, gates

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        _, h, c, w = xs
        out, cells, gates = y
        op = LSTMBackward(tuple(c is not None for c in ct))
        dz, dh, dc = sequences.through_time(op, ct, (c, w, cells, gates))
        return dz, dh, dc, None if active[3] is None else sequences.weight_cotangent(dz, h, out)

    def reference(self, *xs: Data) -> tuple[Data, ...]:
        z, h, c, w = xs
        steps = []
        for t in range(z.shape[0]):
            a = z[t] + contract.matmul(h, movement.transpose(w, 0, 1))
            i, f, g, o = sequences.cut(a, 4)
            i, f, o = (elementwise.sigmoid(gate) for gate in (i, f, o))
            g = elementwise.tanh(g)
            c = f * c + i * g
            h = o * elementwise.tanh(c)
            steps.append((h, c, joining.concatenate([i, f, g, o], 1)))
        return tuple(joining.stack(list(part)) for part in zip(*steps, strict=True))

    def expand(self, *xs: Data) -> Data:
        z, h, c, w = xs
        steps = []
        for t in range(z.shape[0]):
            i, f, g, o = sequences.cut(apply(contract.MatMul(False, True), h, w) + z[t], 4)
            i, f, o = (elementwise.tanh(gate * 0.5) * 0.5 + 0.5 for gate in (i, f, o))
            g = elementwise.tanh(g)
            c = f * c + i * g
            h = elementwise.tanh(c) * o
            steps.append((h, c, joining.concatenate([i, f, g, o], 1)))
        return tuple(joining.stack(list(part)) for part in zip(*steps, strict=True))

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for steps, batch, hidden in sequences.SIZES:
            state = (batch, hidden)
            shapes = (steps, batch, 4 * hidden), state, state, (4 * hidden, hidden)
            yield Sample(cls(), floats(*shapes, low=-1.0, high=1.0))


class LSTMBackward(sequences.Backward, name="lstm_backward"):
    """Cotangents of z, h₀ and c₀ of an LSTM, from those of h, c and the gates, and c₀, W, c, gates.

    Backward in time: c̄ += h̄ o (1 - tanh² c); ī, f̄, ḡ, ō = c̄ g, c̄ c_{t-1}, c̄ i, h̄ tanh c, times the
    slopes of σ and tanh give z̄_t; h̄_{t-1} += z̄_t W; c̄_{t-1} += c̄ f.
    """

    def infer(self, *xs: Any) -> tuple[Aval, ...]:
        c, gates = xs[-4], xs[-1]
        dtype = result_dtype(xs, floating=True)
        state = Aval(shape_of(c), dtype)
        return Aval(shape_of(gates), dtype), state, state

    n_out = 3

    def forward(self, *xs: Any) -> tuple[Any, ...]:
        (d_out, d_cells, d_gates), (c0, w, cells, gates) = self.cotangents(xs)
        hidden = c0.shape[1]
        dz = np.empty_like(gates)
        dh, dc = np.zeros_like(c0), np.zeros_like(c0)
        for t in reversed(range(len(gates))):
            i, f, g, o = sequences.cut(gates[t], 4)
            if d_out is not None:
                dh = dh + d_out[t]
            if d_cells is not None:
                dc = dc + d_cells[t]
            tanh_c = np.tanh(cells[t])
            dc = dc + dh * o * (1 - tanh_c * tanh_c)
            d = dz[t]
            np.multiply(dc, g, out=d[:, :hidden])
            np.multiply(dc, cells[t - 1] if t else c0, out=d[:, hidden : 2 * hidden])
            np.multiply(dc, i, out=d[:, 2 * hidden : 3 * hidden])
            np.multiply(dh, tanh_c, out=d[:, 3 * hidden :])
            if d_gates is not None:
                d += d_gates[t]
            slope = gates[t] * (1 - gates[t])
            slope[:, 2 * hidden : 3 * hidden] = 1 - g * g
            d *= slope
            dh, dc = d @ w, dc * f
        return dz, dh, dc

    def reference(self, *xs: Data) -> tuple[Data, ...]:
        (d_out, d_cells, d_gates), (c0, w, cells, gates) = self.cotangents(xs)
        dh = dc = None
        dz = []
        for t in reversed(range(gates.shape[0])):
            i, f, g, o = sequences.cut(gates[t], 4)
            dh = sequences.plus(dh, None if d_out is None else d_out[t], c0)
            dc = sequences.plus(dc, None if d_cells is None else d_cells[t], c0)
            tanh_c = elementwise.tanh(cells[t])
            dc = dc + dh * o * (1.0 - tanh_c * tanh_c)
            before = cells[t - 1] if t else c0
            parts = [dc * g, dc * before, dc * i, dh * tanh_c]
            if d_gates is not None:
                parts = [p + q for p, q in zip(parts, sequences.cut(d_gates[t], 4), strict=True)]
            slopes = [i * (1.0 - i), f * (1.0 - f), 1.0 - g * g, o * (1.0 - o)]
            d = joining.concatenate([p * s for p, s in zip(parts, slopes, strict=True)], 1)
            dz.append(d)
            dh, dc = contract.matmul(d, w), dc * f
        return joining.stack(dz[::-1]), dh, dc

    def expand(self, *xs: Data) -> Data:
        return self.reference(*xs)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for k, (steps, batch, hidden) in enumerate(sequences.SIZES):
            given = ((True, False, False), (False, True, False), (True, True, True))[k % 3]
            state, sequence = (batch, hidden), (steps, batch, hidden)
            gates = (steps, batch, 4 * hidden)
            cts = [s for s, g in zip((sequence, sequence, gates), given, strict=True) if g]
            yield Sample(cls(given), floats(*cts, state, (4 * hidden, hidden), sequence, gates))
