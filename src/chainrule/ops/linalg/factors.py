"""Cholesky and QR factors, and systems solved with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.apply import apply
from ...core.aval import Aval, Data, shape_of
from ...core.families import Constant
from ...core.op import OUTPUT, Active, Cotangents, Op
from ...core.sampling import Sample, definite, regular
from ...errors import ArgumentError
from .. import arranging, diagonals, movement, selection
from . import systems
from .matrices import (
    filled,
    identity_like,
    lapack,
    left_turned,
    matrix_shape,
    product,
    right_turned,
    symmetric,
    turned,
)
from .spectral import COMPLEMENT, from_triangle, padded_rows
from .systems import SOLVE, solve_triangular

# Cholesky -----------------------------------------------------------------------------------------


class Cholesky(Op):
    """Lower L with (A + Aᵀ)/2 = L Lᵀ.

    Ā = L⁻ᵀ P L⁻¹, its symmetric part, where P is the lower triangle of Lᵀ L̄ with half its diagonal
    (Murray 2016, "Differentiation of the Cholesky decomposition", equation 8).
    """

    batching = ()
    needs = OUTPUT

    def infer(self, *xs: Any) -> Aval:
        return Aval(matrix_shape(xs[0], "cholesky", square=True), xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        self.infer(*xs)
        return lapack(np.linalg.cholesky, (xs[0] + xs[0].swapaxes(-1, -2)) / 2)

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        halves = np.tril(np.ones(y.shape[-2:], y.dtype)) - 0.5 * identity_like(y.shape[-1], y)
        inner = symmetric(left_turned(y, diagonals.tril(ct)) * halves)
        transposed = turned(y)
        half = apply(SOLVE, transposed, inner)
        return (turned(apply(SOLVE, transposed, turned(half))),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in SQUARE:
            yield Sample(cls(), (definite(shape),))


class Indefinite(Constant):
    """The order of the first leading minor that is not positive in each matrix, or 0; int32."""

    batching = ()

    def infer(self, *xs: Any) -> Aval:
        return Aval(matrix_shape(xs[0], "cholesky", square=True)[:-2], np.dtype(np.int32))

    def forward(self, *xs: Any) -> Any:
        y = self.infer(*xs)
        packed = systems.eliminated((xs[0] + xs[0].swapaxes(-1, -2)) / 2, pivot=False)[0]
        bad = ~(np.diagonal(packed, axis1=-2, axis2=-1) > 0)
        if not bad.shape[-1]:
            return np.zeros(y.shape, np.int32)
        return np.where(bad.any(-1), bad.argmax(-1) + 1, 0).astype(np.int32)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in SQUARE[:8]:
            yield Sample(cls(), (regular(shape),))


SQUARE = (
    (1, 1), (2, 2), (3, 3), (4, 4), (0, 0), (2, 1, 1), (2, 2, 2), (1, 3, 3), (2, 3, 3),
    (0, 2, 2), (2, 1, 2, 2), (1, 1, 1, 1),
)  # fmt: skip
_CHOLESKY, _INDEFINITE = Cholesky(), Indefinite()


def cholesky(A: Any, *, upper: bool = False) -> Any:
    """L with A = L Lᵀ of symmetric positive definite matrices; with `upper`, U = Lᵀ.

    Only the lower triangle, with `upper` the upper one, is read; the gradient is symmetric, as for
    (A + Aᵀ)/2. Raises ArgumentError for a matrix that is not positive definite.

    >>> cholesky(tensor([[4.0, 2.0], [2.0, 2.0]]))
    tensor([[2., 0.],
            [1., 1.]])
    """
    factor = apply(_CHOLESKY, from_triangle(A, "U" if upper else "L"))
    return turned(factor) if upper else factor


class CholeskyEx(NamedTuple):
    """A Cholesky factor, and 0 or the order of the first leading minor that is not positive."""

    L: Any
    info: Any


def cholesky_ex(A: Any, *, upper: bool = False, check_errors: bool = False) -> CholeskyEx:
    """``cholesky`` that reports matrices that are not positive definite; their factor is NaN."""
    info: Any = apply(_INDEFINITE, from_triangle(A, "U" if upper else "L"))
    if check_errors:
        return CholeskyEx(cholesky(A, upper=upper), info)
    bad = movement.reshape(info, (*info.shape, 1, 1)) != 0
    safe = selection.where(bad, identity_like(shape_of(A)[-1], A), A)
    factor = cholesky(safe, upper=upper)
    return CholeskyEx(selection.where(bad, factor.dtype.type(np.nan), factor), info)


def older_cholesky(input: Any, upper: bool = False) -> Any:
    """``cholesky`` with PyTorch's older signature."""
    return cholesky(input, upper=upper)


def cholesky_solve(B: Any, L: Any, upper: bool = False) -> Any:
    """X with A X = B for A = L Lᵀ; with `upper`, for A = Lᵀ L."""
    if upper:
        half = solve_triangular(turned(L), B, upper=False)
        return solve_triangular(L, half, upper=True)
    half = solve_triangular(L, B, upper=False)
    return solve_triangular(turned(L), half, upper=True)


def cholesky_inverse(L: Any, upper: bool = False) -> Any:
    """A⁻¹ for A = L Lᵀ; with `upper`, for A = Lᵀ L."""
    n = matrix_shape(L, "cholesky_inverse", square=True)[-1]
    return cholesky_solve(identity_like(n, L), L, upper)


# QR -----------------------------------------------------------------------------------------------


