"""What all of linear algebra shares: reading operands as batches of matrices, and small products.

Operands are (…, rows, columns); all leading axes are a batch. The last two axes are the matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...core.apply import apply
from ...core.aval import Data, Shape, describe, shape_of
from ...errors import ArgumentError, DTypeError, ShapeError
from .. import contract, diagonals, movement, parts, reduce

_PRODUCT = contract.MatMul(False, False)
_LEFT_TURNED = contract.MatMul(True, False)
_RIGHT_TURNED = contract.MatMul(False, True)


def matrix_shape(x: Any, name: str, *, square: bool = False) -> Shape:
    """The shape of a batch of matrices of real numbers.

    Raises ShapeError for fewer than two dimensions or, with `square`, for different sizes, and
    DTypeError unless they are floating-point numbers.
    """
    shape = shape_of(x)
    if len(shape) < 2 or (square and shape[-1] != shape[-2]):
        kind = "square matrices" if square else "matrices"
        raise ShapeError(
            f"{name} needs {kind}",
            expected="(…, n, n)" if square else "(…, m, n)",
            got=describe(x),
        )
    if x.dtype.kind != "f":
        raise DTypeError(
            f"{name} needs floating-point numbers", got=describe(x), hint="use x.float()"
        )
    return shape


_UNSOUND = "look for NaN and infinities in it"
_FAILURES: dict[Callable[..., Any], tuple[str, str | None]] = {
    np.linalg.solve: ("a matrix is singular", None),
    np.linalg.cholesky: (
        "a matrix is not positive definite",
        "cholesky_ex tells which leading minor is not positive",
    ),
    np.linalg.eigh: ("the eigenvalues of a matrix do not converge", _UNSOUND),
    np.linalg.svd: ("the singular values of a matrix do not converge", _UNSOUND),
}
"""What it means that LAPACK gives up, and what helps."""
_ITERATIVE = (np.linalg.eigh, np.linalg.svd)
"""What may never end for matrices with infinities."""


@np.errstate(all="ignore")  # our own frames are silent, NumPy's are not: docs/design/001
def lapack(function: Callable[..., Any], *xs: Any, **options: Any) -> Any:
    """A function of ``numpy.linalg``, which knows no half precision: that goes by way of single.

    Raises ArgumentError for matrices that it has no answer for.
    """
    dtype = np.result_type(*xs)
    wide = [x.astype(np.float32) for x in xs] if dtype == np.float16 else xs
    try:
        if function in _ITERATIVE and not np.isfinite(wide[0]).all():
            raise np.linalg.LinAlgError
        found = function(*wide, **options)
    except np.linalg.LinAlgError as failure:
        cause, hint = _FAILURES.get(function, (str(failure), None))
        raise ArgumentError(cause, got=describe(xs[0]), hint=hint) from None
    if dtype != np.float16:
        return found
    if isinstance(found, tuple):
        return tuple([part.astype(dtype) for part in found])
    return found.astype(dtype)


def turned(x: Data) -> Data:
    """xᵀ of each matrix."""
    return movement.transpose(x, -2, -1)


def product(a: Data, b: Data) -> Data:
    """A B."""
    return apply(_PRODUCT, a, b)


def left_turned(a: Data, b: Data) -> Data:
    """Aᵀ B."""
    return apply(_LEFT_TURNED, a, b)


def right_turned(a: Data, b: Data) -> Data:
    """A Bᵀ."""
    return apply(_RIGHT_TURNED, a, b)


def symmetric(x: Data) -> Data:
    """(x + xᵀ) / 2."""
    return (x + turned(x)) * 0.5


def identity_like(n: int, x: Any) -> Any:
    """The identity of n rows in the dtype of x, an array."""
    return np.eye(n, dtype=x.dtype)


def scaled_columns(x: Data, d: Data) -> Data:
    """x diag(d)."""
    return x * movement.unsqueeze(d, -2)


def scaled_rows(x: Data, d: Data) -> Data:
    """diag(d) x."""
    return x * movement.unsqueeze(d, -1)


def embedded(d: Data) -> Data:
    """diag(d)."""
    return parts.diag_embed(d)


def with_axes(x: Data) -> Data:
    """Numbers as matrices of one element."""
    return movement.reshape(x, (*x.shape, 1, 1))


def diagonal_of(x: Data) -> Data:
    """The diagonal of each matrix."""
    return diagonals.diagonal(x, 0, -2, -1)


def summed(x: Data) -> Data:
    """The sum of all elements of each matrix."""
    return reduce.sum(x, (-2, -1))


def filled(cts: Sequence[Data | None], avals: Sequence[Any]) -> list[Data]:
    """Cotangents, with zeros for the outputs that nobody used."""
    return [
        np.zeros(a.shape, a.dtype) if ct is None else ct for ct, a in zip(cts, avals, strict=True)
    ]
