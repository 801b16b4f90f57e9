"""NumPy's functions that make, join, cut and rearrange arrays, for tensors: see numpy_protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from . import ops
from .core.aval import SCALARS, normalize_axis
from .core.value import Value

Function = Callable[..., Any]


def operand(x: Any, dtype: Any = None) -> Any:
    """`x` as ops take it: NumPy's scalars as Python numbers, sequences as arrays."""
    if isinstance(x, np.generic):
        x = x.item()
    elif type(x) not in SCALARS and not isinstance(x, (Value, np.ndarray)):
        x = np.asarray(x)
    return x if dtype is None else ops.cast(x, np.dtype(dtype))


def operands(*xs: Any) -> tuple[Any, ...]:
    """``operand`` of each."""
    return tuple([operand(x) for x in xs])


def _arrays(xs: Any, dtype: Any = None) -> list[Any]:
    """Operands that have a shape: numbers become arrays."""
    return [operand(np.asarray(x) if type(x) in SCALARS else x, dtype) for x in xs]


def _tensors(xs: Any) -> list[Any]:
    """Each as a tensor with a shape, also the plain arrays among them, of which it has a copy."""
    return [
        x if isinstance(x, Value) else Value.result_class.wrap(np.array(x)) for x in _arrays(xs)
    ]


def _require_c_order(name: str, order: str) -> None:
    if order not in ("C", "K"):
        raise TypeError(f"np.{name} of a tensor supports order='C', not {order!r}")


# New ----------------------------------------------------------------------------------------------


def _filled(value: Any) -> Function:
    def like(
        a: Any,
        dtype: Any = None,
        order: str = "K",
        subok: bool = True,
        shape: Any = None,
        *,
        device: None = None,
    ) -> Any:
        return _full_like(a, value, dtype, order, subok, shape, device=device)

    return like


def _full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: None = None,
) -> Any:
    """Numbers that no gradient passes through; a tensor as `fill_value` keeps its own."""
    sizes = a.shape if shape is None else shape
    kind = np.dtype(dtype or a.dtype)
    if isinstance(fill_value, Value):
        return ops.expand(ops.cast(fill_value, kind), sizes)
    return Value.result_class.wrap(np.full(sizes, fill_value, kind))


def _meshgrid(
    *xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy"
) -> tuple[Any, ...]:
    if indexing not in ("xy", "ij"):
        raise ValueError(f"np.meshgrid has indexing 'xy' and 'ij', not {indexing!r}")
    n = len(xi)
    grids = [
        ops.reshape(x, (1,) * i + (-1,) + (1,) * (n - 1 - i)) for i, x in enumerate(_tensors(xi))
    ]
    if indexing == "xy" and n > 1:
        grids = [ops.transpose(grid, 0, 1) for grid in grids]
    if sparse:
        return tuple(grids)
    shape = np.broadcast_shapes(*[grid.shape for grid in grids])
    return tuple([ops.expand(grid, shape) for grid in grids])


# Rearranged ---------------------------------------------------------------------------------------


def _reshape(a: Any, /, shape: Any, order: str = "C", *, copy: bool | None = None) -> Any:
    _require_c_order("reshape", order)
    return ops.reshape(a, shape)


def _ravel(a: Any, order: str = "C") -> Any:
    _require_c_order("ravel", order)
    return ops.reshape(a, -1)


def _transpose(a: Any, axes: Any = None) -> Any:
    return ops.permute(a, tuple(range(a.ndim))[::-1] if axes is None else tuple(axes))


def _expand_dims(a: Any, axis: Any) -> Any:
    axes = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    for place in sorted(normalize_axis(n, a.ndim + len(axes)) for n in axes):
        a = ops.unsqueeze(a, place)
    return a


def _flip(m: Any, axis: Any = None) -> Any:
    return ops.flip(m, tuple(range(m.ndim)) if axis is None else axis)


def _pad(array: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Any:
    if mode != "constant":
        raise TypeError(f"np.pad of a tensor supports mode='constant', not {mode!r}")
    if np.ndim(constant_values) or isinstance(pad_width, dict):
        raise TypeError("np.pad of a tensor takes one number as constant_values, and no dict")
    widths = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2))
    return ops.pad(array, tuple((int(b), int(e)) for b, e in widths), float(constant_values))


def _at_least(ndim: int) -> Function:
    def shaped(x: Any) -> Any:
        if x.ndim >= ndim:
            return x
        if ndim == 3 and x.ndim:
            return x[None, :, None] if x.ndim == 1 else x[:, :, None]
        return ops.reshape(x, (1,) * (ndim - x.ndim) + tuple(x.shape))

    def every(*arys: Any) -> Any:
        shapes = tuple([shaped(x) for x in _tensors(arys)])
        return shapes[0] if len(arys) == 1 else shapes

    return every


# Joined and repeated ------------------------------------------------------------------------------


