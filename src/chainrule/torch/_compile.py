"""``torch.compile``: chainrule's, which runs eagerly, with a warning, what cannot be traced."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, update_wrapper
from types import MethodType
from typing import Any

from ..compile.step import compile as trace
from ..core.apply import warn
from ..core.value import tape
from ..errors import TracingError
from ..nn.module import Module

__all__ = ["compile"]


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = None,
    mode: str | None = None,
    options: Any = None,
    disable: bool = False,
) -> Any:
    """A function or module compiled; without one, a decorator.

    A module is compiled in place: its ``state_dict`` keeps its names. What asks for a tensor's
    numbers runs eagerly from then on, with a warning; with `fullgraph` that is a TracingError. The
    other options are accepted: there is one compiler, and it retraces for new shapes.
    """
    if model is None:
        return partial(_compiled, fullgraph=fullgraph, disable=disable)
    return _compiled(model, fullgraph=fullgraph, disable=disable)


def _compiled(model: Any, *, fullgraph: bool, disable: bool) -> Any:
    if disable:
        return model
    if fullgraph:
        return trace(model)
    if isinstance(model, Module):
        model.forward = _Lenient(model.forward)  # type: ignore[method-assign]  # for this module
        return model
    return _Lenient(model)


class _Lenient:
    """A compiled function that is given up for the function itself when it cannot be traced."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        update_wrapper(self, fn)
        self.eager = fn
        self.compiled: Any = trace(fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.compiled is None or tape.graph is not None:
            return self.eager(*args, **kwargs)
        try:
            return self.compiled(*args, **kwargs)
        except TracingError as failure:
            self.compiled = None
            name = getattr(self.eager, "__qualname__", "the function")
            warn(f"{name} runs eagerly: it cannot be compiled. {failure}")
        return self.eager(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)
