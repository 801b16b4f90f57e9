"""Joining and splitting: concatenate, stack, their transposes split and unbind, and tile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval, Data, Shape, normalize_axis, result_dtype, shape_of
from ..core.families import Linear
from ..core.op import NOTHING, Active, Cotangents, Op, shifted
from ..core.sampling import Draw, Sample, floats
from ..errors import ArgumentError, ShapeError
from . import movement

V = TypeVar("V")


def _along(axis: int, index: Any) -> tuple[Any, ...]:
    """The key that is `index` along `axis` and takes everything of the axes before."""
    return (*(slice(None),) * axis, index)


def _zeros(aval: Any) -> Any:
    return np.zeros(aval.shape, aval.dtype)


class _Joining(Op, abstract=True):
    """Linear in every input: tangents are joined as values are."""

    batching = (("axis", shifted),)
    axis: int
    needs = NOTHING
    promotes = True

    def jvp(self, dxs: Sequence[Data | None], xs: Sequence[Data], y: Data) -> Data:
        first, *rest = [_zeros(x) if dx is None else dx for dx, x in zip(dxs, xs, strict=True)]
        return apply(self, first, *rest)


class Concatenate(_Joining):
    """Arrays one after the other along an axis; the gradient is cut at the same places."""

    def infer(self, *xs: Any) -> Aval:
        shapes = [shape_of(x) for x in xs]
        axis, first = self.axis, shapes[0]
        if len(first) <= axis or any(
            len(s) != len(first) or s[:axis] + s[axis + 1 :] != first[:axis] + first[axis + 1 :]
            for s in shapes
        ):
            raise ShapeError(
                "concatenate cannot join its operands",
                expected=f"equal shapes except along axis {axis}",
                got="   ".join(map(str, shapes)),
            )
        total = sum(s[axis] for s in shapes)
        return Aval((*first[:axis], total, *first[axis + 1 :]), result_dtype(xs))

    def forward(self, *xs: Any) -> Any:
        return np.concatenate(xs, self.axis)

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        grads: list[Data | None] = []
        start = 0
        for x, wanted in zip(xs, active, strict=True):
            stop = start + x.shape[self.axis]
            grads.append(None if wanted is None else ct[_along(self.axis, slice(start, stop))])
            start = stop
        return grads

    def lower(self, k: Any, *xs: Any) -> Any:
        y = self.infer(*xs)
        parts, start = [], 0
        for x in xs:
            starts = [0] * len(y.shape)
            starts[self.axis] = start
            start += x.shape[self.axis]
            parts.append((k.cast(x, y.dtype), k.box(starts, [1] * len(starts))))
        return k.assemble(y.shape, y.dtype, 0, parts)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for axis, shapes in _JOINED:
            yield Sample(cls(axis), floats(*shapes))
        yield Sample(cls(0), (Draw((2,)), Draw((3,), 0, 5, "int")))


_JOINED: tuple[tuple[int, tuple[Shape, ...]], ...] = (
    (0, ((3,),)), (0, ((3,), (2,))), (0, ((0,), (2,))), (0, ((0,), (0,))), (0, ((1,), (1,), (1,))),
    (0, ((2, 3), (1, 3))), (1, ((2, 3), (2, 1), (2, 2))), (1, ((2, 0), (2, 3))),
    (1, ((0, 2), (0, 3))), (2, ((2, 1, 2), (2, 1, 3))), (0, ((1, 2, 1, 2), (2, 2, 1, 2))),
    (3, ((2, 1, 2, 1, 2), (2, 1, 2, 3, 2))),
)  # fmt: skip


class Stack(_Joining):
    """Arrays of one shape side by side along a new axis."""

    def infer(self, *xs: Any) -> Aval:
        shapes = [shape_of(x) for x in xs]
        first = shapes[0]
        if any(s != first for s in shapes) or self.axis > len(first):
            raise ShapeError(
                "stack cannot join its operands",
                expected="equal shapes",
                got="   ".join(map(str, shapes)),
            )
        return Aval((*first[: self.axis], len(xs), *first[self.axis :]), result_dtype(xs))

    def forward(self, *xs: Any) -> Any:
        return np.stack(xs, self.axis)

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        return [
            None if wanted is None else ct[_along(self.axis, i)] for i, wanted in enumerate(active)
        ]

    def lower(self, k: Any, *xs: Any) -> Any:
        y = self.infer(*xs)
        parts = []
        for i, x in enumerate(xs):
            part = k.reshape(k.cast(x, y.dtype), (*x.shape[: self.axis], 1, *x.shape[self.axis :]))
            starts = [i * (axis == self.axis) for axis in range(len(y.shape))]
            parts.append((part, k.box(starts, [1] * len(starts))))
        return k.assemble(y.shape, y.dtype, 0, parts)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for axis, n, shape in [
            (0, 1, ()), (0, 3, ()), (0, 2, (3,)), (1, 2, (3,)), (0, 2, (0,)), (1, 2, (0,)),
            (0, 2, (2, 3)), (1, 3, (2, 3)), (2, 2, (2, 3)), (0, 2, (1, 3)), (1, 2, (2, 0, 3)),
            (3, 2, (2, 1, 3)), (4, 2, (2, 1, 2, 2)),
        ]:  # fmt: skip
            yield Sample(cls(axis), floats(*[shape] * n))


def concatenate(tensors: Sequence[V], dim: int = 0) -> V:
    """The tensors one after the other along `dim`; the gradient is cut at the same places.

    Element types are promoted to a common one. Raises ShapeError unless all shapes are equal
    except along `dim`, ArgumentError for an empty sequence.

    >>> concatenate([tensor([1.0]), tensor([2.0, 3.0])])
    tensor([1., 2., 3.])
    """
    first, *rest = _some(tensors, "concatenate")
    return apply(Concatenate(normalize_axis(dim, len(shape_of(first)))), first, *rest)


def stack(tensors: Sequence[V], dim: int = 0) -> V:
    """The tensors, all of one shape, along a new axis that is axis `dim` of the result.

    Raises ShapeError for different shapes, ArgumentError for an empty sequence.

    >>> stack([tensor([1.0, 2.0]), tensor([3.0, 4.0])], dim=1)
    tensor([[1., 3.],
            [2., 4.]])
    """
    first, *rest = _some(tensors, "stack")
    return apply(Stack(normalize_axis(dim, len(shape_of(first)) + 1)), first, *rest)


def _some(tensors: Sequence[V], name: str) -> list[V]:
    found = list(tensors)
    if not found:
        raise ArgumentError(f"{name} needs at least one tensor", got="none")
    return found


class Split(Linear):
    """Consecutive parts of the given sizes along an axis: the transpose of concatenate."""

    batching = (("axis", shifted),)
    views = True
    axis: int
    sizes: tuple[int, ...]

    @property
    def n_out(self) -> int:  # type: ignore[override]  # as many outputs as sizes
        """Number of parts."""
        return len(self.sizes)

    def infer(self, *xs: Any) -> tuple[Aval, ...]:
        shape, axis = shape_of(xs[0]), self.axis
        if len(shape) <= axis or shape[axis] != sum(self.sizes):
            raise ShapeError(
                "split needs sizes that add up to the axis",
                expected=f"sizes of {(*shape, 0)[axis]} in all, for axis {axis} of {shape}",
                got=f"{self.sizes}, {sum(self.sizes)} in all",
            )
        return tuple(Aval((*shape[:axis], n, *shape[axis + 1 :]), xs[0].dtype) for n in self.sizes)

    def forward(self, *xs: Any) -> Any:
        self.infer(xs[0])
        parts, start = [], 0
        for n in self.sizes:
            parts.append(xs[0][_along(self.axis, slice(start, start + n))])
            start += n
        return tuple(parts)

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        parts = self.infer(x)
        return concatenate(_filled(ct, parts), self.axis)

    def expand(self, *xs: Data) -> Data:
        return self.forward(*xs)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, axis, sizes in [
            ((3,), 0, (3,)), ((3,), 0, (1, 2)), ((3,), 0, (0, 3)), ((0,), 0, (0, 0)),
            ((1,), 0, (1,)), ((4, 3), 0, (2, 2)), ((4, 3), 1, (1, 1, 1)), ((1, 3), 1, (2, 1)),
            ((2, 0, 3), 2, (1, 2)), ((0, 4), 1, (1, 3)), ((2, 1, 4, 2), 2, (3, 1)),
            ((2, 1, 2, 1, 4), 4, (1, 0, 3)),
        ]:  # fmt: skip
            yield Sample(cls(axis, sizes), floats(shape))


class Unbind(Linear):
    """All the parts x[…, i, …] along an axis: the transpose of stack."""

    batching = (("axis", shifted),)
    views = True
    axis: int
    size: int

    @property
    def n_out(self) -> int:  # type: ignore[override]  # as many outputs as the axis is long
        """Number of parts."""
        return self.size

    def infer(self, *xs: Any) -> tuple[Aval, ...]:
        shape, axis = shape_of(xs[0]), self.axis
        if len(shape) <= axis or shape[axis] != self.size:
            raise ShapeError(
                "unbind needs the size of its axis",
                expected=f"{self.size} elements along axis {axis}",
                got=str(shape),
            )
        return (Aval(shape[:axis] + shape[axis + 1 :], xs[0].dtype),) * self.size

    def forward(self, *xs: Any) -> Any:
        x = xs[0] if self.axis == 0 else np.moveaxis(xs[0], self.axis, 0)
        return tuple(x)

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return stack(_filled(ct, self.infer(x)), self.axis)

    def expand(self, *xs: Data) -> Data:
        return tuple([xs[0][_along(self.axis, i)] for i in range(self.size)])

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, axis in [
            ((1,), 0), ((3,), 0), ((2, 3), 0), ((2, 3), 1), ((1, 3), 0), ((3, 1), 1), ((2, 0), 0),
            ((2, 0, 3), 2), ((2, 2, 2), 1), ((3, 1, 2, 2), 3), ((2, 1, 2, 1, 2), 4), ((4, 2), 0),
        ]:  # fmt: skip
            yield Sample(cls(axis, shape[axis]), floats(shape))


def _filled(cts: Sequence[Data | None], parts: Sequence[Aval]) -> list[Data]:
    """The cotangents, with zeros for the outputs that nobody used."""
    return [_zeros(a) if ct is None else ct for ct, a in zip(cts, parts, strict=True)]


def split(x: V, size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[V, ...]:
    """x cut along `dim` into parts of one size (the last may be smaller) or of the sizes given.

    Raises ShapeError unless the sizes add up to the length of the axis, ArgumentError for a size
    that is not positive.

    >>> [part.tolist() for part in split(tensor([1.0, 2.0, 3.0]), 2)]
    [[1.0, 2.0], [3.0]]
    """
    shape = shape_of(x)
    axis = normalize_axis(dim, len(shape))
    n = shape[axis] if shape else 1
    if isinstance(size_or_sections, (int, np.integer)):
        size = int(size_or_sections)
        if size <= 0:
            raise ArgumentError("split needs a positive size", got=str(size))
        sizes = tuple(min(size, n - start) for start in range(0, n, size)) or (0,)
    else:
        sizes = movement.dims((size_or_sections,))
        if not sizes or min(sizes) < 0:
            raise ArgumentError("split needs sizes of zero or more", got=str(sizes))
    parts: Any = apply(Split(axis, sizes), x)
    return parts  # type: ignore[no-any-return]  # an op with several outputs returns a tuple


def chunk(x: V, chunks: int, dim: int = 0) -> tuple[V, ...]:
    """x cut along `dim` into at most `chunks` parts of equal size, the last one smaller.

    An empty axis gives `chunks` empty parts, as in PyTorch.
    """
    if chunks <= 0:
        raise ArgumentError("chunk needs a positive number", got=str(chunks))
    shape = shape_of(x)
    n = shape[normalize_axis(dim, len(shape))] if shape else 1
    return split(x, -(-n // chunks) if n else [0] * chunks, dim)


def unbind(x: V, dim: int = 0) -> tuple[V, ...]:
    """The parts of x along `dim`, without that axis; backward joins them in one step.

    >>> [row.tolist() for row in unbind(tensor([[1.0, 2.0], [3.0, 4.0]]))]
    [[1.0, 2.0], [3.0, 4.0]]
    """
    shape = shape_of(x)
    if not shape:
        raise ShapeError("a number has no axis to unbind", got="shape ()")
    axis = normalize_axis(dim, len(shape))
    if shape[axis] == 0:
        return ()
    parts: Any = apply(Unbind(axis, shape[axis]), x)
    return parts  # type: ignore[no-any-return]  # an op with several outputs returns a tuple


def tile(x: V, *reps: movement.Sizes) -> V:
    """x repeated ``reps[k]`` times along axis k, counted from the last, as in ``numpy.tile``.

    >>> tile(tensor([1.0, 2.0]), 2)
    tensor([1., 2., 1., 2.])
    """
    times = movement.dims(reps)
    if times and min(times) < 0:
        raise ArgumentError("tile needs counts of zero or more", got=str(times))
    shape = shape_of(x)
    ndim = max(len(shape), len(times))
    shape = (1,) * (ndim - len(shape)) + tuple(shape)
    times = (1,) * (ndim - len(times)) + times
    between = tuple(n for size in shape for n in (1, size))
    repeated = tuple(n for pair in zip(times, shape, strict=True) for n in pair)
    joined = tuple(t * n for t, n in zip(times, shape, strict=True))
    return movement.reshape(movement.expand(movement.reshape(x, between), repeated), joined)
