"""NumPy's protocols: ``np.sin(t)``, ``np.sum(t)`` and ``np.einsum(…, t)`` work and differentiate.

The tables below map NumPy's functions to ops. A function that is not in them raises a TypeError
that names it, instead of silently leaving the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import ops

Function = Callable[..., Any]

UFUNCS: dict[np.ufunc, Function] = {
    np.add: ops.add, np.subtract: ops.sub, np.multiply: ops.mul, np.true_divide: ops.div,
    np.negative: ops.neg, np.positive: lambda x: x, np.power: ops.pow, np.float_power: ops.pow,
    np.absolute: ops.abs, np.fabs: ops.abs, np.sign: ops.sign, np.maximum: ops.maximum,
    np.minimum: ops.minimum, np.fmax: ops.maximum, np.fmin: ops.minimum, np.square: ops.square,
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
    np.logical_xor: ops.logical_xor,
}  # fmt: skip
"""NumPy's universal functions and the ops that compute them."""


def _reduction(op: Function) -> Function:
    def reduced(a: Any, axis: Any = None, *, keepdims: bool = False, out: None = None) -> Any:
        return op(a, axis, keepdim=keepdims)

    return reduced


def _extremum(op: Function) -> Function:
    def reduced(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
        return op(a, axis, keepdim=keepdims)

    return reduced


def _moment(op: Function) -> Function:
    def reduced(a: Any, axis: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
        return op(a, axis, correction=ddof, keepdim=keepdims)

    return reduced


def _first(op: Function) -> Function:
    """An op that takes several tensors, from a NumPy function that takes a sequence of them."""

    def joined(arrays: Any, axis: int = 0) -> Any:
        return op(list(arrays), axis)

    return joined


def _pad(a: Any, pad_width: Any, mode: str = "constant", constant_values: float = 0.0) -> Any:
    if mode != "constant":
        raise TypeError(f"np.pad of a tensor supports mode='constant', not {mode!r}")
    widths = np.broadcast_to(np.asarray(pad_width), (a.ndim, 2))
    return ops.pad(a, tuple((int(b), int(e)) for b, e in widths), constant_values)


def _sort(a: Any, axis: int = -1) -> Any:
    return ops.sort(a, axis)[0]


def _transpose(a: Any, axes: Any = None) -> Any:
    return ops.permute(a, tuple(range(a.ndim))[::-1] if axes is None else tuple(axes))


def _clip(a: Any, a_min: Any = None, a_max: Any = None) -> Any:
    return ops.clip(a, a_min, a_max)


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    return ops.norm(x, 2.0 if ord is None else ord, axis, keepdims)


FUNCTIONS: dict[Function, Function] = {
    np.sum: _reduction(ops.sum), np.mean: _reduction(ops.mean),
    np.prod: _reduction(ops.prod), np.any: _reduction(ops.any),
    np.all: _reduction(ops.all), np.max: _extremum(ops.amax), np.min: _extremum(ops.amin),
    np.amax: _extremum(ops.amax), np.amin: _extremum(ops.amin),
    np.var: _moment(ops.var), np.std: _moment(ops.std),
    np.argmax: _reduction(ops.argmax), np.argmin: _reduction(ops.argmin),
    np.argsort: lambda a, axis=-1: ops.argsort(a, axis),
    np.cumsum: lambda a, axis=0: ops.cumsum(a, axis), np.sort: _sort,
    np.reshape: lambda a, shape: ops.reshape(a, shape), np.ravel: lambda a: a.reshape(-1),
    np.transpose: _transpose, np.moveaxis: ops.movedim,
    np.swapaxes: ops.transpose,
    np.squeeze: lambda a, axis=None: ops.squeeze(a, axis),
    np.expand_dims: lambda a, axis: ops.unsqueeze(a, axis),
    np.broadcast_to: lambda a, shape: ops.expand(a, shape),
    np.flip: lambda a, axis=None: ops.flip(a, tuple(range(a.ndim)) if axis is None else axis),
    np.roll: lambda a, shift, axis=None: ops.roll(a, shift, axis), np.pad: _pad,
    np.concatenate: _first(ops.concatenate), np.stack: _first(ops.stack),
    np.tile: lambda a, reps: ops.tile(a, reps if isinstance(reps, tuple) else (reps,)),
    np.where: ops.where, np.clip: _clip, np.dot: ops.matmul, np.outer: ops.outer,
    np.einsum: ops.einsum, np.tensordot: lambda a, b, axes=2: ops.tensordot(a, b, axes),
    np.tril: lambda m, k=0: ops.tril(m, k), np.triu: lambda m, k=0: ops.triu(m, k),
    np.linalg.norm: _norm,
    np.zeros_like: lambda a: a * 0, np.ones_like: lambda a: a * 0 + 1,
    np.shape: lambda a: a.shape, np.ndim: lambda a: a.ndim, np.size: lambda a: a.numel(),
    np.array_equal: lambda a, b: np.array_equal(_plain(a), _plain(b)),
    np.allclose: lambda a, b, **kw: np.allclose(_plain(a), _plain(b), **kw),
}  # fmt: skip
"""NumPy's other functions and the ops that compute them."""

_REDUCERS: dict[np.ufunc, Function] = {
    np.add: ops.sum, np.multiply: ops.prod, np.maximum: ops.amax, np.minimum: ops.amin,
}  # fmt: skip


def _plain(x: Any) -> Any:
    return getattr(x, "array", x)


def dispatch_ufunc(ufunc: np.ufunc, method: str, xs: Any, kwargs: dict[str, Any]) -> Any:
    """``__array_ufunc__``: the op for a universal function, or for its ``reduce``."""
    out = kwargs.pop("out", None)
    if out is not None:
        raise TypeError(f"np.{ufunc.__name__}(out=…) cannot write into tensors: they are values")
    if method == "reduce" and ufunc in _REDUCERS:
        axis = kwargs.get("axis", 0)
        return _REDUCERS[ufunc](xs[0], axis, keepdim=kwargs.get("keepdims", False))
    op = UFUNCS.get(ufunc)
    if op is None or method != "__call__":
        called = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        raise TypeError(f"np.{called} is not differentiable here; use x.detach().numpy()")
    if kwargs:
        raise TypeError(f"np.{ufunc.__name__} of a tensor does not take {sorted(kwargs)}")
    return op(*xs)


def dispatch_function(func: Function, args: Any, kwargs: dict[str, Any]) -> Any:
    """``__array_function__``: the op for another NumPy function."""
    op = FUNCTIONS.get(func)
    if op is None:
        raise TypeError(f"np.{func.__name__} is not differentiable here; use x.detach().numpy()")
    return op(*args, **kwargs)
