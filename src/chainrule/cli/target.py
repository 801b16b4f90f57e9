"""The target of ``chainrule check``: a file of the user's is run, and a function found in it."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

from ..errors import ArgumentError, ChainruleError, DataError
from ..nn.module import Module

Function: TypeAlias = Callable[..., Any]

_LONGEST = 300


class Target(NamedTuple):
    """A function or module, its name, and the file it was found in."""

    function: Function
    name: str
    path: Path


@contextmanager
def loaded(target: str) -> Iterator[Target]:
    """What ``FILE:FUNCTION`` names, in a block in which the file's folder can be imported from.

    What the file prints, and what is printed in the block, goes to standard error.

    Raises DataError if there is no such file or it fails, ArgumentError if it has no such function.
    """
    path_text, colon, name = target.rpartition(":")
    if not colon or not path_text or not name:
        raise ArgumentError("check needs FILE:FUNCTION", got=target, hint="model.py:loss")
    path = Path(path_text)
    if not path.is_file():
        raise DataError("there is no such file", got=path_text)
    path = path.resolve()
    spec = importlib.util.spec_from_file_location(f"checked_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise DataError("this is not a Python file", got=path_text)
    module = importlib.util.module_from_spec(spec)
    with _importable(module, path.parent), redirect_stdout(sys.stderr):
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as failure:
            raise DataError(
                f"{path.name} failed: {told(failure)}", at=location(failure, path)
            ) from failure
        yield Target(_found(module, name, path), name, path)


def told(failure: BaseException) -> str:
    """``ValueError: cause``, on one line."""
    if isinstance(failure, SystemExit):
        return f"it called sys.exit({failure.code!r})"
    message = failure.cause if isinstance(failure, ChainruleError) else str(failure)
    first = next(iter(message.splitlines()), "")
    return f"{type(failure).__name__}: {first}".rstrip(": ")[:_LONGEST]


def location(failure: BaseException, path: Path) -> str | None:
    """``file.py:3  source``: the innermost line of the user's file that led to a failure."""
    if isinstance(failure, SyntaxError) and failure.filename == str(path):
        return f"{path.name}:{failure.lineno}  {(failure.text or '').strip()}".rstrip()
    frames = traceback.extract_tb(failure.__traceback__)
    mine = [frame for frame in frames if frame.filename == str(path)]
    return f"{path.name}:{mine[-1].lineno}  {mine[-1].line or ''}".rstrip() if mine else None


@contextmanager
def _importable(module: ModuleType, folder: Path) -> Iterator[None]:
    """In the block, `module` is known, as dataclasses need, and its neighbours can be imported."""
    places = sys.path
    before = list(places)
    places.insert(0, str(folder))
    sys.modules[module.__name__] = module
    try:
        yield
    finally:
        # The file may have put another list in its place.
        sys.path = places
        sys.path[:] = before
        sys.modules.pop(module.__name__, None)


def _found(module: ModuleType, dotted: str, path: Path) -> Function:
    """The function, method or module that a dotted name stands for."""
    owner: Any = None
    value: Any = module
    for part in dotted.split("."):
        owner, value = value, getattr(value, part, None)
        is_method = inspect.isclass(owner) and inspect.isfunction(
            inspect.getattr_static(owner, part, None)
        )
        if is_method:
            value = getattr(_made(owner, path), part)
    if inspect.isclass(value) and issubclass(value, Module):
        value = _made(value, path)
    if not callable(value):
        known = [
            n for n, x in vars(module).items() if inspect.isfunction(x) or isinstance(x, Module)
        ]
        raise ArgumentError(
            f"{path.name} has no function {dotted!r}",
            hint=f"it has {', '.join(known[:8]) or 'none'}",
        )
    return value  # type: ignore[no-any-return]  # checked to be callable


def _made(kind: type, path: Path) -> Any:
    """An object of a class, made without arguments."""
    try:
        return kind()
    except (Exception, SystemExit) as failure:
        raise ArgumentError(
            f"no {kind.__name__} can be made without arguments: {told(failure)}",
            at=location(failure, path),
            hint="make one in the file, and check OBJECT or OBJECT.METHOD",
        ) from failure
