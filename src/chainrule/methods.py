"""Operators and methods that delegate to ops: shared by every class of values.

Each method is one line: what it computes is said where the op is defined.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np

from .core.aval import DType
from .ops import (
    arithmetic,
    contract,
    elementwise,
    fused,
    indexing,
    joining,
    movement,
    ordering,
    reduce,
)

Dim = int | Sequence[int] | None


def _shape(sizes: tuple[Any, ...]) -> Any:
    """Sizes given one by one, or as one sequence."""
    return sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], (int, np.integer)) else sizes


class Methods:
    """Mixin with Python's operators and PyTorch's methods. It holds nothing."""

    __slots__ = ()

    shape: Any
    dtype: Any
    ndim: Any

    def _view(self, result: Self) -> Self:
        """Hook for classes that want to know which results stand for a part of another value."""
        return result

    # Operators --------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Self:
        return arithmetic.add(self, other)

    def __radd__(self, other: Any) -> Self:
        return arithmetic.add(other, self)

    def __sub__(self, other: Any) -> Self:
        return arithmetic.sub(self, other)

    def __rsub__(self, other: Any) -> Self:
        return arithmetic.sub(other, self)

    def __mul__(self, other: Any) -> Self:
        return arithmetic.mul(self, other)

    def __rmul__(self, other: Any) -> Self:
        return arithmetic.mul(other, self)

    def __truediv__(self, other: Any) -> Self:
        return arithmetic.div(self, other)

    def __rtruediv__(self, other: Any) -> Self:
        return arithmetic.div(other, self)

    def __floordiv__(self, other: Any) -> Self:
        return arithmetic.floor(arithmetic.div(self, other))

    def __mod__(self, other: Any) -> Self:
        return arithmetic.remainder(self, other)

    def __pow__(self, other: Any) -> Self:
        return arithmetic.pow(self, other)

    def __rpow__(self, other: Any) -> Self:
        return arithmetic.pow(other, self)

    def __matmul__(self, other: Any) -> Self:
        return contract.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Self:
        return contract.matmul(other, self)

    def __neg__(self) -> Self:
        return arithmetic.neg(self)

    def __pos__(self) -> Self:
        return self

    def __abs__(self) -> Self:
        return arithmetic.abs(self)

    def __invert__(self) -> Self:
        return arithmetic.logical_not(self)

    def __and__(self, other: Any) -> Self:
        return arithmetic.logical_and(self, other)

    def __or__(self, other: Any) -> Self:
        return arithmetic.logical_or(self, other)

    def __eq__(self, other: Any) -> Self:  # type: ignore[override]  # elementwise, as in NumPy
        return arithmetic.eq(self, other)

    def __ne__(self, other: Any) -> Self:  # type: ignore[override]  # elementwise, as in NumPy
        return arithmetic.ne(self, other)

    def __lt__(self, other: Any) -> Self:
        return arithmetic.lt(self, other)

    def __le__(self, other: Any) -> Self:
        return arithmetic.le(self, other)

    def __gt__(self, other: Any) -> Self:
        return arithmetic.gt(self, other)

    def __ge__(self, other: Any) -> Self:
        return arithmetic.ge(self, other)

    __hash__ = object.__hash__

    def __getitem__(self, key: Any) -> Self:
        return self._view(indexing.index(self, key))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a zero-dimensional tensor has no length")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Self]:
        return iter([self[i] for i in range(len(self))])

    # Elementwise ------------------------------------------------------------------------------

    def add(self, other: Any) -> Self:
        return arithmetic.add(self, other)

    def sub(self, other: Any) -> Self:
        return arithmetic.sub(self, other)

    def mul(self, other: Any) -> Self:
        return arithmetic.mul(self, other)

    def div(self, other: Any) -> Self:
        return arithmetic.div(self, other)

    def pow(self, exponent: Any) -> Self:
        return arithmetic.pow(self, exponent)

    def neg(self) -> Self:
        return arithmetic.neg(self)

    def abs(self) -> Self:
        return arithmetic.abs(self)

    def sign(self) -> Self:
        return arithmetic.sign(self)

    def square(self) -> Self:
        return arithmetic.square(self)

    def reciprocal(self) -> Self:
        return arithmetic.reciprocal(self)

    def floor(self) -> Self:
        return arithmetic.floor(self)

    def ceil(self) -> Self:
        return arithmetic.ceil(self)

    def round(self) -> Self:
        return arithmetic.round(self)

    def clip(self, min: Any = None, max: Any = None) -> Self:
        return arithmetic.clip(self, min, max)

    clamp = clip

    def maximum(self, other: Any) -> Self:
        return arithmetic.maximum(self, other)

    def minimum(self, other: Any) -> Self:
        return arithmetic.minimum(self, other)

    def where(self, condition: Any, other: Any) -> Self:
        return arithmetic.where(condition, self, other)

    def masked_fill(self, mask: Any, value: Any) -> Self:
        return arithmetic.where(mask, value, self)

    def eq(self, other: Any) -> Self:
        return arithmetic.eq(self, other)

    def isnan(self) -> Self:
        return arithmetic.isnan(self)

    def isinf(self) -> Self:
        return arithmetic.isinf(self)

    def isfinite(self) -> Self:
        return arithmetic.isfinite(self)

    def exp(self) -> Self:
        return elementwise.exp(self)

    def log(self) -> Self:
        return elementwise.log(self)

    def log1p(self) -> Self:
        return elementwise.log1p(self)

    def expm1(self) -> Self:
        return elementwise.expm1(self)

    def sqrt(self) -> Self:
        return elementwise.sqrt(self)

    def rsqrt(self) -> Self:
        return elementwise.rsqrt(self)

    def sin(self) -> Self:
        return elementwise.sin(self)

    def cos(self) -> Self:
        return elementwise.cos(self)

    def tan(self) -> Self:
        return elementwise.tan(self)

    def tanh(self) -> Self:
        return elementwise.tanh(self)

    def sigmoid(self) -> Self:
        return elementwise.sigmoid(self)

    def erf(self) -> Self:
        return elementwise.erf(self)

    def relu(self) -> Self:
        return elementwise.relu(self)

    # Reductions -------------------------------------------------------------------------------

    def sum(self, dim: Dim = None, keepdim: bool = False) -> Self:
        return reduce.sum(self, dim, keepdim)

    def mean(self, dim: Dim = None, keepdim: bool = False) -> Self:
        return reduce.mean(self, dim, keepdim)

    def var(self, dim: Dim = None, *, correction: float = 1, keepdim: bool = False) -> Self:
        return reduce.var(self, dim, correction=correction, keepdim=keepdim)

    def std(self, dim: Dim = None, *, correction: float = 1, keepdim: bool = False) -> Self:
        return reduce.std(self, dim, correction=correction, keepdim=keepdim)

    def prod(self, dim: int | None = None, keepdim: bool = False) -> Self:
        return reduce.prod(self, dim, keepdim)

    def max(self, dim: int | None = None, keepdim: bool = False) -> Any:
        return reduce.max(self, dim, keepdim)

    def min(self, dim: int | None = None, keepdim: bool = False) -> Any:
        return reduce.min(self, dim, keepdim)

    def amax(self, dim: Dim = None, keepdim: bool = False) -> Self:
        return reduce.amax(self, dim, keepdim)

    def amin(self, dim: Dim = None, keepdim: bool = False) -> Self:
        return reduce.amin(self, dim, keepdim)

    def any(self, dim: Dim = None, keepdim: bool = False) -> Self:
        return reduce.any(self, dim, keepdim)

    def all(self, dim: Dim = None, keepdim: bool = False) -> Self:
        return reduce.all(self, dim, keepdim)

    def logsumexp(self, dim: Dim = None, keepdim: bool = False) -> Self:
        return reduce.logsumexp(self, dim, keepdim)

    def norm(self, p: float = 2.0, dim: Dim = None, keepdim: bool = False) -> Self:
        return reduce.norm(self, p, dim, keepdim)

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Self:
        return ordering.argmax(self, dim, keepdim)

    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Self:
        return ordering.argmin(self, dim, keepdim)

    def cumsum(self, dim: int) -> Self:
        return ordering.cumsum(self, dim)

    def sort(self, dim: int = -1, descending: bool = False) -> tuple[Self, Self]:
        return ordering.sort(self, dim, descending)

    def topk(self, k: int, dim: int = -1, largest: bool = True) -> tuple[Self, Self]:
        return ordering.topk(self, k, dim, largest)

    def softmax(self, dim: int) -> Self:
        return fused.softmax(self, dim)

    def log_softmax(self, dim: int) -> Self:
        return fused.log_softmax(self, dim)

    # Products ---------------------------------------------------------------------------------

    def matmul(self, other: Any) -> Self:
        return contract.matmul(self, other)

    mm = bmm = mv = matmul

    def dot(self, other: Any) -> Self:
        return contract.dot(self, other)

    def outer(self, other: Any) -> Self:
        return contract.outer(self, other)

    # Shapes -----------------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> Self:
        return self._view(movement.reshape(self, _shape(shape)))

    view = reshape

    def view_as(self, other: Any) -> Self:
        return self.reshape(other.shape)

    def permute(self, *dims: Any) -> Self:
        return self._view(movement.permute(self, _shape(dims)))

    def transpose(self, dim0: int, dim1: int) -> Self:
        return self._view(movement.transpose(self, dim0, dim1))

    def t(self) -> Self:
        return self._view(movement.permute(self, tuple(range(self.ndim))[::-1]))

    @property
    def T(self) -> Self:
        """The axes in reverse order."""
        return self.t()

    @property
    def mT(self) -> Self:
        """The last two axes swapped."""
        return self.transpose(-2, -1)

    def squeeze(self, dim: Dim = None) -> Self:
        return self._view(movement.squeeze(self, dim))

    def unsqueeze(self, dim: int) -> Self:
        return self._view(movement.unsqueeze(self, dim))

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Self:
        return self._view(movement.flatten(self, start_dim, end_dim))

    def expand(self, *shape: Any) -> Self:
        return self._view(movement.expand(self, _shape(shape)))

    def flip(self, *dims: Any) -> Self:
        return movement.flip(self, _shape(dims))

    def roll(self, shifts: Any, dims: Any = None) -> Self:
        return movement.roll(self, shifts, dims)

    def split(self, size: Any, dim: int = 0) -> tuple[Self, ...]:
        return tuple(self._view(part) for part in joining.split(self, size, dim))

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Self, ...]:
        return tuple(self._view(part) for part in joining.chunk(self, chunks, dim))

    def tile(self, *repeats: Any) -> Self:
        return joining.tile(self, _shape(repeats))

    repeat = tile

    def size(self, dim: int | None = None) -> Any:
        """The shape, or one size of it."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def numel(self) -> int:
        """Number of elements."""
        count = 1
        for n in self.shape:
            count *= n
        return count

    # Indexing ---------------------------------------------------------------------------------

    def gather(self, dim: int, index: Any) -> Self:
        return indexing.gather(self, dim, index)

    def scatter_add(self, dim: int, index: Any, src: Any) -> Self:
        return indexing.scatter_add(self, dim, index, src)

    def tril(self, diagonal: int = 0) -> Self:
        return indexing.tril(self, diagonal)

    def triu(self, diagonal: int = 0) -> Self:
        return indexing.triu(self, diagonal)

    def diagonal(self, offset: int = 0, dim0: int = 0, dim1: int = 1) -> Self:
        return self._view(indexing.diagonal(self, offset, dim0, dim1))

    # Types ------------------------------------------------------------------------------------

    def astype(self, dtype: DType | type) -> Self:
        return movement.cast(self, np.dtype(dtype))

    def float(self) -> Self:
        return self.astype(np.float32)

    def double(self) -> Self:
        return self.astype(np.float64)

    def half(self) -> Self:
        return self.astype(np.float16)

    def long(self) -> Self:
        return self.astype(np.int64)

    def int(self) -> Self:
        return self.astype(np.int32)

    def bool(self) -> Self:
        return self.astype(np.bool_)


