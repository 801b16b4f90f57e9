"""Whether operations are recorded: context managers, decorators and a switch, per thread."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from functools import partial, wraps
from typing import Any, ParamSpec, Self, TypeVar, cast, overload

from .core.value import recording, tape

P = ParamSpec("P")
R = TypeVar("R")


class _Mode(AbstractContextManager["_Mode"]):
    """A context manager and decorator within which operations are recorded, or not.

    A generator function that is decorated runs in this mode whenever it is resumed; between, the
    caller's mode holds.
    """

    enabled: bool

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> Self:
        self._before.append(tape.recording)
        tape.recording = self.enabled
        return self

    def __exit__(self, *exc: object) -> None:
        tape.recording = self._before.pop()

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        enabled = self.enabled
        if inspect.isgeneratorfunction(fn):

            @wraps(fn)
            def resumed(*args: P.args, **kwargs: P.kwargs) -> Any:
                return _resuming(fn(*args, **kwargs), enabled)

            return resumed

        @wraps(fn)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            with recording(enabled):
                return fn(*args, **kwargs)

        return wrapper


def _resuming(inner: Generator[Any, Any, R], enabled: bool) -> Generator[Any, Any, R]:
    """`inner`, run with recording set while it runs and left alone while it waits."""
    resume: Callable[[], Any] = partial(next, inner)
    while True:
        try:
            with recording(enabled):
                item = resume()
        except StopIteration as end:
            return cast(R, end.value)
        try:
            sent = yield item
        except GeneratorExit:
            with recording(enabled):
                inner.close()
            raise
        except BaseException as failure:  # noqa: BLE001  whatever was thrown in is for `inner`
            resume = partial(inner.throw, failure)
        else:
            resume = partial(inner.send, sent)


class _FixedMode(_Mode):
    """A mode whose name says it all, so that as a decorator it needs no parentheses."""

    @overload
    def __new__(cls) -> Self: ...
    @overload
    def __new__(cls, fn: Callable[P, R]) -> Callable[P, R]: ...  # type: ignore[misc]  # decorates
    def __new__(cls, fn: Any = None) -> Any:
        mode = super().__new__(cls)
        if fn is None:
            return mode
        mode.__init__()  # type: ignore[misc]  # Python calls it only for what __new__ returns
        return mode(fn)


class no_grad(_FixedMode):  # noqa: N801  PyTorch's name
    """Context manager and decorator under which nothing is recorded.

    >>> x = tensor(2.0, requires_grad=True)
    >>> with no_grad():
    ...     (x * x).requires_grad
    False
    """

    enabled = False


class enable_grad(_FixedMode):  # noqa: N801  PyTorch's name
    """Context manager and decorator under which operations are recorded again."""

    enabled = True


class set_grad_enabled(_Mode):  # noqa: N801  PyTorch's name
    """Record operations from now on if `enabled`, or not; as a context manager, until its end.

    >>> with set_grad_enabled(False):
    ...     is_grad_enabled()
    False
    """

    def __init__(self, enabled: bool) -> None:
        super().__init__()
        self.enabled = enabled
        self._found = tape.recording
        tape.recording = enabled

    def __enter__(self) -> Self:
        self._before.append(self._found)
        tape.recording = self.enabled
        return self

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        tape.recording = self._found
        return super().__call__(fn)


def is_grad_enabled() -> bool:
    """Whether operations are recorded in this thread."""
    return tape.recording
