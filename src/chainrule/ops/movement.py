"""Movement: ops that only place, copy or drop elements, all of them linear.

Shapes are resolved before an op is made, so an op knows its result (``Reshape((2, 3))``) and a
compiler reads it as an index map. Each one's transpose is another movement: reshape back, permute
back, sum what was expanded, pad what was cut.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval, Axes, Data, DType, Shape, normalize_axis, shape_of
from ..core.families import Linear
from ..core.op import permuted, with_size
from ..core.sampling import Sample, floats
from ..errors import DTypeError, ShapeError
from . import reduce

V = TypeVar("V")

Sizes = int | Sequence[int]

_KINDS = "buif"


def dims(values: Sequence[Any]) -> tuple[int, ...]:
    """``f(2, 3)`` and ``f((2, 3))`` alike, as a tuple of ints."""
    if len(values) == 1:
        only = values[0]
        if type(only) is tuple:
            return only
        if not isinstance(only, (int, np.integer)):
            values = only
    return tuple([int(v) for v in values])


# Element type -------------------------------------------------------------------------------------


class Cast(Linear):
    """y = x in another element type; integer results carry no derivative."""

    batching = ()
    dtype: DType

    def infer(self, *xs: Any) -> Aval:
        return Aval(shape_of(xs[0]), self.dtype)

    def forward(self, *xs: Any) -> Any:
        return np.asarray(xs[0]).astype(self.dtype, copy=False)

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return cast(ct, x.dtype)

    def jvp(self, dxs: Sequence[Data | None], xs: Sequence[Data], y: Data) -> Data:
        return None if self.dtype.kind != "f" else apply(self, dxs[0])

    def lower(self, k: Any, *xs: Any) -> Any:
        return k.cast(k.node(xs[0]), self.dtype)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in _SHAPES:
            yield Sample(cls(np.dtype(np.float64)), floats(shape))
        yield Sample(cls(np.dtype(np.int64)), floats((2, 3)))


def cast(x: V, dtype: Any) -> V:
    """x with elements of type `dtype`.  ∂y/∂x = 1; integers and booleans carry no derivative.

    Raises DTypeError unless `dtype` is boolean, integer or real floating-point.

    >>> cast(tensor([1.7, -1.7]), np.int64)
    tensor([ 1, -1])
    """
    source: Any = x
    if type(x) is np.ndarray and source.dtype == dtype:
        return x
    try:
        chosen = np.dtype(dtype)
    except TypeError:
        chosen = None
    if chosen is None or chosen.kind not in _KINDS or not chosen.isnative:
        raise DTypeError(
            "cannot cast to this element type",
            expected="a boolean, integer or real floating-point dtype in native byte order",
            got=repr(dtype),
        )
    return apply(Cast(chosen), x)


class Identity(Linear):
    """y = x, as a value of its own."""

    batching = ()

    def infer(self, *xs: Any) -> Aval:
        return Aval(shape_of(xs[0]), xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        return xs[0]

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return ct

    def expand(self, *xs: Data) -> Data:
        return xs[0]

    def lower(self, k: Any, *xs: Any) -> Any:
        return xs[0]

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in _SHAPES:
            yield Sample(cls(), floats(shape))


IDENTITY = Identity()


def identity(x: V) -> V:
    """x itself, as a new value that leads back to it."""
    return apply(IDENTITY, x)


# Shape --------------------------------------------------------------------------------------------


class Reshape(Linear):
    """The same elements in the same order, in another shape."""

    batching = (("shape", with_size),)
    views = True
    shape: Shape

    def infer(self, *xs: Any) -> Aval:
        before = shape_of(xs[0])
        if math.prod(before) != math.prod(self.shape):
            raise _no_reshape(before, self.shape)
        return Aval(self.shape, xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        return xs[0].reshape(self.shape)

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return reshape(ct, x.shape)

    def lower(self, k: Any, *xs: Any) -> Any:
        return k.reshape(xs[0], self.shape)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for before, after in [
            ((), (1,)), ((1,), ()), ((), ()), ((6,), (2, 3)), ((2, 3), (6,)), ((2, 3), (3, 2)),
            ((0,), (0, 4)), ((2, 0, 3), (0,)), ((4,), (1, 4, 1)), ((1, 2, 1, 3), (3, 2)),
            ((2, 3, 2, 1, 2), (4, 6)), ((24,), (2, 3, 4)), ((3, 1), (1, 3)),
        ]:  # fmt: skip
            yield Sample(cls(after), floats(before))


def _no_reshape(before: Shape, after: Sequence[int]) -> ShapeError:
    return ShapeError(
        "reshape keeps the number of elements",
        expected=f"a shape of {math.prod(before)} elements, at most one size -1",
        got=f"{tuple(before)} to {tuple(after)}",
    )


def _resolved(before: Shape, after: Shape) -> Shape:
    """`after` with its -1 replaced by the size that is left."""
    holes = [i for i, n in enumerate(after) if n < 0]
    known = math.prod(n for n in after if n >= 0)
    total = math.prod(before)
    if len(holes) != 1 or after[holes[0]] != -1 or known == 0 or total % known:
        raise _no_reshape(before, after)
    return (*after[: holes[0]], total // known, *after[holes[0] + 1 :])


def reshape(x: V, *shape: Sizes) -> V:
    """The elements of x, in row-major order, in another shape; one size may be -1.

    Takes ``reshape(x, 2, 3)`` and ``reshape(x, (2, 3))``. Its transpose reshapes back.
    Raises ShapeError if the number of elements would change.

    >>> reshape(tensor([1.0, 2.0, 3.0, 4.0]), 2, -1)
    tensor([[1., 2.],
            [3., 4.]])
    """
    wanted = dims(shape)
    for n in wanted:
        if n < 0:
            wanted = _resolved(shape_of(x), wanted)
            break
    return apply(Reshape(wanted), x)


def squeeze(x: V, dim: Sizes | None = None) -> V:
    """x without its axes of size one, or without those in `dim` that are of size one."""
    shape = shape_of(x)
    if dim is None:
        return reshape(x, tuple(n for n in shape if n != 1))
    chosen = {normalize_axis(d, len(shape)) for d in dims((dim,))}
    return reshape(x, tuple(n for i, n in enumerate(shape) if n != 1 or i not in chosen))


def unsqueeze(x: V, dim: int) -> V:
    """x with a new axis of size one at `dim` of the result."""
    shape = shape_of(x)
    at = normalize_axis(dim, len(shape) + 1)
    return reshape(x, (*shape[:at], 1, *shape[at:]))


def flatten(x: V, start_dim: int = 0, end_dim: int = -1) -> V:
    """x with the axes from `start_dim` to `end_dim`, both included, merged into one.

    A number becomes a vector of one. Raises ShapeError if `start_dim` comes after `end_dim`.

    >>> flatten(tensor(np.zeros((2, 3, 4))), 1).shape
    (2, 12)
    """
    shape = shape_of(x)
    if not shape:
        return reshape(x, (1,))
    first, last = normalize_axis(start_dim, len(shape)), normalize_axis(end_dim, len(shape))
    if first > last:
        raise ShapeError(
            "flatten needs start_dim before end_dim",
            got=f"start_dim {start_dim}, end_dim {end_dim} of {len(shape)} dimensions",
        )
    merged = math.prod(shape[first : last + 1])
    return reshape(x, (*shape[:first], merged, *shape[last + 1 :]))


def unflatten(x: V, dim: int, sizes: Sequence[int]) -> V:
    """x with axis `dim` split into axes of the given sizes, one of which may be -1."""
    shape = shape_of(x)
    at = normalize_axis(dim, len(shape))
    inner = dims((sizes,))
    if -1 in inner:
        inner = _resolved((shape[at],), inner)
    return reshape(x, (*shape[:at], *inner, *shape[at + 1 :]))


# Order of axes ------------------------------------------------------------------------------------


class Permute(Linear):
    """y[i_a0, i_a1, …] = x[i_0, i_1, …]: axis k of y is axis ``axes[k]`` of x."""

    batching = (("axes", permuted),)
    views = True
    axes: Axes

    def infer(self, *xs: Any) -> Aval:
        shape = shape_of(xs[0])
        if len(shape) != len(self.axes):
            raise ShapeError(
                "permute needs every axis once",
                expected=f"{len(self.axes)} dimensions",
                got=str(shape),
            )
        return Aval(tuple(shape[a] for a in self.axes), xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        return xs[0].transpose(self.axes)

    @cached_property
    def _inverse(self) -> Axes:
        return tuple(sorted(range(len(self.axes)), key=self.axes.__getitem__))

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return apply(Permute(self._inverse), ct)

    def lower(self, k: Any, *xs: Any) -> Any:
        return k.permute(xs[0], self.axes)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, axes in [
            ((), ()), ((3,), (0,)), ((0,), (0,)), ((2, 3), (1, 0)), ((2, 3), (0, 1)),
            ((1, 3), (1, 0)), ((0, 3), (1, 0)), ((2, 3, 4), (2, 0, 1)), ((2, 3, 4), (0, 2, 1)),
            ((2, 3, 4), (1, 2, 0)), ((2, 1, 3, 2), (3, 1, 0, 2)), ((2, 0, 3), (2, 1, 0)),
            ((2, 1, 3, 1, 2), (4, 2, 0, 1, 3)),
        ]:  # fmt: skip
            yield Sample(cls(axes), floats(shape))


def permute(x: V, *axes: Sizes) -> V:
    """x with its axes in the order `axes`: axis k of the result is axis ``axes[k]`` of x.

    Raises ShapeError unless `axes` names every axis once.

    >>> permute(tensor(np.zeros((2, 3, 4))), 2, 0, 1).shape
    (4, 2, 3)
    """
    wanted = dims(axes)
    ndim = len(shape_of(x))
    order = tuple([a if 0 <= a < ndim else normalize_axis(a, ndim) for a in wanted])
    if len(order) != ndim or len(set(order)) != ndim:
        raise ShapeError(
            "permute needs every axis once",
            expected=f"the numbers 0 … {ndim - 1} in some order",
            got=str(wanted),
        )
    return apply(Permute(order), x)


def transpose(x: V, dim0: int, dim1: int) -> V:
    """x with two axes exchanged."""
    order = list(range(len(shape_of(x))))
    a, b = normalize_axis(dim0, len(order)), normalize_axis(dim1, len(order))
    if order:
        order[a], order[b] = b, a
    return apply(Permute(tuple(order)), x)


def movedim(x: V, source: Sizes, destination: Sizes) -> V:
    """x with the axes `source` moved to the places `destination`; the others keep their order."""
    ndim = len(shape_of(x))
    origin = [normalize_axis(d, ndim) for d in dims((source,))]
    target = [normalize_axis(d, ndim) for d in dims((destination,))]
    if len(origin) != len(target) or len({*origin}) != len(origin) or len({*target}) != len(target):
        raise ShapeError(
            "movedim needs as many distinct sources as destinations",
            got=f"source {source}, destination {destination}",
        )
    order = [a for a in range(ndim) if a not in origin]
    for place, axis in sorted(zip(target, origin, strict=True)):
        order.insert(place, axis)
    return apply(Permute(tuple(order)), x)


# Broadcasting -------------------------------------------------------------------------------------


class Expand(Linear):
    """x repeated along new axes and along axes of size one, without copying."""

    views = True
    shape: Shape

    def infer(self, *xs: Any) -> Aval:
        before = shape_of(xs[0])
        lead = len(self.shape) - len(before)
        if lead < 0 or any(n not in (1, m) for n, m in zip(before, self.shape[lead:], strict=True)):
            raise ShapeError(
                "expand repeats axes of size one only",
                expected=f"the sizes of {before}, counted from the last, others where it has 1",
                got=str(self.shape),
            )
        return Aval(self.shape, xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        if type(x) is not np.ndarray or not x.flags.c_contiguous or 0 in self.shape:
            return np.broadcast_to(x, self.shape)
        lead = len(self.shape) - x.ndim
        strides = [0] * lead
        for n, stride, wanted in zip(x.shape, x.strides, self.shape[lead:], strict=True):
            if n == wanted:
                strides.append(stride)
            elif n == 1:
                strides.append(0)
            else:
                self.infer(x)
        # What np.broadcast_to does, in a third of its 3 µs.
        y: Any = np.ndarray(self.shape, x.dtype, x, 0, strides)
        y.flags.writeable = False
        return y

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return reduce.sum_to(ct, x.shape)

    def lower(self, k: Any, *xs: Any) -> Any:
        return k.expand(xs[0], self.shape)

    def batch(self, size: int, batched: Sequence[bool], *xs: Data) -> Data:
        x = xs[0]
        ones = (1,) * (len(self.shape) + 1 - x.ndim)
        return expand(reshape(x, (size, *ones, *x.shape[1:])), (size, *self.shape))

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for before, after in [
            ((), ()), ((), (3,)), ((), (2, 3)), ((1,), (4,)), ((3,), (2, 3)), ((1, 3), (2, 3)),
            ((2, 1), (2, 3)), ((1, 1), (2, 3)), ((1,), (0,)), ((2, 1, 3), (2, 0, 3)),
            ((0, 1), (0, 3)), ((1, 2), (3, 4, 2)), ((1, 2, 1, 2), (2, 3, 2, 2, 2)), ((5,), (5,)),
        ]:  # fmt: skip
            yield Sample(cls(after), floats(before))


def expand(x: V, *shape: Sizes) -> V:
    """x repeated to `shape`, whose size -1 means: as it is.  The transpose sums the copies.

    Only axes of size one, and new axes in front, are repeated; anything else is a ShapeError.

    >>> expand(tensor([[1.0], [2.0]]), 2, 3)
    tensor([[1., 1., 1.],
            [2., 2., 2.]])
    """
    wanted = dims(shape)
    if -1 in wanted:
        before = shape_of(x)
        lead = len(wanted) - len(before)
        wanted = tuple(
            before[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(wanted)
        )
    if any(n < 0 for n in wanted):
        raise ShapeError("expand needs sizes of zero or more", got=str(dims(shape)))
    return apply(Expand(wanted), x)


def broadcast_to(x: V, shape: Sequence[int]) -> V:
    """x repeated to `shape` by NumPy's broadcasting rule."""
    return expand(x, dims((shape,)))


_SHAPES: tuple[Shape, ...] = (
    (), (1,), (3,), (0,), (2, 3), (1, 3), (3, 1), (2, 0, 3), (1, 1, 1), (2, 3, 4), (2, 1, 3, 2),
    (2, 1, 2, 1, 2),
)  # fmt: skip
