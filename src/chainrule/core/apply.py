"""The one door: every operation, eager or traced, forward or backward, goes through ``apply``."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
import warnings
from types import CodeType, FrameType
from typing import Any, NoReturn, TypeVar, cast

import numpy as np

from .. import config, errors
from ..errors import ArgumentError, ChainruleError, DTypeError, ShapeError, TracingError
from .aval import SCALARS, Aval, describe, promote
from .large import is_large, large
from .observation import observation
from .op import Op
from .value import Node, Value, describe_site, is_traced, item, stored, tape

V = TypeVar("V")

_ndarray = np.ndarray
_PACKAGE = config.PACKAGE_ROOT
_WRAPPERS = (contextlib.__file__, functools.__file__)
_LAUNCHERS = (os.path.join("click", "core.py"), "<frozen runpy>", threading.__file__)


def apply(op: Op, first: V, *rest: Any) -> V:
    """Compute ``op`` on tensors, arrays and Python numbers.

    With plain arrays only, it simply computes. If an operand is a Value, the result is one too;
    if, further, an operand wants a gradient and recording is on, the result gets a Node.
    Ops with several outputs return a tuple of what is said here.

    Raises a ChainruleError that names the user's line if the operands do not fit.
    """
    cls: type[Value] | None = None
    tracked = foreign = False
    arrays: list[Any] = []
    parents: list[Node | None] = []
    for a in (first, *rest):
        if isinstance(a, Value):
            if cls is None:
                cls = a.result_class
            node = a.node
            if node is not None:
                tracked = True
            parents.append(node)
            arrays.append(a.array)
        else:
            if type(a) not in SCALARS:
                foreign = True
            parents.append(None)
            arrays.append(a)
    if foreign and cls is not None and op.promotes:
        arrays = [_weak(a) for a in arrays]
    try:
        if tape.graph is not None:
            out = tape.graph.emit(op, arrays)
        else:
            if op.promotes:
                arrays = promote(arrays, op.floating)
            out = op.forward(*arrays) if not is_large(op, arrays) else large.run(op, arrays)
    except (ChainruleError, RecursionError):
        raise
    except Exception as failure:  # noqa: BLE001  it is raised again, in words
        _fail(op, arrays, failure)
    if cls is None:
        return out  # type: ignore[no-any-return]  # arrays in, arrays out
    if tracked and not (tape.recording and op.differentiable):
        tracked = False
    if op.n_out is not None:
        outputs: Any = _wrap_outputs(op, arrays, parents, out, cls, tracked, foreign)
        outputs = tuple([_marked(op, first, y) for y in outputs])
        return cast(V, outputs if observation.by is None else _told(op, (first, *rest), outputs))
    if type(out) is not _ndarray:
        out = stored(out)
    value: Any = cls.__new__(cls)
    value.array = out
    value._grad = None
    value.node = (
        _record(op, arrays, parents, out, foreign) if tracked and out.dtype.kind == "f" else None
    )
    if op.views:
        value = _marked(op, first, value)
    return cast(V, value if observation.by is None else _told(op, (first, *rest), value))


def _told(op: Op, operands: tuple[Any, ...], result: Any) -> Any:
    """The result of an operation; the observer is told of it, and may replace it."""
    return result if observation.by is None else observation.by.operation(op, operands, result)


def _fail(op: Op, arrays: list[Any], failure: Exception) -> NoReturn:
    """Raise our error for a failure of an operation."""
    error = _explained(op, arrays, failure)
    if error is not None:  # it says all: NumPy's traceback would only hide it
        raise error from None
    shown = "   ".join(describe(x) for x in arrays)
    raise ArgumentError(f"{op.name} failed: {failure}", got=shown) from failure


def _record(op: Op, arrays: list[Any], parents: list[Node | None], out: Any, foreign: bool) -> Node:
    """Remember how to go back from `out`: the parents, and the residuals that `op` needs.

    With `foreign`, an array among them may be the caller's own: what is kept of it is copied, for
    the caller may change it before backward.
    """
    needs = op.needs
    kept = needs.inputs
    if kept is None:
        if not needs.cross or parents.count(None) < len(parents) - 1:
            xs = arrays
        else:  # an only differentiated input is not needed: its partners are
            xs = [
                x if p is None else _abstract(op, x) for x, p in zip(arrays, parents, strict=True)
            ]
    elif kept:
        xs = [x if i in kept else _abstract(op, x) for i, x in enumerate(arrays)]
    else:
        xs = [_abstract(op, x) for x in arrays]
    if foreign:
        xs = [x.copy() if type(x) is _ndarray and p is None else x
              for x, p in zip(xs, parents, strict=True)]  # fmt: skip
    frame = sys._getframe(2)
    while (code := frame.f_code).co_filename.startswith(_PACKAGE) and frame.f_back is not None:
        frame = frame.f_back
    y = out if needs.output else None
    if op.n_out is not None:
        return Node(op, parents, xs, y, None, None, (code, frame.f_lasti), tape.scope)
    return Node(op, parents, xs, y, out.shape, out.dtype, (code, frame.f_lasti), tape.scope)


def _wrap_outputs(
    op: Op,
    arrays: list[Any],
    parents: list[Node | None],
    outs: Any,
    cls: type[Value],
    tracked: bool,
    foreign: bool,
) -> tuple[Value, ...]:
    """One Value per output; the differentiable ones lead to one common node."""
    parts = tuple([stored(part) for part in outs])
    if not tracked:
        return tuple([cls.wrap(part) for part in parts])
    node = _record(op, arrays, parents, parts, foreign)
    return tuple(
        [
            cls.wrap(part, item(node, i, part)) if part.dtype.kind == "f" else cls.wrap(part)
            for i, part in enumerate(parts)
        ]
    )


def _weak(x: Any) -> Any:
    """An operand, NumPy's numbers as Python's: no number next to a tensor widens it."""
    return x.item() if isinstance(x, np.generic) else x


def _marked(op: Op, first: Any, result: Value) -> Value:
    """The result, marked if it stands for a part of the first operand."""
    return first._view(result) if op.views and isinstance(first, Value) else result


def _abstract(op: Op, x: Any) -> Any:
    """What stands for an input that is not kept: its shape and dtype, if a rule may want them."""
    if type(x) in SCALARS:
        return x
    return Aval(x.shape, x.dtype) if op.keeps_shapes else None


def _explained(op: Op, arrays: list[Any], failure: Exception) -> ChainruleError | None:
    """Our error for a failure inside NumPy, or None if only NumPy's words explain it."""
    for x in arrays:
        if is_traced(x):
            if tape.graph is None:
                return TracingError(f"{op.name} of a traced value outside the trace")
        elif not (type(x) in SCALARS or isinstance(x, (np.ndarray, np.generic))):
            return DTypeError(
                f"{op.name} takes tensors, arrays and numbers",
                got=f"{type(x).__name__}",
                hint="make it a tensor first: chainrule.tensor(x)",
            )
    if isinstance(failure, MemoryError):
        return ShapeError(
            f"the result of {op.name} does not fit into memory",
            got="   ".join(describe(x) for x in arrays),
            hint=str(failure),
        )
    try:
        op.infer(*arrays)
    except ChainruleError as error:
        return error
    except Exception:  # noqa: BLE001  the shape rule itself cannot take them: show NumPy's words
        pass
    return None


def user_site() -> tuple[CodeType, int]:
    """Code and instruction index of the innermost frame outside this package."""
    frame = sys._getframe(1)
    while _is_between(frame) and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code, frame.f_lasti


def _is_between(frame: FrameType) -> bool:
    """Whether a frame is this package's, or one that Python put between it and the user."""
    file = frame.f_code.co_filename
    if file == "<string>":  # the __init__ of a dataclass, unless it is the text of python -c
        return str(frame.f_globals.get("__name__")).startswith(f"{__package__.partition('.')[0]}.")
    return file.startswith(_PACKAGE) or file in _WRAPPERS


def user_line() -> str | None:
    """``file.py:line  source  (Net.fc1)`` of the innermost frame outside this package.

    None if there is none: a command, or a thread, that this package runs itself.
    """
    code, instruction = user_site()
    if code.co_filename.startswith(_PACKAGE) or code.co_filename.endswith(_LAUNCHERS):
        return None
    line = describe_site(code, instruction)
    if tape.scope is None:
        return line
    return f"{line}      ({tape.scope.path()})"


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of the user's line."""
    frame, level = sys._getframe(1), 2
    while _is_between(frame) and frame.f_back is not None:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


errors.locate = user_line
