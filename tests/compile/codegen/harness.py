"""Compile one function of elements for a target and run it on arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from chainrule.compile.codegen import scalar
from chainrule.compile.codegen.casts import register_type
from chainrule.compile.codegen.text import Function, Val, constant, memory_type, vector
from chainrule.compile.formula import dtype_of
from chainrule.compile.kernels import Apply, Const, Expr, Load
from chainrule.core.aval import DType
from chainrule.errors import ArgumentError
from chainrule.runtime import native
from chainrule.runtime.target import Target, check_host, target

Array: TypeAlias = np.ndarray[Any, Any]


def runs_here(name: str) -> bool:
    """Whether this processor runs code for the target."""
    try:
        check_host(target(name))
    except ArgumentError:
        return False
    return True


TARGETS = [name for name in ("native", "avx2", "sse2") if native.available() and runs_here(name)]


class Kernel:
    """``kernel(*inputs)`` for one-dimensional arrays of equal length; `write` gives the value."""

    def __init__(
        self,
        chosen: Target,
        lanes: int,
        inputs: Sequence[Any],
        output: Any,
        write: Callable[[Function, list[Val]], Val],
    ) -> None:
        self.lanes = lanes
        self.inputs, self.output = [np.dtype(d) for d in inputs], np.dtype(output)
        pointers = [Val("ptr", f"%p{i}") for i in range(len(inputs) + 1)]
        f = Function("kernel", [*pointers, Val("i64", "%n")])

        def body(i: Val) -> None:
            xs = [_load(f, p, d, i, lanes) for p, d in zip(pointers, self.inputs, strict=False)]
            _store(f, pointers[-1], self.output, i, write(f, xs))

        f.loop(0, Val("i64", "%n"), lanes, body)
        self.text = f.finish()
        self._library = native.load({"kernel": native.compile_text(self.text, chosen)})
        types = [*[ctypes.c_void_p] * len(pointers), ctypes.c_int64]
        self._call = ctypes.CFUNCTYPE(None, *types)(self._library.address("kernel"))

    def __call__(self, *arrays: Array) -> Array:
        n = len(arrays[0])
        padded = -(-n // self.lanes) * self.lanes
        inputs = [
            np.resize(np.ascontiguousarray(a, d), padded)
            for a, d in zip(arrays, self.inputs, strict=True)
        ]
        out = np.empty(padded, self.output)
        self.run(*inputs, out)
        return out[:n]

    def run(self, *arrays: Array) -> None:
        """Inputs and output, whose length is a multiple of the lanes."""
        self._call(*[a.ctypes.data for a in arrays], len(arrays[0]))


def function(name: str, chosen: Target, lanes: int, inputs: Sequence[Any], output: Any) -> Kernel:
    """The kernel of one of ``scalar``'s functions."""
    dtypes = [np.dtype(d) for d in inputs]

    def write(f: Function, xs: list[Val]) -> Val:
        return scalar.emit(f, chosen, name, xs, dtypes, np.dtype(output))

    return Kernel(chosen, lanes, inputs, output, write)


def expression(expr: Expr, chosen: Target, lanes: int, inputs: Sequence[Any]) -> Kernel:
    """The kernel of an expression, whose loads have slots 0, 1 … for the inputs."""

    def write(f: Function, xs: list[Val]) -> Val:
        def value(e: Expr) -> Val:
            match e:
                case Load(access):
                    return xs[access.slot]
                case Const(number, dtype):
                    return constant(number, vector(register_type(dtype), lanes))
                case Apply(name, args, dtype):
                    dtypes = [dtype_of(a) for a in args]
                    return scalar.emit(f, chosen, name, [*map(value, args)], dtypes, dtype)
            raise AssertionError(e)

        return value(expr)

    return Kernel(chosen, lanes, inputs, dtype_of(expr), write)


def same(a: Array, b: Array) -> bool:
    """Whether two arrays have the same bits, but for those of NaN."""
    if a.dtype.kind != "f":
        return a.dtype == b.dtype and np.array_equal(a, b)
    return np.array_equal(a, b, equal_nan=True) and bool(
        ((np.signbit(a) == np.signbit(b)) | np.isnan(a)).all()
    )


def _load(f: Function, pointer: Val, dtype: DType, i: Val, lanes: int) -> Val:
    element = memory_type(dtype)
    value = f.load(f.offset(pointer, element, i), vector(element, lanes), dtype.itemsize)
    return f.convert("trunc", value, "i1") if dtype.kind == "b" else value


def _store(f: Function, pointer: Val, dtype: DType, i: Val, value: Val) -> None:
    element = memory_type(dtype)
    value = f.convert("zext", value, "i8") if dtype.kind == "b" else value
    f.store(value, f.offset(pointer, element, i), dtype.itemsize)
