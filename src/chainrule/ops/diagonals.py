"""Diagonals and triangles of matrices, and the places of what is not zero."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval, Data, Shape, normalize_axis, shape_of
from ..core.families import Linear
from ..core.sampling import Sample, floats
from ..core.value import Value
from ..errors import ArgumentError, ShapeError
from . import indexing, keys, movement, selection

V = TypeVar("V")


class Triangle(Linear):
    """x on and above (or below) a diagonal of its last two axes, zero on the other side."""

    batching = ()
    diagonal: int
    upper: bool

    def infer(self, *xs: Any) -> Aval:
        shape = shape_of(xs[0])
        if len(shape) < 2:
            raise ShapeError(
                "a triangle needs a matrix", expected="two dimensions or more", got=str(shape)
            )
        return Aval(shape, xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        self.infer(x)
        rows, columns = np.arange(x.shape[-2])[:, None], np.arange(x.shape[-1])
        kept = (columns - rows >= self.diagonal) if self.upper else columns - rows <= self.diagonal
        return np.where(kept, x, x.dtype.type(0))

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return apply(self, ct)

    def expand(self, *xs: Data) -> Data:
        x = xs[0]
        kept = self.forward(np.ones(x.shape[-2:], np.bool_))
        return selection.where(kept, x, x.dtype.type(0))

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in [(1, 1), (3, 3), (2, 4), (4, 2), (0, 3), (3, 0), (2, 3, 3), (2, 1, 2, 3)]:
            for diagonal in (-1, 0, 2):
                yield Sample(cls(diagonal, diagonal != 0), floats(shape))
            yield Sample(cls(0, True), floats(shape))


def tril(x: V, diagonal: int = 0) -> V:
    """x with zeros above the given diagonal of its last two axes.

    Raises ShapeError for fewer than two dimensions.
    """
    return apply(Triangle(int(diagonal), False), x)


def triu(x: V, diagonal: int = 0) -> V:
    """x with zeros below the given diagonal of its last two axes.

    >>> triu(tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[1., 2.],
            [0., 4.]])
    """
    return apply(Triangle(int(diagonal), True), x)


def diagonal(x: V, offset: int = 0, dim1: int = 0, dim2: int = 1) -> V:
    """The elements x[…, i, i + offset] of the axes `dim1` and `dim2`, as a last axis.

    Raises ShapeError if the two axes are one.

    >>> diagonal(tensor([[1.0, 2.0], [3.0, 4.0]]), 1)
    tensor([2.])
    """
    shape = shape_of(x)
    a, b = normalize_axis(dim1, len(shape)), normalize_axis(dim2, len(shape))
    places = places_of_diagonal(shape, offset, a, b)
    rest = [axis for axis in range(len(shape)) if axis not in (a, b)]
    y: Any = movement.permute(x, (*rest, a, b))
    return indexing.index(y, (..., *places))  # type: ignore[no-any-return]  # as x


def places_of_diagonal(shape: Shape, offset: int, a: int, b: int) -> tuple[Any, Any]:
    """The coordinates along axes `a` and `b` of the diagonal that is `offset` above the main one.

    Raises ShapeError if the two axes are one.
    """
    if a == b or len(shape) < 2:
        raise ShapeError("a diagonal needs two different axes", got=f"axes {a} and {b} of {shape}")
    rows = np.arange(max(-offset, 0), max(min(shape[a], shape[b] - offset), -offset, 0))
    return rows, rows + offset


def diag(x: V, diagonal: int = 0) -> V:
    """The diagonal of a matrix as a vector, or a vector as the diagonal of a square matrix.

    >>> diag(tensor([1.0, 2.0]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    shape = shape_of(x)
    if len(shape) == 2:
        return _diagonal(x, diagonal)
    if len(shape) != 1:
        raise ShapeError("diag needs a vector or a matrix", got=str(shape))
    n = shape[0] + abs(diagonal)
    rows = np.arange(shape[0]) + max(-diagonal, 0)
    source: Any = x
    zeros = np.zeros((n, n), source.dtype)
    return indexing.index_update(zeros, (rows, rows + diagonal), source)  # type: ignore[return-value]  # as x


_diagonal = diagonal  # diag has a parameter of that name


def nonzero(x: V) -> V:
    """The coordinates of each element that is not zero, one row each, int64; no gradient passes.

    >>> nonzero(tensor([0.0, 3.0, 4.0])).tolist()
    [[1], [2]]
    """
    if not keys.is_concrete(x):
        raise ArgumentError("the number of elements that are not zero is not known while tracing")
    places = np.argwhere(keys.numbers(x))
    found: Any = x.result_class.wrap(places) if isinstance(x, Value) else places
    return found  # type: ignore[no-any-return]  # of the type of x