class OrthogonalFactor(Op, name="qr"):
    """Q (m, n) with orthonormal columns and upper R (n, n) with A = Q R, for m >= n.

    Ā = (Q̄ + Q S) R⁻ᵀ, where S has the lower triangle of M = R R̄ᵀ - Q̄ᵀ Q on both sides of its
    diagonal (Seeger et al. 2017, "Auto-differentiating linear algebra", section 3.3).
    """

    batching = ()
    n_out = 2
    needs = OUTPUT

    def infer(self, *xs: Any) -> tuple[Aval, Aval]:
        *lead, m, n = matrix_shape(xs[0], "qr")
        k = min(m, n)
        return Aval((*lead, m, k), xs[0].dtype), Aval((*lead, k, n), xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        avals = self.infer(*xs)
        if 0 in xs[0].shape:
            return tuple([np.zeros(a.shape, a.dtype) for a in avals])
        q, r = lapack(np.linalg.qr, xs[0])
        return q, r

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        q, r = y
        dq, dr = filled(ct, y)
        m = right_turned(r, diagonals.triu(dr)) - left_turned(dq, q)
        both = diagonals.tril(m) + turned(diagonals.tril(m, -1))
        return (turned(apply(SOLVE, r, turned(dq + product(q, both)))),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in (
            (1, 1), (2, 2), (3, 3), (3, 1), (4, 2), (3, 2), (2, 0), (0, 0), (2, 2, 2), (2, 3, 2),
            (0, 3, 2), (2, 1, 2, 2),
        ):  # fmt: skip
            yield Sample(cls(), (regular(shape),))


_QR = OrthogonalFactor()


class Qr(NamedTuple):
    """Orthonormal columns Q and an upper triangle R."""

    Q: Any
    R: Any


def qr(A: Any, mode: str = "reduced") -> Qr:
    """A = Q R with orthonormal columns Q and an upper triangle R, of min(m, n) columns and rows.

    With `mode` "complete" Q is square, and its further columns carry no gradient; with "r" only R
    is computed. The diagonal of R may be negative. Raises ArgumentError for another mode, and in
    backward where the first min(m, n) columns are dependent.
    """
    if mode not in ("reduced", "complete", "r"):
        raise ArgumentError("no such mode", expected="reduced, complete or r", got=repr(mode))
    *_, m, n = matrix_shape(A, "qr")
    if m < n:
        q, r = apply(_QR, A[..., :m])
        r = arranging.cat((r, left_turned(q, A[..., m:])), -1)
    else:
        q, r = apply(_QR, A)
        if mode == "complete" and m > n:
            q, r = arranging.cat((q, apply(COMPLEMENT, q)), -1), padded_rows(r, m)
    return Qr(q[..., :0, :0].reshape(0) if mode == "r" else q, r)


def older_qr(input: Any, some: bool = True) -> Qr:
    """``qr`` with PyTorch's older signature: reduced unless `some` is False."""
    return qr(input, "reduced" if some else "complete")


class Reflectors(Constant):
    """Householder's vectors below the diagonal of R, and their coefficients, as LAPACK's geqrf."""

    batching = ()
    n_out = 2

    def infer(self, *xs: Any) -> tuple[Aval, Aval]:
        shape = matrix_shape(xs[0], "geqrf")
        return Aval(shape, xs[0].dtype), Aval((*shape[:-2], min(shape[-2:])), xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        avals = self.infer(*xs)
        if 0 in xs[0].shape:
            return tuple([np.zeros(a.shape, a.dtype) for a in avals])
        h, tau = lapack(np.linalg.qr, xs[0], mode="raw")
        return h.swapaxes(-1, -2), tau

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in [(1, 1), (3, 2), (2, 3), (2, 2, 2), (0, 2), (2, 1, 3, 2)]:
            yield Sample(cls(), (regular(shape),))


class Geqrf(NamedTuple):
    """R with Householder's vectors below its diagonal, and their coefficients."""

    a: Any
    tau: Any


def geqrf(input: Any) -> Geqrf:
    """QR factors as Householder's reflectors, for ``householder_product``; no gradient passes."""
    return Geqrf(*apply(Reflectors(), input))


def _reflector(A: Any, i: int) -> Any:
    """The i-th vector of Householder, (…, m, 1): zeros, a one, then what A has below it."""
    m = shape_of(A)[-2]
    below = (np.arange(m) > i).astype(A.dtype)[:, None]
    return A[..., i : i + 1] * below + (np.arange(m) == i).astype(A.dtype)[:, None]


def _reflected(A: Any, tau: Any, x: Any, order: Sequence[int]) -> Any:
    """x after the reflections I - τ v vᵀ, one after the other."""
    for i in order:
        v = _reflector(A, i)
        x = x - movement.unsqueeze(tau[..., i : i + 1], -1) * product(v, left_turned(v, x))
    return x


def householder_product(A: Any, tau: Any) -> Any:
    """The first n columns of H₁ H₂ … H_k with H_i = I - τ_i v_i v_iᵀ, v_i from below A's diagonal.

    A (…, m, n) with m >= n >= k and tau (…, k). Raises ArgumentError for sizes that do not fit.
    """
    *_, m, n = matrix_shape(A, "householder_product")
    k = shape_of(tau)[-1]
    if not m >= n >= k:
        raise ArgumentError(
            "householder_product needs m >= n >= k", got=f"A {shape_of(A)}, tau {shape_of(tau)}"
        )
    start = np.eye(m, n, dtype=A.dtype)
    if k == 0:
        return A * 0 + start
    return _reflected(A, tau, start, range(k - 1, -1, -1))


orgqr = householder_product


def ormqr(input: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False) -> Any:
    """Q C, or C Q unless `left`, for the square Q of ``householder_product``; or with Qᵀ."""
    k = shape_of(tau)[-1]
    forward = transpose == left
    order = range(k) if forward else range(k - 1, -1, -1)
    if left:
        return _reflected(input, tau, other, order)
    return turned(_reflected(input, tau, turned(other), order))
