"""NumPy's protocols: ``np.sin(t)``, ``np.sum(t)`` and ``np.einsum(…, t)`` work and differentiate.

The tables below map NumPy's functions to ops. A function that is not in them raises a TypeError
that names it, instead of silently leaving the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .ops import arithmetic as ar
from .ops import contract, indexing, joining, movement, ordering, reduce
from .ops import elementwise as el

Function = Callable[..., Any]

UFUNCS: dict[np.ufunc, Function] = {
    np.add: ar.add, np.subtract: ar.sub, np.multiply: ar.mul, np.true_divide: ar.div,
    np.negative: ar.neg, np.positive: lambda x: x, np.power: ar.pow, np.float_power: ar.pow,
    np.absolute: ar.abs, np.fabs: ar.abs, np.sign: ar.sign, np.maximum: ar.maximum,
    np.minimum: ar.minimum, np.fmax: ar.maximum, np.fmin: ar.minimum, np.square: ar.square,
    np.reciprocal: ar.reciprocal, np.floor: ar.floor, np.ceil: ar.ceil, np.trunc: ar.trunc,
    np.rint: ar.round, np.remainder: ar.remainder, np.equal: ar.eq, np.not_equal: ar.ne,
    np.less: ar.lt, np.less_equal: ar.le, np.greater: ar.gt, np.greater_equal: ar.ge,
    np.logical_and: ar.logical_and, np.logical_or: ar.logical_or, np.logical_not: ar.logical_not,
    np.isnan: ar.isnan, np.isinf: ar.isinf, np.isfinite: ar.isfinite, np.exp: el.exp,
    np.log: el.log, np.log2: el.log2, np.log10: el.log10, np.log1p: el.log1p, np.expm1: el.expm1,
    np.sqrt: el.sqrt, np.sin: el.sin, np.cos: el.cos, np.tan: el.tan, np.arcsin: el.asin,
    np.arccos: el.acos, np.arctan: el.atan, np.arctan2: el.atan2, np.sinh: el.sinh,
    np.cosh: el.cosh, np.tanh: el.tanh, np.matmul: contract.matmul,
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
    return movement.pad(a, tuple((int(b), int(e)) for b, e in widths), constant_values)


def _sort(a: Any, axis: int = -1) -> Any:
    return ordering.sort(a, axis)[0]


def _transpose(a: Any, axes: Any = None) -> Any:
    return movement.permute(a, tuple(range(a.ndim))[::-1] if axes is None else tuple(axes))


def _clip(a: Any, a_min: Any = None, a_max: Any = None) -> Any:
    return ar.clip(a, a_min, a_max)


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    return reduce.norm(x, 2.0 if ord is None else ord, axis, keepdims)


FUNCTIONS: dict[Function, Function] = {
    np.sum: _reduction(reduce.sum), np.mean: _reduction(reduce.mean),
    np.prod: _reduction(reduce.prod), np.any: _reduction(reduce.any),
    np.all: _reduction(reduce.all), np.max: _extremum(reduce.amax), np.min: _extremum(reduce.amin),
    np.amax: _extremum(reduce.amax), np.amin: _extremum(reduce.amin),
    np.var: _moment(reduce.var), np.std: _moment(reduce.std),
    np.argmax: _reduction(ordering.argmax), np.argmin: _reduction(ordering.argmin),
    np.cumsum: lambda a, axis=0: ordering.cumsum(a, axis), np.sort: _sort,
    np.reshape: lambda a, shape: movement.reshape(a, shape), np.ravel: lambda a: a.reshape(-1),
    np.transpose: _transpose, np.moveaxis: movement.movedim,
    np.swapaxes: movement.transpose,
    np.squeeze: lambda a, axis=None: movement.squeeze(a, axis),
    np.expand_dims: lambda a, axis: movement.unsqueeze(a, axis),
    np.broadcast_to: lambda a, shape: movement.expand(a, shape),
    np.flip: lambda a, axis=None: movement.flip(a, tuple(range(a.ndim)) if axis is None else axis),
    np.roll: lambda a, shift, axis=None: movement.roll(a, shift, axis), np.pad: _pad,
    np.concatenate: _first(joining.concatenate), np.stack: _first(joining.stack),
    np.tile: lambda a, reps: joining.tile(a, reps if isinstance(reps, tuple) else (reps,)),
    np.where: ar.where, np.clip: _clip, np.dot: contract.matmul, np.outer: contract.outer,
    np.einsum: contract.einsum, np.tensordot: contract.tensordot,
    np.tril: lambda m, k=0: indexing.tril(m, k), np.triu: lambda m, k=0: indexing.triu(m, k),
    np.linalg.norm: _norm,
    np.zeros_like: lambda a: a * 0, np.ones_like: lambda a: a * 0 + 1,
    np.shape: lambda a: a.shape, np.ndim: lambda a: a.ndim, np.size: lambda a: a.numel(),
    np.array_equal: lambda a, b: np.array_equal(_plain(a), _plain(b)),
    np.allclose: lambda a, b, **kw: np.allclose(_plain(a), _plain(b), **kw),
}  # fmt: skip
"""NumPy's other functions and the ops that compute them."""

_REDUCERS: dict[np.ufunc, Function] = {
    np.add: reduce.sum, np.multiply: reduce.prod, np.maximum: reduce.amax, np.minimum: reduce.amin,
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
