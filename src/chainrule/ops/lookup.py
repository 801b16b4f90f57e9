"""Looking up rows and elements by number: embedding, one-hot, gather and scatter_add.

A number outside its range is an IndexRangeError before anything is read; negative numbers are
outside, as in PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval, Data, DType, Shape, normalize_axis, shape_of
from ..core.families import Constant, Linear
from ..core.op import Needs, shifted, with_size
from ..core.sampling import Sample, floats, ints
from ..errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from . import indexing, keys, movement, scattering, selection
from .batched_keys import whole

V = TypeVar("V")

_INDEX = Needs(inputs=(1,))


def _require_integers(index: Any, what: str) -> None:
    if index.dtype.kind not in "iu":
        raise DTypeError(f"{what} needs integers", got=str(index.dtype))


def as_index(index: Any) -> Any:
    """A list or a number as an array; what has a dtype as it is."""
    return index if getattr(index, "dtype", None) is not None else np.asarray(index, np.int64)


# Elements along an axis ---------------------------------------------------------------------------


class Gather(Linear):
    """y[i, j, k] = x[i, index[i, j, k], k] for axis 1, and so on for the others."""

    batching = (("axis", shifted),)
    axis: int
    needs = _INDEX

    def infer(self, *xs: Any) -> Aval:
        check_gather(shape_of(xs[0]), self.axis, xs[1])
        return Aval(shape_of(xs[1]), xs[0].dtype)

    def check(self, *xs: Any) -> None:
        x, index = xs
        scattering.check_range(index, x.shape[self.axis] if x.shape else 1, self.axis)

    def forward(self, *xs: Any) -> Any:
        x, index = xs
        check_gather(x.shape, self.axis, index)
        return x.reshape(-1).take(places(x.shape, self.axis, index))

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return apply(Scatter(self.axis, x.shape), ct, *constants)

    def lower(self, k: Any, *xs: Any) -> Any:
        x, index = xs
        if not x.shape:
            x, index = k.reshape(x, (1,)), k.reshape(index, (1,))
        at = {self.axis: k.index(index, index.shape)}
        found = k.look_up(x, index.shape, _around(k, self.axis, len(index.shape)), at)
        return k.reshape(found, xs[1].shape)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, axis, index in _GATHERED:
            yield Sample(cls(axis), (*floats(shape), ints(index, max(shape[axis], 1))))


class Scatter(Linear):
    """The transpose of gather: zeros of `shape`, to which x is added at the places it names."""

    batching = (("axis", shifted), ("shape", with_size))
    axis: int
    shape: Shape
    needs = _INDEX

    def infer(self, *xs: Any) -> Aval:
        check_gather(self.shape, self.axis, xs[1])
        if shape_of(xs[0]) != shape_of(xs[1]):
            raise ShapeError(
                "scatter needs one number for each value",
                expected=str(shape_of(xs[0])),
                got=str(shape_of(xs[1])),
            )
        return Aval(self.shape, xs[0].dtype)

    def check(self, *xs: Any) -> None:
        scattering.check_range(xs[1], self.shape[self.axis] if self.shape else 1, self.axis)

    def forward(self, *xs: Any) -> Any:
        x, index = xs
        self.infer(x, index)
        found = places(self.shape, self.axis, index)
        summed = scattering.add_rows(math.prod(self.shape), found.reshape(-1), x.reshape(x.size, 1))
        return summed.reshape(self.shape)

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return apply(Gather(self.axis), ct, *constants)

    def lower(self, k: Any, *xs: Any) -> Any:
        x, index = xs
        shape = self.shape or (1,)
        if not self.shape:
            x, index = k.reshape(x, (1,)), k.reshape(index, (1,))
        at = {self.axis: k.index(index, index.shape)}
        zeros = k.full(0, x.dtype, shape)
        y = k.put("add", zeros, x, _around(k, self.axis, len(shape)), at)
        return k.reshape(y, self.shape)

    def expand(self, *xs: Data) -> Data:
        x, index = xs
        if 0 in self.shape or index.shape != _with_size(self.shape, self.axis, 1):
            return None
        here = hits(movement.squeeze(index, self.axis), self.shape[self.axis], self.axis)
        return selection.where(here, x, x.dtype.type(0))

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, axis, index in _GATHERED:
            yield Sample(cls(axis, shape), (*floats(index), ints(index, max(shape[axis], 1))))


_GATHERED: tuple[tuple[Shape, int, Shape], ...] = (
    ((4,), 0, (3,)), ((4,), 0, (7,)), ((4,), 0, (0,)), ((1,), 0, (3,)), ((3, 4), 0, (2, 4)),
    ((3, 4), 1, (3, 2)), ((3, 4), 1, (2, 5)), ((3, 4), 0, (5, 3)), ((3, 1), 1, (3, 2)),
    ((2, 0, 3), 2, (2, 0, 2)), ((2, 3, 2), 1, (2, 4, 2)), ((2, 1, 3, 2), 2, (1, 1, 2, 2)),
    ((2, 1, 2, 3, 2), 3, (2, 1, 2, 2, 1)),
)  # fmt: skip


def check_gather(shape: Shape, axis: int, index: Any) -> None:
    """Raise unless `index` has the axes of x and is nowhere longer, except along `axis`."""
    _require_integers(index, "gather")
    wanted = shape_of(index)
    if len(shape) != len(wanted) or any(
        n < m for a, (n, m) in enumerate(zip(shape, wanted, strict=True)) if a != axis
    ):
        raise ShapeError(
            "the index does not fit",
            expected=f"sizes of at most {shape} except along axis {axis}",
            got=str(wanted),
        )


def _around(k: Any, axis: int, rank: int) -> Any:
    """For the compiler: every point at its own coordinates except along `axis`."""
    return k.along(rank, [None if a == axis else a for a in range(rank)])


def places(shape: Shape, axis: int, index: Any) -> Any:
    """Row-major place in an array of `shape` that each element of `index` names."""
    scattering.check_range(index, shape[axis] if shape else 1, axis)
    strides = scattering.strides_of(shape)
    if not shape:
        return index.astype(np.intp)
    found = index.astype(np.intp) * strides[axis]
    for a, n in enumerate(index.shape):
        if a != axis and n > 1:
            found += (np.arange(n) * strides[a]).reshape((n,) + (1,) * (index.ndim - a - 1))
    return found


def gather(x: V, dim: int, index: Any) -> V:
    """y[i, j, …] = x[…, index[i, j, …], …], the index standing at axis `dim`; of index's shape.

    ∂y/∂x adds up at the places read (``scatter_add``). `index` may be shorter than x along other
    axes. Raises IndexRangeError unless 0 <= index < x.shape[dim], ShapeError if it does not fit.

    >>> gather(tensor([[1.0, 2.0], [3.0, 4.0]]), 1, [[0], [1]])
    tensor([[1.],
            [4.]])
    """
    index, shape = as_index(index), shape_of(x)
    axis = normalize_axis(dim, len(shape))
    if len(shape_of(index)) != len(shape) and (0 in shape_of(index) or not shape):
        if 0 in shape_of(index):
            none: Any = movement.reshape(x, (math.prod(shape),))
            nothing: V = movement.reshape(none[:0], shape_of(index))
            return nothing
        return apply(Gather(axis), movement.reshape(x, (1,)), index)
    return apply(Gather(axis), x, index)


def _with_size(shape: Shape, axis: int, size: int) -> Shape:
    return (*shape[:axis], size, *shape[axis + 1 :])


def scatter_add(x: V, dim: int, index: Any, src: Any) -> V:
    """x with ``src[i, j, …]`` added at axis `dim`'s place ``index[i, j, …]``; x stays as it is.

    A place that is named twice gets both. ∂/∂x = 1, ∂/∂src = gather at `index`. Elements of `src`
    beyond the shape of `index` are not used. Raises as ``gather`` does.

    >>> scatter_add(tensor([0.0, 0.0]), 0, [1, 1], tensor([1.0, 2.0]))
    tensor([0., 3.])
    """
    shape = shape_of(x)
    index = as_index(index)
    wanted, given = shape_of(index), shape_of(src)
    if len(wanted) != len(given) or any(n < m for n, m in zip(given, wanted, strict=True)):
        raise ShapeError(
            "scatter_add needs a value for each number",
            expected=f"src of at least {wanted}",
            got=str(given),
        )
    if given != wanted:
        src = src[tuple(slice(0, n) for n in wanted)]
    added: Any = apply(Scatter(normalize_axis(dim, len(shape)), shape), src, index)
    return x + added  # type: ignore[no-any-return]  # of the type of x


# Rows of a table ----------------------------------------------------------------------------------


class Embedding(Linear):
    """y = weight[index]; with `padding`, that row is shown but gets no gradient."""

    padding: int | None = None
    needs = _INDEX

    def infer(self, *xs: Any) -> Aval:
        weight, index = xs
        _require_integers(index, "embedding")
        if not shape_of(weight):
            raise ShapeError("embedding needs rows to look up", got="a number")
        return Aval((*shape_of(index), *shape_of(weight)[1:]), weight.dtype)

    def check(self, *xs: Any) -> None:
        scattering.check_range(xs[1], len(xs[0]), 0)

    def forward(self, *xs: Any) -> Any:
        weight, index = xs
        self.check(weight, index)
        return weight.take(index, 0)

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return apply(RowSum(x.shape[0], self.padding), ct, *constants)

    def lower(self, k: Any, *xs: Any) -> Any:
        weight, index = xs
        shape, lead = self.infer(weight, index).shape, len(index.shape)
        place = k.along(len(shape), [None, *range(lead, len(shape))])
        return k.look_up(weight, shape, place, {0: k.index(index, shape)})

    def jvp(self, dxs: Sequence[Data | None], xs: Sequence[Data], y: Data) -> Data:
        return apply(EMBEDDING, _without_row(dxs[0], self.padding), xs[1])

    def batch(self, size: int, batched: Sequence[bool], *xs: Data) -> Data:
        weight, index = xs
        if not batched[0]:
            return apply(EMBEDDING, weight, index)
        tables = movement.reshape(weight, (size * weight.shape[1], *weight.shape[2:]))
        return apply(EMBEDDING, tables, _offset(index, size, batched[1], weight.shape[1]))

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for rows, tail, index in _TABLES:
            yield Sample(cls(None), (*floats((rows, *tail)), ints(index, rows)))


class RowSum(Linear):
    """The transpose of an embedding: row r is the sum of the x[k] with index[k] = r."""

    rows: int
    padding: int | None = None
    needs = _INDEX

    def infer(self, *xs: Any) -> Aval:
        lead, shape = shape_of(xs[1]), shape_of(xs[0])
        _require_integers(xs[1], "embedding")
        if shape[: len(lead)] != lead:
            raise ShapeError("rows need one number each", expected=str(shape), got=str(lead))
        return Aval((self.rows, *shape[len(lead) :]), xs[0].dtype)

    def check(self, *xs: Any) -> None:
        scattering.check_range(xs[1], self.rows, 0)

    def forward(self, *xs: Any) -> Any:
        x, index = xs
        shape = self.infer(x, index).shape
        self.check(x, index)
        flat = x.reshape(index.size, math.prod(shape[1:]))
        out = scattering.add_rows(self.rows, index.reshape(-1), flat)
        if self.padding is not None:
            out[self.padding] = 0
        return out.reshape(shape)

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return apply(EMBEDDING, _without_row(ct, self.padding), *constants)

    def lower(self, k: Any, *xs: Any) -> Any:
        x, index = xs
        y, lead = self.infer(x, index), len(index.shape)
        row = k.index(index, x.shape)
        if self.padding is not None:
            shown = k.apply("eq", row, k.full(self.padding, row.dtype, ()), dtype=k.boolean)
            row = k.apply("where", shown, k.full(-1, row.dtype, ()), row, dtype=row.dtype)
        place = k.along(len(x.shape), [None, *range(lead, len(x.shape))])
        return k.put("add", k.full(0, y.dtype, y.shape), x, place, {0: row})

    def batch(self, size: int, batched: Sequence[bool], *xs: Data) -> Data:
        x, places = whole(xs[0], size, batched[0]), _offset(xs[1], size, batched[1], self.rows)
        sums: Any = apply(RowSum(size * self.rows), x, places)
        sums = movement.reshape(sums, (size, self.rows, *sums.shape[1:]))
        shown = (np.arange(self.rows) != self.padding).reshape(-1, *(1,) * (sums.ndim - 2))
        return sums if self.padding is None else selection.where(shown, sums, 0.0)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for rows, tail, index in _TABLES:
            padding = None if rows < 3 else 1
            yield Sample(cls(rows, padding), (*floats((*index, *tail)), ints(index, rows)))


def _offset(index: Data, size: int, batched: bool, rows: int) -> Data:
    """Numbers of rows in `size` tables, of `rows` rows each, put one after the other."""
    starts = (np.arange(size) * rows).reshape(size, *(1,) * (index.ndim - batched))
    return movement.cast(index, np.dtype(np.int64)) + starts


EMBEDDING = Embedding()

_TABLES: tuple[tuple[int, Shape, Shape], ...] = (
    (1, (), (1,)), (3, (), (5,)), (2, (2,), ()), (4, (2,), (0,)), (4, (0,), (3,)), (3, (2,), (4,)),
    (3, (2,), (2, 3)), (1, (3,), (2, 2)), (5, (2, 2), (3,)), (3, (1,), (2, 0)),
    (4, (2,), (2, 1, 2)), (3, (2, 1, 2), (2, 2)), (3, (600,), (3,)),
)  # fmt: skip


def _without_row(weight: Data, row: int | None) -> Data:
    return weight if row is None else indexing.index_update(weight, row, 0.0)


def embedding(index: Any, weight: V, padding_idx: int | None = None) -> V:
    """Row ``index[…]`` of `weight` (rows, …) for each number: shape of index + weight.shape[1:].

    ∂/∂weight adds up, for each row, the cotangents of its uses; row `padding_idx` gets none.
    Raises IndexRangeError unless 0 <= index < rows, DTypeError unless they are integers.

    >>> embedding([1, 1, 0], tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [3., 4.],
            [1., 2.]])
    """
    if padding_idx is None:
        return apply(EMBEDDING, weight, as_index(index))
    rows = (*shape_of(weight), 0)[0]
    if not -rows <= padding_idx < rows:
        raise IndexRangeError(
            "padding_idx is not a row",
            expected=f"{-rows} <= padding_idx < {rows}",
            got=str(padding_idx),
        )
    return apply(Embedding(int(padding_idx) % rows), weight, as_index(index))


class OneHot(Constant):
    """y[…, c] = 1 where x = c, else 0, for c = 0 … classes-1."""

    batching = ()
    classes: int
    dtype: DType

    def infer(self, *xs: Any) -> Aval:
        _require_integers(xs[0], "one_hot")
        return Aval((*shape_of(xs[0]), self.classes), self.dtype)

    def check(self, *xs: Any) -> None:
        scattering.check_range(xs[0], self.classes, -1)

    def forward(self, *xs: Any) -> Any:
        index = scattering.check_range(xs[0], self.classes, -1)
        out = np.zeros((*index.shape, self.classes), self.dtype)
        flat = index.reshape(-1).astype(np.intp)
        out.reshape(-1)[np.arange(flat.size) * self.classes + flat] = 1
        return out

    def lower(self, k: Any, *xs: Any) -> Any:
        index = k.reshape(k.cast(xs[0], np.dtype(np.int64)), (*xs[0].shape, 1))
        shape = (*xs[0].shape, self.classes)
        hits = k.apply("eq", k.expand(index, shape), k.iota(shape, len(shape) - 1), dtype=k.boolean)
        return k.cast(hits, self.dtype)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in [(), (1,), (4,), (0,), (2, 3), (2, 0), (2, 1, 3), (1, 1, 2, 2)]:
            yield Sample(cls(3, np.dtype(np.int64)), (ints(shape, 3),))
            yield Sample(cls(1, np.dtype(np.float32)), (ints(shape, 1),))


def hits(index: Data, size: int, axis: int) -> Data:
    """Whether the coordinate along a new axis, of `size` places, is that of `index`; boolean."""
    codes: Data = apply(OneHot(size, np.dtype(np.bool_)), index)
    return movement.movedim(codes, -1, axis)


def one_hot(index: V, num_classes: int = -1, *, dtype: Any = np.int64) -> V:
    """y[…, c] = 1 where index = c, else 0; of shape index.shape + (num_classes,).

    Without `num_classes` there are as many classes as the largest number asks for. No gradient
    passes. Raises IndexRangeError for a number outside 0 … num_classes-1.

    >>> one_hot(tensor([1, 0]), 3)
    tensor([[0, 1, 0],
            [1, 0, 0]])
    """
    numbered = as_index(index)
    if num_classes == -1:
        if not keys.is_concrete(numbered) or keys.numbers(numbered).size == 0:
            raise ArgumentError(
                "one_hot cannot tell the number of classes", hint="pass num_classes"
            )
        num_classes = int(keys.numbers(numbered).max()) + 1
    if num_classes < 1:
        raise ArgumentError("one_hot needs a positive number of classes", got=str(num_classes))
    codes: V = apply(OneHot(int(num_classes), np.dtype(dtype)), numbered)
    return codes
