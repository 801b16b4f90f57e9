"""Parts of a tensor, cut out or put back: narrow, select, split, strided and diagonal parts.

Tensors are values, so a part is never a window on the tensor it came from: ``*_scatter`` gives a
new tensor in which a part is replaced, and ``*_copy`` differs from its namesake only in that the
result may be changed in place.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.apply import apply
from ..core.aval import Shape, normalize_axis, shape_of
from ..errors import ArgumentError, IndexRangeError, ShapeError
from . import arranging, diagonals, indexing, joining, keys, movement, reduce, window

__all__ = [
    "alias_copy", "as_strided", "as_strided_copy", "as_strided_scatter", "detach_copy",
    "diag_embed", "diagflat", "diagonal_copy", "diagonal_scatter", "dsplit", "expand_copy",
    "hsplit", "narrow", "narrow_copy", "permute_copy", "select", "select_copy",
    "select_scatter", "slice_scatter", "split_copy", "split_with_sizes",
    "split_with_sizes_copy", "squeeze_copy", "t_copy", "tensor_split", "trace",
    "transpose_copy", "unbind_copy", "unfold_copy", "unsafe_chunk", "unsafe_split",
    "unsqueeze_copy", "view_copy", "vsplit",
]  # fmt: skip

# Cutting out --------------------------------------------------------------------------------------


def _at(axis: int, index: Any) -> tuple[Any, ...]:
    return (*(slice(None),) * axis, index)


def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    """`length` elements along `dim` from `start` on, which may count from the end.

    Raises IndexRangeError if they are not all there.

    >>> narrow(tensor([1.0, 2.0, 3.0, 4.0]), 0, 1, 2)
    tensor([2., 3.])
    """
    shape = shape_of(input)
    axis = normalize_axis(dim, len(shape))
    n = (*shape, 0)[axis]
    first = operator.index(start.item() if hasattr(start, "item") else start)
    begin = first + n if first < 0 else first
    if not shape or not 0 <= begin <= n or not 0 <= length <= n - begin:
        raise IndexRangeError(
            "narrow needs a part that is within its axis",
            expected=f"start and start + length within {n}, along axis {dim} of {shape}",
            got=f"start {first}, length {length}",
        )
    return input[_at(axis, slice(begin, begin + length))]


def select(input: Any, dim: int, index: int) -> Any:
    """The part at `index` along `dim`, without that axis."""
    shape = shape_of(input)
    if not shape:
        raise ShapeError("select needs an axis", got="a number")
    return input[_at(normalize_axis(dim, len(shape)), operator.index(index))]


def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Parts along `dim`: so many of sizes that differ by one at most, or cut at the given places.

    >>> [part.tolist() for part in tensor_split(tensor([1, 2, 3, 4, 5]), 3)]
    [[1, 2], [3, 4], [5]]
    """
    shape = shape_of(input)
    if not shape:
        raise ShapeError("tensor_split needs an axis", got="a number")
    axis = normalize_axis(dim, len(shape))
    given: Any = indices_or_sections
    if hasattr(given, "shape"):
        given = keys.numbers(given).tolist()
    if isinstance(given, (int, np.integer)):
        if given < 1:
            raise ArgumentError("the number of sections is one or more", got=str(given))
        size, more = divmod(shape[axis], int(given))
        return joining.split(input, [size + (i < more) for i in range(given)], axis)
    cuts = [None, *(operator.index(i) for i in given), None]
    return tuple([input[_at(axis, slice(a, b))] for a, b in itertools.pairwise(cuts)])


def _split_evenly(x: Any, sections: Any, axis: int, name: str) -> tuple[Any, ...]:
    shape = shape_of(x)
    if len(shape) <= axis:
        raise ShapeError(f"{name} needs {axis + 1} dimensions or more", got=str(shape))
    if isinstance(sections, int) and (sections < 1 or shape[axis] % sections):
        raise ShapeError(
            f"{name} needs sections of one size", got=f"{sections} sections of {shape[axis]}"
        )
    return tensor_split(x, sections, axis)


def hsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """``tensor_split`` along axis 1, or 0 of a vector; sections must be equal in size."""
    axis = 0 if len(shape_of(input)) == 1 else 1
    return _split_evenly(input, indices_or_sections, axis, "hsplit")


def vsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """``tensor_split`` along axis 0 of two dimensions or more; sections must be equal in size."""
    if len(shape_of(input)) < 2:
        raise ShapeError("vsplit needs two dimensions or more", got=str(shape_of(input)))
    return _split_evenly(input, indices_or_sections, 0, "vsplit")


def dsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """``tensor_split`` along axis 2; sections must be equal in size."""
    return _split_evenly(input, indices_or_sections, 2, "dsplit")


def split_with_sizes(input: Any, split_sizes: Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Parts of the given sizes along `dim`."""
    return joining.split(input, split_sizes, dim)


def windows(input: Any, dimension: int, size: int, step: int) -> Any:
    """All parts of `size` along an axis, `step` apart: ``Tensor.unfold``.

    Their number stands where the axis was, and their elements along a new last axis. The transpose
    adds overlapping parts up. Raises ArgumentError unless 1 <= size <= n and step >= 1.

    >>> windows(tensor([1.0, 2.0, 3.0, 4.0]), 0, 2, 1)
    tensor([[1., 2.],
            [2., 3.],
            [3., 4.]])
    """
    x = input if shape_of(input) else movement.reshape(input, (1,))
    shape = shape_of(x)
    axis = normalize_axis(dimension, len(shape))
    if not 1 <= size <= shape[axis] or step < 1:
        raise ArgumentError(
            "unfold needs parts that are within their axis",
            expected=f"1 <= size <= {shape[axis]} and step >= 1",
            got=f"size {size}, step {step}",
        )
    w = window.Window((size,), (step,), (1,), ((0, 0),))
    y = apply(window.Unfold(w), movement.movedim(x, axis, -1))
    y = movement.movedim(y, -1, axis)
    return y if shape_of(input) else movement.reshape(y, shape_of(y)[1:])


def strided_places(size: Sequence[int], stride: Sequence[int], offset: int, count: int) -> Any:
    """The places offset + Σ i_k stride_k of a grid of indices, an integer array of shape `size`.

    Raises IndexRangeError for one outside 0 … count-1.
    """
    if len(size) != len(stride):
        raise ArgumentError(
            "as_strided needs one stride for each size", got=f"{tuple(size)}, {tuple(stride)}"
        )
    places = np.full(tuple(size), offset, np.intp)
    for axis, (n, step) in enumerate(zip(size, stride, strict=True)):
        places = places + (np.arange(n) * step).reshape(-1, *(1,) * (len(size) - axis - 1))
    if places.size and (places.min() < 0 or places.max() >= count):
        raise IndexRangeError(
            "as_strided reaches outside its tensor",
            expected=f"places 0 … {count - 1}",
            got=f"{places.min()} … {places.max()}",
        )
    return places


def as_strided(
    input: Any, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Any:
    """y[i, j, …] = the element offset + i·stride[0] + j·stride[1] + … of x in row-major order.

    A copy: tensors are values without a storage that others share, so strides count the elements
    of x itself, as they do in PyTorch for a contiguous tensor. Places that are read twice gather
    the sum of their gradients. Raises IndexRangeError for a place outside x.

    >>> as_strided(tensor([1.0, 2.0, 3.0]), (2, 2), (1, 1))
    tensor([[1., 2.],
            [2., 3.]])
    """
    flat = arranging.ravel(input)
    return flat[strided_places(size, stride, storage_offset or 0, shape_of(flat)[0])]


# Putting back -------------------------------------------------------------------------------------


def _require_shape(name: str, src: Any, expected: Shape) -> None:
    if shape_of(src) != expected:
        raise ShapeError(
            f"{name} needs a source of the shape of the part that it replaces",
            expected=str(expected),
            got=str(shape_of(src)),
        )


def select_scatter(input: Any, src: Any, dim: int, index: int) -> Any:
    """x with its part at `index` along `dim` replaced by `src`."""
    shape = shape_of(input)
    axis = normalize_axis(dim, len(shape))
    _require_shape("select_scatter", src, shape[:axis] + shape[axis + 1 :])
    return indexing.index_update(input, _at(axis, operator.index(index)), src)


def slice_scatter(
    input: Any,
    src: Any,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Any:
    """x with the part ``start:end:step`` along `dim` replaced by `src`.

    >>> slice_scatter(tensor([1.0, 2.0, 3.0]), tensor([0.0]), start=2)
    tensor([1., 2., 0.])
    """
    shape = shape_of(input)
    axis = normalize_axis(dim, len(shape))
    count = len(range(*slice(start, end, step).indices(shape[axis])))
    _require_shape("slice_scatter", src, (*shape[:axis], count, *shape[axis + 1 :]))
    return indexing.index_update(input, _at(axis, slice(start, end, step)), src)


def diagonal_scatter(input: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """x with its diagonal, as ``diagonal`` gives it, replaced by `src`."""
    rank = len(shape_of(input))
    axes = (normalize_axis(dim1, rank), normalize_axis(dim2, rank))
    places = diagonals.places_of_diagonal(shape_of(input), offset, *axes)
    back = movement.movedim(input, axes, (-2, -1))
    _require_shape("diagonal_scatter", src, (*shape_of(back)[:-2], len(places[0])))
    return movement.movedim(indexing.index_update(back, (..., *places), src), (-2, -1), axes)


def as_strided_scatter(
    input: Any,
    src: Any,
    size: Sequence[int],
    stride: Sequence[int],
    storage_offset: int | None = None,
) -> Any:
    """x with the places that ``as_strided`` reads replaced by `src`; strides count as there."""
    flat = arranging.ravel(input)
    _require_shape("as_strided_scatter", src, tuple(size))
    places = strided_places(size, stride, storage_offset or 0, shape_of(flat)[0])
    return movement.reshape(indexing.index_update(flat, places, src), shape_of(input))


# Diagonals ----------------------------------------------------------------------------------------


def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """The last axis as the diagonal of the matrices that axes `dim1` and `dim2` of the result span.

    >>> diag_embed(tensor([1.0, 2.0]), 1).shape
    (3, 3)
    """
    shape = shape_of(input)
    rank = len(shape) + 1
    axes = (normalize_axis(dim1, rank), normalize_axis(dim2, rank))
    if axes[0] == axes[1]:
        raise ShapeError("diag_embed needs two different axes", got=f"{dim1} and {dim2}")
    n = shape[-1] + abs(offset)
    rows = np.arange(shape[-1]) + max(-offset, 0)
    zeros = np.zeros((*shape[:-1], n, n), input.dtype)
    y = indexing.index_update(zeros, (..., rows, rows + offset), input)
    return movement.movedim(y, (-2, -1), axes)


def diagflat(input: Any, offset: int = 0) -> Any:
    """A square matrix with the elements, in row-major order, on one of its diagonals."""
    return diagonals.diag(arranging.ravel(input), offset)


def trace(input: Any) -> Any:
    """Σ xᵢᵢ of a matrix. Raises ShapeError for anything else.

    >>> trace(tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    if len(shape_of(input)) != 2:
        raise ShapeError("trace needs a matrix", got=str(shape_of(input)))
    return reduce.sum(diagonals.diagonal(input))


# Copies -------------------------------------------------------------------------------------------


def _copying(view: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose results are values that may be changed in place."""

    @functools.wraps(view)
    def copy(*args: Any, **kwargs: Any) -> Any:
        part = view(*args, **kwargs)
        if isinstance(part, tuple):
            return tuple([movement.identity(p) for p in part])
        return movement.identity(part)

    return copy


alias_copy = _copying(movement.identity)
as_strided_copy = _copying(as_strided)
detach_copy = _copying(lambda input: input.detach())
diagonal_copy = _copying(diagonals.diagonal)
expand_copy = _copying(movement.expand)
narrow_copy = _copying(narrow)
permute_copy = _copying(movement.permute)
select_copy = _copying(select)
split_copy = _copying(joining.split)
split_with_sizes_copy = _copying(split_with_sizes)
squeeze_copy = _copying(movement.squeeze)
t_copy = _copying(arranging.t)
transpose_copy = _copying(movement.transpose)
unbind_copy = _copying(joining.unbind)
unfold_copy = _copying(windows)
unsafe_chunk = _copying(joining.chunk)
unsafe_split = _copying(joining.split)
unsqueeze_copy = _copying(movement.unsqueeze)
view_copy = _copying(movement.reshape)
