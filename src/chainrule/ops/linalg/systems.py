"""Linear systems: solve, inverse, triangular systems and those with more than two axes.

A X = B has B̄ = A⁻ᵀ X̄ and Ā = -B̄ Xᵀ (Giles 2008, "Collected matrix derivative results", section
2.2.3), again a system, so derivatives of any order follow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.apply import apply
from ...core.aval import Aval, Data, broadcast_shapes, describe, shape_of
from ...core.families import Constant
from ...core.op import Active, Cotangents, Needs, Op
from ...core.sampling import Sample, floats, regular
from ...errors import ArgumentError, ShapeError
from .. import diagonals, movement, selection
from .matrices import identity_like, lapack, matrix_shape, right_turned, turned


class Solve(Op):
    """X with A X = B, for a batch of square matrices A;  B̄ = A⁻ᵀ X̄,  Ā = -B̄ Xᵀ."""

    needs = Needs(inputs=(0,), output=True)

    def infer(self, *xs: Any) -> Aval:
        a, b = matrix_shape(xs[0], "solve", square=True), matrix_shape(xs[1], "solve")
        if a[-1] != b[-2]:
            raise ShapeError(
                "solve needs a row on the right for each equation",
                expected=f"(…, {a[-1]}, k)",
                got=describe(xs[1]),
            )
        lead = broadcast_shapes(a[:-2], b[:-2])
        return Aval((*lead, *b[-2:]), np.promote_types(xs[0].dtype, xs[1].dtype))

    def forward(self, *xs: Any) -> Any:
        y = self.infer(*xs)
        a, b = xs
        if 0 in y.shape:
            return np.zeros(y.shape, y.dtype)
        b = b.reshape((1,) * (a.ndim - b.ndim) + b.shape)
        return lapack(np.linalg.solve, a, b).astype(y.dtype, copy=False)

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        given = apply(self, turned(xs[0]), ct)
        return (None if active[0] is None else -right_turned(given, y), given)

    def batch(self, size: int, batched: Sequence[bool], *xs: Data) -> Data:
        rank = max(x.ndim - is_one for x, is_one in zip(xs, batched, strict=True))
        operands = [  # axes of size one behind that of the batch align the others
            movement.reshape(x, (size, *(1,) * (rank + 1 - x.ndim), *x.shape[1:])) if is_one else x
            for x, is_one in zip(xs, batched, strict=True)
        ]
        return apply(self, *operands)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for a, b in (
            ((1, 1), (1, 1)), ((1, 1), (1, 3)), ((2, 2), (2, 1)), ((2, 2), (2, 2)),
            ((3, 3), (3, 2)), ((4, 4), (4, 1)), ((0, 0), (0, 2)), ((3, 3), (3, 0)),
            ((2, 3, 3), (2, 3, 1)), ((2, 2, 2), (2, 3)), ((2, 2), (3, 2, 1)),
            ((2, 1, 2, 2), (3, 2, 2)), ((0, 2, 2), (0, 2, 1)),
        ):  # fmt: skip
            yield Sample(cls(), (regular(a), *floats(b)))


SOLVE = Solve()


class Singular(Constant):
    """1 + the column of the first pivot that is exactly zero in each matrix, else 0; int32."""

    batching = ()

    def infer(self, *xs: Any) -> Aval:
        return Aval(matrix_shape(xs[0], "solve", square=True)[:-2], np.dtype(np.int32))

    def forward(self, *xs: Any) -> Any:
        packed = eliminated(xs[0])[0]
        zero = np.diagonal(packed, axis1=-2, axis2=-1) == 0
        if not zero.shape[-1]:
            return np.zeros(zero.shape[:-1], np.int32)
        return np.where(zero.any(-1), zero.argmax(-1) + 1, 0).astype(np.int32)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in [(1, 1), (2, 2), (3, 3), (0, 0), (2, 3, 3), (2, 1, 2, 2)]:
            yield Sample(cls(), (regular(shape),))


def eliminated(a: Any, *, pivot: bool = True) -> tuple[Any, Any]:
    """Gaussian elimination of a batch of arrays: L and U in one, and for each step its pivot row.

    With `pivot` each step takes the row with the largest element (Golub and Van Loan, "Matrix
    Computations", algorithm 3.4.1).
    """
    a = np.array(a)
    *lead, m, n = a.shape
    steps = min(m, n)
    rows = np.broadcast_to(np.arange(steps), (*lead, steps)).astype(np.int64)
    for j in range(steps):
        if pivot:
            best = np.abs(a[..., j:, j]).argmax(-1) + j
            rows[..., j] = best
            where = best[..., None, None]
            chosen = np.take_along_axis(a, where, -2)
            np.put_along_axis(a, where, a[..., j : j + 1, :].copy(), -2)
            a[..., j : j + 1, :] = chosen
        head = a[..., j : j + 1, j : j + 1]
        factors = np.divide(
            a[..., j + 1 :, j : j + 1],
            head,
            where=head != 0,
            out=np.zeros_like(a[..., j + 1 :, :1]),
        )
        a[..., j + 1 :, j : j + 1] = factors
        a[..., j + 1 :, j + 1 :] -= factors * a[..., j : j + 1, j + 1 :]
    return a, rows


# Functions ----------------------------------------------------------------------------------------


def _has_vectors(a: Any, b: Any) -> bool:
    """Whether `b` is a batch of vectors: as PyTorch reads it, by its shape."""
    left, right = shape_of(a), shape_of(b)
    return len(right) == 1 or (len(left) - 1 == len(right) and right == left[:-1])


def solve(A: Any, B: Any, *, left: bool = True) -> Any:
    """X with A X = B or, unless `left`, X A = B; batches broadcast, and B may be vectors.

    B̄ = A⁻ᵀ X̄ and Ā = -B̄ Xᵀ. Raises ArgumentError for a singular matrix, ShapeError for shapes
    that do not fit.

    >>> solve(tensor([[2.0, 0.0], [0.0, 4.0]]), tensor([2.0, 2.0]))
    tensor([1.0000, 0.5000])
    """
    matrix_shape(A, "solve", square=True)
    if _has_vectors(A, B):
        if not left:
            raise ArgumentError("X A = B needs matrices B", got=describe(B))
        return movement.squeeze(apply(SOLVE, A, movement.unsqueeze(B, -1)), -1)
    if left:
        return apply(SOLVE, A, B)
    return turned(apply(SOLVE, turned(A), turned(B)))


class SolveEx(NamedTuple):
    """A solution, and 0 or the number of the pivot that is zero."""

    result: Any
    info: Any


def solve_ex(A: Any, B: Any, *, left: bool = True, check_errors: bool = False) -> SolveEx:
    """``solve`` that reports singular matrices, whose solutions are NaN, in `info`."""
    info: Any = apply(_SINGULAR, A)
    if check_errors:
        return SolveEx(solve(A, B, left=left), info)
    solved = solve(_regular(A, info), B, left=left)
    bad = movement.reshape(info, (*info.shape, *(1,) * (len(solved.shape) - len(info.shape))))
    return SolveEx(selection.where(bad != 0, solved.dtype.type(np.nan), solved), info)


def _regular(A: Any, info: Any) -> Any:
    """A with the identity in place of singular matrices."""
    bad = movement.reshape(info, (*info.shape, 1, 1))
    return selection.where(bad != 0, identity_like(shape_of(A)[-1], A), A)


_SINGULAR = Singular()


def inv(A: Any) -> Any:
    """A⁻¹ of square matrices;  Ā = -A⁻ᵀ Ȳ A⁻ᵀ. Raises ArgumentError for a singular matrix.

    >>> inv(tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    n = matrix_shape(A, "inv", square=True)[-1]
    return apply(SOLVE, A, identity_like(n, A))


inverse = inv


class InvEx(NamedTuple):
    """An inverse, and 0 or the number of the pivot that is zero."""

    inverse: Any
    info: Any


def inv_ex(A: Any, *, check_errors: bool = False) -> InvEx:
    """``inv`` that reports singular matrices, whose inverses are NaN, in `info`."""
    info: Any = apply(_SINGULAR, A)
    if check_errors:
        return InvEx(inv(A), info)
    bad = movement.reshape(info, (*info.shape, 1, 1))
    found = inv(_regular(A, info))
    return InvEx(selection.where(bad != 0, found.dtype.type(np.nan), found), info)


def solve_triangular(
    A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Any:
    """X with A X = B, or X A = B, for the upper or lower triangle of A; the rest is not looked at.

    With `unitriangular` the diagonal is taken for ones. Raises ArgumentError for a zero on it.
    """
    n = matrix_shape(A, "solve_triangular", square=True)[-1]
    skipped = int(unitriangular)
    kept = diagonals.triu(A, skipped) if upper else diagonals.tril(A, -skipped)
    if unitriangular:
        kept = kept + identity_like(n, A)
    if left:
        return apply(SOLVE, kept, B)
    return turned(apply(SOLVE, turned(kept), turned(B)))


class TriangularSolve(NamedTuple):
    """A solution, and the matrix that it is one for."""

    solution: Any
    cloned_coefficient: Any


def triangular_solve(
    b: Any, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> TriangularSolve:
    """``solve_triangular`` with PyTorch's older signature: A X = b, or Aᵀ X = b."""
    matrix, turned_upper = (turned(A), not upper) if transpose else (A, upper)
    solution = solve_triangular(matrix, b, upper=turned_upper, unitriangular=unitriangular)
    return TriangularSolve(solution, movement.identity(A))


def tensorinv(A: Any, ind: int = 2) -> Any:
    """The inverse under ``tensordot(·, ·, ind)``: of the matrix that the first `ind` axes index.

    Raises ShapeError unless the first and the other axes have as many elements.
    """
    shape = shape_of(A)
    if ind < 1:
        raise ArgumentError("tensorinv needs one axis or more", got=f"ind={ind}")
    n, m = math.prod(shape[:ind]), math.prod(shape[ind:])
    if n != m:
        raise ShapeError("tensorinv needs as many rows as columns", got=f"{shape}, ind={ind}")
    return movement.reshape(inv(movement.reshape(A, (n, n))), (*shape[ind:], *shape[:ind]))


def tensorsolve(A: Any, B: Any, dims: Sequence[int] | None = None) -> Any:
    """X with ``tensordot(A, X, X.ndim) = B``; axes `dims` of A are moved to its end first.

    Raises ShapeError unless A is square over the axes of B and the others.
    """
    if dims is not None:
        A = movement.movedim(A, tuple(dims), tuple(range(-len(dims), 0)))
    rank = len(shape_of(B))
    rest = shape_of(A)[rank:]
    n = math.prod(rest)
    if n != math.prod(shape_of(B)) or n != math.prod(shape_of(A)[:rank]):
        raise ShapeError(
            "tensorsolve needs as many equations as unknowns",
            got=f"A of {shape_of(A)}, B of {shape_of(B)}",
        )
    flat = solve(movement.reshape(A, (n, n)), movement.reshape(B, (n,)))
    return movement.reshape(flat, rest)
