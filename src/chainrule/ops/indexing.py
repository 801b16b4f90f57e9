"""Indexing by all of NumPy's rules, differentiable, and its functional counterpart ``x[key] = v``.

Keys without arrays are strided parts (see ``slicing``). Keys with arrays read the places that the
arrays name; the transpose adds up at these places what was read from them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import (
    SCALARS,
    Aval,
    Data,
    Shape,
    broadcast_shapes,
    describe,
    normalize_axis,
    shape_of,
)
from ..core.families import Linear
from ..core.op import Active, Cotangents, Needs, Op
from ..core.sampling import Draw, Sample, floats, ints
from ..core.value import Value
from ..errors import IndexRangeError, ShapeError
from . import keys, movement, scattering, selection, slicing
from .batched_keys import array_shapes, batched_key, whole
from .keys import ARRAY, GAP, Pattern

V = TypeVar("V")

_MOST_ARRAYS = 65
"""NumPy's arrays have at most 64 axes."""


class Index(Linear):
    """y = x[key] for a key with integer arrays; they are the constant inputs, in order."""

    pattern: Pattern
    needs = Needs(inputs=tuple(range(1, _MOST_ARRAYS)))

    def infer(self, *xs: Any) -> Aval:
        _check_axes(self.pattern, shape_of(xs[0]))
        return Aval(keys.result_shape(self.pattern, [shape_of(x) for x in xs[1:]]), xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        x, *arrays = xs
        try:
            axis = _only_array(self.pattern, x.shape)
            if axis is not None:  # take is twice as fast as x[index]
                return x.take(arrays[0], axis)
            return x[keys.numpy_key(self.pattern, arrays)]
        except IndexError as error:
            words = str(error)
        self.infer(*xs)  # says more, if it can
        raise IndexRangeError(words, got="   ".join(map(describe, arrays)))

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return apply(IndexSum(self.pattern, x.shape), ct, *constants)

    def check(self, *xs: Any) -> None:
        _check_arrays(self.pattern, xs[0].shape, xs[1:])

    def lower(self, k: Any, *xs: Any) -> Any:
        x, *arrays = xs
        shape = self.infer(*xs).shape
        return k.look_up(x, shape, *keys.placed(k, self.pattern, x.shape, shape, arrays))

    def batch(self, size: int, batched: Sequence[bool], *xs: Data) -> Data:
        key = batched_key(self.pattern, size, batched[1:], xs[1:])
        return key.brought(apply(Index(key.pattern), whole(xs[0], size, batched[0]), *key.arrays))

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, pattern, arrays in _KEYS:
            yield Sample(cls(pattern), (*floats(shape), *arrays))


class IndexSum(Linear):
    """The transpose of an index: zeros of `shape`, to which x is added at the places of the key.

    A place that is named twice gets the sum, in the order of x.
    """

    pattern: Pattern
    shape: Shape
    needs = Needs(inputs=tuple(range(1, _MOST_ARRAYS)))

    def infer(self, *xs: Any) -> Aval:
        _check_axes(self.pattern, self.shape)
        expected = keys.result_shape(self.pattern, [shape_of(x) for x in xs[1:]])
        if shape_of(xs[0]) != expected:
            raise ShapeError(
                "what is added must have the shape of the places",
                expected=str(expected),
                got=str(shape_of(xs[0])),
            )
        return Aval(self.shape, xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        x, *arrays = xs
        coordinates, axes = _coordinates(self.pattern, arrays)
        sizes = [self.shape[a] for a in axes]
        places = scattering.linear(sizes, coordinates, axes)
        lead = np.broadcast(*coordinates).shape
        first = keys.place_of_arrays(self.pattern)
        x = np.moveaxis(x, range(first, first + len(lead)), range(len(lead)))
        rows = x.reshape(math.prod(lead), math.prod(x.shape[len(lead) :]))
        summed = scattering.add_rows(math.prod(sizes), places, rows)
        spans = tuple(
            (0, self.shape[axis], 1) if isinstance(entry, int) or entry == ARRAY else entry
            for axis, entry in enumerate(e for e in self.pattern if e is not None and e != GAP)
        )
        rest = [span[1] for axis, span in enumerate(spans) if axis not in axes]
        summed = summed.reshape(*sizes, *rest)
        out = np.zeros(self.shape, x.dtype)
        part = out[tuple(keys.bounds(*span) for span in spans)]
        np.moveaxis(part, axes, range(len(axes)))[...] = summed
        return out

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return apply(Index(self.pattern), ct, *constants)

    def check(self, *xs: Any) -> None:
        _check_arrays(self.pattern, self.shape, xs[1:])

    def lower(self, k: Any, *xs: Any) -> Any:
        x, *arrays = xs
        place, index = keys.placed(k, self.pattern, self.shape, x.shape, arrays)
        return k.put("add", k.full(0, x.dtype, self.shape), x, place, index)

    def batch(self, size: int, batched: Sequence[bool], *xs: Data) -> Data:
        key = batched_key(self.pattern, size, batched[1:], xs[1:])
        x = key.taken(whole(xs[0], size, batched[0]))
        return apply(IndexSum(key.pattern, (size, *self.shape)), x, *key.arrays)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, pattern, arrays in _KEYS:
            result = keys.result_shape(pattern, [draw.shape for draw in arrays])
            yield Sample(cls(pattern, shape), (*floats(result), *arrays))


class IndexUpdate(Op):
    """x with its part at the key replaced by v: linear in x and v together.

    Of several values for one place the last stays, and it alone gets a gradient.
    """

    pattern: Pattern
    needs = Needs(inputs=tuple(range(2, _MOST_ARRAYS + 1)))

    def infer(self, *xs: Any) -> Aval:
        shape = shape_of(xs[0])
        _check_axes(self.pattern, shape)
        target = _target(self.pattern, [shape_of(a) for a in xs[2:]])
        if broadcast_shapes(target, shape_of(xs[1])) != target:
            raise ShapeError(
                "the values do not broadcast to the part that they replace",
                expected=str(target),
                got=str(shape_of(xs[1])),
            )
        return Aval(shape, xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        x, v, *arrays = xs
        y = np.array(x)
        try:
            y[keys.numpy_key(self.pattern, arrays)] = v
        except IndexError as error:
            words = str(error)
        else:
            return y
        self.infer(*xs)  # says more, if it can
        raise IndexRangeError(words, got="   ".join(map(describe, arrays)))

    def check(self, *xs: Any) -> None:
        _check_arrays(self.pattern, xs[0].shape, xs[2:])

    def lower(self, k: Any, *xs: Any) -> Any:
        x, v, *arrays = xs
        target = _target(self.pattern, [shape_of(a) for a in arrays])
        place, index = keys.placed(k, self.pattern, x.shape, target, arrays)
        values = k.expand(k.cast(k.node(v), x.dtype), target)
        return k.put("set", x, values, place, index)

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        arrays = xs[2:]
        kept = None if active[0] is None else apply(self, ct, 0.0, *arrays)
        given = None
        if active[1] is not None:
            given = _read(self.pattern, ct, arrays)
            if not keys.is_basic(self.pattern):
                given = given * self._stays(xs[0].shape, given.shape, arrays)
        return (kept, given, *[None] * len(arrays))

    def _stays(self, shape: Shape, target: Shape, arrays: Sequence[Data]) -> Data:
        """Where a value is not overwritten by a later one for the same place."""
        order = np.arange(math.prod(target)).reshape(target)
        last = apply(self, np.zeros(shape, order.dtype), order, *arrays)
        return _read(self.pattern, last, arrays) == order

    def jvp(self, dxs: Sequence[Data | None], xs: Sequence[Data], y: Data) -> Data:
        dx, dv = dxs[0], dxs[1]
        if dx is None:
            dx = np.zeros(xs[0].shape, xs[0].dtype)
        return apply(self, dx, 0.0 if dv is None else dv, *xs[2:])

    def batch(self, size: int, batched: Sequence[bool], *xs: Data) -> Data:
        key = batched_key(self.pattern, size, batched[2:], xs[2:])
        target, v = _target(self.pattern, array_shapes(batched[2:], xs[2:])), xs[1]
        if batched[1]:
            v = movement.reshape(v, (size, *(1,) * (len(target) + 1 - v.ndim), *v.shape[1:]))
        x, v = whole(xs[0], size, batched[0]), key.taken(movement.expand(v, (size, *target)))
        return apply(IndexUpdate(key.pattern), x, v, *key.arrays)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, pattern, arrays in _KEYS:
            result = keys.result_shape(pattern, [draw.shape for draw in arrays])
            yield Sample(cls(pattern), (*floats(shape, result), *arrays))
            yield Sample(cls(pattern), (*floats(shape, ()), *arrays))
        yield Sample(cls((1, (3, 2, -2))), floats((3, 4), (2,)))
        yield Sample(cls(((0, 3, 1), None, 0)), floats((3, 4), (3, 1)))
        yield Sample(cls(()), floats((), ()))


_KEYS: tuple[tuple[Shape, Pattern, tuple[Draw, ...]], ...] = (
    ((4,), (ARRAY,), (ints((3,), 4),)),
    ((4,), (ARRAY,), (ints((3,), 4, -4),)),
    ((4,), (ARRAY,), (ints((0,), 4),)),
    ((3, 4), (ARRAY, (0, 4, 1)), (ints((2, 3), 3),)),
    ((3, 4), ((0, 3, 1), ARRAY), (ints((), 4),)),
    ((3, 4), (ARRAY, ARRAY), (ints((5,), 3), ints((5,), 4, -4))),
    ((3, 4), (ARRAY, ARRAY), (ints((2, 1), 3), ints((3,), 4))),
    ((3, 4), (1, ARRAY), (ints((3,), 4),)),
    ((3, 4), ((2, 2, -2), ARRAY), (ints((3,), 4),)),
    ((2, 3, 4), (ARRAY, (0, 2, 1), ARRAY), (ints((3,), 2), ints((2, 1), 4))),
    ((2, 3, 4), ((0, 2, 1), ARRAY, GAP, ARRAY), (ints((2,), 3), ints((2,), 4))),
    ((2, 3, 4), ((0, 2, 1), None, ARRAY, 2), (ints((2,), 3),)),
    ((2, 3, 2), (0, (0, 3, 1), ARRAY), (ints((2,), 2),)),
    ((2, 0, 3), (ARRAY, (0, 0, 1), (0, 3, 1)), (ints((3,), 2),)),
    ((2, 1, 3, 2, 2), (None, (0, 2, 1), ARRAY, ARRAY, (1, 1, 1), ARRAY),
     (ints((2,), 1), ints((2,), 3), ints((2, 1), 2))),
)  # fmt: skip


def _check_axes(pattern: Pattern, shape: Shape) -> None:
    consumed = sum(entry is not None and entry != GAP for entry in pattern)
    if consumed != len(shape):
        raise ShapeError(
            "this key is for another number of axes",
            expected=f"{consumed} dimensions",
            got=str(tuple(shape)),
        )


def _only_array(pattern: Pattern, shape: Shape) -> int | None:
    """The axis that an array indexes if all the others are taken whole, else None."""
    if pattern.count(ARRAY) != 1 or len(pattern) != len(shape):
        return None
    for entry, n in zip(pattern, shape, strict=True):
        if entry not in (ARRAY, (0, n, 1)):
            return None
    return pattern.index(ARRAY)


def _coordinates(pattern: Pattern, arrays: Sequence[Any]) -> tuple[list[Any], list[int]]:
    """The indices along each axis that single places are picked from, broadcast, and the axes."""
    remaining = iter(arrays)
    picked = [
        (axis, next(remaining) if entry == ARRAY else np.asarray(entry))
        for axis, entry in enumerate(e for e in pattern if e is not None and e != GAP)
        if entry == ARRAY or isinstance(entry, int)
    ]
    return list(np.broadcast_arrays(*[index for _, index in picked])), [axis for axis, _ in picked]


def _target(pattern: Pattern, shapes: Sequence[Shape]) -> Shape:
    """Shape of the part at a key, whose arrays have these shapes."""
    return (
        keys.strided(pattern)[3] if keys.is_basic(pattern) else keys.result_shape(pattern, shapes)
    )


def _check_arrays(pattern: Pattern, shape: Shape, arrays: Sequence[Any]) -> None:
    """Raise IndexRangeError for a number that is outside of its axis."""
    axes = [entry for entry in pattern if entry is not None and entry != GAP]
    remaining = iter(arrays)
    for axis, (entry, n) in enumerate(zip(axes, shape, strict=True)):
        if entry == ARRAY:
            scattering.check_range(next(remaining), n, axis, negative=True)


def _read(pattern: Pattern, x: V, arrays: Sequence[Any]) -> V:
    """x[key] for a parsed key."""
    if keys.is_basic(pattern):
        return apply(slicing.Slice(*keys.strided(pattern)), x)
    return apply(Index(pattern), x, *arrays)


# Functions ----------------------------------------------------------------------------------------


def index(x: V, key: Any) -> V:
    """x[key] exactly as NumPy reads it: integers, slices, ``...``, None, masks, integer arrays.

    Index arrays may be tensors; they carry no gradient. The transpose adds up at the places that
    the key names, once for each time it names them.
    Raises IndexRangeError for an index out of range, ShapeError for a mask that does not fit,
    DTypeError for what is no index.

    >>> index(tensor([[1.0, 2.0], [3.0, 4.0]]), ([0, 1, 1], 0))
    tensor([1., 3., 3.])
    """
    shape = shape_of(x)
    plain = _hashable(key)
    if plain is not None:
        return apply(_slice_for(plain, shape), x)
    mask = _whole_mask(key, shape)
    if mask is not None:
        keys.check_mask(mask, shape[: mask.ndim], 0)
        x = movement.reshape(x, (math.prod(mask.shape), *shape[mask.ndim :]))
        places = np.flatnonzero(keys.numbers(mask))
        return _read((ARRAY, *[(0, n, 1) for n in shape[mask.ndim :]]), x, [places])
    pattern, arrays, new_axes = keys.parse(key, shape)
    return _read(pattern, _with_axes(x, new_axes), arrays)


_get = index  # for functions with a parameter of that name


def _hashable(key: Any) -> tuple[Any, ...] | None:
    """A key of integers, slices, ``...`` and None, with slices as tuples; None for other keys."""
    if type(key) is not tuple:
        return (key,) if type(key) is int else _hashable((key,))
    plain: list[Any] = []
    for part in key:
        kind = type(part)
        if kind is slice:
            span = (part.start, part.stop, part.step)
            for bound in span:
                if bound is not None and type(bound) is not int:
                    return None
            plain.append(span)
        elif part is None or part is Ellipsis or kind is int:
            plain.append(part)
        else:
            return None
    return tuple(plain)


@lru_cache(maxsize=4096)
def _slice_for(plain: tuple[Any, ...], shape: Shape) -> slicing.Slice:
    """The op of a key without arrays. Looking it up saves half of the 5 µs that ``x[i]`` takes."""
    key = tuple(slice(*part) if isinstance(part, tuple) else part for part in plain)
    return slicing.Slice(*keys.strided(keys.parse(key, shape).pattern))


def _whole_mask(key: Any, shape: Shape) -> Any:
    """The key if it is one mask, of one axis or more."""
    if (
        isinstance(key, (Value, np.ndarray))
        and key.dtype.kind == "b"
        and 0 < key.ndim <= len(shape)
    ):
        return key
    return None


def _with_axes(x: V, new_axes: Sequence[int]) -> V:
    for axis in new_axes:
        x = movement.unsqueeze(x, axis)
    return x


def index_update(x: V, key: Any, v: Any) -> V:
    """x with x[key] replaced by `v`, broadcast and cast to the type of x; x stays as it is.

    ∂/∂x is zero at the key; ∂/∂v reads the cotangent there. Of several values for one place the
    last stays. Raises as ``index`` does, and ShapeError if `v` does not broadcast.

    >>> index_update(tensor([1.0, 2.0, 3.0]), slice(1, None), 0.0)
    tensor([1., 0., 0.])
    """
    shape: Shape = shape_of(x)
    source: Any = x
    if type(v) not in SCALARS:
        if getattr(v, "dtype", None) is None:
            v = np.asarray(v)
        if v.dtype != source.dtype:
            v = movement.cast(v, source.dtype)
    mask = _whole_mask(key, shape)
    if mask is not None and not shape_of(v) and tuple(mask.shape) == shape[: mask.ndim]:
        wide = movement.reshape(mask, (*mask.shape, *(1,) * (len(shape) - mask.ndim)))
        chosen: Any = movement.cast(np.asarray(v), source.dtype) if type(v) in SCALARS else v
        return selection.where(wide, chosen, source)  # type: ignore[no-any-return]  # as x
    pattern, arrays, new_axes = keys.parse(key, shape)
    target = _target(pattern, [shape_of(a) for a in arrays])
    while len(shape_of(v)) > len(target) and shape_of(v)[0] == 1:
        v = movement.reshape(v, shape_of(v)[1:])
    y = apply(IndexUpdate(pattern), _with_axes(x, new_axes), v, *arrays)
    return movement.reshape(y, shape) if new_axes else y


def take(x: V, index: Any, dim: int | None = None) -> V:
    """The parts of x at `index` along `dim`; without `dim`, the elements of x as if it were flat.

    The axes of `index` stand where `dim` was. Raises IndexRangeError for an index out of range.

    >>> take(tensor([[1.0, 2.0], [3.0, 4.0]]), [1, 1, 0], dim=1)
    tensor([[2., 2., 1.],
            [4., 4., 3.]])
    """
    shape = shape_of(x)
    if dim is None:
        return _get(movement.reshape(x, (math.prod(shape),)), (index,))
    return _get(x, (*(slice(None),) * normalize_axis(dim, len(shape)), index))


def index_add(x: V, dim: int, index: Any, source: Any) -> V:
    """x with ``source[…, k, …]`` added to ``x[…, index[k], …]`` along `dim`, for every k.

    A place that is named twice gets both. ∂/∂x = 1; ∂/∂source reads the cotangent at `index`.
    Raises IndexRangeError for an index out of range, ShapeError if `source` does not fit.

    >>> index_add(tensor([0.0, 0.0]), 0, [1, 1], tensor([1.0, 2.0]))
    tensor([0., 3.])
    """
    shape: Shape = shape_of(x)
    axis = normalize_axis(dim, len(shape))
    key = (*(slice(None),) * axis, np.asarray(index) if isinstance(index, list) else index)
    pattern, arrays, _ = keys.parse(key, shape)
    if pattern.count(ARRAY) != 1:
        raise ShapeError("index_add needs a vector of integers", got=str(index))
    result: Any = apply(IndexSum(pattern, shape), source, *arrays)
    return x + result  # type: ignore[no-any-return]  # of the type of x
