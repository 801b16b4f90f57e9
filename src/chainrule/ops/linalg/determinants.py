"""Determinants and their logarithms.

∂det/∂A is the matrix of cofactors, which is finite for singular matrices too. It is computed from
the singular values, as are its own derivatives, so that second derivatives do not divide by zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.apply import apply
from ...core.aval import Aval, Data
from ...core.op import INPUTS, Active, Cotangents, Op
from ...core.sampling import Sample, regular
from .. import comparison, movement, products, reduce, selection
from . import spectral, systems
from .matrices import diagonal_of, embedded, lapack, matrix_shape, product, turned, with_axes

_SHAPES = (
    (1, 1), (2, 2), (3, 3), (4, 4), (0, 0), (2, 1, 1), (2, 2, 2), (1, 3, 3), (0, 2, 2),
    (2, 1, 2, 2), (2, 3, 3), (1, 1, 1, 1),
)  # fmt: skip


class Det(Op):
    """y = det A;  Ā = ȳ cof A."""

    batching = ()
    needs = INPUTS

    def infer(self, *xs: Any) -> Aval:
        return Aval(matrix_shape(xs[0], "det", square=True)[:-2], xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        self.infer(*xs)
        return lapack(np.linalg.det, xs[0])

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        return (with_axes(ct) * apply(_COFACTORS, xs[0]),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in _SHAPES:
            yield Sample(cls(), (regular(shape),))


class Cofactors(Op):
    """C = cof A = ∂ det A / ∂A, which is det(A) A⁻ᵀ where A can be inverted.

    With A = U S Vᵀ and d = det U det V, C = d U diag(Π_{k≠i} s_k) Vᵀ. For a direction E, in the
    same bases, det changes to second order by d Σ_{i<j} p_ij (E_ii E_jj - E_ij E_ji) with
    p_ij = Π_{k≠i,j} s_k, which gives the derivative of C.
    """

    batching = ()
    needs = INPUTS

    def infer(self, *xs: Any) -> Aval:
        return Aval(matrix_shape(xs[0], "det", square=True), xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        a = xs[0]
        self.infer(a)
        if 0 in a.shape:
            return np.zeros_like(a)
        u, s, vt = lapack(np.linalg.svd, a)
        d = lapack(np.linalg.det, u @ vt)
        others = np.stack([np.delete(s, i, -1).prod(-1) for i in range(s.shape[-1])], -1)
        return ((u * (d[..., None] * others)[..., None, :]) @ vt).astype(a.dtype, copy=False)

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        a = xs[0]
        if a.shape[-1] < 2 or 0 in a.shape:
            return (np.zeros(a.shape, a.dtype),)
        u, s, vt = apply(spectral.SVD, a)
        d = apply(_DET, product(u, vt))
        g = product(product(turned(u), ct), turned(vt))
        p = _products_of_others(s)
        plain = reduce.sum(p * movement.unsqueeze(diagonal_of(g), -2), -1)
        change = embedded(plain) - p * turned(g)
        return (with_axes(d) * product(product(u, change), vt),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in _SHAPES:
            yield Sample(cls(), (regular(shape),))


def _products_of_others(s: Data) -> Data:
    """p_ij = Π_{k≠i,j} s_k for i ≠ j, and 0 for i = j, for a batch of vectors."""
    n = s.shape[-1]
    i, j, k = np.ogrid[:n, :n, :n]
    taken = selection.where((k == i) | (k == j), s.dtype.type(1), s[..., None, None, :])
    return products.prod(taken, -1) * (1 - np.eye(n, dtype=s.dtype))


class SlogDet(Op):
    """The sign of det A, and log |det A|;  Ā = ȳ A⁻ᵀ for the logarithm, nothing for the sign."""

    batching = ()
    n_out = 2
    needs = INPUTS

    def infer(self, *xs: Any) -> tuple[Aval, Aval]:
        y = Aval(matrix_shape(xs[0], "slogdet", square=True)[:-2], xs[0].dtype)
        return y, y

    def forward(self, *xs: Any) -> Any:
        self.infer(*xs)
        sign, log = lapack(np.linalg.slogdet, xs[0])
        return sign, log

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        if ct[1] is None:
            return (np.zeros(xs[0].shape, xs[0].dtype),)
        return (with_axes(ct[1]) * turned(systems.inv(xs[0])),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in _SHAPES:
            yield Sample(cls(), (regular(shape, low=0.6),))


_DET, _COFACTORS, _SLOGDET = Det(), Cofactors(), SlogDet()


class SignAndLog(NamedTuple):
    """Sign of a determinant, and the logarithm of its absolute value."""

    sign: Any
    logabsdet: Any


def det(A: Any) -> Any:
    """The determinant of square matrices;  Ā = ȳ cof A, finite also where A is singular.

    >>> det(tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(-2.)
    """
    return apply(_DET, A)


def slogdet(A: Any) -> SignAndLog:
    """The sign of det A and log |det A|, which does not overflow.  Ā = ȳ A⁻ᵀ for the logarithm.

    A singular matrix has sign 0 and logarithm -inf, and no derivative: backward raises
    ArgumentError.
    """
    return SignAndLog(*apply(_SLOGDET, A))


def logdet(A: Any) -> Any:
    """log det A; NaN for a negative determinant.

    >>> logdet(tensor([[2.0, 0.0], [0.0, 2.0]]))
    tensor(1.3863)
    """
    sign, log = slogdet(A)
    return selection.where(comparison.lt(sign, 0), log.dtype.type(math.nan), log)
