"""Index keys: what stands between the brackets of ``x[…]``, resolved for a shape.

A key becomes a static pattern, one entry for each axis of x and each new axis, and the list of
index arrays, which are data. The pattern is hashable, so it can be a parameter of an op.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from ..core.aval import Axes, Shape, broadcast_shapes, describe, shape_of
from ..core.value import Value
from ..errors import ArgumentError, DTypeError, IndexRangeError, ShapeError

ARRAY: Final = "array"
"""Entry of an axis that an array indexes."""
GAP: Final = "gap"
"""Entry of an ellipsis that stands for no axis: it still separates index arrays, as in NumPy."""
Entry: TypeAlias = int | tuple[int, int, int] | str | None
"""An integer; (start, size, step) of a slice; ARRAY; GAP; or None for a new axis."""
Pattern: TypeAlias = tuple[Entry, ...]


class Parsed(NamedTuple):
    """A key resolved for a shape: the static pattern, and the index arrays in order."""

    pattern: Pattern
    arrays: list[Any]
    new_axes: Axes
    """Axes of size one to give x first, for zero-dimensional masks (``x[True]``)."""


def parse(key: Any, shape: Shape) -> Parsed:
    """Resolve `key` for an array of this shape, by NumPy's rules.

    Boolean masks become the integer arrays of their true places. Raises IndexRangeError for an
    index out of range or too many of them, ShapeError for a mask of another shape, DTypeError for
    what is no index.
    """
    items = [_item(part) for part in (key if type(key) is tuple else (key,))]
    consumed = sum(_axes_of(item) for item in items)
    if consumed > len(shape):
        raise IndexRangeError(
            "too many indices",
            expected=f"at most {len(shape)} for shape {shape}",
            got=str(consumed),
        )
    rest = len(shape) - consumed
    ellipses = sum(item is Ellipsis for item in items)
    if ellipses > 1:
        raise IndexRangeError("an index can have only one ellipsis ('...')")
    if not ellipses:
        items = [*items, *[slice(None)] * rest]
        rest = 0
    pattern: list[Entry] = []
    arrays: list[Any] = []
    new_axes: list[int] = []
    axis = 0
    for item in items:
        if item is None:
            pattern.append(None)
            continue
        if item is Ellipsis:
            pattern += [(0, n, 1) for n in shape[axis : axis + rest]] if rest else [GAP]
            axis += rest
            continue
        if isinstance(item, int):
            pattern.append(within(item, shape[axis], axis))
        elif isinstance(item, slice):
            pattern.append(_span(item, shape[axis]))
        elif item.dtype.kind == "b":
            if item.ndim == 0:
                new_axes.append(axis + len(new_axes))
            arrays += _places(item, shape[axis : axis + item.ndim], axis)
            pattern += [ARRAY] * max(item.ndim, 1)
        else:
            arrays.append(item)
            pattern.append(ARRAY)
        axis += _axes_of(item)
    if ARRAY not in pattern:
        pattern = [entry for entry in pattern if entry != GAP]
    return Parsed(tuple(pattern), arrays, tuple(new_axes))


def within(index: int, n: int, axis: int) -> int:
    """`index` as a non-negative number. Raises IndexRangeError unless -n <= index < n."""
    if not -n <= index < n:
        raise IndexRangeError(
            f"index out of range along axis {axis}",
            expected=f"{-n} <= index < {n}" if n else "an axis that is not empty",
            got=str(index),
        )
    return index + n if index < 0 else index


def _span(item: slice, n: int) -> tuple[int, int, int]:
    try:
        found = range(*item.indices(n))
    except (TypeError, ValueError) as error:
        raise DTypeError(f"cannot slice with {item}: {error}") from None
    return (found.start, len(found), found.step) if found else (0, 0, 1)


def is_concrete(x: Any) -> bool:
    """Whether the numbers of x are known now, which they are not while a step is traced."""
    return isinstance(x.array if isinstance(x, Value) else x, (np.ndarray, np.generic))


def numbers(x: Any) -> Any:
    """The ndarray inside a tensor or array whose numbers are known."""
    return np.asarray(x.array if isinstance(x, Value) else x)


def _item(part: Any) -> Any:
    """One member of a key as an int, a slice, None, Ellipsis, or a boolean or integer array."""
    if type(part) is int or part is None or part is Ellipsis or isinstance(part, slice):
        return part
    if isinstance(part, (bool, np.bool_)):
        return np.asarray(part)
    if isinstance(part, np.integer):
        return int(part)
    if isinstance(part, (list, tuple, range)):
        inner = np.asarray([numbers(p) if isinstance(p, Value) else p for p in part])
        return _index_array(inner.astype(np.intp) if inner.size == 0 else inner)
    if isinstance(part, (Value, np.ndarray)):
        return _index_array(part)
    try:
        return operator.index(part)
    except TypeError:
        if getattr(part, "dtype", None) is not None:
            return _index_array(part)
        raise _no_index(type(part).__name__) from None


def _index_array(array: Any) -> Any:
    """An integer or boolean array; a zero-dimensional integer is an int if its value is known."""
    kind = array.dtype.kind
    if kind not in "biu":
        raise _no_index(describe(array))
    if kind != "b" and is_concrete(array):
        if array.ndim == 0:
            return int(numbers(array))
        if array.dtype == np.uint64 and numbers(array).max(initial=0) > np.iinfo(np.int64).max:
            raise IndexRangeError("index out of range", got="2**63 or more")
    return array


def _no_index(got: str) -> DTypeError:
    return DTypeError(
        "this is not an index",
        expected="integers, slices, ..., None, and integer or boolean arrays",
        got=got,
    )


def _axes_of(item: Any) -> int:
    """How many axes of x an item consumes; an ellipsis is counted later."""
    if item is None or item is Ellipsis:
        return 0
    if isinstance(item, (int, slice)) or item.dtype.kind != "b":
        return 1
    return int(item.ndim)


def _places(mask: Any, shape: Shape, axis: int) -> list[Any]:
    """The coordinates at which a mask is true, one array for each of its axes."""
    check_mask(mask, shape, axis)
    found = numbers(mask)
    return [np.flatnonzero(found) * 0] if found.ndim == 0 else list(np.nonzero(found))


def check_mask(mask: Any, shape: Shape, axis: int) -> None:
    """Raise unless the mask has the shape of the axes it selects from, and its values are known."""
    if tuple(mask.shape) != shape:
        raise ShapeError(
            "a boolean index must have the shape of the axes it selects from",
            expected=f"{shape} from axis {axis} on",
            got=str(tuple(mask.shape)),
        )
    if not is_concrete(mask):
        raise ArgumentError(
            "the number of elements that a mask selects is not known while tracing",
            hint="use where(mask, x, 0), or assign with x[mask] = number",
        )


# What a pattern means -----------------------------------------------------------------------------


def is_basic(pattern: Pattern) -> bool:
    """Whether a pattern has no index arrays, so that it is a strided part of x."""
    return ARRAY not in pattern


def strided(pattern: Pattern) -> tuple[Axes, Shape, Axes, Shape]:
    """Starts, sizes and steps along each axis of x, and the shape of the result, if basic."""
    starts, sizes, steps, shape = [], [], [], []
    for entry in pattern:
        if entry is None:
            shape.append(1)
        elif isinstance(entry, tuple):
            starts.append(entry[0])
            sizes.append(entry[1])
            steps.append(entry[2])
            shape.append(entry[1])
        elif isinstance(entry, int):
            starts.append(entry)
            sizes.append(1)
            steps.append(1)
    return tuple(starts), tuple(sizes), tuple(steps), tuple(shape)


def _is_pointwise(entry: Entry) -> bool:
    """Whether an entry picks single places: integers do so too next to arrays."""
    return entry == ARRAY or isinstance(entry, int)


def place_of_arrays(pattern: Pattern) -> int:
    """Axis of the result at which the axes of the index arrays begin.

    They stay where the arrays stand if these are next to each other, else they come first.
    """
    pointwise = [i for i, entry in enumerate(pattern) if _is_pointwise(entry)]
    if pointwise[-1] - pointwise[0] + 1 != len(pointwise):
        return 0
    return sum(entry != GAP for entry in pattern[: pointwise[0]])


def result_shape(pattern: Pattern, array_shapes: Sequence[Shape]) -> Shape:
    """Shape of ``x[key]`` for a pattern with index arrays of these shapes."""
    kept = [
        1 if entry is None else entry[1]
        for entry in pattern
        if entry is None or isinstance(entry, tuple)
    ]
    at = place_of_arrays(pattern)
    return (*kept[:at], *broadcast_shapes(*array_shapes), *kept[at:])


def placed(k: Any, pattern: Pattern, shape: Shape, target: Shape, arrays: Sequence[Any]) -> Any:
    """For the compiler: where a key's result of shape `target` lies in an array of `shape`.

    The place of each point, and by axis the numbers that the arrays say, none of them negative
    unless it is out of range.
    """
    lead = broadcast_shapes(*[shape_of(a) for a in arrays]) if arrays else ()
    first = place_of_arrays(pattern) if arrays else -1
    dim = len(lead) if first == 0 else 0
    remaining = iter(arrays)
    dims: list[int | None] = []
    starts, steps, index = [], [], {}
    for entry in pattern:
        if entry == GAP:
            continue
        if entry is None or isinstance(entry, tuple):
            if entry is not None:
                dims.append(dim)
                starts.append(entry[0])
                steps.append(entry[2])
            dim += len(lead) + 1 if dim + 1 == first else 1
            continue
        if entry == ARRAY:
            array, axis = next(remaining), len(dims)
            number = k.index(array, target, first + len(lead) - len(array.shape))
            if array.dtype.kind == "i":
                number = k.counted_back(number, shape[axis])
            index[axis] = number
        dims.append(None)
        starts.append(entry if isinstance(entry, int) else 0)
        steps.append(1)
    return k.along(len(target), dims, starts, steps), index


def numpy_key(pattern: Pattern, arrays: Sequence[Any]) -> tuple[Any, ...]:
    """The key to index an ndarray with."""
    remaining = iter(arrays)
    key: list[Any] = []
    for entry in pattern:
        if entry == ARRAY:
            key.append(next(remaining))
        elif entry == GAP:
            key.append(Ellipsis)
        elif isinstance(entry, tuple):
            key.append(bounds(*entry))
        else:
            key.append(entry)
    return tuple(key)


def bounds(start: int, size: int, step: int) -> slice:
    """The slice that takes `size` elements from `start` on, `step` apart."""
    if size == 0:
        return slice(0, 0, 1)
    stop = start + size * step
    return slice(start, None if stop < 0 else stop, step)
