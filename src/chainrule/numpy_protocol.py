"""NumPy's protocols: ``np.sin(t)``, ``np.sum(t)`` and ``np.einsum(…, t)`` work and differentiate.

The tables below map NumPy's functions to ops. Parameters have NumPy's names, order and defaults;
those that a function here does not list, and functions that are not in the tables, raise a
TypeError that names them, instead of silently leaving the graph or computing something else.
Element types are chainrule's: integers become the default float where NumPy makes them float64.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from inspect import Signature, signature
from typing import Any

import numpy as np

from . import ops
from .core.value import Value
from .numpy_shapes import SHAPES, operand, operands
from .ops.reduce import as_float

Function = Callable[..., Any]


def _fmax(a: Any, b: Any) -> Any:
    return ops.where(ops.isnan(a), b, ops.where(ops.isnan(b), a, ops.maximum(a, b)))


def _fmin(a: Any, b: Any) -> Any:
    return ops.where(ops.isnan(a), b, ops.where(ops.isnan(b), a, ops.minimum(a, b)))


UFUNCS: dict[np.ufunc, Function] = {
    np.add: ops.add, np.subtract: ops.sub, np.multiply: ops.mul, np.true_divide: ops.div,
    np.negative: ops.neg, np.positive: ops.identity, np.power: ops.pow,
    np.float_power: lambda a, b: ops.pow(as_float(a), b),
    np.absolute: ops.abs, np.fabs: lambda x: ops.abs(as_float(x)), np.sign: ops.sign,
    np.maximum: ops.maximum, np.minimum: ops.minimum, np.fmax: _fmax, np.fmin: _fmin,
    np.square: ops.square,
    np.reciprocal: ops.reciprocal, np.floor: ops.floor, np.ceil: ops.ceil, np.trunc: ops.trunc,
    np.rint: ops.round, np.remainder: ops.remainder, np.equal: ops.eq, np.not_equal: ops.ne,
    np.less: ops.lt, np.less_equal: ops.le, np.greater: ops.gt, np.greater_equal: ops.ge,
    np.logical_and: ops.logical_and, np.logical_or: ops.logical_or, np.logical_not: ops.logical_not,
    np.isnan: ops.isnan, np.isinf: ops.isinf, np.isfinite: ops.isfinite, np.exp: ops.exp,
    np.log: ops.log, np.log2: ops.log2, np.log10: ops.log10, np.log1p: ops.log1p,
    np.expm1: ops.expm1,
    np.sqrt: ops.sqrt, np.sin: ops.sin, np.cos: ops.cos, np.tan: ops.tan, np.arcsin: ops.asin,
    np.arccos: ops.acos, np.arctan: ops.atan, np.arctan2: ops.atan2, np.sinh: ops.sinh,
    np.cosh: ops.cosh, np.tanh: ops.tanh, np.matmul: ops.matmul, np.hypot: ops.hypot,
    np.floor_divide: ops.floor_divide, np.logaddexp: ops.logaddexp,
    np.logical_xor: ops.logical_xor, np.bitwise_and: ops.bitwise_and,
    np.bitwise_or: ops.bitwise_or, np.bitwise_xor: ops.bitwise_xor, np.invert: ops.bitwise_not,
}  # fmt: skip
"""NumPy's universal functions and the ops that compute them."""


# Reductions ---------------------------------------------------------------------------------------


