"""Norms of vectors and matrices, and the condition number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...core.aval import normalize_axis, shape_of
from ...errors import ArgumentError
from .. import moments, movement, reduce
from . import spectral, systems
from .matrices import matrix_shape

Dim = int | Sequence[int] | None
_MATRIX_ORDERS = ("fro", "nuc", math.inf, -math.inf, 1, -1, 2, -2)


def _cast(x: Any, dtype: Any) -> Any:
    return x if dtype is None else movement.cast(x, dtype)


def vector_norm(
    x: Any, ord: float = 2, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """(Σ |x|ᵖ)^(1/p) over `dim`, by default of all elements as one vector; see ``norm``.

    >>> vector_norm(tensor([[3.0, 4.0]]), 1)
    tensor(7.)
    """
    if isinstance(ord, str):
        raise ArgumentError("the order of a vector norm is a number", got=repr(ord))
    return moments.norm(_cast(x, dtype), ord, _axes(dim), keepdim)


def _axes(dim: Dim) -> Dim:
    return None if dim is None or dim in ((), []) else dim


def matrix_norm(
    A: Any,
    ord: float | str = "fro",
    dim: Sequence[int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Any:
    """A norm of the matrices that two axes span.

    "fro" is √Σ a²; "nuc" the sum of the singular values; ±inf the greatest or least Σ |a| of a row;
    ±1 that of a column; ±2 the greatest or least singular value. Ties share the derivative.
    Raises ArgumentError for another order, ShapeError for fewer than two dimensions.

    >>> matrix_norm(tensor([[1.0, -2.0], [3.0, 4.0]]), float("inf"))
    tensor(7.)
    """
    x = _cast(A, dtype)
    matrix_shape(x, "matrix_norm")
    if ord not in _MATRIX_ORDERS:
        raise ArgumentError(
            "no such matrix norm", expected=f"one of {_MATRIX_ORDERS}", got=repr(ord)
        )
    rank = len(shape_of(x))
    rows, columns = (normalize_axis(d, rank) for d in dim)
    if rows == columns:
        raise ArgumentError("a matrix norm needs two different axes", got=f"dim={tuple(dim)}")
    if ord == "fro":
        return moments.norm(x, 2.0, (rows, columns), keepdim)
    if ord in ("nuc", 2, -2):
        s = spectral.svdvals(movement.movedim(x, (rows, columns), (-2, -1)))
        y = reduce.sum(s, -1) if ord == "nuc" else _extreme(s, -1, ord)
    else:
        assert not isinstance(ord, str)
        added, chosen = (columns, rows) if math.isinf(ord) else (rows, columns)
        sums = reduce.sum(abs(x), added, True)
        y = movement.squeeze(_extreme(sums, chosen, ord, keepdim=True), (rows, columns))
    if not keepdim:
        return y
    for axis in sorted((rows, columns)):
        y = movement.unsqueeze(y, axis)
    return y


def _extreme(x: Any, axis: int, ord: Any, keepdim: bool = False) -> Any:
    return (reduce.amax if ord > 0 else reduce.amin)(x, axis, keepdim)


def linalg_norm(
    A: Any,
    ord: float | str | None = None,
    dim: Dim = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Any:
    """A matrix norm if `dim` has two axes (or x, without `dim`); else a vector norm.

    Without `ord` it is the Euclidean norm of all elements, or over `dim`.
    """
    if dim is None and ord is None:
        return vector_norm(A, 2, None, keepdim, dtype=dtype)
    rank = len(shape_of(A)) if dim is None else 1 if isinstance(dim, int) else len(dim)
    if rank == 2 and ord is not None:
        axes = (-2, -1) if dim is None or isinstance(dim, int) else dim
        return matrix_norm(A, ord, axes, keepdim, dtype=dtype)
    if dim is None and rank != 1:
        raise ArgumentError("this order needs a vector or a matrix", got=f"ord={ord!r}, {rank}-d")
    if isinstance(ord, str):
        raise ArgumentError("the order of a vector norm is a number", got=repr(ord))
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


def norm(
    input: Any,
    p: float | str | None = "fro",
    dim: Dim = None,
    keepdim: bool = False,
    dtype: Any = None,
) -> Any:
    """(Σ |x|ᵖ)^(1/p) over `dim`, without overflow.  dy/dx = sign(x) (|x| / y)ᵖ⁻¹, 0 where x = 0.

    p = ±inf gives the greatest or least |x|, p = 0 the count of nonzeros, "fro" and None are p = 2,
    "nuc" is the sum of the singular values of matrices. A zero vector has derivative 0. Integers
    become the default float. Raises ArgumentError for another name and ShapeError for p = ±inf of
    no elements.

    >>> norm(tensor([3.0, 4.0]))
    tensor(5.)
    """
    if p == "nuc":
        axes = (-2, -1) if dim is None or isinstance(dim, int) else dim
        return matrix_norm(input, "nuc", axes, keepdim, dtype=dtype)
    return moments.norm(_cast(input, dtype), p, _axes(dim), keepdim)


def cond(A: Any, p: float | str | None = None) -> Any:
    """The condition number ‖A‖ₚ ‖A⁻¹‖ₚ; for p = None or ±2 the ratio of extreme singular values.

    >>> cond(tensor([[2.0, 0.0], [0.0, 1.0]]))
    tensor(2.)
    """
    if p is None or p in (2, -2):
        s = spectral.svdvals(A)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return matrix_norm(A, p) * matrix_norm(systems.inv(A), p)
