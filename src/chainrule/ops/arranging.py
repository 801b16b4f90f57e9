"""Arranging whole tensors: joined in rows and columns, turned, repeated, brought to one shape.

All of them are made of concatenations, permutations, expansions and reshapes, so their derivatives
are those of the parts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.aval import Shape, normalize_axis, shape_of
from ..core.aval import broadcast_shapes as _broadcast_shapes
from ..errors import ArgumentError, ShapeError
from . import indexing, joining, keys, movement, slicing

__all__ = [
    "adjoint", "atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "broadcast_shapes",
    "broadcast_tensors", "cartesian_prod", "cat", "column_stack", "combinations", "concat",
    "dstack", "fliplr", "flipud", "hstack", "meshgrid", "moveaxis", "ravel",
    "repeat_interleave", "rot90", "row_stack", "swapaxes", "swapdims", "t", "vstack",
]  # fmt: skip

# Joining ------------------------------------------------------------------------------------------


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """The tensors one after the other along `dim`: ``concatenate`` under PyTorch's name.

    Empty vectors are left out next to tensors of other ranks, as in PyTorch.

    >>> cat((tensor([1.0]), tensor([2.0, 3.0])))
    tensor([1., 2., 3.])
    """
    found = list(tensors)
    filled = [x for x in found if shape_of(x) != (0,)]
    return joining.concatenate(filled or found, dim)


concat = cat


def hstack(tensors: Sequence[Any]) -> Any:
    """The tensors side by side: along axis 1, vectors along axis 0."""
    found = [atleast_1d(x) for x in tensors]
    return cat(found, 0 if found and len(shape_of(found[0])) == 1 else 1)


def vstack(tensors: Sequence[Any]) -> Any:
    """The tensors one above the other; a vector is a row.

    >>> vstack((tensor([1.0, 2.0]), tensor([[3.0, 4.0]])))
    tensor([[1., 2.],
            [3., 4.]])
    """
    return cat([atleast_2d(x) for x in tensors], 0)


row_stack = vstack


def dstack(tensors: Sequence[Any]) -> Any:
    """The tensors one behind the other along axis 2."""
    return cat([atleast_3d(x) for x in tensors], 2)


def column_stack(tensors: Sequence[Any]) -> Any:
    """Vectors as the columns of a matrix; matrices side by side."""
    found = [x if len(shape_of(x)) > 1 else movement.reshape(x, (-1, 1)) for x in tensors]
    return cat(found, 1)


def block_diag(*tensors: Any) -> Any:
    """A matrix with the given matrices along its diagonal and zeros elsewhere.

    A vector is one row, a number one element. Raises ShapeError for more than two dimensions.

    >>> block_diag(tensor([[1.0, 2.0]]), tensor([3.0]))
    tensor([[1., 2., 0.],
            [0., 0., 3.]])
    """
    if any(len(shape_of(x)) > 2 for x in tensors):
        raise ShapeError(
            "block_diag needs matrices", got="   ".join(str(shape_of(x)) for x in tensors)
        )
    blocks = [atleast_2d(x) for x in tensors]
    width = sum(shape_of(x)[1] for x in blocks)
    rows, start = [], 0
    for block in blocks:
        n = shape_of(block)[1]
        rows.append(slicing.pad(block, ((0, 0), (start, width - start - n))))
        start += n
    return joining.concatenate(rows, 0)


# Order of axes ------------------------------------------------------------------------------------

swapaxes = swapdims = movement.transpose
moveaxis = movement.movedim


def adjoint(input: Any) -> Any:
    """The last two axes exchanged (of real numbers, which need no conjugation).

    Raises ShapeError for fewer than two dimensions.
    """
    if len(shape_of(input)) < 2:
        raise ShapeError("adjoint needs a matrix", got=str(shape_of(input)))
    return movement.transpose(input, -2, -1)


def t(input: Any) -> Any:
    """A matrix transposed; vectors and numbers as they are.

    Raises ShapeError for more than two dimensions.
    """
    shape = shape_of(input)
    if len(shape) > 2:
        raise ShapeError("t() transposes matrices", got=str(shape), hint="use transpose or permute")
    return movement.permute(input, tuple(range(len(shape)))[::-1])


def fliplr(input: Any) -> Any:
    """The columns, axis 1, in reverse order."""
    return slicing.flip(input, _axis(input, 1, "fliplr"))


def flipud(input: Any) -> Any:
    """The rows, axis 0, in reverse order."""
    return slicing.flip(input, _axis(input, 0, "flipud"))


def _axis(x: Any, axis: int, name: str) -> int:
    if len(shape_of(x)) <= axis:
        raise ShapeError(f"{name} needs {axis + 1} dimensions or more", got=str(shape_of(x)))
    return axis


def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
    """The plane of two axes turned `k` times by 90°, from the first towards the second.

    >>> rot90(tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[2., 4.],
            [1., 3.]])
    """
    rank = len(shape_of(input))
    axes = [normalize_axis(d, rank) for d in dims]
    if len(axes) != 2 or axes[0] == axes[1]:
        raise ArgumentError("rot90 needs two different axes", got=f"dims={tuple(dims)}")
    a, b = axes
    turns = k % 4
    if turns == 0:
        return movement.identity(input)
    if turns == 2:
        return slicing.flip(input, (a, b))
    if turns == 1:
        return movement.transpose(slicing.flip(input, b), a, b)
    return slicing.flip(movement.transpose(input, a, b), b)


# Shape --------------------------------------------------------------------------------------------


def ravel(input: Any) -> Any:
    """The elements as a vector, in row-major order."""
    return movement.reshape(input, (math.prod(shape_of(input)),))


def reshape_as(input: Any, other: Any) -> Any:
    """The elements in the shape of `other`."""
    return movement.reshape(input, shape_of(other))


def expand_as(input: Any, other: Any) -> Any:
    """The input repeated to the shape of `other`."""
    return movement.expand(input, shape_of(other))


def _each(one: Callable[[Any], Any], tensors: tuple[Any, ...]) -> Any:
    """`one` of a tensor, or a tuple of it for several."""
    if len(tensors) == 1:
        if not isinstance(tensors[0], (list, tuple)):
            return one(tensors[0])
        tensors = tuple(tensors[0])
    return tuple([one(x) for x in tensors])


def atleast_1d(*tensors: Any) -> Any:
    """Numbers as vectors of one element; other tensors as they are. Several give a tuple."""
    return _each(lambda x: x if shape_of(x) else movement.reshape(x, (1,)), tensors)


def atleast_2d(*tensors: Any) -> Any:
    """Vectors as matrices of one row; tensors of more dimensions as they are."""

    def one(x: Any) -> Any:
        shape = shape_of(x)
        return x if len(shape) > 1 else movement.reshape(x, (1, *(shape or (1,))))

    return _each(one, tensors)


def atleast_3d(*tensors: Any) -> Any:
    """Vectors as (1, n, 1), matrices as (m, n, 1); tensors of more dimensions as they are."""

    def one(x: Any) -> Any:
        shape = shape_of(x)
        if len(shape) > 2:
            return x
        return movement.reshape(x, (*shape, 1) if len(shape) == 2 else (1, *(shape or (1,)), 1))

    return _each(one, tensors)


# Repeating ----------------------------------------------------------------------------------------


def broadcast_shapes(*shapes: Any) -> Shape:
    """The shape that all shapes broadcast to. Raises ShapeError if there is none.

    >>> broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    return _broadcast_shapes(*[(s,) if isinstance(s, int) else tuple(s) for s in shapes])


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """Each tensor expanded to the shape that they all broadcast to."""
    found = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    shape = _broadcast_shapes(*[shape_of(x) for x in found])
    return tuple([movement.expand(x, shape) for x in found])


