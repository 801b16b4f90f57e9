"""Running products, extremes and integrals along an axis, and differences.

cumprod and logcumsumexp are made of log₂ n rounds: in each, every element takes in the partial
result that ends where its own begins (W. D. Hillis, G. L. Steele, Data parallel algorithms, CACM
29(12), 1986). So nothing is ever divided by, and derivatives of any order are right at zeros too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval
from ..core.families import Constant
from ..core.sampling import Sample, distinct
from ..errors import ArgumentError, ShapeError
from . import arithmetic, indexing, joining, lookup, movement, ordering, reduce, slicing

__all__ = [
    "cummax", "cummin", "cumprod", "cumulative_trapezoid", "diff", "logcumsumexp", "trapezoid",
]  # fmt: skip

_INT64 = np.dtype(np.int64)


def cumprod(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Running product along `dim`, y[i] = x[0] … x[i]; integers and truth values give int64.

    The derivative is right where factors are zero. Raises IndexRangeError for a `dim` out of range.

    >>> cumprod(tensor([2.0, 3.0, 4.0]), 0)
    tensor([ 2.,  6., 24.])
    """
    axis = reduce.axis_of(input, dim)
    return _doubled(_summand(input, dtype), axis, arithmetic.mul, 1)


def logcumsumexp(input: Any, dim: int) -> Any:
    """log(e^x[0] + … + e^x[i]) along `dim`, without overflow.

    >>> logcumsumexp(tensor([1e4, 1e4]), 0)
    tensor([10000.0000, 10000.6934])
    """
    axis = reduce.axis_of(input, dim)
    return _doubled(reduce.as_float(input), axis, arithmetic.logaddexp, -math.inf)


def _summand(x: Any, dtype: Any) -> Any:
    """x in the type that PyTorch adds up and multiplies in."""
    return movement.cast(x, reduce.sum_dtype(x.dtype) if dtype is None else dtype)


def _doubled(x: Any, axis: int, join: Callable[[Any, Any], Any], neutral: float) -> Any:
    """The scan of `join`: after k rounds each element has joined the 2ᵏ that end with it."""
    if not x.shape:
        return movement.identity(x)
    n, step = x.shape[axis], 1
    y = x
    while step < n:
        widths = [(step, -step) if a == axis else (0, 0) for a in range(len(x.shape))]
        y = join(slicing.pad(y, tuple(widths), neutral), y)
        step *= 2
    return y if n > 1 else movement.identity(y)


class Cummax(Constant):
    """Position of the greatest element so far along an axis, the last of equals."""

    axis: int

    def infer(self, *xs: Any) -> Aval:
        return Aval(xs[0].shape, _INT64)

    def best(self, x: Any) -> Any:
        """The greatest elements so far."""
        return np.maximum.accumulate(x, axis=self.axis)

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        new = x == self.best(x)
        if x.dtype.kind == "f":
            new |= np.isnan(x)
        column = [-1 if a == self.axis else 1 for a in range(x.ndim)]
        places = np.arange(x.shape[self.axis], dtype=_INT64).reshape(column)
        return np.maximum.accumulate(np.where(new, places, 0), axis=self.axis)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, axes in reduce.AXES:
            if len(axes) == 1:
                yield Sample(cls(axes[0]), (distinct(*shape),))
        yield Sample(cls(1), (distinct(2, 0),))
        yield Sample(cls(0), (distinct(8, 2),))
        yield Sample(cls(1), (distinct(2, 9),))


class Cummin(Cummax):
    """Position of the least element so far along an axis, the last of equals; NaN is least."""

    def best(self, x: Any) -> Any:
        return np.minimum.accumulate(x, axis=self.axis)


def cummax(input: Any, dim: int) -> ordering.Ordered:
    """The greatest element so far along `dim`, and its position, the last of equals.

    The derivative goes to that position. NaN is greater than everything.

    >>> cummax(tensor([1.0, 3.0, 2.0]), 0)
    Ordered(values=tensor([1., 3., 3.]), indices=tensor([0, 1, 1]))
    """
    return _running(Cummax, input, dim)


def cummin(input: Any, dim: int) -> ordering.Ordered:
    """The least element so far along `dim`, and its position; see ``cummax``."""
    return _running(Cummin, input, dim)


def _running(kind: type[Cummax], x: Any, dim: int) -> ordering.Ordered:
    axis = reduce.axis_of(x, dim)
    if not x.shape:
        return ordering.Ordered(movement.identity(x), ordering.argmax(x))
    where = apply(kind(axis), x)
    return ordering.Ordered(lookup.gather(x, axis, where), where)


# Differences and integrals ------------------------------------------------------------------------


def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """x[i + 1] - x[i] along `dim`, `n` times; of truth values, whether they differ.

    `prepend` and `append` are joined to x first. Raises ArgumentError for a negative `n`.

    >>> diff(tensor([1.0, 4.0, 9.0]))
    tensor([3., 5.])
    """
    if n < 0:
        raise ArgumentError("diff() needs n >= 0", got=f"n={n}")
    if not input.shape:
        raise ShapeError("diff() needs at least one dimension", got="a number")
    axis = reduce.axis_of(input, dim)
    if n == 0:
        return movement.identity(input)
    parts = [part for part in (prepend, input, append) if part is not None]
    x = joining.concatenate(parts, axis) if len(parts) > 1 else movement.identity(input)
    for _ in range(min(n, x.shape[axis])):
        later, earlier = _part(x, axis, 1, None), _part(x, axis, None, -1)
        if x.dtype.kind == "b":
            x = arithmetic.logical_xor(later, earlier)
        else:
            x = arithmetic.sub(later, earlier)
    return x


def trapezoid(y: Any, x: Any = None, *, dx: float = 1, dim: int = -1) -> Any:
    """Σ (y[i] + y[i + 1]) / 2 · (x[i + 1] - x[i]) along `dim`, the integral of straight pieces.

    Without `x` the points are `dx` apart, a number or a tensor.

    >>> trapezoid(tensor([1.0, 5.0, 10.0]))
    tensor(10.5000)
    """
    return reduce.sum(_pieces(y, x, dx, dim), dim)


def cumulative_trapezoid(y: Any, x: Any = None, *, dx: float = 1, dim: int = -1) -> Any:
    """The running sums of what ``trapezoid`` adds up.

    >>> cumulative_trapezoid(tensor([1.0, 5.0, 10.0]))
    tensor([ 3.0000, 10.5000])
    """
    return ordering.cumsum(_pieces(y, x, dx, dim), dim)


def _pieces(y: Any, x: Any, dx: Any, dim: int) -> Any:
    """The areas of the trapezia along `dim`."""
    axis = reduce.axis_of(y, dim)
    means = arithmetic.add(_part(y, axis, 1, None), _part(y, axis, None, -1)) * 0.5
    if x is None:
        return means * dx
    if len(x.shape) == 1 and len(y.shape) > 1:
        sizes = [-1 if a == axis else 1 for a in range(len(y.shape))]
        return means * movement.reshape(diff(x), sizes)
    return means * diff(x, dim=dim if len(x.shape) == len(y.shape) else axis - len(y.shape))


def _part(x: Any, axis: int, start: int | None, stop: int | None) -> Any:
    return indexing.index(x, (*[slice(None)] * axis, slice(start, stop)))
