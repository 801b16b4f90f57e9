"""Scatter: values put, added, multiplied or compared at places along an axis that an index names.

Where several values meet in one place, ``scatter_reduce`` keeps their sum, mean, product, greatest
or least. ``index_reduce`` and ``segment_reduce`` are the same with one number, or one length, for a
whole part.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..core.apply import apply
from ..core.aval import SCALARS, Aval, Data, Shape, describe, normalize_axis, shape_of
from ..core.op import Active, Cotangents, Needs, Op
from ..core.sampling import Draw, Sample, distinct, ints
from ..errors import ArgumentError, ShapeError
from . import arithmetic, comparison, indexing, keys, lookup, movement, scattering, selection

__all__ = [
    "index_reduce", "scatter", "scatter_reduce", "segment_reduce",
]  # fmt: skip

_UFUNCS = {"prod": np.multiply, "amax": np.maximum, "amin": np.minimum}
REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


class ScatterReduce(Op):
    """y[p] = reduction of x[p] and all src[k] with index[k] = p along an axis.

    `kind` is "prod", "amax" or "amin". Equal extremes share the derivative evenly. Of a product the
    derivative is that of the other factors, also where one factor is zero.
    """

    axis: int
    kind: str
    needs = Needs(inputs=(0, 1, 2), output=True)

    def infer(self, *xs: Any) -> Aval:
        x, src, index = xs
        lookup.check_gather(shape_of(x), self.axis, index)
        if shape_of(src) != shape_of(index):
            raise ShapeError(
                "scatter needs one value for each number of the index",
                expected=str(shape_of(index)),
                got=describe(src),
            )
        return Aval(shape_of(x), x.dtype)

    def check(self, *xs: Any) -> None:
        scattering.check_range(xs[2], xs[0].shape[self.axis], self.axis)

    def forward(self, *xs: Any) -> Any:
        x, src, index = xs
        self.infer(*xs)
        y = np.array(x, order="C")
        places = lookup.places(x.shape, self.axis, index)
        _UFUNCS[self.kind].at(y.reshape(-1), places.reshape(-1), src.reshape(-1).astype(x.dtype))
        return y

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        x, src, index = xs
        if self.kind == "prod":
            return (*self._of_product(ct, x, src, index, y), None)
        won = comparison.eq(x, y)
        here = comparison.eq(src, self._read(y, index))
        ties = self._added(movement.cast(won, ct.dtype), movement.cast(here, ct.dtype), index)
        share = ct / ties
        zero = ct.dtype.type(0)
        return (
            selection.where(won, share, zero),
            selection.where(here, self._read(share, index), zero),
            None,
        )

    def _read(self, x: Data, index: Data) -> Data:
        return lookup.gather(x, self.axis, index)

    def _added(self, x: Data, src: Data, index: Data) -> Data:
        return arithmetic.add(x, apply(lookup.Scatter(self.axis, tuple(x.shape)), src, index))

    def _of_product(self, ct: Data, x: Data, src: Data, index: Data, y: Data) -> tuple[Data, Data]:
        """A single zero among the factors gets the product of the others, further zeros nothing."""
        one, zero = ct.dtype.type(1), ct.dtype.type(0)
        bare = selection.where(comparison.eq(x, 0), one, x)
        given = ct * apply(self, bare, src, index) / bare
        is_zero = comparison.eq(src, 0)
        count = self._added(np.zeros(x.shape, ct.dtype), movement.cast(is_zero, ct.dtype), index)
        single = comparison.logical_and(is_zero, comparison.eq(self._read(count, index), 1))
        others = apply(self, x, selection.where(single, one, src), index)
        rest = self._read(ct * y, index) / selection.where(is_zero, one, src)
        return given, selection.where(
            single, self._read(ct * others, index), selection.where(is_zero, zero, rest)
        )

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for kind in _UFUNCS:
            for shape, axis, index in _SCATTERED:
                yield Sample(
                    cls(axis, kind),
                    (
                        distinct(*shape),
                        Draw(index, -2.01, 2.02, "distinct"),
                        ints(index, max(shape[axis], 1)),
                    ),
                )


_SCATTERED: tuple[tuple[Shape, int, Shape], ...] = (
    ((4,), 0, (3,)), ((1,), 0, (3,)), ((4,), 0, (0,)), ((3, 4), 0, (2, 4)), ((3, 2), 1, (3, 4)),
    ((2, 3, 2), 1, (1, 4, 2)),
)  # fmt: skip


def _prepared(x: Any, dim: int, index: Any, src: Any) -> tuple[Any, int, Any, Any]:
    """Operands with at least one axis, the axis, and a source cut to the shape of the index."""
    index = lookup.as_index(index)
    if not shape_of(x):
        x = movement.reshape(x, (1,))
    if not shape_of(index):
        index = movement.reshape(index, (1,))
    wanted = shape_of(index)
    if type(src) in SCALARS:
        src = np.asarray(src, x.dtype)
    given = shape_of(src)
    if 0 in wanted:
        src = np.zeros(wanted, x.dtype)
    elif not given:
        src = movement.expand(src, wanted)
    elif len(wanted) != len(given) or any(n < m for n, m in zip(given, wanted, strict=True)):
        raise ShapeError(
            "scatter needs a value for each number of the index",
            expected=f"src of at least {wanted}",
            got=str(given),
        )
    elif given != wanted:
        src = src[tuple(slice(0, n) for n in wanted)]
    if src.dtype != x.dtype:
        src = movement.cast(src, x.dtype)
    return x, normalize_axis(dim, len(shape_of(x))), index, src


def _key(index: Any, axis: int) -> tuple[Any, ...]:
    """Coordinates of the places that an index along `axis` names, as index arrays."""
    shape = shape_of(index)
    grids = np.ix_(*[np.arange(n) for n in shape])
    return tuple(index if a == axis else grid for a, grid in enumerate(grids))


def scatter(input: Any, dim: int, index: Any, src: Any, *, reduce: str | None = None) -> Any:
    """x with ``src[i, j, …]`` put at axis `dim`'s place ``index[i, j, …]``; x stays as it is.

    `src` is a tensor of at least the shape of `index`, or a number. Of several values for one place
    the last stays, and it alone gets a gradient. `reduce` "add" or "multiply" combines them with
    what is there. Raises as ``gather`` does.

    >>> scatter(tensor([0.0, 0.0, 0.0]), 0, [2, 0], tensor([1.0, 2.0]))
    tensor([2., 0., 1.])
    """
    if reduce is not None:
        if reduce not in ("add", "multiply"):
            raise ArgumentError("no such reduction", expected="add, multiply", got=repr(reduce))
        return scatter_reduce(input, dim, index, src, "sum" if reduce == "add" else "prod")
    x, axis, index, src = _prepared(input, dim, index, src)
    if 0 in shape_of(index):
        return movement.identity(input)
    lookup.check_gather(shape_of(x), axis, index)
    y = indexing.index_update(x, _key(index, axis), src)
    return movement.reshape(y, shape_of(input))


def scatter_reduce(
    input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """x with the values of `src` reduced into the places that `index` names along `dim`.

    `reduce` is "sum", "prod", "mean", "amax" or "amin". Without `include_self` the elements of x
    that are named do not take part. Equal extremes share the derivative evenly.
    Raises ArgumentError for another reduction, and as ``gather`` does.

    >>> scatter_reduce(tensor([1.0, 5.0]), 0, [0, 0, 1], tensor([2.0, 3.0, 4.0]), "amax")
    tensor([3., 5.])
    """
    if reduce not in REDUCTIONS:
        raise ArgumentError("no such reduction", expected=", ".join(REDUCTIONS), got=repr(reduce))
    x, axis, index, src = _prepared(input, dim, index, src)
    if 0 in shape_of(index):
        return movement.identity(input)
    lookup.check_gather(shape_of(x), axis, index)
    if not include_self:
        neutral = np.full(shape_of(index), _neutral(reduce, x.dtype), x.dtype)
        x = indexing.index_update(x, _key(index, axis), neutral)
    if reduce in _UFUNCS:
        y = apply(ScatterReduce(axis, reduce), x, src, index)
    else:
        y = arithmetic.add(x, apply(lookup.Scatter(axis, shape_of(x)), src, index))
    if reduce == "mean":
        y = _divided(y, _times(shape_of(x), axis, index, include_self))
    return movement.reshape(y, shape_of(input))


def _neutral(reduce: str, dtype: Any) -> Any:
    if reduce in ("sum", "mean"):
        return 0
    if reduce == "prod":
        return 1
    if dtype.kind == "f":
        return -math.inf if reduce == "amax" else math.inf
    limits = np.iinfo(dtype)
    return limits.min if reduce == "amax" else limits.max


def _times(shape: Shape, axis: int, index: Any, include_self: bool) -> Any:
    """How many values meet in each place; 1 where nothing changes."""
    ones = np.ones(shape_of(index), np.int64)
    count: Any = apply(lookup.Scatter(axis, shape), ones, index)
    return count + 1 if include_self else selection.maximum(count, 1)


def _divided(total: Any, count: Any) -> Any:
    if total.dtype.kind == "f":
        return total / movement.cast(count, total.dtype)
    return comparison.floor_divide(total, movement.cast(count, total.dtype))


def index_reduce(
    input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """x with ``source[…, k, …]`` reduced into ``x[…, index[k], …]`` along `dim`, for every k.

    `reduce` is "prod", "mean", "amax" or "amin"; otherwise as ``scatter_reduce``.
    """
    shape = shape_of(source)
    axis = normalize_axis(dim, max(len(shape_of(input)), 1))
    numbers = lookup.as_index(index)
    if len(shape) > 1:
        thin = (*(1,) * axis, -1, *(1,) * (len(shape) - axis - 1))
        numbers = movement.expand(movement.reshape(numbers, thin), shape)
    return scatter_reduce(input, dim, numbers, source, reduce, include_self=include_self)


def segment_reduce(
    data: Any,
    reduce: str,
    *,
    lengths: Any = None,
    indices: Any = None,
    offsets: Any = None,
    axis: int = 0,
    unsafe: bool = False,
    initial: float | None = None,
) -> Any:
    """The sum, mean, prod, max or min of consecutive segments along `axis`, its last axis of sizes.

    `lengths` (…, S) are the sizes of the segments, `offsets` (…, S + 1) their borders; leading axes
    are those of `data` before `axis`. An empty segment gives `initial`, or the reduction's neutral
    number (NaN for a mean). Raises ArgumentError unless the segments fill the axis.

    >>> segment_reduce(tensor([1.0, 2.0, 3.0]), "max", lengths=tensor([1, 2]))
    tensor([1., 3.])
    """
    kind = {"max": "amax", "min": "amin"}.get(reduce, reduce)
    if kind not in REDUCTIONS or indices is not None or (lengths is None) == (offsets is None):
        raise ArgumentError(
            "segment_reduce needs a reduction, and lengths or offsets",
            expected="sum, mean, prod, max or min",
            got=repr(reduce),
        )
    shape, at = shape_of(data), normalize_axis(axis, len(shape_of(data)))
    sizes = keys.numbers(lengths) if offsets is None else np.diff(keys.numbers(offsets), axis=-1)
    if sizes.shape[:-1] != shape[:at] or (
        not unsafe and ((sizes < 0).any() or (sizes.sum(-1) != shape[at]).any())
    ):
        raise ArgumentError(
            "the segments do not fill their axis",
            expected=f"lengths of {shape[at]} in all, for each place of {shape[:at]}",
            got=str(sizes.tolist()),
        )
    count = sizes.shape[-1]
    rows = [np.repeat(np.arange(count), row) for row in sizes.reshape(-1, count)]
    numbers = np.stack(rows) if rows else np.zeros((0, shape[at]), np.intp)
    wide = numbers.reshape(*shape[: at + 1], *(1,) * (len(shape) - at - 1))
    start = _neutral(kind, data.dtype) if initial is None else initial
    base = np.full((*shape[:at], count, *shape[at + 1 :]), start, data.dtype)
    total = "sum" if kind == "mean" else kind
    y = scatter_reduce(base, at, np.broadcast_to(wide, shape), data, total)
    if kind != "mean":
        return y
    many = sizes.reshape(*sizes.shape, *(1,) * (len(shape) - at - 1)).astype(data.dtype)
    empty = math.nan if initial is None else initial
    return selection.where(many > 0, y / np.maximum(many, 1), data.dtype.type(empty))
