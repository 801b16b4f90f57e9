"""Elements chosen by masks, numbers and places: taken out, or replaced in a new tensor."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..core.apply import apply
from ..core.aval import SCALARS, Aval, Shape, broadcast_shapes, describe, normalize_axis, shape_of
from ..core.families import Constant
from ..core.sampling import Sample, ints
from ..errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from . import arithmetic, comparison, diagonals, indexing, keys, lookup, movement, selection

__all__ = [
    "argwhere", "index_add", "index_copy", "index_fill", "index_put", "index_select", "isin",
    "masked_fill", "masked_scatter", "masked_select", "nonzero", "put", "take_along_dim",
    "unravel_index", "where",
]  # fmt: skip

# Masks --------------------------------------------------------------------------------------------


def _mask(mask: Any, name: str) -> Any:
    if getattr(mask, "dtype", None) != np.bool_:
        raise DTypeError(f"{name} needs a boolean mask", got=describe(mask))
    return mask


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """x with `value`, a number or a tensor of no dimensions, where the mask is true.

    Mask and x are broadcast. ∂y/∂x = 0 where the mask is true; ∂y/∂value sums the rest.
    Raises DTypeError unless the mask is boolean, ShapeError for a value with dimensions.

    >>> masked_fill(tensor([1.0, 2.0]), tensor([True, False]), 0.0)
    tensor([0., 2.])
    """
    if shape_of(value) != ():
        raise ShapeError("masked_fill needs a single number", got=describe(value))
    if type(value) in SCALARS:
        value = input.dtype.type(value)
    elif value.dtype != input.dtype:
        value = movement.cast(value, input.dtype)
    return selection.where(_mask(mask, "masked_fill"), value, input)


def masked_select(input: Any, mask: Any) -> Any:
    """The elements where the mask is true, as a vector; mask and x are broadcast.

    Their number depends on the data, so it cannot be traced: raises ArgumentError then.

    >>> masked_select(tensor([1.0, 2.0, 3.0]), tensor([True, False, True]))
    tensor([1., 3.])
    """
    shape = broadcast_shapes(shape_of(input), shape_of(_mask(mask, "masked_select")))
    whole = movement.reshape(movement.expand(input, shape), (math.prod(shape),))
    return whole[movement.reshape(movement.expand(mask, shape), (math.prod(shape),))]


def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """x with the elements where the mask is true replaced by the first ones of `source`, in order.

    Raises ShapeError if the source has too few.

    >>> masked_scatter(tensor([1.0, 2.0, 3.0]), tensor([True, False, True]), tensor([7.0, 8.0]))
    tensor([7., 2., 8.])
    """
    shape = broadcast_shapes(shape_of(input), shape_of(_mask(mask, "masked_scatter")))
    x = movement.expand(input, shape)
    found = movement.expand(mask, shape)
    keys.check_mask(found, shape, 0)
    places = np.flatnonzero(keys.numbers(found))
    given = movement.reshape(source, (math.prod(shape_of(source)),))
    if shape_of(given)[0] < places.size:
        raise ShapeError(
            "masked_scatter needs an element for each true place",
            expected=f"at least {places.size}",
            got=describe(source),
        )
    flat = movement.reshape(x, (math.prod(shape),))
    y = indexing.index_update(flat, (places,), given[: places.size])
    return movement.reshape(y, shape)


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """``selection.where``; of the condition alone, the coordinates where it holds, one per axis.

    >>> [i.tolist() for i in where(tensor([0, 3, 4]))]
    [[1, 2]]
    """
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    if input is None or other is None:
        raise ArgumentError("where needs both values, or neither")
    return selection.where(condition, input, other)


where.__doc__ = selection.where.__doc__


def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The coordinates of the elements that are not zero, one row each; or one vector per axis.

    >>> nonzero(tensor([0.0, 3.0, 4.0])).tolist()
    [[1], [2]]
    """
    if not as_tuple:
        return diagonals.nonzero(input)
    rows: Any = diagonals.nonzero(input if shape_of(input) else movement.reshape(input, (1,)))
    return tuple([rows[:, axis] for axis in range(max(len(shape_of(input)), 1))])


