"""The GRU over a whole sequence, and its backpropagation through time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval, Data, result_dtype, shape_of
from ..core.families import Fused
from ..core.op import Active, Cotangents, Needs
from ..core.sampling import Sample, floats
from ..errors import ShapeError
from . import contract, elementwise, joining, movement, reduce, sequences


class GRU(Fused, name="gru"):
    """Outputs h (T, N, H), and r, u, n and m (T, N, 4H) of each step, of a GRU layer.

    From z (T, N, 3H), h₀ (N, H), W (3H, H) and b (3H): with a = h_{t-1} Wᵀ + b cut in three,
    r, u = σ(z_r + a_r), σ(z_u + a_u); m = a_n; n = tanh(z_n + r m); h_t = (1 - u) n + u h_{t-1}.
    """

    recurrent = True
    needs = Needs(inputs=(1, 2), output=True)
    n_out = 2
    promotes = True
    floating = True

    def infer(self, *xs: Any) -> tuple[Aval, ...]:
        steps, batch, hidden = sequences.check_sizes("gru", 3, xs[0], xs[1:2], xs[2])
        if shape_of(xs[3]) != (3 * hidden,):
            raise ShapeError(
                "gru needs a bias for each gate",
                expected=f"({3 * hidden},)",
                got=str(shape_of(xs[3])),
            )
        dtype = result_dtype(xs, floating=True)
        return Aval((steps, batch, hidden), dtype), Aval((steps, batch, 4 * hidden), dtype)

    def forward(self, *xs: Any) -> tuple[Any, ...]:
        self.infer(*xs)
        z, h, w, b = xs
        steps, (batch, hidden) = len(z), h.shape
        out: Any = np.empty((steps, batch, hidden), z.dtype)
        gates: Any = np.empty((steps, batch, 4 * hidden), z.dtype)
        w = np.ascontiguousarray(w.T)
        for t, a in enumerate(gates):
            recurrent = h @ w
            recurrent += b
            r, u, n, m = sequences.cut(a, 4)
            both = a[:, : 2 * hidden]
            # σ(a) = (1 + tanh(a/2)) / 2, which cannot overflow
            np.add(z[t, :, : 2 * hidden], recurrent[:, : 2 * hidden], out=both)
            both *= 0.5
            np.tanh(both, out=both)
            both *= 0.5
            both += 0.5
            m[...] = recurrent[:, 2 * hidden :]
            np.multiply(r, m, out=n)
            n += z[t, :, 2 * hidden :]
            np.tanh(n, out=n)
            h = np.add(n, u * (h - n), out=out[t])
        return out, gates

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        _, h, w, _ = xs
        out, gates = y
        op = GRUBackward(tuple(c is not None for c in ct))
        dz, da, dh = sequences.through_time(op, ct, (h, w, out, gates))
        return (
            dz,
            dh,
            None if active[2] is None else sequences.weight_cotangent(da, h, out),
            None if active[3] is None else reduce.sum(da, (0, 1)),
        )

    def reference(self, *xs: Data) -> tuple[Data, ...]:
        z, h, w, b = xs
        steps = []
        for t in range(z.shape[0]):
            zr, zu, zn = sequences.cut(z[t], 3)
            ar, au, m = sequences.cut(contract.matmul(h, movement.transpose(w, 0, 1)) + b, 3)
            r, u = elementwise.sigmoid(zr + ar), elementwise.sigmoid(zu + au)
            n = elementwise.tanh(zn + r * m)
            h = (1.0 - u) * n + u * h
            steps.append((h, joining.concatenate([r, u, n, m], 1)))
        return tuple(joining.stack(list(part)) for part in zip(*steps, strict=True))

    def expand(self, *xs: Data) -> Data:
        z, h, w, b = xs
        steps = []
        for t in range(z.shape[0]):
            ar, au, m = sequences.cut(apply(contract.MatMul(False, True), h, w) + b, 3)
            zr, zu, zn = sequences.cut(z[t], 3)
            r = elementwise.tanh((zr + ar) * 0.5) * 0.5 + 0.5
            u = elementwise.tanh((zu + au) * 0.5) * 0.5 + 0.5
            n = elementwise.tanh(r * m + zn)
            h = n + u * (h - n)
            steps.append((h, joining.concatenate([r, u, n, m], 1)))
        return tuple(joining.stack(list(part)) for part in zip(*steps, strict=True))

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for steps, batch, hidden in sequences.SIZES:
            shapes = (
                (steps, batch, 3 * hidden),
                (batch, hidden),
                (3 * hidden, hidden),
                (3 * hidden,),
            )
            yield Sample(cls(), floats(*shapes, low=-1.0, high=1.0))


class GRUBackward(sequences.Backward, name="gru_backward"):
    """Cotangents of z, a and h₀ of a GRU, from those of h and the gates, and h₀, W, h, gates.

    Backward in time: ū = h̄ (h_{t-1} - n), n̄ = h̄ (1 - u), r̄ = n̄ (1 - n²) m, m̄ = n̄ (1 - n²) r, times
    the slopes of σ; h̄_{t-1} += h̄ u + ā_t W.
    """

    n_out = 3

    def infer(self, *xs: Any) -> tuple[Aval, ...]:
        h, out = shape_of(xs[-4]), shape_of(xs[-2])
        dtype = result_dtype(xs, floating=True)
        inner = Aval((*out[:2], 3 * out[2]), dtype)
        return inner, inner, Aval(h, dtype)

    def forward(self, *xs: Any) -> tuple[Any, ...]:
        (d_out, d_gates), (h0, w, out, gates) = self.cotangents(xs)
        hidden = h0.shape[1]
        dz = np.empty((*out.shape[:2], 3 * hidden), out.dtype)
        da = np.empty_like(dz)
        dh = np.zeros_like(h0)
        for t in reversed(range(len(out))):
            r, u, n, m = sequences.cut(gates[t], 4)
            if d_out is not None:
                dh = dh + d_out[t]
            du, dn = dh * ((out[t - 1] if t else h0) - n), dh * (1 - u)
            dr = dm = 0
            if d_gates is not None:
                er, eu, en, dm = sequences.cut(d_gates[t], 4)
                dr, du, dn = er, du + eu, dn + en
            dn = dn * (1 - n * n)
            d_r, d_u, d_n = sequences.cut(dz[t], 3)
            np.multiply(dn * m + dr, r * (1 - r), out=d_r)
            np.multiply(du, u * (1 - u), out=d_u)
            d_n[...] = dn
            da[t, :, : 2 * hidden] = dz[t, :, : 2 * hidden]
            np.add(dn * r, dm, out=da[t, :, 2 * hidden :])
            dh = dh * u + da[t] @ w
        return dz, da, dh

    def reference(self, *xs: Data) -> tuple[Data, ...]:
        (d_out, d_gates), (h0, w, out, gates) = self.cotangents(xs)
        dh = None
        dz, da = [], []
        for t in reversed(range(out.shape[0])):
            r, u, n, m = sequences.cut(gates[t], 4)
            dh = sequences.plus(dh, None if d_out is None else d_out[t], h0)
            before = out[t - 1] if t else h0
            extra = [0.0] * 4 if d_gates is None else sequences.cut(d_gates[t], 4)
            dn = (dh * (1.0 - u) + extra[2]) * (1.0 - n * n)
            du = (dh * (before - n) + extra[1]) * (u * (1.0 - u))
            dr = (dn * m + extra[0]) * (r * (1.0 - r))
            dm = dn * r + extra[3]
            dz.append(joining.concatenate([dr, du, dn], 1))
            da.append(joining.concatenate([dr, du, dm], 1))
            dh = dh * u + contract.matmul(da[-1], w)
        return joining.stack(dz[::-1]), joining.stack(da[::-1]), dh

    def expand(self, *xs: Data) -> Data:
        (d_out, d_gates), (h0, w, out, gates) = self.cotangents(xs)
        dh: Data = None
        dz, da = [], []
        for t in reversed(range(out.shape[0])):
            r, u, n, m = sequences.cut(gates[t], 4)
            dh = sequences.plus(dh, None if d_out is None else d_out[t], h0)
            er, eu, en, em = [None] * 4 if d_gates is None else sequences.cut(d_gates[t], 4)
            du = sequences.plus(dh * ((out[t - 1] if t else h0) - n), eu, h0)
            dn = sequences.plus(dh * (1.0 - u), en, h0) * (1.0 - n * n)
            dr = sequences.plus(dn * m, er, h0) * (r * (1.0 - r))
            du = du * (u * (1.0 - u))
            dz.append(joining.concatenate([dr, du, dn], 1))
            da.append(joining.concatenate([dr, du, sequences.plus(dn * r, em, h0)], 1))
            dh = dh * u + contract.matmul(da[-1], w)
        return joining.stack(dz[::-1]), joining.stack(da[::-1]), dh

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for k, (steps, batch, hidden) in enumerate(sequences.SIZES):
            given = ((True, False), (False, True), (True, True))[k % 3]
            state, sequence = (batch, hidden), (steps, batch, hidden)
            gates = (steps, batch, 4 * hidden)
            cts = [s for s, g in zip((sequence, gates), given, strict=True) if g]
            yield Sample(cls(given), floats(*cts, state, (3 * hidden, hidden), sequence, gates))