def repeat_interleave(
    input: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Any:
    """Each part along `dim` as many times as `repeats` says; without `dim`, of the flat input.

    `repeats` is a number or a vector of integers. Alone, ``repeat_interleave(repeats)`` gives the
    places 0, 1, …, each as often as it is repeated. Raises ArgumentError for a negative count or
    an `output_size` that is not the sum, ShapeError unless there is one count for each part.

    >>> repeat_interleave(tensor([5.0, 6.0]), tensor([1, 2]))
    tensor([5., 6., 6.])
    """
    if repeats is None:
        counts = _counts(input)
        return input.result_class.wrap(np.repeat(np.arange(counts.size), counts))
    x = ravel(input) if dim is None else input
    shape = shape_of(x)
    axis = normalize_axis(0 if dim is None else dim, len(shape))
    if isinstance(repeats, (int, np.integer)):
        if repeats < 0:
            raise ArgumentError("repeats are zero or more", got=str(repeats))
        lead, tail = shape[: axis + 1], shape[axis + 1 :]
        wide = movement.expand(movement.reshape(x, (*lead, 1, *tail)), (*lead, int(repeats), *tail))
        y = movement.reshape(wide, (*shape[:axis], shape[axis] * int(repeats), *tail))
    else:
        counts = np.broadcast_to(_counts(repeats), (shape[axis],))
        y = indexing.take(x, np.repeat(np.arange(shape[axis]), counts), axis)
    if output_size is not None and shape_of(y)[axis] != output_size:
        raise ArgumentError(
            "output_size is not the sum of the repeats",
            expected=str(shape_of(y)[axis]),
            got=str(output_size),
        )
    return y


def _counts(repeats: Any) -> Any:
    """Counts of repetitions as a vector of integers."""
    found = np.atleast_1d(keys.numbers(repeats))
    if found.ndim != 1 or found.dtype.kind not in "iu" or found.min(initial=0) < 0:
        raise ArgumentError("repeats are a vector of integers of zero or more", got=str(found))
    return found


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Coordinates of a grid: each vector spread over the axes of the others.

    With "ij" vector k varies along axis k of the results; with "xy" the first two change roles.
    Raises ArgumentError for another indexing, ShapeError for what is no vector or number.

    >>> [g.tolist() for g in meshgrid(tensor([1, 2]), tensor([3, 4, 5]))]
    [[[1, 1, 1], [2, 2, 2]], [[3, 4, 5], [3, 4, 5]]]
    """
    found = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    if indexing not in ("ij", "xy"):
        raise ArgumentError("no such indexing", expected="'ij' or 'xy'", got=repr(indexing))
    if any(len(shape_of(x)) > 1 for x in found):
        raise ShapeError("meshgrid needs vectors", got="   ".join(str(shape_of(x)) for x in found))
    vectors = [ravel(x) for x in found]
    swapped = indexing == "xy" and len(vectors) > 1
    order = [1, 0, *range(2, len(vectors))] if swapped else list(range(len(vectors)))
    shape = tuple(shape_of(vectors[k])[0] for k in order)
    grids = []
    for k, x in enumerate(vectors):
        at = order.index(k)
        thin = tuple(n if a == at else 1 for a, n in enumerate(shape))
        grids.append(movement.expand(movement.reshape(x, thin), shape))
    return tuple(grids)


def cartesian_prod(*tensors: Any) -> Any:
    """All combinations of one element of each vector, one row each; of one vector, itself.

    >>> cartesian_prod(tensor([1, 2]), tensor([3, 4])).tolist()
    [[1, 3], [1, 4], [2, 3], [2, 4]]
    """
    if len(tensors) == 1:
        return movement.identity(tensors[0])
    return joining.stack([ravel(grid) for grid in meshgrid(*tensors)], 1)


def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """All combinations of `r` elements of a vector, one row each, in order of places.

    >>> combinations(tensor([1, 2, 3])).tolist()
    [[1, 2], [1, 3], [2, 3]]
    """
    shape = shape_of(input)
    if len(shape) != 1 or r < 0:
        raise ArgumentError(
            "combinations needs a vector and a number of zero or more", got=f"{shape}, r={r}"
        )
    if r == 0:
        return input[:0]
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = list(choose(range(shape[0]), r))
    return indexing.take(input, np.array(rows, np.intp).reshape(len(rows), r))
