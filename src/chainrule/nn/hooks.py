"""Hooks: functions of the user's that run before, after and behind a module's forward pass."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from ..core.value import Value

if TYPE_CHECKING:
    from .module import Module

Hook: TypeAlias = Callable[..., Any]
Grads: TypeAlias = tuple[Any, ...]

_numbers = count()


class RemovableHandle:
    """What registering a hook returns: ``remove()`` takes the hook away again.

    It is also a context manager that removes the hook at the end of the block.
    """

    def __init__(self, hooks: dict[int, Any]) -> None:
        self._hooks = hooks
        self.id = next(_numbers)

    def remove(self) -> None:
        """Remove the hook; a second call does nothing."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()


class Hooks:
    """The hooks of one module. A hook is kept with whether it also takes the keyword arguments."""

    def __init__(self) -> None:
        self.before: dict[int, tuple[Hook, bool]] = {}
        self.after: dict[int, tuple[Hook, bool]] = {}
        self.backward: dict[int, Hook] = {}

    def run(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The module's forward pass with its hooks around it."""
        for hook, takes_kwargs in tuple(self.before.values()):
            if takes_kwargs:
                changed = hook(module, args, kwargs)
                if changed is not None:
                    args, kwargs = changed
                continue
            changed = hook(module, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        watch = Watch(module, tuple(self.backward.values())) if self.backward else None
        if watch is not None:
            args = watch.inputs(args)
        result = module.forward(*args, **kwargs)
        for hook, takes_kwargs in tuple(self.after.values()):
            changed = (
                hook(module, args, kwargs, result) if takes_kwargs else hook(module, args, result)
            )
            if changed is not None:
                result = changed
        return result if watch is None else watch.outputs(result)


def register(hooks: dict[int, Any], hook: Any, *, first: bool = False) -> RemovableHandle:
    """Add a hook, at the end or as the `first`."""
    handle = RemovableHandle(hooks)
    if first:
        others = dict(hooks)
        hooks.clear()
        hooks[handle.id] = hook
        hooks.update(others)
    else:
        hooks[handle.id] = hook
    return handle