def argwhere(input: Any) -> Any:
    """The coordinates of the elements that are not zero, one row each."""
    return diagonals.nonzero(input)


class IsIn(Constant):
    """Whether each element of x is among those of another tensor."""

    def infer(self, *xs: Any) -> Aval:
        return Aval(shape_of(xs[0]), np.dtype(np.bool_))

    def forward(self, *xs: Any) -> Any:
        return np.isin(xs[0], xs[1])

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, among in [
            ((), (3,)), ((5,), (3,)), ((2, 3), ()), ((0,), (3,)), ((4,), (0,)), ((2, 2, 2), (2, 2)),
        ]:  # fmt: skip
            yield Sample(cls(), (ints(shape, 5), ints(among, 5)))


_IS_IN = IsIn()


def isin(
    elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False
) -> Any:
    """Whether each element is among `test_elements`, or, with `invert`, is not; boolean.

    >>> isin(tensor([1, 2, 3]), tensor([3, 1]))
    tensor([True, False, True])
    """
    among = np.asarray(test_elements) if type(test_elements) in SCALARS else test_elements
    found: Any = apply(
        _IS_IN, np.asarray(elements) if type(elements) in SCALARS else elements, among
    )
    return found ^ True if invert else found


# Parts along an axis ------------------------------------------------------------------------------


def _along(x: Any, dim: int, index: Any) -> tuple[Any, int, tuple[Any, ...]]:
    """x with an axis at least, the axis, and the key of the parts that a vector names."""
    if not shape_of(x):
        x = movement.reshape(x, (1,))
    axis = normalize_axis(dim, len(shape_of(x)))
    numbers = lookup.as_index(index)
    if len(shape_of(numbers)) > 1:
        raise ShapeError("the index is a vector of integers", got=describe(numbers))
    if not shape_of(numbers):
        numbers = movement.reshape(numbers, (1,))
    return x, axis, (*(slice(None),) * axis, numbers)


def _fitting(source: Any, x: Any, axis: int) -> Any:
    """A source of fewer dimensions than x with the axis of the index added."""
    return source if len(shape_of(source)) == len(shape_of(x)) else movement.unsqueeze(source, axis)


def index_select(input: Any, dim: int, index: Any) -> Any:
    """The parts of x at the integers of the vector `index` along `dim`.

    >>> index_select(tensor([[1.0, 2.0], [3.0, 4.0]]), 1, [1, 1, 0])
    tensor([[2., 2., 1.],
            [4., 4., 3.]])
    """
    x, _, key = _along(input, dim, index)
    return x[key] if shape_of(input) else movement.reshape(x[key], ())


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    """x with ``alpha · source[…, k, …]`` added to ``x[…, index[k], …]`` along `dim`, for every k.

    A place that is named twice gets both. ∂/∂x = 1; ∂/∂source reads the cotangent at `index`.
    Raises IndexRangeError for an index out of range, ShapeError if `source` does not fit.

    >>> index_add(tensor([0.0, 0.0]), 0, [1, 1], tensor([1.0, 2.0]))
    tensor([0., 3.])
    """
    x, axis, key = _along(input, dim, index)
    added = _fitting(source, x, axis)
    scaled = added if alpha == 1 else added * alpha
    return movement.reshape(indexing.index_add(x, axis, key[-1], scaled), shape_of(input))


def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """x with ``x[…, index[k], …]`` replaced by ``source[…, k, …]`` along `dim`, for every k.

    Of several parts for one place the last stays. Raises as ``index_add`` does.

    >>> index_copy(tensor([1.0, 2.0, 3.0]), 0, [2, 0], tensor([7.0, 8.0]))
    tensor([8., 2., 7.])
    """
    x, axis, key = _along(input, dim, index)
    y = indexing.index_update(x, key, _fitting(source, x, axis))
    return movement.reshape(y, shape_of(input))


def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """x with the parts that `index` names along `dim` replaced by a number.

    >>> index_fill(tensor([1.0, 2.0, 3.0]), 0, [0, 2], -1.0)
    tensor([-1.,  2., -1.])
    """
    if shape_of(value) != ():
        raise ShapeError("index_fill needs a single number", got=describe(value))
    x, _, key = _along(input, dim, index)
    return movement.reshape(indexing.index_update(x, key, value), shape_of(input))


