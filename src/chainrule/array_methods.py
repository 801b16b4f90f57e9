"""Methods that place, pick and multiply: what PyTorch's tensors know of movement and matrices.

Each method is one line: what it computes is said where the op is defined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from . import ops
from .operators import Operators
from .ops import parts

Splits = tuple[Any, ...]


def shape_of_sizes(sizes: tuple[Any, ...]) -> Any:
    """Sizes given one by one, or as one sequence."""
    return sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], (int, np.integer)) else sizes


class ArrayMethods(Operators):
    """Mixin with methods of arrays and matrices. It holds nothing."""

    __slots__ = ()

    # Parts ------------------------------------------------------------------------------------

    def narrow(self, dim: int, start: Any, length: int) -> Self:
        return self._view(ops.narrow(self, dim, start, length))

    def narrow_copy(self, dim: int, start: Any, length: int) -> Self:
        return ops.narrow_copy(self, dim, start, length)  # type: ignore[no-any-return]  # as self

    def select(self, dim: int, index: int) -> Self:
        return ops.select(self, dim, index)  # type: ignore[no-any-return]  # as self

    def unfold(self, dimension: int, size: int, step: int) -> Self:
        return self._view(parts.windows(self, dimension, size, step))

    def as_strided(self, size: Any, stride: Any, storage_offset: int | None = None) -> Self:
        return self._view(ops.as_strided(self, size, stride, storage_offset))

    def tensor_split(self, indices_or_sections: Any, dim: int = 0) -> Splits:
        return ops.tensor_split(self, indices_or_sections, dim)

    def hsplit(self, indices_or_sections: Any) -> Splits:
        return ops.hsplit(self, indices_or_sections)

    def vsplit(self, indices_or_sections: Any) -> Splits:
        return ops.vsplit(self, indices_or_sections)

    def dsplit(self, indices_or_sections: Any) -> Splits:
        return ops.dsplit(self, indices_or_sections)

    def split_with_sizes(self, split_sizes: Sequence[int], dim: int = 0) -> Splits:
        return ops.split_with_sizes(self, split_sizes, dim)

    def unsafe_split(self, split_size: Any, dim: int = 0) -> Splits:
        return ops.unsafe_split(self, split_size, dim)  # type: ignore[no-any-return]  # a tuple

    def unsafe_chunk(self, chunks: int, dim: int = 0) -> Splits:
        return ops.unsafe_chunk(self, chunks, dim)  # type: ignore[no-any-return]  # a tuple

    def select_scatter(self, src: Any, dim: int, index: int) -> Any:
        return ops.select_scatter(self, src, dim, index)

    def slice_scatter(self, src: Any, dim: int = 0, *span: Any, **bounds: Any) -> Any:
        return ops.slice_scatter(self, src, dim, *span, **bounds)

    def diagonal_scatter(self, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
        return ops.diagonal_scatter(self, src, offset, dim1, dim2)

    def as_strided_scatter(self, src: Any, size: Any, stride: Any, *offset: Any) -> Any:
        return ops.as_strided_scatter(self, src, size, stride, *offset)

    def diag(self, diagonal: int = 0) -> Any:
        return ops.diag(self, diagonal)

    def diag_embed(self, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
        return ops.diag_embed(self, offset, dim1, dim2)

    def diagflat(self, offset: int = 0) -> Any:
        return ops.diagflat(self, offset)

    def trace(self) -> Any:
        return ops.trace(self)

    # Order and shape of axes ------------------------------------------------------------------

    @property
    def H(self) -> Any:
        """The matrix transposed (of real numbers, which need no conjugation)."""
        return self._view(ops.t(self))

    @property
    def mH(self) -> Any:
        """The last two axes swapped."""
        return self._view(ops.adjoint(self))

    def adjoint(self) -> Any:
        return self._view(ops.adjoint(self))

    def swapaxes(self, axis0: int, axis1: int) -> Self:
        return ops.swapaxes(self, axis0, axis1)

    swapdims = swapaxes

    def movedim(self, source: Any, destination: Any) -> Self:
        return ops.movedim(self, source, destination)

    moveaxis = movedim

    def fliplr(self) -> Any:
        return ops.fliplr(self)

    def flipud(self) -> Any:
        return ops.flipud(self)

    def rot90(self, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
        return ops.rot90(self, k, dims)

    def ravel(self) -> Any:
        return ops.ravel(self)

    def unflatten(self, dim: int, sizes: Any) -> Self:
        return ops.unflatten(self, dim, sizes)

    def reshape_as(self, other: Any) -> Self:
        return ops.reshape(self, other.shape)

    def expand_as(self, other: Any) -> Self:
        return ops.expand(self, other.shape)

    def broadcast_to(self, *size: Any) -> Self:
        return ops.expand(self, shape_of_sizes(size))

    def sum_to_size(self, *size: Any) -> Self:
        return ops.sum_to(self, tuple(shape_of_sizes(size)))

    def repeat_interleave(
        self, repeats: Any, dim: int | None = None, *, output_size: int | None = None
    ) -> Any:
        return ops.repeat_interleave(self, repeats, dim, output_size=output_size)

    # Places -----------------------------------------------------------------------------------

    def scatter(self, dim: int, index: Any, src: Any = None, **options: Any) -> Any:
        return ops.scatter(self, dim, index, options.pop("value", src), **options)

    def scatter_reduce(
        self, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
    ) -> Any:
        return ops.scatter_reduce(self, dim, index, src, reduce, include_self=include_self)

    def index_select(self, dim: int, index: Any) -> Any:
        return ops.index_select(self, dim, index)

    def index_add(self, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
        return ops.index_add(self, dim, index, source, alpha=alpha)

    def index_copy(self, dim: int, index: Any, source: Any) -> Any:
        return ops.index_copy(self, dim, index, source)

    def index_fill(self, dim: int, index: Any, value: Any) -> Any:
        return ops.index_fill(self, dim, index, value)

    def index_put(self, indices: Any, values: Any, accumulate: bool = False) -> Any:
        return ops.index_put(self, indices, values, accumulate)

    def index_reduce(
        self, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True
    ) -> Any:
        return ops.index_reduce(self, dim, index, source, reduce, include_self=include_self)

    def masked_fill(self, mask: Any, value: Any) -> Any:
        return ops.masked_fill(self, mask, value)

    def masked_scatter(self, mask: Any, source: Any) -> Any:
        return ops.masked_scatter(self, mask, source)

    def masked_select(self, mask: Any) -> Any:
        return ops.masked_select(self, mask)

    def take(self, index: Any) -> Self:
        return ops.take(self, index)

    def take_along_dim(self, indices: Any, dim: int | None = None) -> Self:
        return ops.take_along_dim(self, indices, dim)  # type: ignore[no-any-return]  # as self

    def put(self, index: Any, source: Any, accumulate: bool = False) -> Any:
        return ops.put(self, index, source, accumulate)

    def nonzero(self, *, as_tuple: bool = False) -> Any:
        return ops.nonzero(self, as_tuple=as_tuple)

    def argwhere(self) -> Any:
        return ops.argwhere(self)

    def isin(self, test_elements: Any) -> Any:
        return ops.isin(self, test_elements)

    # Products and matrices --------------------------------------------------------------------

    def mm(self, mat2: Any) -> Any:
        return ops.mm(self, mat2)

    def bmm(self, mat2: Any) -> Any:
        return ops.bmm(self, mat2)

    def mv(self, vec: Any) -> Any:
        return ops.mv(self, vec)

    def ger(self, vec2: Any) -> Any:
        return ops.ger(self, vec2)

    def vdot(self, other: Any) -> Any:
        return ops.vdot(self, other)

    def inner(self, other: Any) -> Any:
        return ops.inner(self, other)

    def kron(self, other: Any) -> Any:
        return ops.kron(self, other)

    def addmm(self, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
        return ops.addmm(self, mat1, mat2, beta=beta, alpha=alpha)

    def addmv(self, mat: Any, vec: Any, *, beta: float = 1, alpha: float = 1) -> Any:
        return ops.addmv(self, mat, vec, beta=beta, alpha=alpha)

    def addr(self, vec1: Any, vec2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
        return ops.addr(self, vec1, vec2, beta=beta, alpha=alpha)

    def baddbmm(self, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
        return ops.baddbmm(self, batch1, batch2, beta=beta, alpha=alpha)

    def addbmm(self, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
        return ops.addbmm(self, batch1, batch2, beta=beta, alpha=alpha)

    def cov(self, *, correction: float = 1, fweights: Any = None, aweights: Any = None) -> Any:
        return ops.cov(self, correction=correction, fweights=fweights, aweights=aweights)

    def corrcoef(self) -> Any:
        return ops.corrcoef(self)

    def cross(self, other: Any, dim: int | None = None) -> Any:
        return ops.cross(self, other, dim)

    def det(self) -> Any:
        return ops.det(self)

    def slogdet(self) -> Any:
        return ops.slogdet(self)

    def logdet(self) -> Any:
        return ops.logdet(self)

    def inverse(self) -> Any:
        return ops.inverse(self)

    def pinverse(self, rcond: float = 1e-15) -> Any:
        return ops.pinverse(self, rcond)

    def matrix_power(self, n: int) -> Any:
        return ops.matrix_power(self, n)

    def matrix_exp(self) -> Any:
        return ops.matrix_exp(self)

    def cholesky(self, upper: bool = False) -> Any:
        return ops.cholesky(self, upper)

    def cholesky_solve(self, input2: Any, upper: bool = False) -> Any:
        return ops.cholesky_solve(self, input2, upper)

    def cholesky_inverse(self, upper: bool = False) -> Any:
        return ops.cholesky_inverse(self, upper)

    def triangular_solve(
        self, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False
    ) -> Any:
        return ops.triangular_solve(self, A, upper, transpose, unitriangular)

    def qr(self, some: bool = True) -> Any:
        return ops.qr(self, some)

    def svd(self, some: bool = True, compute_uv: bool = True) -> Any:
        return ops.svd(self, some, compute_uv)

    def lu(self, pivot: bool = True, get_infos: bool = False) -> Any:
        return ops.lu(self, pivot, get_infos)

    def lu_solve(self, LU_data: Any, LU_pivots: Any) -> Any:
        return ops.lu_solve(self, LU_data, LU_pivots)

    def geqrf(self) -> Any:
        return ops.geqrf(self)

    def orgqr(self, tau: Any) -> Any:
        return ops.orgqr(self, tau)

    def ormqr(self, tau: Any, other: Any, left: bool = True, transpose: bool = False) -> Any:
        return ops.ormqr(self, tau, other, left, transpose)
