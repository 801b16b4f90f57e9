"""Methods that delegate to ops: shared by every class of values.

Each method is one line: what it computes is said where the op is defined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from . import ops
from .core.aval import DType
from .operators import Operators

Dim = int | Sequence[int] | None


def _shape(sizes: tuple[Any, ...]) -> Any:
    """Sizes given one by one, or as one sequence."""
    return sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], (int, np.integer)) else sizes


class Methods(Operators):
    """Mixin with Python's operators and PyTorch's methods. It holds nothing."""

    __slots__ = ()

    # Elementwise ------------------------------------------------------------------------------

    def add(self, other: Any) -> Self:
        return ops.add(self, other)

    def sub(self, other: Any) -> Self:
        return ops.sub(self, other)

    def mul(self, other: Any) -> Self:
        return ops.mul(self, other)

    def div(self, other: Any) -> Self:
        return ops.div(self, other)

    def pow(self, exponent: Any) -> Self:
        return ops.pow(self, exponent)

    def neg(self) -> Self:
        return ops.neg(self)

    def abs(self) -> Self:
        return ops.abs(self)

    def sign(self) -> Self:
        return ops.sign(self)

    def square(self) -> Self:
        return ops.square(self)

    def reciprocal(self) -> Self:
        return ops.reciprocal(self)

    def floor(self) -> Self:
        return ops.floor(self)

    def ceil(self) -> Self:
        return ops.ceil(self)

    def round(self, decimals: int = 0) -> Self:
        return ops.round(self, decimals)

    def trunc(self) -> Self:
        return ops.trunc(self)

    def clip(self, min: Any = None, max: Any = None) -> Self:
        return ops.clip(self, min, max)

    clamp = clip

    def maximum(self, other: Any) -> Self:
        return ops.maximum(self, other)

    def minimum(self, other: Any) -> Self:
        return ops.minimum(self, other)

    def where(self, condition: Any, other: Any) -> Self:
        return self._own(ops.where(condition, self, other))

    def masked_fill(self, mask: Any, value: Any) -> Self:
        return self._own(ops.where(mask, value, self))

    def eq(self, other: Any) -> Self:
        return ops.eq(self, other)

    def ne(self, other: Any) -> Self:
        return ops.ne(self, other)

    def lt(self, other: Any) -> Self:
        return ops.lt(self, other)

    def le(self, other: Any) -> Self:
        return ops.le(self, other)

    def gt(self, other: Any) -> Self:
        return ops.gt(self, other)

    def ge(self, other: Any) -> Self:
        return ops.ge(self, other)

    def isnan(self) -> Self:
        return ops.isnan(self)

    def isinf(self) -> Self:
        return ops.isinf(self)

    def isfinite(self) -> Self:
        return ops.isfinite(self)

    def exp(self) -> Self:
        return ops.exp(self)

    def log(self) -> Self:
        return ops.log(self)

    def log1p(self) -> Self:
        return ops.log1p(self)

    def expm1(self) -> Self:
        return ops.expm1(self)

    def sqrt(self) -> Self:
        return ops.sqrt(self)

    def rsqrt(self) -> Self:
        return ops.rsqrt(self)

    def sin(self) -> Self:
        return ops.sin(self)

    def cos(self) -> Self:
        return ops.cos(self)

    def tan(self) -> Self:
        return ops.tan(self)

    def tanh(self) -> Self:
        return ops.tanh(self)

    def sigmoid(self) -> Self:
        return ops.sigmoid(self)

    def erf(self) -> Self:
        return ops.erf(self)

    def relu(self) -> Self:
        return ops.relu(self)

    # Reductions -------------------------------------------------------------------------------

    def sum(self, dim: Dim = None, keepdim: bool = False) -> Self:
        return ops.sum(self, dim, keepdim)

    def mean(self, dim: Dim = None, keepdim: bool = False) -> Self:
        return ops.mean(self, dim, keepdim)

    def var(self, dim: Dim = None, *, correction: float = 1, keepdim: bool = False) -> Self:
        return ops.var(self, dim, correction=correction, keepdim=keepdim)

    def std(self, dim: Dim = None, *, correction: float = 1, keepdim: bool = False) -> Self:
        return ops.std(self, dim, correction=correction, keepdim=keepdim)

    def prod(self, dim: int | None = None, keepdim: bool = False) -> Self:
        return ops.prod(self, dim, keepdim)

    def max(self, dim: int | None = None, keepdim: bool = False) -> Any:
        return ops.max(self, dim, keepdim)

    def min(self, dim: int | None = None, keepdim: bool = False) -> Any:
        return ops.min(self, dim, keepdim)

    def amax(self, dim: Dim = None, keepdim: bool = False) -> Self:
        return ops.amax(self, dim, keepdim)

    def amin(self, dim: Dim = None, keepdim: bool = False) -> Self:
        return ops.amin(self, dim, keepdim)

    def any(self, dim: Dim = None, keepdim: bool = False) -> Self:
        return ops.any(self, dim, keepdim)

    def all(self, dim: Dim = None, keepdim: bool = False) -> Self:
        return ops.all(self, dim, keepdim)

    def logsumexp(self, dim: Dim = None, keepdim: bool = False) -> Self:
        return ops.logsumexp(self, dim, keepdim)

    def norm(self, p: float = 2.0, dim: Dim = None, keepdim: bool = False) -> Self:
        return ops.norm(self, p, dim, keepdim)

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Self:
        return ops.argmax(self, dim, keepdim)

    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Self:
        return ops.argmin(self, dim, keepdim)

    def argsort(self, dim: int = -1, descending: bool = False) -> Self:
        return ops.argsort(self, dim, descending)

    def cumsum(self, dim: int) -> Self:
        return ops.cumsum(self, dim)

    def sort(self, dim: int = -1, descending: bool = False) -> tuple[Self, Self]:
        return ops.sort(self, dim, descending)

    def topk(self, k: int, dim: int = -1, largest: bool = True) -> tuple[Self, Self]:
        return ops.topk(self, k, dim, largest)

    def softmax(self, dim: int) -> Self:
        return ops.softmax(self, dim)

    def log_softmax(self, dim: int) -> Self:
        return ops.log_softmax(self, dim)

    # Products ---------------------------------------------------------------------------------

    def matmul(self, other: Any) -> Self:
        return ops.matmul(self, other)

    mm = bmm = mv = matmul

    def dot(self, other: Any) -> Self:
        return ops.dot(self, other)

    def outer(self, other: Any) -> Self:
        return ops.outer(self, other)

    # Shapes -----------------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> Self:
        return ops.reshape(self, _shape(shape))

    view = reshape

    def view_as(self, other: Any) -> Self:
        return self.reshape(other.shape)

    def permute(self, *dims: Any) -> Self:
        return ops.permute(self, _shape(dims))

    def transpose(self, dim0: int, dim1: int) -> Self:
        return ops.transpose(self, dim0, dim1)

    def t(self) -> Self:
        return ops.permute(self, tuple(range(self.ndim))[::-1])

    @property
    def T(self) -> Self:
        """The axes in reverse order."""
        return self.t()

    @property
    def mT(self) -> Self:
        """The last two axes swapped."""
        return self.transpose(-2, -1)

    def squeeze(self, dim: Dim = None) -> Self:
        return ops.squeeze(self, dim)

    def unsqueeze(self, dim: int) -> Self:
        return ops.unsqueeze(self, dim)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Self:
        return ops.flatten(self, start_dim, end_dim)

    def expand(self, *shape: Any) -> Self:
        return ops.expand(self, _shape(shape))

    def flip(self, *dims: Any) -> Self:
        return ops.flip(self, _shape(dims))

    def roll(self, shifts: Any, dims: Any = None) -> Self:
        return ops.roll(self, shifts, dims)

    def split(self, size: Any, dim: int = 0) -> tuple[Self, ...]:
        return tuple(ops.split(self, size, dim))

    def unbind(self, dim: int = 0) -> tuple[Self, ...]:
        return tuple(ops.unbind(self, dim))

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Self, ...]:
        return tuple(ops.chunk(self, chunks, dim))

    def tile(self, *repeats: Any) -> Self:
        return ops.tile(self, _shape(repeats))

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
        return ops.gather(self, dim, index)

    def scatter_add(self, dim: int, index: Any, src: Any) -> Self:
        return ops.scatter_add(self, dim, index, src)

    def tril(self, diagonal: int = 0) -> Self:
        return ops.tril(self, diagonal)

    def triu(self, diagonal: int = 0) -> Self:
        return ops.triu(self, diagonal)

    def diagonal(self, offset: int = 0, dim0: int = 0, dim1: int = 1) -> Self:
        return self._view(ops.diagonal(self, offset, dim0, dim1))

    # Types ------------------------------------------------------------------------------------

    def astype(self, dtype: DType | type) -> Self:
        return ops.cast(self, np.dtype(dtype))

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
