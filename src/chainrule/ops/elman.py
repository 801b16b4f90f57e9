"""Elman's recurrent layer over a whole sequence, and its backpropagation through time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..core.aval import Aval, Data, result_dtype, shape_of
from ..core.families import Fused
from ..core.op import Active, Cotangents, Needs
from ..core.sampling import Sample, floats
from . import contract, elementwise, joining, movement, sequences


class RNN(Fused, name="rnn"):
    """Outputs h (T, N, H) of h_t = φ(z_t + h_{t-1} Wᵀ), φ = tanh or relu, from z, h₀ and W."""

    nonlinearity: str
    recurrent = True
    needs = Needs(inputs=(1, 2), output=True)
    promotes = True
    floating = True

    def infer(self, *xs: Any) -> Aval:
        sizes = sequences.check_sizes("rnn", 1, xs[0], xs[1:2], xs[2])
        return Aval(sizes, result_dtype(xs, floating=True))

    def forward(self, *xs: Any) -> Any:
        self.infer(*xs)
        z, h, w = xs
        out = np.empty_like(z, order="C")
        w = np.ascontiguousarray(w.T)
        for t, a in enumerate(out):
            np.matmul(h, w, out=a)
            a += z[t]
            h = np.tanh(a, out=a) if self.nonlinearity == "tanh" else np.maximum(a, 0, out=a)
        return out

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        _, h, w = xs
        op = RNNBackward((True,), self.nonlinearity)
        dz, dh = sequences.through_time(op, (ct,), (h, w, y))
        return dz, dh, None if active[2] is None else sequences.weight_cotangent(dz, h, y)

    def reference(self, *xs: Data) -> Data:
        z, h, w = xs
        activate = elementwise.tanh if self.nonlinearity == "tanh" else elementwise.relu
        steps = []
        for t in range(z.shape[0]):
            h = activate(z[t] + contract.matmul(h, movement.transpose(w, 0, 1)))
            steps.append(h)
        return joining.stack(steps)

    def expand(self, *xs: Data) -> Data:
        return self.reference(*xs)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for steps, batch, hidden in sequences.SIZES:
            shapes = (steps, batch, hidden), (batch, hidden), (hidden, hidden)
            yield Sample(cls("tanh"), floats(*shapes, low=-1.0, high=1.0))
            yield Sample(cls("relu"), floats(*shapes, low=0.1, high=1.0))


class RNNBackward(sequences.Backward, name="rnn_backward"):
    """Cotangents of z and h₀ of an Elman layer: z̄_t = h̄ φ′, h̄_{t-1} += z̄_t W, backward in time."""

    nonlinearity: str
    n_out = 2

    def infer(self, *xs: Any) -> tuple[Aval, ...]:
        dtype = result_dtype(xs, floating=True)
        return Aval(shape_of(xs[-1]), dtype), Aval(shape_of(xs[-3]), dtype)

    def forward(self, *xs: Any) -> tuple[Any, ...]:
        ct, h0, w, out = xs
        dz = np.empty_like(out)
        dh = np.zeros_like(h0)
        for t in reversed(range(len(out))):
            h = out[t]
            slope = 1 - h * h if self.nonlinearity == "tanh" else h > 0
            np.multiply(dh + ct[t], slope, out=dz[t])
            dh = dz[t] @ w
        return dz, dh

    def reference(self, *xs: Data) -> tuple[Data, ...]:
        ct, h0, w, out = xs
        dh = None
        dz = []
        for t in reversed(range(out.shape[0])):
            h = out[t]
            slope = 1.0 - h * h if self.nonlinearity == "tanh" else h > 0.0
            dz.append(sequences.plus(dh, ct[t], h0) * slope)
            dh = contract.matmul(dz[-1], w)
        return joining.stack(dz[::-1]), dh

    def expand(self, *xs: Data) -> Data:
        return self.reference(*xs)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for k, (steps, batch, hidden) in enumerate(sequences.SIZES):
            state, sequence = (batch, hidden), (steps, batch, hidden)
            op = cls((True,), ("tanh", "relu")[k % 2])
            yield Sample(op, floats(sequence, state, (hidden, hidden), sequence))
