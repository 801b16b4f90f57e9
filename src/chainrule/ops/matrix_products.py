"""Matrix products with PyTorch's names, added or not to something, and what is made of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.aval import SCALARS, broadcast_shapes, describe, shape_of
from ..errors import ArgumentError, ShapeError
from . import arithmetic, arranging, contract, einstein, movement, reduce, selection
from .diagonals import diagonal
from .moments import norm

__all__ = [
    "addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "cdist", "corrcoef", "cov", "ger",
    "inner", "kron", "mm", "mv", "pdist", "vdot",
]  # fmt: skip

# Products -----------------------------------------------------------------------------------------


def _product(name: str, ranks: tuple[int, int], a: Any, b: Any) -> Any:
    """A product of operands of given numbers of dimensions. Raises ShapeError for others."""
    if (len(shape_of(a)), len(shape_of(b))) != ranks:
        raise ShapeError(
            f"{name} needs operands of {ranks[0]} and {ranks[1]} dimensions",
            got=f"a: {describe(a)}   b: {describe(b)}",
            hint="matmul broadcasts",
        )
    if ranks == (3, 3) and shape_of(a)[0] != shape_of(b)[0]:
        raise ShapeError(
            f"{name} needs batches of one size", got=f"a: {describe(a)}   b: {describe(b)}"
        )
    return contract.matmul(a, b)


def mm(input: Any, mat2: Any) -> Any:
    """The product of two matrices. Raises ShapeError for anything else."""
    return _product("mm", (2, 2), input, mat2)


def bmm(input: Any, mat2: Any) -> Any:
    """The products of two batches (b, m, k) and (b, k, n) of matrices."""
    return _product("bmm", (3, 3), input, mat2)


def mv(input: Any, vec: Any) -> Any:
    """The product of a matrix and a vector."""
    return _product("mv", (2, 1), input, vec)


def vdot(input: Any, other: Any) -> Any:
    """Σ aᵢ bᵢ of two vectors of real numbers."""
    return _product("vdot", (1, 1), input, other)


def inner(input: Any, other: Any) -> Any:
    """Σ over the last axis of both, for all pairs of the others; a product if one is a number.

    >>> inner(tensor([[1.0, 2.0], [3.0, 4.0]]), tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    m, n = len(shape_of(input)), len(shape_of(other))
    if not m or not n:
        return arithmetic.mul(input, other)
    return einstein.tensordot(input, other, ([m - 1], [n - 1]))


def kron(input: Any, other: Any) -> Any:
    """Kronecker's product: every element of the first times the whole of the second.

    >>> kron(tensor([1.0, 2.0]), tensor([1.0, 10.0]))
    tensor([ 1., 10.,  2., 20.])
    """
    rank = max(len(shape_of(input)), len(shape_of(other)))
    a, b = ((*(1,) * (rank - len(shape_of(x))), *shape_of(x)) for x in (input, other))
    left = movement.reshape(input, tuple(n for size in a for n in (size, 1)))
    right = movement.reshape(other, tuple(n for size in b for n in (1, size)))
    return movement.reshape(left * right, tuple(n * m for n, m in zip(a, b, strict=True)))


# Sums with a product ------------------------------------------------------------------------------


def _sum(input: Any, product: Any, beta: float, alpha: float) -> Any:
    """beta · input + alpha · product; with beta = 0 the input's numbers do not matter, even NaN."""
    scaled = product if _is_one(alpha) else product * alpha
    if type(beta) in SCALARS and beta == 0:
        shape = broadcast_shapes(shape_of(input), shape_of(scaled))
        return movement.expand(scaled, shape)
    return arithmetic.add(input if _is_one(beta) else input * beta, scaled)


def _is_one(factor: Any) -> bool:
    return type(factor) in SCALARS and factor == 1


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta · input + alpha · mat1 mat2."""
    return _sum(input, mm(mat1, mat2), beta, alpha)


def addmv(input: Any, mat: Any, vec: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta · input + alpha · mat vec."""
    return _sum(input, mv(mat, vec), beta, alpha)


def addr(input: Any, vec1: Any, vec2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta · input + alpha · vec1 vec2ᵀ."""
    return _sum(input, ger(vec1, vec2), beta, alpha)


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta · input + alpha · batch1 batch2, for each matrix of the batches."""
    return _sum(input, bmm(batch1, batch2), beta, alpha)


def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta · input + alpha · Σ batch1 batch2 over the batch.

    >>> addbmm(tensor([[1.0]]), tensor([[[1.0]], [[2.0]]]), tensor([[[3.0]], [[4.0]]]))
    tensor([[12.]])
    """
    return _sum(input, reduce.sum(bmm(batch1, batch2), 0), beta, alpha)


def ger(input: Any, vec2: Any) -> Any:
    """y[i, j] = aᵢ bⱼ of two vectors. Raises ShapeError for anything else."""
    if len(shape_of(input)) != 1 or len(shape_of(vec2)) != 1:
        raise ShapeError("ger needs two vectors", got=f"{describe(input)}   {describe(vec2)}")
    return einstein.outer(input, vec2)


# Distances ----------------------------------------------------------------------------------------


def cdist(
    x1: Any,
    x2: Any,
    p: float = 2.0,
    compute_mode: str = "use_mm_for_euclid_dist_if_necessary",
) -> Any:
    """‖x1ᵢ - x2ⱼ‖ₚ for all rows of two matrices, or of batches, which broadcast.

    x1 (…, m, k) and x2 (…, n, k) give (…, m, n). Computed from the differences in any
    `compute_mode`. Equal rows have derivative 0. Raises ShapeError for rows of different lengths,
    ArgumentError for a negative p.

    >>> cdist(tensor([[0.0, 0.0]]), tensor([[3.0, 4.0]]))
    tensor([[5.]])
    """
    a, b = shape_of(x1), shape_of(x2)
    if len(a) < 2 or len(b) < 2 or a[-1] != b[-1]:
        raise ShapeError("cdist needs rows of one length", got=f"{describe(x1)}   {describe(x2)}")
    if p < 0:
        raise ArgumentError("p is zero or more", got=str(p))
    shape = (*broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-2])
    if a[-1] == 0:
        return movement.expand(reduce.sum(x1) + reduce.sum(x2), shape)
    gaps = movement.unsqueeze(x1, -2) - movement.unsqueeze(x2, -3)
    return norm(gaps, p, -1)


def pdist(input: Any, p: float = 2.0) -> Any:
    """‖xᵢ - xⱼ‖ₚ for all pairs i < j of rows of a matrix, as a vector.

    >>> pdist(tensor([[0.0], [1.0], [3.0]]))
    tensor([1., 3., 2.])
    """
    shape = shape_of(input)
    if len(shape) != 2 or p < 0:
        raise ArgumentError("pdist needs a matrix, and p of zero or more", got=f"{shape}, p={p}")
    i, j = np.triu_indices(shape[0], 1)
    if shape[1] == 0:
        return movement.expand(reduce.sum(input), (i.size,))
    return norm(input[i] - input[j], p, 1)


# Covariance ---------------------------------------------------------------------------------------


def cov(input: Any, *, correction: float = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """The covariances of variables, one a row, from observations, one a column.

    Σ w (x - x̄)(y - ȳ) over the sum of the weights less `correction` (Bessel's, scaled by the mean
    of `aweights` weighed by themselves). `fweights` count repeated observations, `aweights` are
    their importance. Of one variable it is a number. Raises ShapeError for more than two dimensions
    or weights that do not fit.

    >>> cov(tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    if len(shape_of(input)) > 2:
        raise ShapeError("cov needs a matrix", got=describe(input))
    x = arranging.atleast_2d(input)
    count = shape_of(x)[1]
    for w in (fweights, aweights):
        if w is not None and shape_of(w) != (count,):
            raise ShapeError(
                "a weight for each observation", expected=f"({count},)", got=describe(w)
            )
    given = [w for w in (fweights, aweights) if w is not None]
    total: Any = count
    centred: Any
    if given:
        weights = math.prod(given[1:], start=given[0])
        total = reduce.sum(weights)
        centred = x - reduce.sum(x * weights, 1, True) / total
        weighed = centred * weights
    else:
        centred = weighed = x - reduce.mean(x, 1, True)
    if aweights is None:
        divisor = total - correction
    else:
        own = reduce.sum(weights * aweights)
        divisor = total - correction * own / total if correction else total
    divisor = max(divisor, 0) if isinstance(divisor, (int, float)) else selection.clip(divisor, 0)
    y = contract.matmul(weighed, movement.transpose(centred, 0, 1)) / divisor
    return movement.reshape(y, ()) if shape_of(x)[0] == 1 else y


def corrcoef(input: Any) -> Any:
    """Pearson's correlations of variables, one a row: their covariances over their deviations.

    >>> corrcoef(tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    c = cov(input)
    if not shape_of(c):
        return c / c
    deviation = diagonal(c) ** 0.5
    y = c / movement.unsqueeze(deviation, 1) / movement.unsqueeze(deviation, 0)
    return selection.clip(y, -1.0, 1.0)