def _total(op: Function, neutral: int, combine: Function) -> Function:
    """A sum or a product, of the elements where `where` holds, starting from `initial`."""

    def reduced(
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        out: None = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Any:
        a = operand(a, dtype)
        if where is not True:
            a = ops.where(where, a, neutral)
        result = op(a, axis, keepdim=keepdims)
        if dtype is not None:
            result = ops.cast(result, dtype)
        return result if initial is None else combine(result, initial)

    return reduced


def _extremum(op: Function, combine: Function) -> Function:
    def reduced(
        a: Any,
        axis: Any = None,
        out: None = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Any:
        if where is not True:
            if initial is None:
                raise ValueError("where= of a maximum or minimum needs initial=")
            a = ops.where(where, a, initial)
        result = op(a, axis, keepdim=keepdims)
        return result if initial is None else combine(result, initial)

    return reduced


def _mean(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False
) -> Any:
    return ops.mean(operand(a, dtype), axis, keepdim=keepdims)


def _moment(op: Function) -> Function:
    def reduced(
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        out: None = None,
        ddof: float = 0,
        keepdims: bool = False,
        *,
        correction: float | None = None,
    ) -> Any:
        divisor = ddof if correction is None else correction
        return op(operand(a, dtype), axis, correction=divisor, keepdim=keepdims)

    return reduced


def _truth(op: Function) -> Function:
    def reduced(a: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> Any:
        return op(a, axis, keepdim=keepdims)

    return reduced


def _position(op: Function) -> Function:
    def reduced(a: Any, axis: Any = None, out: None = None, *, keepdims: bool = False) -> Any:
        if axis is not None:
            return op(a, axis, keepdim=keepdims)
        place = op(ops.reshape(a, -1), 0)
        return ops.reshape(place, (1,) * a.ndim) if keepdims else place

    return reduced


def _flat(a: Any, axis: int | None) -> tuple[Any, int]:
    return (ops.reshape(a, -1), 0) if axis is None else (a, axis)


def _cumsum(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Any:
    return ops.cumsum(*_flat(operand(a, dtype), axis))


def _sort(
    a: Any, axis: int | None = -1, kind: str | None = None, *, stable: bool | None = None
) -> Any:
    return ops.sort(*_flat(a, axis))[0]  # always stable


def _argsort(
    a: Any, axis: int | None = -1, kind: str | None = None, *, stable: bool | None = None
) -> Any:
    return ops.argsort(*_flat(a, axis))


def _diff(a: Any, n: int = 1, axis: int = -1) -> Any:
    if n < 0:
        raise ValueError(f"np.diff needs n >= 0, not {n}")
    for _ in range(n):
        rows = ops.movedim(a, axis, 0)
        differ = ops.ne if rows.dtype.kind == "b" else ops.sub
        a = ops.movedim(differ(rows[1:], rows[:-1]), 0, axis)
    return a


_sum = _total(ops.sum, 0, ops.add)
_prod = _total(ops.prod, 1, ops.mul)
_max = _extremum(ops.amax, ops.maximum)
_min = _extremum(ops.amin, ops.minimum)
_any, _all = _truth(ops.any), _truth(ops.all)

# Products -----------------------------------------------------------------------------------------


def _dot(a: Any, b: Any, out: None = None) -> Any:
    return ops.dot(*operands(a, b))


def _inner(a: Any, b: Any) -> Any:
    a, b = operands(a, b)
    if not (np.ndim(a) and np.ndim(b)):
        return ops.mul(a, b)
    return ops.tensordot(a, b, ([-1], [-1]))


def _vdot(a: Any, b: Any) -> Any:
    a, b = operands(a, b)
    return ops.dot(ops.reshape(a, -1), ops.reshape(b, -1))


def _outer(a: Any, b: Any, out: None = None) -> Any:
    return ops.outer(*operands(a, b))


def _kron(a: Any, b: Any) -> Any:
    a, b = operands(a, b)
    ndim = max(a.ndim, b.ndim)
    a = ops.reshape(a, (1,) * (ndim - a.ndim) + tuple(a.shape))
    b = ops.reshape(b, (1,) * (ndim - b.ndim) + tuple(b.shape))
    paired = ops.permute(
        ops.tensordot(a, b, 0), [axis for i in range(ndim) for axis in (i, ndim + i)]
    )
    return ops.reshape(paired, tuple(m * n for m, n in zip(a.shape, b.shape, strict=True)))


def _einsum(subscripts: Any, *xs: Any, out: None = None, optimize: Any = False) -> Any:
    if not isinstance(subscripts, str):
        raise TypeError("np.einsum of tensors takes its subscripts as one string")
    return ops.einsum(subscripts, *operands(*xs))


def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    a, b = operands(a, b)
    return ops.tensordot(a, b, axes)


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Norms of vectors, and of matrices where `axis`, or `x` itself, has two axes."""
    if axis is None and ord is None:
        return ops.norm(x, 2.0, None, keepdims)
    axes = tuple(range(x.ndim)) if axis is None else axis
    axes = (axes,) if isinstance(axes, (int, np.integer)) else tuple(axes)
    if len(axes) == 1:
        if isinstance(ord, str):
            raise ValueError(f"np.linalg.norm of vectors has no ord={ord!r}")
        return ops.norm(x, 2.0 if ord is None else ord, axes[0], keepdims)
    if len(axes) != 2:
        raise ValueError("np.linalg.norm needs one or two axes if ord is given")
    if ord in (None, "fro"):
        return ops.norm(x, 2.0, axes, keepdims)
    if ord not in (1, -1, np.inf, -np.inf):
        raise TypeError(f"np.linalg.norm of a matrix that is a tensor does not take ord={ord!r}")
    rows, columns = (axis % x.ndim for axis in axes)
    summed, compared = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = ops.sum(ops.abs(x), summed, keepdim=True)
    extreme = (ops.amax if ord > 0 else ops.amin)(sums, compared, keepdim=True)
    return extreme if keepdims else ops.squeeze(extreme, (rows, columns))


# Choices and comparisons --------------------------------------------------------------------------


def _clip(
    a: Any, a_min: Any = None, a_max: Any = None, out: None = None, *, min: Any = None,
    max: Any = None,
) -> Any:  # fmt: skip
    return ops.clip(a, min if a_min is None else a_min, max if a_max is None else a_max)


def _round(a: Any, decimals: int = 0, out: None = None) -> Any:
    return ops.round(a, decimals)


def _where(condition: Any, x: Any, y: Any) -> Any:
    return ops.where(*operands(condition, x, y))


def _plain(x: Any) -> Any:
    return x.array if isinstance(x, Value) else x


def _isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    close = np.isclose(_plain(a), _plain(b), _plain(rtol), _plain(atol), equal_nan)
    return Value.result_class.wrap(np.asarray(close))


FUNCTIONS: dict[Function, Function] = {
    np.sum: _sum, np.prod: _prod, np.max: _max, np.min: _min, np.any: _any, np.all: _all,
    np.mean: _mean, np.var: _moment(ops.var), np.std: _moment(ops.std),
    np.argmax: _position(ops.argmax), np.argmin: _position(ops.argmin),
    np.cumsum: _cumsum, np.sort: _sort, np.argsort: _argsort, np.diff: _diff,
    np.dot: _dot, np.inner: _inner, np.vdot: _vdot, np.outer: _outer, np.kron: _kron,
    np.einsum: _einsum, np.tensordot: _tensordot, np.linalg.norm: _norm,
    np.clip: _clip, np.round: _round, np.where: _where, np.isclose: _isclose,
    np.array_equal: lambda a1, a2, equal_nan=False:
        np.array_equal(_plain(a1), _plain(a2), equal_nan),
    np.allclose: lambda a, b, rtol=1e-5, atol=1e-8, equal_nan=False:
        np.allclose(_plain(a), _plain(b), rtol, atol, equal_nan),
    **SHAPES,
}  # fmt: skip
"""NumPy's other functions and what computes them."""

FUNCTIONS[np.amax], FUNCTIONS[np.amin] = _max, _min  # functions of their own in NumPy
FUNCTIONS[np.around] = _round

_REDUCERS: dict[np.ufunc, Function] = {
    np.add: _sum, np.multiply: _prod, np.maximum: _max, np.minimum: _min,
    np.logical_and: _all, np.logical_or: _any,
}  # fmt: skip


# The protocols ------------------------------------------------------------------------------------


def dispatch_ufunc(ufunc: np.ufunc, method: str, xs: Any, kwargs: dict[str, Any]) -> Any:
    """``__array_ufunc__``: the op for a universal function, or for its ``reduce``.

    NumPy's scalars are weak, like Python's numbers: ``np.float64(2) * t`` has the dtype of t.
    """
    called = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
    if method == "reduce" and ufunc in _REDUCERS:
        return _call(called, _REDUCERS[ufunc], xs, {"axis": 0, **kwargs})
    op = UFUNCS.get(ufunc)
    if op is None or method != "__call__":
        raise TypeError(f"np.{called} is not differentiable here; use x.detach().numpy()")
    _refuse_out(called, kwargs.pop("out", None))
    if kwargs:
        raise TypeError(f"np.{called} of a tensor does not take {sorted(kwargs)}")
    return op(*operands(*xs))


def dispatch_function(func: Function, args: Any, kwargs: dict[str, Any]) -> Any:
    """``__array_function__``: what computes another NumPy function."""
    op = FUNCTIONS.get(func)
    if op is None:
        raise TypeError(f"np.{func.__name__} is not differentiable here; use x.detach().numpy()")
    return _call(func.__name__, op, args, kwargs)


def _call(name: str, op: Function, args: Any, kwargs: dict[str, Any]) -> Any:
    """``op(*args, **kwargs)``, or a TypeError that names the argument it does not have."""
    try:
        given = _signature(op).bind(*args, **kwargs)
    except TypeError as failure:
        raise TypeError(f"np.{name} of a tensor: {failure}") from None
    _refuse_out(name, given.arguments.get("out"))
    return op(*given.args, **given.kwargs)


def _refuse_out(name: str, out: Any) -> None:
    if out is not None:
        raise TypeError(f"np.{name}(out=…) cannot write into tensors: they are values")


@cache
def _signature(op: Function) -> Signature:
    return signature(op)
