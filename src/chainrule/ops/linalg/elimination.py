"""LU factors by Gaussian elimination with row exchanges, and systems solved with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.apply import apply
from ...core.aval import Aval, Data, shape_of
from ...core.families import Constant
from ...core.op import OUTPUT, Active, Cotangents, Op
from ...core.sampling import Sample, definite, ints, regular
from ...errors import ArgumentError
from .. import arranging, diagonals, lookup, movement, selection
from .factors import SQUARE
from .matrices import identity_like, left_turned, matrix_shape, right_turned, turned
from .systems import SOLVE, eliminated, solve_triangular


class Pivots(Constant):
    """The row, counted from 1, that each step of elimination with row exchanges takes; int32."""

    batching = ()

    def infer(self, *xs: Any) -> Aval:
        shape = matrix_shape(xs[0], "lu")
        return Aval((*shape[:-2], min(shape[-2:])), np.dtype(np.int32))

    def forward(self, *xs: Any) -> Any:
        self.infer(*xs)
        return (eliminated(xs[0])[1] + 1).astype(np.int32)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in [(1, 1), (3, 3), (2, 3), (3, 2), (2, 2, 2), (0, 2)]:
            yield Sample(cls(), (regular(shape),))


class Permutation(Constant):
    """Which row of A stands in each of `rows` rows after the exchanges of pivots from 1; int64."""

    batching = ()
    rows: int

    def infer(self, *xs: Any) -> Aval:
        return Aval((*shape_of(xs[0])[:-1], self.rows), np.dtype(np.int64))

    def forward(self, *xs: Any) -> Any:
        pivots = xs[0]
        order = np.broadcast_to(np.arange(self.rows), self.infer(pivots).shape).copy()
        for j in range(pivots.shape[-1]):
            there = (pivots[..., j : j + 1] - 1).astype(np.int64)
            moved = np.take_along_axis(order, there, -1)
            np.put_along_axis(order, there, order[..., j : j + 1].copy(), -1)
            order[..., j : j + 1] = moved
        return order

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, rows in [((1,), 1), ((2,), 2), ((3,), 3), ((3,), 5), ((2, 2), 3), ((0,), 2)]:
            yield Sample(cls(rows), (ints(shape, rows + 1, 1),))


class TriangularFactors(Op, name="lu"):
    """L below the diagonal and U on and above it, A = L U with ones on L's diagonal; A is square.

    Ā = L⁻ᵀ (the lower part of Lᵀ L̄, and the upper of Ū Uᵀ) U⁻ᵀ (de Hoog et al. 2011, "The
    derivatives of LU factors").
    """

    batching = ()
    needs = OUTPUT

    def infer(self, *xs: Any) -> Aval:
        return Aval(matrix_shape(xs[0], "lu", square=True), xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        self.infer(*xs)
        return eliminated(xs[0], pivot=False)[0]

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        lower = diagonals.tril(y, -1) + identity_like(y.shape[-1], y)
        upper = diagonals.triu(y)
        below = diagonals.tril(left_turned(lower, diagonals.tril(ct, -1)), -1)
        inner = below + diagonals.triu(right_turned(diagonals.triu(ct), upper))
        half = apply(SOLVE, turned(lower), inner)
        return (turned(apply(SOLVE, upper, turned(half))),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in SQUARE:
            yield Sample(cls(), (definite(shape),))


_PIVOTS, _LU = Pivots(), TriangularFactors()


class LuFactor(NamedTuple):
    """L and U in one matrix, and the pivots."""

    LU: Any
    pivots: Any


class LuFactorEx(NamedTuple):
    """L and U in one matrix, the pivots, and 0 or the number of the pivot that is zero."""

    LU: Any
    pivots: Any
    info: Any


class Lu(NamedTuple):
    """A = P L U."""

    P: Any
    L: Any
    U: Any


def _permuted(x: Any, order: Any) -> Any:
    """The rows of matrices in another order."""
    lead = np.broadcast_shapes(shape_of(x)[:-2], shape_of(order)[:-1])
    shape = (*lead, *shape_of(x)[-2:])
    rows = movement.expand(movement.unsqueeze(order, -1), shape)
    return lookup.gather(movement.expand(x, shape), len(shape) - 2, rows)


def _packed(A: Any) -> Any:
    """L and U in one of matrices of any shape, without row exchanges."""
    *_, m, n = shape_of(A)
    k = min(m, n)
    square = apply(_LU, A[..., :k, :k])
    if m > n:
        rest = solve_triangular(square, A[..., k:, :], upper=True, left=False)
        return arranging.cat((square, rest), -2)
    if n > m:
        rest = solve_triangular(square, A[..., k:], upper=False, unitriangular=True)
        return arranging.cat((square, rest), -1)
    return square


def lu_factor(A: Any, *, pivot: bool = True) -> LuFactor:
    """L and U of ``lu`` in one matrix, with the pivots: the row, from 1, that each step took.

    Without `pivot` no rows are exchanged. No gradient passes through the choice of rows.
    """
    shape = matrix_shape(A, "lu_factor")
    if not pivot:
        steps = np.arange(1, min(shape[-2:]) + 1, dtype=np.int32)
        steps = np.broadcast_to(steps, (*shape[:-2], steps.size)).copy()
        packed = _packed(A)
        return LuFactor(packed, packed.result_class.wrap(steps))
    pivots = apply(_PIVOTS, A)
    order: Any = apply(Permutation(shape[-2]), pivots)
    return LuFactor(_packed(_permuted(A, order)), pivots)


def lu_factor_ex(A: Any, *, pivot: bool = True, check_errors: bool = False) -> LuFactorEx:
    """``lu_factor`` that tells, for each matrix, which pivot is zero, if one is."""
    packed, pivots = lu_factor(A, pivot=pivot)
    zero = movement.cast(diagonals.diagonal(packed, 0, -2, -1) == 0, np.int32)
    steps = np.arange(zero.shape[-1], 0, -1, dtype=np.int32)
    first = (zero * steps).amax(-1) if zero.shape[-1] else zero.sum(-1)
    info = movement.cast(selection.where(first > 0, zero.shape[-1] + 1 - first, 0), np.int32)
    if check_errors and info.any().item():
        raise ArgumentError("a pivot is zero", got=f"info {info.tolist()}")
    return LuFactorEx(packed, pivots, info)


def older_lu(A: Any, pivot: bool = True, get_infos: bool = False) -> tuple[Any, ...]:
    """``lu_factor`` with PyTorch's older signature; with `get_infos`, ``lu_factor_ex``."""
    found = lu_factor_ex(A, pivot=pivot)
    return found if get_infos else found[:2]


def lu_unpack(
    LU_data: Any, LU_pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True
) -> Lu:
    """P, L and U of what ``lu_factor`` gives; parts that are not asked for are empty."""
    *_, m, n = matrix_shape(LU_data, "lu_unpack")
    k = min(m, n)
    empty = LU_data[..., :0, :0].reshape(0)
    p = lower = upper = empty
    if unpack_data:
        lower = diagonals.tril(LU_data[..., :k], -1) + np.eye(m, k, dtype=LU_data.dtype)
        upper = diagonals.triu(LU_data[..., :k, :])
    if unpack_pivots:
        order: Any = apply(Permutation(m), LU_pivots)
        p = turned(lookup.one_hot(order, m, dtype=LU_data.dtype))
    return Lu(p, lower, upper)


def lu(A: Any, *, pivot: bool = True) -> Lu:
    """A = P L U: a permutation, a lower triangle with ones on its diagonal, and an upper triangle.

    Raises ArgumentError in backward where U is singular.

    >>> lu(tensor([[0.0, 1.0], [2.0, 3.0]])).U
    tensor([[2., 3.],
            [0., 1.]])
    """
    packed, pivots = lu_factor(A, pivot=pivot)
    return lu_unpack(packed, pivots, True, pivot)


def lu_solve(LU: Any, pivots: Any, B: Any, *, left: bool = True, adjoint: bool = False) -> Any:
    """X with A X = B, or X A = B, or with Aᵀ if `adjoint`, for the A that ``lu_factor`` took."""
    if not left:
        return turned(lu_solve(LU, pivots, turned(B), adjoint=not adjoint))
    n = matrix_shape(LU, "lu_solve", square=True)[-1]
    order: Any = apply(Permutation(n), pivots)
    if adjoint:
        half = solve_triangular(turned(LU), B, upper=False)
        half = solve_triangular(turned(LU), half, upper=True, unitriangular=True)
        return _permuted(half, order.argsort(-1))
    half = solve_triangular(LU, _permuted(B, order), upper=False, unitriangular=True)
    return solve_triangular(LU, half, upper=True)


def older_lu_solve(b: Any, LU_data: Any, LU_pivots: Any) -> Any:
    """``lu_solve`` with PyTorch's older order of arguments."""
    return lu_solve(LU_data, LU_pivots, b)
