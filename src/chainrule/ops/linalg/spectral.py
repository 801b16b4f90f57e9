"""Eigenvalues of symmetric matrices, and singular values, with what is made of them.

The derivatives of eigenvectors and singular vectors divide by differences of eigenvalues: they are
infinite where two are equal, unless nothing depends on which vectors were chosen there. Values
alone have no such trouble.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.apply import apply
from ...core.aval import Aval, Data
from ...core.families import Constant
from ...core.op import OUTPUT, Active, Cotangents, Op
from ...core.sampling import Sample, definite, floats, regular
from ...errors import ArgumentError
from .. import arranging, movement, reduce, slicing
from .matrices import (
    embedded,
    identity_like,
    lapack,
    left_turned,
    matrix_shape,
    product,
    right_turned,
    scaled_columns,
    scaled_rows,
    symmetric,
    turned,
)


class TriangleAboveMean(Constant):
    """What a triangle of A, mirrored, has more than (A + Aᵀ)/2; nothing where A is symmetric."""

    batching = ()
    below: bool

    def infer(self, *xs: Any) -> Aval:
        return Aval(matrix_shape(xs[0], "eigh", square=True), xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        half = (xs[0] - xs[0].swapaxes(-1, -2)) / 2
        kept = np.tril(half) if self.below else np.triu(half)
        return kept + kept.swapaxes(-1, -2)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in ((3, 3), (2, 2, 2), (0, 0), (1, 1)):
            yield Sample(cls(below=True), floats(shape))
            yield Sample(cls(below=False), floats(shape))


class SymmetricEigen(Op, name="eigh"):
    """w ascending and V with (A + Aᵀ)/2 = V diag(w) Vᵀ.

    Ā = V (diag(w̄) + F ∘ Vᵀ V̄) Vᵀ, its symmetric part, with F_ij = 1/(w_j - w_i) for i ≠ j, else 0
    (Giles 2008, section 3.1).
    """

    batching = ()
    n_out = 2
    needs = OUTPUT

    def infer(self, *xs: Any) -> tuple[Aval, Aval]:
        shape = matrix_shape(xs[0], "eigh", square=True)
        return Aval(shape[:-1], xs[0].dtype), Aval(shape, xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        self.infer(*xs)
        w, v = lapack(np.linalg.eigh, (xs[0] + xs[0].swapaxes(-1, -2)) / 2)
        return w, v

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        w, v = y
        inner = None if ct[0] is None else embedded(ct[0])
        if ct[1] is not None:
            mixed = left_turned(v, ct[1]) * _inverse_gaps(w)
            inner = mixed if inner is None else inner + mixed
        if inner is None:
            return (np.zeros(v.shape, v.dtype),)
        return (symmetric(right_turned(product(v, inner), v)),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in (
            (1, 1), (2, 2), (3, 3), (4, 4), (0, 0), (2, 1, 1), (2, 2, 2), (1, 3, 3), (2, 3, 3),
            (0, 2, 2), (2, 1, 2, 2), (1, 1, 1, 1),
        ):  # fmt: skip
            yield Sample(cls(), (definite(shape),))


def _inverse_gaps(w: Data) -> Data:
    """1 / (w_j - w_i), and 0 for i = j."""
    eye = identity_like(w.shape[-1], w)
    gaps = movement.unsqueeze(w, -2) - movement.unsqueeze(w, -1)
    return (1 - eye) / (gaps + eye)


class SingularValues(Op, name="svd"):
    """U (m, k), s descending (k), Vᵀ (k, n) with A = U diag(s) Vᵀ and k = min(m, n).

    Ā = U (S J + K S + diag s̄) Vᵀ + (I - U Uᵀ) Ū S⁻¹ Vᵀ + U S⁻¹ V̄ᵀ (I - V Vᵀ), where K and J are
    Uᵀ Ū and Vᵀ V̄ less their transposes, over s_j² - s_i² (Townsend 2016, "Differentiating the
    singular value decomposition").
    """

    batching = ()
    n_out = 3
    needs = OUTPUT

    def infer(self, *xs: Any) -> tuple[Aval, Aval, Aval]:
        *lead, m, n = matrix_shape(xs[0], "svd")
        k, dtype = min(m, n), xs[0].dtype
        return Aval((*lead, m, k), dtype), Aval((*lead, k), dtype), Aval((*lead, k, n), dtype)

    def forward(self, *xs: Any) -> Any:
        avals = self.infer(*xs)
        if 0 in xs[0].shape:
            return tuple([np.zeros(a.shape, a.dtype) for a in avals])
        u, s, vt = lapack(np.linalg.svd, xs[0], full_matrices=False)
        return u, s, vt

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        u, s, vt = y
        du, ds, dvt = ct
        m, n, k = u.shape[-2], vt.shape[-1], s.shape[-1]
        total: Data = None
        if ds is not None:
            total = product(scaled_columns(u, ds), vt)
        if du is not None:
            inner = scaled_columns(_skew(left_turned(u, du), s), s)
            part = product(u, inner)
            if m > k:
                part = part + scaled_columns(du - product(u, left_turned(u, du)), 1.0 / s)
            total = _added(total, product(part, vt))
        if dvt is not None:
            inner = scaled_rows(_skew(right_turned(vt, dvt), s), s)
            part = product(inner, vt)
            if n > k:
                part = part + scaled_rows(dvt - product(right_turned(dvt, vt), vt), 1.0 / s)
            total = _added(total, product(u, part))
        return (np.zeros((*u.shape[:-1], n), u.dtype) if total is None else total,)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in (
            (1, 1), (2, 2), (3, 3), (3, 2), (2, 4), (4, 3), (1, 3), (3, 1), (0, 2), (2, 3, 2),
            (2, 2, 3), (2, 1, 2, 2), (0, 2, 2),
        ):  # fmt: skip
            yield Sample(cls(), (regular(shape),))


def _skew(x: Data, s: Data) -> Data:
    """(x - xᵀ)_ij / (s_j² - s_i²), and 0 for i = j."""
    eye = identity_like(s.shape[-1], s)
    square = s * s
    gaps = movement.unsqueeze(square, -2) - movement.unsqueeze(square, -1) + eye
    return (x - turned(x)) / gaps


def _added(total: Data, part: Data) -> Data:
    return part if total is None else total + part


class Complement(Constant):
    """For Q (m, k) with orthonormal columns, m - k further ones that make the basis whole."""

    batching = ()

    def infer(self, *xs: Any) -> Aval:
        *lead, m, k = matrix_shape(xs[0], "complement")
        return Aval((*lead, m, m - k), xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        y = self.infer(*xs)
        if 0 in xs[0].shape:
            return np.broadcast_to(np.eye(*y.shape[-2:], dtype=y.dtype), y.shape).copy()
        return lapack(np.linalg.qr, xs[0], mode="complete")[0][..., xs[0].shape[-1] :]

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in [(1, 1), (2, 1), (3, 2), (4, 1), (2, 3, 1), (3, 0)]:
            yield Sample(cls(), (regular(shape),))


LOWER, UPPER = TriangleAboveMean(below=True), TriangleAboveMean(below=False)
EIGH, SVD, COMPLEMENT = SymmetricEigen(), SingularValues(), Complement()


# Functions ----------------------------------------------------------------------------------------


class Eigen(NamedTuple):
    """Eigenvalues in ascending order, and the eigenvectors as columns."""

    eigenvalues: Any
    eigenvectors: Any


def from_triangle(A: Any, UPLO: str = "L") -> Any:
    """The symmetric matrices that one triangle of A names, with the gradient of (A + Aᵀ)/2.

    So A and its gradient are symmetric together; both triangles are where A is symmetric.
    """
    if UPLO not in ("L", "U", "l", "u"):
        raise ArgumentError("UPLO names a triangle", expected="'L' or 'U'", got=repr(UPLO))
    matrix_shape(A, "eigh", square=True)
    return symmetric(A) + apply(LOWER if UPLO in ("L", "l") else UPPER, A)


def eigh(A: Any, UPLO: str = "L") -> Eigen:
    """Eigenvalues and eigenvectors of symmetric matrices: A = V diag(w) Vᵀ, w ascending.

    Only the triangle that `UPLO` names is read; the gradient is symmetric, as for (A + Aᵀ)/2. Each
    eigenvector may have either sign. Derivatives through eigenvectors are infinite where two
    eigenvalues are equal.

    >>> eigh(tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
    tensor([1., 2.])
    """
    return Eigen(*apply(EIGH, from_triangle(A, UPLO)))


def eigvalsh(A: Any, UPLO: str = "L") -> Any:
    """Eigenvalues of symmetric matrices in ascending order;  Ā = V diag(w̄) Vᵀ."""
    return apply(EIGH, from_triangle(A, UPLO))[0]


class Svd(NamedTuple):
    """Singular value decomposition U diag(S) Vh."""

    U: Any
    S: Any
    Vh: Any


def svd(A: Any, full_matrices: bool = True, *, driver: str | None = None) -> Svd:
    """A = U diag(S) Vh, S descending. With `full_matrices` U and Vh are square.

    The vectors that only make them square carry no gradient. Each pair of vectors may have either
    sign. Derivatives through vectors are infinite where two singular values are equal or, for
    matrices that are not square, one is zero. `driver` has no effect.

    >>> svd(tensor([[3.0, 0.0], [0.0, 4.0]])).S
    tensor([4., 3.])
    """
    u, s, vt = apply(SVD, A)
    if full_matrices:
        if u.shape[-2] > u.shape[-1]:
            u = arranging.cat((u, apply(COMPLEMENT, u)), -1)
        if vt.shape[-1] > vt.shape[-2]:
            vt = arranging.cat((vt, turned(apply(COMPLEMENT, turned(vt)))), -2)
    return Svd(u, s, vt)


def svdvals(A: Any, *, driver: str | None = None) -> Any:
    """Singular values in descending order;  Ā = U diag(s̄) Vᵀ."""
    return apply(SVD, A)[1]


class OlderSvd(NamedTuple):
    """Singular value decomposition U diag(S) Vᵀ."""

    U: Any
    S: Any
    V: Any


def older_svd(input: Any, some: bool = True, compute_uv: bool = True) -> OlderSvd:
    """``svd`` with PyTorch's older signature: V itself, reduced unless `some` is False.

    Without `compute_uv` U and V are zeros.
    """
    u, s, vt = svd(input, full_matrices=not some)
    if not compute_uv:
        *lead, m, n = matrix_shape(input, "svd")
        u, vt = np.zeros((*lead, m, m), s.dtype), np.zeros((*lead, n, n), s.dtype)
        return OlderSvd(s.result_class.wrap(u), s, s.result_class.wrap(vt))
    return OlderSvd(u, s, turned(vt))


def matrix_rank(
    A: Any, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Any:
    """How many singular values are above max(atol, rtol · the greatest); int64, no gradient.

    Without either, rtol is the machine epsilon times the greater size.
    """
    shape = matrix_shape(A, "matrix_rank")
    s = apply(EIGH, A)[0] if hermitian else apply(SVD, A)[1]
    s = abs(s)
    if tol is not None:
        atol, rtol = tol, 0.0
    if rtol is None:
        rtol = np.finfo(A.dtype).eps * max(shape[-2:]) if atol is None else 0.0
    if s.shape[-1] == 0:
        return reduce.sum(movement.cast(s, np.int64), -1)
    cut = reduce.amax(s, -1) * rtol
    if atol is not None:
        cut = (cut + atol + abs(cut - atol)) * 0.5
    return reduce.sum(movement.cast(s > movement.unsqueeze(cut, -1), np.int64), -1)


def padded_rows(x: Any, rows: int) -> Any:
    """x with rows of zeros below, `rows` in all."""
    widths = [(0, 0)] * len(x.shape)
    widths[-2] = (0, rows - x.shape[-2])
    return slicing.pad(x, widths)
