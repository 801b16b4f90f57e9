"""Products of many matrices, and of vectors along an axis."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ...core.aval import broadcast_shapes, normalize_axis, shape_of
from ...errors import ArgumentError, ShapeError
from .. import diagonals, joining, movement, reduce
from .matrices import product


@lru_cache(maxsize=256)
def _cuts(sizes: tuple[int, ...]) -> dict[tuple[int, int], int]:
    """Where to cut each product of neighbours for the least multiplications.

    Matrix k is sizes[k] by sizes[k + 1] (Cormen et al., "Introduction to Algorithms", 15.2).
    """
    n = len(sizes) - 1
    cost = {(i, i): 0 for i in range(n)}
    cut: dict[tuple[int, int], int] = {}
    for length, i in itertools.product(range(1, n), range(n)):
        j = i + length
        if j >= n:
            continue
        price = {
            k: cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1]
            for k in range(i, j)
        }
        cut[i, j] = min(price, key=price.__getitem__)
        cost[i, j] = price[cut[i, j]]
    return cut


def multi_dot(tensors: Sequence[Any]) -> Any:
    """The product of matrices in the order of brackets that needs the fewest multiplications.

    The first may be a row vector, the last a column vector. Raises ArgumentError for fewer than two
    operands, ShapeError for sizes that do not fit.

    >>> multi_dot([tensor([1.0, 2.0]), tensor([[1.0], [1.0]]), tensor([3.0])])
    tensor(9.)
    """
    factors = list(tensors)
    if len(factors) < 2:
        raise ArgumentError("multi_dot needs two matrices or more", got=str(len(factors)))
    row, column = len(shape_of(factors[0])) == 1, len(shape_of(factors[-1])) == 1
    if row:
        factors[0] = movement.unsqueeze(factors[0], 0)
    if column:
        factors[-1] = movement.unsqueeze(factors[-1], 1)
    if any(len(shape_of(x)) != 2 for x in factors):
        raise ShapeError("multi_dot multiplies matrices", got=str([shape_of(x) for x in tensors]))
    cuts = _cuts((*[shape_of(x)[0] for x in factors], shape_of(factors[-1])[1]))

    def between(i: int, j: int) -> Any:
        if i == j:
            return factors[i]
        return product(between(i, cuts[i, j]), between(cuts[i, j] + 1, j))

    y = between(0, len(factors) - 1)
    dropped = tuple(axis for axis, one in enumerate((row, column)) if one)
    return movement.reshape(y, tuple(n for a, n in enumerate(shape_of(y)) if a not in dropped))


def chain_matmul(*matrices: Any) -> Any:
    """``multi_dot`` of matrices given one by one; of one matrix, itself."""
    return matrices[0] if len(matrices) == 1 else multi_dot(matrices)


def vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    """Σ xᵢ yᵢ along `dim`, of operands that are broadcast.

    >>> vecdot(tensor([[1.0, 2.0], [3.0, 4.0]]), tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    return reduce.sum(x * y, dim)


def cross(input: Any, other: Any, *, dim: int = -1) -> Any:
    """The vector product of vectors of three along `dim`, of operands that are broadcast.

    Raises ShapeError unless the axis has three elements and both have as many axes.

    >>> cross(tensor([1.0, 0.0, 0.0]), tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    a, b = shape_of(input), shape_of(other)
    axis = normalize_axis(dim, max(len(a), 1))
    if len(a) != len(b) or not a or a[axis] != 3 or b[axis] != 3:
        raise ShapeError("cross needs vectors of three", got=f"{a} and {b} along dim {dim}")
    shape = broadcast_shapes(a, b)
    x, y = ([*joining.unbind(movement.expand(v, shape), axis)] for v in (input, other))
    parts = [x[(i + 1) % 3] * y[(i + 2) % 3] - x[(i + 2) % 3] * y[(i + 1) % 3] for i in range(3)]
    return joining.stack(parts, axis)


def older_cross(input: Any, other: Any, dim: int | None = None) -> Any:
    """``linalg.cross`` along `dim`, by default the first axis of three elements."""
    if dim is None:
        shape = broadcast_shapes(shape_of(input), shape_of(other))
        if 3 not in shape:
            raise ShapeError("cross needs an axis of three elements", got=str(shape))
        dim = shape.index(3)
    return cross(input, other, dim=dim)


def vander(x: Any, N: int | None = None) -> Any:
    """Powers x⁰, x¹, … x^(N-1) along a new last axis; N is the number of elements by default.

    >>> vander(tensor([2.0, 3.0]), 3)
    tensor([[1., 2., 4.],
            [1., 3., 9.]])
    """
    if not shape_of(x):
        x = movement.reshape(x, (1,))
    shape = shape_of(x)
    if N is not None and N <= 1:
        raise ArgumentError("vander needs N > 1", got=str(N))
    count = shape[-1] if N is None else N
    powers = [x * 0 + 1]
    for _ in range(count - 1):
        powers.append(powers[-1] * x)
    return joining.stack(powers[:count] if count else [x[..., :0]], -1)


def older_vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """``linalg.vander`` of a vector, by default with the highest power first, as in NumPy."""
    count = shape_of(x)[0] if N is None else N
    if count <= 1:
        ones = np.ones((*shape_of(x), count), x.dtype)
        return x.result_class.wrap(ones) if hasattr(x, "result_class") else ones
    y: Any = vander(x, count)
    return y if increasing else y[..., ::-1]


def linalg_diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """``diagonal`` of the last two axes by default."""
    return diagonals.diagonal(A, offset, dim1, dim2)
