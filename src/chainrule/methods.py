"""Methods that delegate to ops: shared by every class of values.

Each method is one line: what it computes is said where the op is defined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, TypeVar

import numpy as np

from . import ops
from .array_methods import ArrayMethods
from .core.aval import DType
from .function_methods import FunctionMethods

Dim = int | Sequence[int] | None
V = TypeVar("V")


def _shape(sizes: tuple[Any, ...]) -> Any:
    """Sizes given one by one, or as one sequence."""
    return sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], (int, np.integer)) else sizes


def _scaled(other: Any, legacy: tuple[Any, ...], alpha: float) -> Any:
    """The second term of a sum: ``other`` times alpha, which may come before it, as once it did."""
    if legacy:
        (other,), alpha = legacy, other
    return other if type(alpha) is int and alpha == 1 else ops.mul(other, alpha)


def _along(dim: Any, keepdim: bool, words: dict[str, Any]) -> tuple[Any, bool]:
    """Axes and whether they stay, which may also be given in NumPy's words, axis and keepdims."""
    if not words:
        return dim, keepdim
    unknown = words.keys() - {"axis", "keepdims"}
    if unknown:
        raise TypeError(f"unexpected keyword argument {unknown.pop()!r}")
    return words.get("axis", dim), words.get("keepdims", keepdim)


def _cast(x: V, dtype: Any) -> V:
    """`x`, converted first if a dtype is given."""
    return x if dtype is None else ops.cast(x, np.dtype(dtype))


class Methods(ArrayMethods, FunctionMethods):
    """Mixin with Python's operators and PyTorch's methods. It holds nothing."""

    __slots__ = ()

    # Elementwise ------------------------------------------------------------------------------

    def add(self, other: Any, *legacy: Any, alpha: float = 1) -> Self:
        """self + alpha · other; PyTorch's old ``add(alpha, other)`` is understood too."""
        return ops.add(self, _scaled(other, legacy, alpha))

    def sub(self, other: Any, *legacy: Any, alpha: float = 1) -> Self:
        """self - alpha · other; see ``add``."""
        return ops.sub(self, _scaled(other, legacy, alpha))

    def mul(self, other: Any) -> Self:
        return ops.mul(self, other)

    def div(self, other: Any, *, rounding_mode: str | None = None) -> Self:
        return ops.div(self, other, rounding_mode=rounding_mode)

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

    def sum(self, dim: Dim = None, keepdim: bool = False, dtype: Any = None, **n: Any) -> Self:
        return ops.sum(_cast(self, dtype), *_along(dim, keepdim, n))

    def mean(self, dim: Dim = None, keepdim: bool = False, dtype: Any = None, **n: Any) -> Self:
        return ops.mean(_cast(self, dtype), *_along(dim, keepdim, n))

    def var(
        self,
        dim: Any = None,
        unbiased: Any = None,
        keepdim: bool = False,
        *,
        correction: float | None = None,
        **n: Any,
    ) -> Self:
        """See ``chainrule.var``; `axis` and `keepdims` are NumPy's words for `dim`, `keepdim`."""
        dim, keepdim = _along(dim, keepdim, n)
        return ops.var(self, dim, unbiased, keepdim, correction=correction)

    def std(
        self,
        dim: Any = None,
        unbiased: Any = None,
        keepdim: bool = False,
        *,
        correction: float | None = None,
        **n: Any,
    ) -> Self:
        """See ``chainrule.std``; `axis` and `keepdims` are NumPy's words for `dim`, `keepdim`."""
        dim, keepdim = _along(dim, keepdim, n)
        return ops.std(self, dim, unbiased, keepdim, correction=correction)

    def prod(self, dim: Any = None, keepdim: bool = False, dtype: Any = None, **n: Any) -> Self:
        return ops.prod(_cast(self, dtype), *_along(dim, keepdim, n))

    def max(self, dim: Any = None, keepdim: bool = False, **n: Any) -> Any:
        return ops.max(self, *_along(dim, keepdim, n))

    def min(self, dim: Any = None, keepdim: bool = False, **n: Any) -> Any:
        return ops.min(self, *_along(dim, keepdim, n))

    def amax(self, dim: Dim = None, keepdim: bool = False, **n: Any) -> Self:
        return ops.amax(self, *_along(dim, keepdim, n))

    def amin(self, dim: Dim = None, keepdim: bool = False, **n: Any) -> Self:
        return ops.amin(self, *_along(dim, keepdim, n))

    def any(self, dim: Dim = None, keepdim: bool = False, **n: Any) -> Self:
        return ops.any(self, *_along(dim, keepdim, n))

    def all(self, dim: Dim = None, keepdim: bool = False, **n: Any) -> Self:
        return ops.all(self, *_along(dim, keepdim, n))

    def logsumexp(self, dim: Dim = None, keepdim: bool = False, **n: Any) -> Self:
        return ops.logsumexp(self, *_along(dim, keepdim, n))

    def norm(self, p: Any = 2.0, dim: Dim = None, keepdim: bool = False) -> Any:
        return ops.norm(self, p, dim, keepdim)

    def argmax(self, dim: int | None = None, keepdim: bool = False, **n: Any) -> Self:
        return ops.argmax(self, *_along(dim, keepdim, n))

    def argmin(self, dim: int | None = None, keepdim: bool = False, **n: Any) -> Self:
        return ops.argmin(self, *_along(dim, keepdim, n))

    def argsort(self, dim: int = -1, descending: bool = False, stable: Any = None) -> Self:
        return ops.argsort(self, dim, descending, stable)

    def cumsum(self, dim: int, dtype: Any = None) -> Self:
        return ops.cumsum(_cast(self, dtype), dim)

    def sort(self, dim: int = -1, descending: bool = False, stable: Any = None) -> Any:
        return ops.sort(self, dim, descending, stable)

    def topk(self, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
        return ops.topk(self, k, dim, largest, sorted)

    def softmax(self, dim: int, dtype: Any = None) -> Self:
        return ops.softmax(_cast(self, dtype), dim)

    def log_softmax(self, dim: int, dtype: Any = None) -> Self:
        return ops.log_softmax(_cast(self, dtype), dim)

    # Products ---------------------------------------------------------------------------------

    def matmul(self, other: Any) -> Self:
        return ops.matmul(self, other)

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

    def flip(self, *sizes: Any, dims: Any = None) -> Self:
        return ops.flip(self, _shape(sizes) if dims is None else dims)

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

    def diagonal(self, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Self:
        return self._view(ops.diagonal(self, offset, dim1, dim2))

    # Types ------------------------------------------------------------------------------------

    def astype(self, dtype: DType | type) -> Self:
        return ops.cast(self, np.dtype(dtype))

    def float(self, memory_format: Any = None) -> Self:
        return self.astype(np.float32)

    def double(self, memory_format: Any = None) -> Self:
        return self.astype(np.float64)

    def half(self, memory_format: Any = None) -> Self:
        return self.astype(np.float16)

    def long(self, memory_format: Any = None) -> Self:
        return self.astype(np.int64)

    def int(self, memory_format: Any = None) -> Self:
        return self.astype(np.int32)

    def bool(self, memory_format: Any = None) -> Self:
        return self.astype(np.bool_)