def _concatenate(arrays: Any, axis: int | None = 0, out: None = None, *, dtype: Any = None) -> Any:
    xs = _arrays(arrays, dtype)
    if axis is None:
        return ops.concatenate([ops.reshape(x, -1) for x in xs], 0)
    return ops.concatenate(xs, axis)


def _stack(arrays: Any, axis: int = 0, out: None = None, *, dtype: Any = None) -> Any:
    return ops.stack(_arrays(arrays, dtype), axis)


def _vstack(tup: Any, *, dtype: Any = None) -> Any:
    return _concatenate([_at_least(2)(x) for x in tup], 0, dtype=dtype)


def _hstack(tup: Any, *, dtype: Any = None) -> Any:
    xs = [_at_least(1)(x) for x in tup]
    return _concatenate(xs, 0 if xs[0].ndim == 1 else 1, dtype=dtype)


def _dstack(tup: Any, *, dtype: Any = None) -> Any:
    return _concatenate([_at_least(3)(x) for x in tup], 2, dtype=dtype)


def _column_stack(tup: Any) -> Any:
    return _concatenate([x if x.ndim > 1 else ops.reshape(x, (-1, 1)) for x in _arrays(tup)], 1)


def _tile(A: Any, reps: Any) -> Any:
    return ops.tile(A, int(reps) if isinstance(reps, (int, np.integer)) else tuple(reps))


def _repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    if axis is None:
        a, axis = ops.reshape(a, -1), 0
    return ops.take(a, np.repeat(np.arange(a.shape[axis]), np.asarray(repeats)), axis)


# Cut and picked -----------------------------------------------------------------------------------


def _array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Near-equal parts for a number; for a sequence, parts that begin at these places."""
    n = ary.shape[axis]
    if isinstance(indices_or_sections, (int, np.integer)):
        sections = int(indices_or_sections)
        if sections <= 0:
            raise ValueError("the number of sections must be greater than zero")
        sizes = [n // sections + (i < n % sections) for i in range(sections)]
        return list(ops.split(ary, sizes, axis))
    places: Sequence[Any] = [None, *(int(i) for i in indices_or_sections), None]
    before = (slice(None),) * normalize_axis(axis, ary.ndim)
    pairs = pairwise(places)
    return [ops.index(ary, (*before, slice(start, stop))) for start, stop in pairs]


def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    if isinstance(indices_or_sections, (int, np.integer)) and ary.shape[axis] % indices_or_sections:
        raise ValueError("np.split needs parts of equal size; np.array_split does not")
    return _array_split(ary, indices_or_sections, axis)


def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return ops.diagonal(a, offset, axis1, axis2)


def _trace(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: None = None
) -> Any:
    return ops.sum(ops.diagonal(operand(a, dtype), offset, axis1, axis2), -1)


def _take(a: Any, indices: Any, axis: int | None = None, out: None = None) -> Any:
    return ops.take(operand(a), np.asarray(indices) if isinstance(indices, list) else indices, axis)


SHAPES: dict[Function, Function] = {
    np.zeros_like: _filled(0), np.ones_like: _filled(1), np.full_like: _full_like,
    np.copy: lambda a: ops.identity(a), np.meshgrid: _meshgrid,
    np.shape: lambda a: tuple(a.shape), np.ndim: lambda a: a.ndim,
    np.size: lambda a, axis=None: a.numel() if axis is None else a.shape[axis],
    np.reshape: _reshape, np.ravel: _ravel, np.transpose: _transpose,
    np.moveaxis: lambda a, source, destination: ops.movedim(a, source, destination),
    np.swapaxes: lambda a, axis1, axis2: ops.transpose(a, axis1, axis2),
    np.squeeze: lambda a, axis=None: ops.squeeze(a, axis), np.expand_dims: _expand_dims,
    np.broadcast_to: lambda array, shape: ops.expand(array, shape),
    np.flip: _flip, np.roll: lambda a, shift, axis=None: ops.roll(a, shift, axis), np.pad: _pad,
    np.atleast_1d: _at_least(1), np.atleast_2d: _at_least(2), np.atleast_3d: _at_least(3),
    np.concatenate: _concatenate, np.stack: _stack, np.vstack: _vstack, np.hstack: _hstack,
    np.dstack: _dstack, np.column_stack: _column_stack, np.tile: _tile, np.repeat: _repeat,
    np.split: _split, np.array_split: _array_split,
    np.tril: lambda m, k=0: ops.tril(m, k), np.triu: lambda m, k=0: ops.triu(m, k),
    np.diag: lambda v, k=0: ops.diag(v, k), np.diagonal: _diagonal, np.trace: _trace,
    np.take: _take,
    np.take_along_axis: lambda arr, indices, axis=-1: ops.take_along_dim(arr, indices, axis),
}  # fmt: skip
"""NumPy's functions and what computes them."""