def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """``gather`` with PyTorch's other signature: x and `indices` are broadcast except along `dim`.

    Without `dim` both are taken as flat. It reads what ``argsort`` and ``argmax`` with keepdim
    found. Raises as ``gather`` does, and ShapeError for shapes that do not broadcast.

    >>> x = tensor([[3.0, 1.0, 2.0]])
    >>> take_along_dim(x, argsort(x, 1), 1)
    tensor([[1., 2., 3.]])
    """
    x, index = input, lookup.as_index(indices)
    if dim is None:
        flat = movement.reshape(x, (math.prod(shape_of(x)),))
        return lookup.gather(flat, 0, movement.reshape(index, (math.prod(shape_of(index)),)))
    shape, wanted = shape_of(x), shape_of(index)
    if len(shape) != len(wanted):
        raise ShapeError(
            "take_along_dim needs indices with as many axes as its operand",
            expected=f"{len(shape)} axes",
            got=f"x of {shape}, indices of {wanted}",
        )
    axis = normalize_axis(dim, len(shape))
    if index.dtype.kind == "i":
        index = selection.where(comparison.lt(index, 0), index + shape[axis], index)
    around = broadcast_shapes(_resized(shape, axis, 1), _resized(wanted, axis, 1))
    x = movement.expand(x, _resized(around, axis, shape[axis]))
    return lookup.gather(x, axis, movement.expand(index, _resized(around, axis, wanted[axis])))


def _resized(shape: Shape, axis: int, size: int) -> Shape:
    return (*shape[:axis], size, *shape[axis + 1 :])


# Places -------------------------------------------------------------------------------------------


def index_put(input: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    """x with the places ``x[indices]`` replaced by `values`, or, with `accumulate`, added to.

    `indices` has an integer or boolean tensor, or None, for each axis; `values` are broadcast.
    When they add up, a place named twice gets both.

    >>> index_put(tensor([0.0, 0.0]), (tensor([1, 1]),), tensor([1.0, 2.0]), accumulate=True)
    tensor([0., 3.])
    """
    key = tuple([slice(None) if i is None else i for i in indices])
    if not accumulate:
        return indexing.index_update(input, key, values)
    pattern, arrays, _ = keys.parse(key, shape_of(input))
    target = keys.result_shape(pattern, [shape_of(a) for a in arrays])
    given = np.asarray(values, input.dtype) if type(values) in SCALARS else values
    if given.dtype != input.dtype:
        given = movement.cast(given, input.dtype)
    op = indexing.IndexSum(pattern, shape_of(input))
    return arithmetic.add(input, apply(op, movement.expand(given, target), *arrays))


def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """x with its places `index`, as if it were flat, replaced by (or added to) `source`.

    Raises ShapeError unless there is one value for each number.

    >>> put(tensor([[1.0, 2.0], [3.0, 4.0]]), [3, 0], tensor([7.0, 8.0]))
    tensor([[8., 2.],
            [3., 7.]])
    """
    numbers = lookup.as_index(index)
    if math.prod(shape_of(numbers)) != math.prod(shape_of(source)):
        raise ShapeError(
            "put needs a value for each number",
            got=f"index {shape_of(numbers)}, source {shape_of(source)}",
        )
    shape, count = shape_of(input), math.prod(shape_of(numbers))
    flat = movement.reshape(input, (math.prod(shape),))
    places, values = movement.reshape(numbers, (count,)), movement.reshape(source, (count,))
    return movement.reshape(index_put(flat, (places,), values, accumulate), shape)


def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """The coordinates, one tensor per axis, of row-major places in an array of `shape`.

    Raises IndexRangeError for a place outside it.

    >>> [i.tolist() for i in unravel_index(tensor([5]), (2, 3))]
    [[1], [2]]
    """
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    total = math.prod(sizes)
    if keys.is_concrete(indices):
        found = keys.numbers(indices)
        if found.size and (found.max() >= total or found.min() < 0):
            raise IndexRangeError("a place is outside the shape", expected=f"0 … {total - 1}")
    rest, coordinates = indices, []
    for n in sizes[::-1]:
        coordinates.append(rest % n)
        rest = rest // n
    return tuple(coordinates[::-1])
