"""Whether operations are recorded: context managers and decorators, per thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import ParamSpec, Self, TypeVar

from .core.value import recording, tape

P = ParamSpec("P")
R = TypeVar("R")


class no_grad(AbstractContextManager["no_grad"]):  # noqa: N801  PyTorch's name
    """Context manager and decorator under which nothing is recorded.

    >>> x = tensor(2.0, requires_grad=True)
    >>> with no_grad():
    ...     (x * x).requires_grad
    False
    """

    enabled = False

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> Self:
        self._before.append(tape.recording)
        tape.recording = self.enabled
        return self

    def __exit__(self, *exc: object) -> None:
        tape.recording = self._before.pop()

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        @wraps(fn)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            with recording(self.enabled):
                return fn(*args, **kwargs)

        return wrapper


class enable_grad(no_grad):  # noqa: N801  PyTorch's name
    """Context manager and decorator under which operations are recorded again."""

    enabled = True


@contextmanager
def set_grad_enabled(enabled: bool) -> Iterator[None]:
    """Record operations in the block if `enabled`."""
    with recording(enabled):
        yield


def is_grad_enabled() -> bool:
    """Whether operations are recorded in this thread."""
    return tape.recording
