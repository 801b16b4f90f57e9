"""Matrix products: one bilinear op whose transposes are again matrix products.

A matrix product carries two flags that say which operand is read transposed, as BLAS does, so that
Ā = Ȳ Bᵀ and B̄ = Aᵀ Ȳ (Giles 2008, "Collected matrix derivative results", section 2.2.2) are
matrix products too and no transposition is ever stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import (
    Aval,
    Data,
    Shape,
    broadcast_shapes,
    describe,
    result_dtype,
    shape_of,
)
from ..core.families import Bilinear
from ..core.sampling import Sample, floats
from ..errors import ShapeError
from . import arithmetic, einstein, movement

V = TypeVar("V")


class MatMul(Bilinear, name="matmul"):
    """Y = A B over the last two axes, leading axes broadcast;  Ā = Ȳ Bᵀ, B̄ = Aᵀ Ȳ.

    With `ta` (or `tb`) A (or B) is the operand transposed. A vector has neither: as A it is a row,
    as B a column, and the axis it lends is dropped from the result.
    """

    ta: bool = False
    tb: bool = False
    promotes = True

    def infer(self, *xs: Any) -> Aval:
        a, b = shape_of(xs[0]), shape_of(xs[1])
        if not a or not b:
            raise ShapeError(
                "matmul needs vectors, matrices or batches of them",
                expected="at least one dimension each",
                got=_operands(*xs),
                hint="for a product with a number write a * b",
            )
        row, column = len(a) == 1, len(b) == 1
        a = (1, *a) if row else (*a[:-2], *a[:-3:-1]) if self.ta else a
        b = (*b, 1) if column else (*b[:-2], *b[:-3:-1]) if self.tb else b
        if a[-1] != b[-2]:
            raise ShapeError(
                "matmul cannot contract its operands",
                expected=f"a.shape[{-2 if self.ta else -1}] == "
                f"b.shape[{-1 if self.tb or column else -2}]",
                got=_operands(*xs),
            )
        shape = broadcast_shapes(a[:-2], b[:-2])
        shape = (*shape, *(() if row else (a[-2],)), *(() if column else (b[-1],)))
        return Aval(shape, result_dtype(xs))

    def forward(self, *xs: Any) -> Any:
        a, b = xs
        if self.ta:
            a = a.swapaxes(-1, -2)
        if self.tb:
            b = b.swapaxes(-1, -2)
        if a.ndim > 2 and b.ndim == 2 and a.flags.c_contiguous and 0 not in a.shape:
            return (a.reshape(-1, a.shape[-1]) @ b).reshape(*a.shape[:-1], b.shape[1])
        return np.matmul(a, b)

    def transpose(self, i: int, ct: Data, xs: Sequence[Data]) -> Data:
        if xs[0].ndim == 1 or xs[1].ndim == 1:
            return self._transpose_vector(i, ct, xs)
        if i == 0:
            if self.ta:
                return apply(MatMul(self.tb, True), xs[1], ct)
            return apply(MatMul(False, not self.tb), ct, xs[1])
        a = xs[0]
        if a.ndim > 2 and xs[1].ndim == 2 and not self.ta:
            rows = math.prod(a.shape[:-1])
            a = movement.reshape(a, (rows, a.shape[-1]))
            ct = movement.reshape(ct, (rows, ct.shape[-1]))
        if self.tb:
            return apply(MatMul(True, self.ta), ct, a)
        return apply(MatMul(not self.ta, False), a, ct)

    def _transpose_vector(self, i: int, ct: Data, xs: Sequence[Data]) -> Data:
        other = xs[1 - i]
        row, column = xs[0].ndim == 1, xs[1].ndim == 1
        if row and column:
            return ct * other
        if row and i == 0:
            return movement.squeeze(matmul(other, movement.unsqueeze(ct, -1)), -1)
        if row:
            return movement.unsqueeze(other, -1) * movement.unsqueeze(ct, -2)
        if i == 0:
            return movement.unsqueeze(ct, -1) * other
        return movement.squeeze(matmul(movement.unsqueeze(ct, -2), other), -2)

    def lower(self, k: Any, *xs: Any) -> Any:
        a, b = (k.cast(x, result_dtype(xs)) for x in xs)
        y = self.infer(a, b)
        if self.ta and len(a.shape) > 1:
            a = k.swap(a)
        if self.tb and len(b.shape) > 1:
            b = k.swap(b)
        row, column = len(a.shape) == 1, len(b.shape) == 1
        a = k.reshape(a, (1, *a.shape)) if row else a
        b = k.reshape(b, (*b.shape, 1)) if column else b
        lead = broadcast_shapes(a.shape[:-2], b.shape[:-2])
        rank, unit = len(lead), k.units(len(lead) + 3)
        left = k.expand(a, (*lead, *a.shape[-2:])) if a.shape[:-2] != lead else a
        right = k.expand(b, (*lead, *b.shape[-2:])) if b.shape[:-2] != lead else b
        made = k.dot(
            (*lead, a.shape[-2], b.shape[-1]), (a.shape[-1],), left, right,
            ((*unit[: rank + 1], unit[-1]), (*unit[:rank], unit[-1], unit[rank + 1])),
        )  # fmt: skip
        return k.reshape(made, y.shape)

    def batch(self, size: int, batched: Sequence[bool], *xs: Data) -> Data:
        ndims = [x.ndim - b for x, b in zip(xs, batched, strict=True)]
        lead = max(2, *ndims)
        row, column = ndims[0] == 1, ndims[1] == 1
        operands = []
        for x, b, vector, place in zip(xs, batched, (row, column), (-2, -1), strict=True):
            y = movement.unsqueeze(x, place) if vector else x
            if b and y.ndim <= lead:  # put axes of size one behind that of the batch
                y = movement.reshape(y, (size, *(1,) * (lead + 1 - y.ndim), *y.shape[1:]))
            operands.append(y)
        y = apply(MatMul(self.ta and not row, self.tb and not column), *operands)
        return movement.squeeze(y, tuple(a for a, v in ((-2, row), (-1, column)) if v))

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for a, b in _MATMUL_SHAPES:
            yield Sample(cls(), floats(a, b))
        for ta, tb in ((True, False), (False, True), (True, True)):
            for batch in ((), (2,), (2, 1, 3)):
                a = (*batch, 3, 2) if ta else (*batch, 2, 3)
                yield Sample(cls(ta, tb), floats(a, (4, 3) if tb else (3, 4)))
                yield Sample(cls(ta, tb), floats(a[-2:], (*batch, *((4, 3) if tb else (3, 4)))))


_MATMUL_SHAPES: tuple[tuple[Shape, Shape], ...] = (
    ((3,), (3,)), ((0,), (0,)), ((1,), (1,)), ((3,), (3, 2)), ((2, 3), (3,)), ((3,), (2, 3, 2)),
    ((2, 2, 3), (3,)), ((2, 3), (3, 4)), ((1, 1), (1, 1)), ((0, 3), (3, 2)), ((2, 0), (0, 3)),
    ((2, 3), (3, 0)), ((2, 2, 3), (3, 2)), ((2, 3), (2, 3, 2)), ((2, 2, 3), (2, 3, 1)),
    ((2, 1, 2, 3), (4, 3, 2)), ((1, 2, 3), (3, 3, 1)), ((0, 2, 3), (3, 2)),
    ((2, 1, 1, 1, 2), (2, 1)), ((1, 2, 0), (0, 3)), ((2, 0, 3), (3, 2)), ((2, 2, 3), (3, 0)),
)  # fmt: skip


def matmul(a: V, b: Any) -> V:
    """A B, the matrix product over the last two axes; leading axes broadcast.  Ā = Ȳ Bᵀ, B̄ = Aᵀ Ȳ.

    (…, M, K) and (…, K, N) give (…, M, N). A vector in front is a row, one behind a column, and its
    axis is dropped, so two vectors give their inner product. A contraction over no elements is 0.
    Raises ShapeError for a zero-dimensional operand or inner sizes that differ.

    >>> matmul(tensor([[1.0, 2.0], [3.0, 4.0]]), tensor([1.0, -1.0]))
    tensor([-1., -1.])
    """
    return apply(MatMul(False, False), a, b)


def linear(x: V, weight: Any, bias: Any = None) -> V:
    """x Wᵀ + b: a dense layer.  x (…, I), W (O, I), b (O) give (…, O).

    With the error ȳ: x̄ = ȳ W, W̄ = ȳᵀ x, b̄ = Σ ȳ over all leading axes (document 002).
    Raises ShapeError if x does not end with I.

    >>> linear(tensor([1.0, 2.0]), tensor([[3.0, 4.0]]), tensor([0.5]))
    tensor([11.5000])
    """
    if len(shape_of(x)) == 1:
        y: V = apply(MatMul(False, False), weight, x)
    else:
        y = apply(MatMul(False, len(shape_of(weight)) > 1), x, weight)
    return y if bias is None else arithmetic.add(y, bias)


def dot(a: V, b: Any) -> V:
    """Σ aᵢ bᵢ of two vectors; otherwise as ``np.dot``: over a's last and b's last but one axis.

    >>> dot(tensor([1.0, 2.0]), tensor([3.0, 4.0]))
    tensor(11.)
    """
    m, n = len(shape_of(a)), len(shape_of(b))
    if m == 0 or n == 0:
        return arithmetic.mul(a, b)
    if n == 1 or m <= 2 >= n:
        return matmul(a, b)
    return einstein.tensordot(a, b, ([m - 1], [n - 2]))


def _operands(a: Any, b: Any) -> str:
    return f"a: {describe(a)}   b: {describe(b)}"
