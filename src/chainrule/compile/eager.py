"""Large eager operations on the same kernels as compiled steps: each op as a graph of its own.

A kernel is made when an op first meets operands of some shapes and layouts. Small operations stay
with NumPy, which is faster there.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..core.apply import warn
from ..core.aval import SCALARS, Aval, DType
from ..core.graph import Graph
from ..core.op import Op
from ..core.value import tape
from ..errors import ChainruleError, CompilationError
from ..runtime import native as toolchain
from ..runtime.program import Launch
from . import passes
from .codegen.transcendental import TRANSCENDENTAL
from .native import NativeExecutable
from .trace import GraphTracer, Traced

_MOST, _MOST_BYTES = 1024, 2**30
"""How many kinds of operation are kept, and how much memory they may hold for their results."""


class _Cache(threading.local):
    """What is known of the kinds of operation that this thread met, by what a kernel depends on.

    Each thread has its own, because an executable has memory of its own.
    """

    def __init__(self) -> None:
        self.known: OrderedDict[Any, _Kernel | None] = OrderedDict()
        self.nbytes = 0

    def look_up(self, key: Any, op: Op, make: Callable[[], _Kernel | None]) -> _Kernel | None:
        """The kernel of a kind of operation, by ``make`` the first time; None: NumPy does it."""
        if key in self.known:
            self.known.move_to_end(key)
            return self.known[key]
        kernel = self.known[key] = _made(op, make) if toolchain.available() else None
        self.nbytes += _size(kernel)
        while len(self.known) > _MOST or (self.nbytes > _MOST_BYTES and len(self.known) > 1):
            self.nbytes -= _size(self.known.popitem(last=False)[1])
        return kernel


def _made(op: Op, make: Callable[[], _Kernel | None]) -> _Kernel | None:
    """What `make` returns; if the compiler fails, None after one warning that names the op.

    Raises the errors that an op has for operands that do not fit.
    """
    try:
        return make()
    except CompilationError as failure:
        reason: Exception = failure
    except ChainruleError:
        raise
    except Exception as failure:  # noqa: BLE001  a defect of ours is not to stop a computation
        reason = failure
    _warn_of_failure(op.name, f"{type(reason).__name__}: {reason}")
    return None


@cache
def _warn_of_failure(name: str, reason: str) -> None:
    warn(f"NumPy computes {name}, for the compiler failed: {reason}")


def _size(kernel: _Kernel | None) -> int:
    return 0 if kernel is None else kernel.executable.nbytes


_cache = _Cache()


class _Kernel(NamedTuple):
    """A compiled operation: which of the values that it is made from it takes, and as what."""

    executable: NativeExecutable
    dtype: DType | None
    """What numbers among its operands are given as."""
    outputs: tuple[int | None, ...]
    """For each result the number of the output, or None for none."""


def run(op: Op, arrays: list[Any]) -> Any:
    """``op.forward(*arrays)``, by a compiled kernel if there is one or it is worth making."""
    parts = [_kind(x) for x in arrays]
    if None in parts or (not op.promotes and "number" in parts) or _is_approximate(type(op)):
        return op.forward(*arrays)
    kernel = _cache.look_up((op, *parts), op, lambda: _operation(op, arrays))
    if kernel is None:
        return op.forward(*arrays)
    op.check(*arrays)
    out = _called(kernel, arrays)
    return out[0] if op.n_out is None else tuple(out)


def run_rule(op: Op, ct: Any, xs: Sequence[Any], y: Any, active: Sequence[object]) -> Sequence[Any]:
    """``op.vjp(ct, xs, y, active)`` on arrays, as one kernel or a few."""
    flat: list[Any] = []
    form = tuple(_flatten(part, flat) for part in (ct, tuple(xs), y))
    parts = [_kind(x) for x in flat]
    if None in parts or "number" in parts or _is_approximate(type(op)):
        return op.vjp(ct, xs, y, active)
    wanted = tuple(a is not None for a in active)
    kernel = _cache.look_up((op, form, wanted, *parts), op, lambda: _rule(op, form, wanted, flat))
    if kernel is None:
        return op.vjp(ct, xs, y, active)
    out = _called(kernel, flat)
    return [None if j is None else out[j] for j in kernel.outputs]


@cache
def _is_approximate(kind: type[Op]) -> bool:
    """Whether NumPy's elementwise function has other last bits than ours.

    NumPy computes it then, so that what is computed in pieces equals what is computed at once.
    """
    expr: str = getattr(kind, "expr", "")
    return any(f"{name}(" in expr for name in TRANSCENDENTAL)


def _called(kernel: _Kernel, arrays: Sequence[Any]) -> Sequence[Any]:
    prepare = kernel.executable.prepare
    given = [
        prepare(i, np.asarray(x, kernel.dtype) if type(x) in SCALARS else x)
        for i, x in enumerate(arrays)
    ]
    return kernel.executable(given)


def _kind(x: Any) -> Any:
    """What a kernel depends on in an operand; None for what it cannot take."""
    if type(x) in SCALARS:
        return "number"
    if type(x) is not np.ndarray:
        return None
    order = None if x.flags.c_contiguous else _order(x)
    return None if order == () else (x.shape, x.dtype, order)


def _order(x: Any) -> tuple[int, ...]:
    """The order in which the axes of an array without gaps lie in memory; () if it has any."""
    order = tuple(sorted(range(x.ndim), key=lambda a: (-x.strides[a], x.shape[a] != 1)))
    return order if x.transpose(order).flags.c_contiguous else ()


def _flatten(part: Any, flat: list[Any]) -> Any:
    """What `part` is, its arrays put into `flat`: something that can be compared."""
    if isinstance(part, (tuple, list)):
        return tuple(_flatten(x, flat) for x in part)
    if part is None or isinstance(part, Aval) or type(part) in SCALARS:
        return part
    flat.append(part)
    return _ARRAY


_ARRAY = object()


def _restored(form: Any, values: Iterator[Any]) -> Any:
    """The opposite of ``_flatten``."""
    if form is _ARRAY:
        return next(values)
    if isinstance(form, tuple):
        return tuple(_restored(x, values) for x in form)
    return form


def _operation(op: Op, arrays: list[Any]) -> _Kernel | None:
    """The kernel of one op."""
    graph = Graph()
    dtype = next(x.dtype for x in arrays if type(x) not in SCALARS)
    inputs = [
        graph.add_input(Aval((), dtype) if type(x) in SCALARS else Aval(x.shape, x.dtype))
        for x in arrays
    ]
    out = graph.emit(op, inputs)
    graph.outputs = [out] if op.n_out is None else list(out)
    return _kernel(graph, arrays, dtype, tuple(range(len(graph.outputs))))


def _rule(op: Op, form: Any, wanted: Sequence[bool], flat: list[Any]) -> _Kernel | None:
    """The kernel of one rule; None if it only hands on what it gets."""
    graph = Graph()
    inputs = [Traced(graph.add_input(Aval(x.shape, x.dtype))) for x in flat]
    ct, xs, y = _restored(form, iter(inputs))
    before, tape.graph = tape.graph, GraphTracer(graph)
    try:
        grads = op.vjp(ct, xs, y, [True if w else None for w in wanted])
    finally:
        tape.graph = before
    made = {v.index for equation in graph.equations for v in equation.outputs}
    outputs: list[int | None] = []
    for g in grads:
        if g is None:
            outputs.append(None)
        elif not isinstance(g, Traced) or g.variable.index not in made:
            return None
        else:
            outputs.append(len(graph.outputs))
            graph.outputs.append(g.variable)
    return _kernel(graph, flat, None, tuple(outputs)) if graph.outputs else None


def _kernel(
    graph: Graph, arrays: Sequence[Any], dtype: DType | None, outputs: tuple[int | None, ...]
) -> _Kernel | None:
    orders = {i: _order(x) for i, x in enumerate(arrays) if type(x) not in SCALARS}
    executable = NativeExecutable(passes.optimize(graph), {}, orders=orders)
    if not all(isinstance(step, Launch) for step in executable.program.steps):
        return None  # NumPy does it anyway
    return _Kernel(executable, dtype, outputs)


__all__ = ["run", "run_rule"]
