"""The one door: every operation, eager or traced, forward or backward, goes through ``apply``."""

from __future__ import annotations

import sys
from types import CodeType
from typing import Any, TypeVar, cast

import numpy as np

from .. import config
from ..errors import ArgumentError, ChainruleError, DTypeError
from .aval import SCALARS, Aval, describe, promote
from .op import Needs, Op
from .value import Node, Value, describe_site, item, stored, tape

V = TypeVar("V")

_ndarray = np.ndarray
_PACKAGE = config.PACKAGE_ROOT


def apply(op: Op, first: V, *rest: Any) -> V:
    """Compute ``op`` on tensors, arrays and Python numbers.

    With plain arrays only, it simply computes. If an operand is a Value, the result is one too;
    if, further, an operand wants a gradient and recording is on, the result gets a Node.
    Ops with several outputs return a tuple of what is said here.

    Raises a ChainruleError that names the user's line if the operands do not fit.
    """
    cls: type[Value] | None = None
    tracked = False
    arrays: list[Any] = []
    args: tuple[Any, ...] = (first, *rest)
    for a in args:
        if isinstance(a, Value):
            if cls is None:
                cls = a.result_class
            if a.node is not None:
                tracked = True
            arrays.append(a.array)
        else:
            arrays.append(a)
    try:
        if tape.graph is not None:
            out = tape.graph.emit(op, arrays)
        else:
            if op.promotes:
                arrays = promote(arrays, op.floating)
            out = op.forward(*arrays)
    except Exception as failure:
        raise _explained(op, arrays, failure) from failure
    if cls is None:
        return out  # type: ignore[no-any-return]  # arrays in, arrays out
    if op.n_out is not None:
        return cast(V, _wrap_outputs(op, args, arrays, out, cls, tracked))
    if type(out) is not _ndarray:
        out = stored(out)
    value: Any = cls.__new__(cls)
    value.array = out
    value._grad = None
    value.node = (
        _record(op, args, arrays, out)
        if tracked and tape.recording and op.differentiable and out.dtype.kind == "f"
        else None
    )
    return cast(V, value)


def _record(op: Op, args: tuple[Any, ...], arrays: list[Any], out: Any) -> Node:
    """Remember how to go back from `out`: the parents, and the residuals that `op` needs."""
    parents = [a.node if isinstance(a, Value) else None for a in args]
    xs = _residuals(op.needs, parents, arrays)
    if None in parents:
        _own(xs, args)
    frame = sys._getframe(2)
    while frame.f_code.co_filename.startswith(_PACKAGE) and frame.f_back is not None:
        frame = frame.f_back
    y = out if op.needs.output else None
    site = (frame.f_code, frame.f_lasti)
    if op.n_out is not None:
        return Node(op, parents, xs, y, None, None, site, tape.scope)
    return Node(op, parents, xs, y, out.shape, out.dtype, site, tape.scope)


def _own(xs: list[Any], args: tuple[Any, ...]) -> None:
    """Copy residuals that are arrays of the caller's, who may change them before backward."""
    for i, x in enumerate(xs):
        if type(x) is _ndarray and not isinstance(args[i], Value):
            xs[i] = x.copy()


def _residuals(needs: Needs, parents: list[Node | None], arrays: list[Any]) -> list[Any]:
    """The inputs to keep, and the shape and dtype of the others."""
    kept = needs.inputs
    if kept is None:
        if needs.cross:
            several = len(parents) - parents.count(None) > 1
            return [
                x if several or p is None else _abstract(x)
                for x, p in zip(arrays, parents, strict=True)
            ]
        return arrays
    if not kept:
        return [_abstract(x) for x in arrays]
    return [x if i in kept else _abstract(x) for i, x in enumerate(arrays)]


def _wrap_outputs(
    op: Op, args: tuple[Any, ...], arrays: list[Any], outs: Any, cls: type[Value], tracked: bool
) -> tuple[Value, ...]:
    """One Value per output; the differentiable ones lead to one common node."""
    parts = tuple([stored(part) for part in outs])
    if not (tracked and tape.recording and op.differentiable):
        return tuple([cls.wrap(part) for part in parts])
    node = _record(op, args, arrays, parts)
    return tuple(
        [
            cls.wrap(part, item(node, i, part)) if part.dtype.kind == "f" else cls.wrap(part)
            for i, part in enumerate(parts)
        ]
    )


def _abstract(x: Any) -> Any:
    return x if type(x) in SCALARS else Aval(x.shape, x.dtype)


def _explained(op: Op, arrays: list[Any], failure: Exception) -> Exception:
    """The error to show for `failure`: ours, naming the operands and the user's line."""
    if not isinstance(failure, ChainruleError):
        failure = _diagnosed(op, arrays, failure)
    if isinstance(failure, ChainruleError) and failure.at is None:
        failure.at = user_line()
    return failure


def _diagnosed(op: Op, arrays: list[Any], failure: Exception) -> Exception:
    """Turn a failure inside NumPy into our error, by asking the shape rule first."""
    for x in arrays:
        if not (type(x) in SCALARS or isinstance(x, (np.ndarray, np.generic))):
            return DTypeError(
                f"{op.name} takes tensors, arrays and numbers",
                got=f"{type(x).__name__}",
                hint="make it a tensor first: chainrule.tensor(x)",
            )
    try:
        op.infer(*arrays)
    except ChainruleError as error:
        return error
    except Exception:  # noqa: BLE001  the shape rule itself cannot take them: show NumPy's words
        pass
    if isinstance(failure, (MemoryError, KeyboardInterrupt, RecursionError)):
        return failure
    return ArgumentError(
        f"{op.name} failed: {failure}",
        got="   ".join(describe(x) for x in arrays),
    )


def user_line() -> str | None:
    """``file.py:line  source  (Net.fc1)`` of the innermost frame outside this package."""
    frame = sys._getframe(1)
    while frame.f_code.co_filename.startswith(_PACKAGE) and frame.f_back is not None:
        frame = frame.f_back
    code: CodeType = frame.f_code
    if code.co_filename.startswith(_PACKAGE):
        return None
    line = describe_site(code, frame.f_lasti)
    if tape.scope is None:
        return line
    return f"{line}      ({tape.scope.path()})"
