"""Functions of a matrix: powers, the exponential, the pseudoinverse and least squares."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.apply import apply
from ...core.aval import Aval, Data, describe, shape_of
from ...core.op import BOTH, INPUTS, Active, Cotangents, Op
from ...core.sampling import Sample, floats, regular
from ...errors import ArgumentError
from .. import arranging, keys, movement, reduce
from . import spectral, systems
from .matrices import (
    identity_like,
    lapack,
    matrix_shape,
    product,
    right_turned,
    turned,
)

# Powers -------------------------------------------------------------------------------------------


def matrix_power(A: Any, n: int) -> Any:
    """Aⁿ of square matrices, by repeated squaring; a negative n takes the inverse.

    >>> matrix_power(tensor([[1.0, 1.0], [0.0, 1.0]]), 3)
    tensor([[1., 3.],
            [0., 1.]])
    """
    size = matrix_shape(A, "matrix_power", square=True)[-1]
    power = operator.index(n)
    base = systems.inv(A) if power < 0 else A
    power = abs(power)
    if power == 0:
        return A * 0 + identity_like(size, A)
    result: Any = None
    while power:
        if power & 1:
            result = base if result is None else product(result, base)
        power >>= 1
        if power:
            base = product(base, base)
    return movement.identity(result) if result is A else result


class MatrixExp(Op):
    """Y = exp A = Σ Aᵏ / k!;  Ā is the upper right block of exp [[Aᵀ, Ȳ], [0, Aᵀ]].

    Scaling and squaring with a Padé approximant of order 13 (Higham 2005, "The scaling and squaring
    method for the matrix exponential revisited"; the derivative: Najfeld and Havel 1995).
    """

    batching = ()
    needs = INPUTS

    def infer(self, *xs: Any) -> Aval:
        return Aval(matrix_shape(xs[0], "matrix_exp", square=True), xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        self.infer(x)
        if 0 in x.shape:
            return np.zeros_like(x)
        a = x.astype(np.float64)
        size = np.abs(a).sum(-2).max(-1)[..., None, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            halvings = np.maximum(np.ceil(np.log2(size / _LARGEST)), 0)
        halvings = np.where(np.isfinite(halvings), halvings, 0)
        a = a / 2.0**halvings
        eye = np.eye(a.shape[-1])
        a2 = a @ a
        a4, c = a2 @ a2, _PADE
        a6 = a2 @ a4
        odd = a6 @ (c[13] * a6 + c[11] * a4 + c[9] * a2) + c[7] * a6 + c[5] * a4 + c[3] * a2
        odd = a @ (odd + c[1] * eye)
        even = a6 @ (c[12] * a6 + c[10] * a4 + c[8] * a2) + c[6] * a6 + c[4] * a4 + c[2] * a2
        even = even + c[0] * eye
        y = lapack(np.linalg.solve, even - odd, even + odd)
        for step in range(int(halvings.max())):
            y = np.where(step < halvings, y @ y, y)
        return y.astype(x.dtype, copy=False)

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        n = xs[0].shape[-1]
        a = turned(xs[0])
        top = arranging.cat((a, ct), -1)
        bottom = arranging.cat((np.zeros(a.shape, a.dtype), a), -1)
        return (apply(self, arranging.cat((top, bottom), -2))[..., :n, n:],)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in (
            (1, 1), (2, 2), (3, 3), (4, 4), (0, 0), (2, 1, 1), (2, 2, 2), (1, 3, 3), (2, 3, 3),
            (0, 2, 2), (2, 1, 2, 2),
        ):  # fmt: skip
            yield Sample(cls(), floats(shape))
        yield Sample(cls(), floats((2, 2), low=-9.0, high=9.0))


_PADE = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0,
    129060195264000.0, 10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0,
    960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip
_LARGEST = 5.371920351148152
"""Up to this 1-norm the approximant is exact to double precision (Higham 2005, table 2.3)."""
_EXP = MatrixExp()


def matrix_exp(A: Any) -> Any:
    """exp A = Σ Aᵏ / k! of square matrices.

    >>> matrix_exp(tensor([[0.0, 1.0], [0.0, 0.0]]))
    tensor([[1., 1.],
            [0., 1.]])
    """
    return apply(_EXP, A)


# Pseudoinverse ------------------------------------------------------------------------------------


class Pinv(Op):
    """A⁺ (Moore and Penrose): singular values up to max(atol, rtol · the greatest) count as zero.

    dA⁺ = -A⁺ dA A⁺ + A⁺ A⁺ᵀ dAᵀ (I - A A⁺) + (I - A⁺ A) dAᵀ A⁺ᵀ A⁺ as long as the rank stays
    (Golub and Pereyra 1973, equation 4.12).
    """

    batching = ()
    needs = BOTH
    atol: float
    rtol: float

    def infer(self, *xs: Any) -> Aval:
        *lead, m, n = matrix_shape(xs[0], "pinv")
        return Aval((*lead, n, m), xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        y = self.infer(*xs)
        if 0 in y.shape:
            return np.zeros(y.shape, y.dtype)
        u, s, vt = lapack(np.linalg.svd, xs[0], full_matrices=False)
        kept = s > np.maximum(self.atol, self.rtol * s.max(-1, keepdims=True))
        inverse = np.divide(1, s, where=kept, out=np.zeros_like(s))
        p = (vt.swapaxes(-1, -2) * inverse[..., None, :]) @ u.swapaxes(-1, -2)
        return p.astype(y.dtype, copy=False)

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        a, pt, ctt = xs[0], turned(y), turned(ct)
        first = product(pt, right_turned(ct, y))
        left = product(ctt, product(y, pt))
        right = product(product(pt, y), ctt)
        rest = left - product(a, product(y, left)) + right - product(product(right, y), a)
        return (rest - first,)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in (
            (1, 1), (2, 2), (3, 3), (3, 2), (2, 4), (1, 3), (3, 1), (0, 2), (2, 3, 2), (2, 2, 3),
            (2, 1, 2, 2), (0, 2, 2),
        ):  # fmt: skip
            yield Sample(cls(0.0, 1e-14), (regular(shape),))


def _tolerance(value: Any) -> float:
    return value if isinstance(value, (int, float)) else float(keys.numbers(value).max())


def pinv(
    A: Any, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Any:
    """The pseudoinverse A⁺ of matrices of any shape, (…, m, n) giving (…, n, m).

    Singular values up to max(atol, rtol · the greatest) count as zero; without either, rtol is the
    machine epsilon times the greater size. The derivative holds as long as the rank stays.

    >>> pinv(tensor([[2.0], [0.0]]))
    tensor([[0.5000, 0.0000]])
    """
    *_, m, n = matrix_shape(A, "pinv", square=hermitian)
    relative = rtol if rcond is None else rcond
    if relative is None:
        relative = float(np.finfo(A.dtype).eps) * max(m, n) if atol is None else 0.0
    absolute = 0.0 if atol is None else _tolerance(atol)
    return apply(
        Pinv(float(absolute), float(_tolerance(relative))),
        spectral.from_triangle(A) if hermitian else A,
    )


def pinverse(input: Any, rcond: float = 1e-15) -> Any:
    """``pinv`` with PyTorch's older signature."""
    return pinv(input, rcond)


class LeastSquares(NamedTuple):
    """A solution with its squared residuals, and rank and singular values of the matrix."""

    solution: Any
    residuals: Any
    rank: Any
    singular_values: Any


def lstsq(A: Any, B: Any, rcond: float | None = None, *, driver: str | None = None) -> LeastSquares:
    """X with the least ‖A X - B‖, and of those the least ‖X‖:  X = A⁺ B.

    `residuals` are the squared norms of the columns of A X - B if there are more equations than
    unknowns and the rank is full, else empty; so is what `driver` does not find. Raises
    ArgumentError for an unknown driver.

    >>> lstsq(tensor([[2.0], [0.0]]), tensor([[4.0], [3.0]])).solution
    tensor([[2.]])
    """
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise ArgumentError(
            "no such driver", expected="gels, gelsy, gelsd, gelss", got=repr(driver)
        )
    *_, m, n = matrix_shape(A, "lstsq")
    vectors = len(shape_of(B)) == len(shape_of(A)) - 1
    right = movement.unsqueeze(B, -1) if vectors else B
    if shape_of(right)[-2] != m:
        raise ArgumentError("lstsq needs a row of B for each equation", got=describe(B))
    relative = float(np.finfo(A.dtype).eps) * max(m, n) if rcond is None else rcond
    x = product(pinv(A, relative), right)
    rank = spectral.matrix_rank(A, rtol=relative)
    empty = x[..., :0, :0].reshape(0)
    full = keys.is_concrete(rank) and bool((keys.numbers(rank) == n).all())
    error = product(A, x) - right
    residuals = reduce.sum(error * error, -2) if m > n and full and driver != "gelsy" else empty
    values = spectral.svdvals(A) if driver in ("gelsd", "gelss") else empty
    found = movement.cast(empty, np.int64) if driver == "gels" else rank
    return LeastSquares(movement.squeeze(x, -1) if vectors else x, residuals, found, values)
