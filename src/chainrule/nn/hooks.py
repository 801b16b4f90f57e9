"""Hooks: functions of the user's that run before, after and behind a module's forward pass."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from ..autodiff.custom import Function
from ..core.value import configuration, tape
from ..errors import GradientError
from ..tensor import Tensor

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
        configuration.version += 1

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

    def named(self) -> dict[str, Any]:
        """The hooks by when they run and their number."""
        moments: dict[str, dict[int, Any]] = {
            "before": self.before, "after": self.after, "backward": self.backward,
        }  # fmt: skip
        return {
            f"{moment} hook {number}": hook
            for moment, hooks in moments.items()
            for number, hook in hooks.items()
        }

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
    configuration.version += 1
    if first:
        others = dict(hooks)
        hooks.clear()
        hooks[handle.id] = hook
        hooks.update(others)
    else:
        hooks[handle.id] = hook
    return handle


class Watch:
    """One call of a module with backward hooks: stands before its inputs and behind its outputs.

    Backward passes the outputs first, where the gradients are noted, and the inputs last, where the
    hooks are called with both.
    """

    def __init__(self, module: Module, hooks: tuple[Hook, ...]) -> None:
        self.module = module
        self.hooks = hooks
        self.grad_output: Grads = ()
        self.grad_input: Grads = ()
        self.inputs_are_tracked = False

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, with a watchful identity before those that want a gradient."""
        self.grad_input = (None,) * len(args)
        tracked = _tracked(args)
        self.inputs_are_tracked = bool(tracked)
        return tuple(_watched(args, tracked, self._leave))

    def outputs(self, result: Any) -> Any:
        """The result, with a watchful identity behind the tensors in it."""
        several = isinstance(result, (tuple, list))
        parts = list(result) if several else [result]
        tracked = _tracked(parts)
        self.grad_output = (None,) * len(parts)
        watched = _watched(parts, tracked, self._enter)
        return type(result)(watched) if several else watched[0]

    def _enter(self, places: list[int], cts: Grads) -> Grads:
        """Backward reaches the outputs."""
        self.grad_output = _put(self.grad_output, places, cts)
        if not self.inputs_are_tracked:
            self._call(self.grad_input)
        return cts

    def _leave(self, places: list[int], cts: Grads) -> Grads:
        """Backward has passed the inputs."""
        grads = self._call(_put(self.grad_input, places, cts))
        return tuple(grads[i] for i in places)

    def _call(self, grads: Grads) -> Grads:
        for hook in self.hooks:
            changed = hook(self.module, grads, self.grad_output)
            if changed is None:
                continue
            changed = changed if isinstance(changed, tuple) else (changed,)
            if len(changed) != len(grads):
                raise GradientError(
                    "a backward hook returns one gradient per input of its module",
                    expected=f"{len(grads)} gradients",
                    got=str(len(changed)),
                )
            grads = changed
        return grads


class _Passing(Function):
    """The identity; what comes back through it is shown to a function, which may replace it."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Any:
        ctx.show, ctx.places, *tensors = inputs
        return tuple(tensors)

    @staticmethod
    def backward(ctx: Any, *cts: Any) -> Any:
        return (None, None, *ctx.show(ctx.places, cts))

    @staticmethod
    def jvp(ctx: Any, *dxs: Any) -> Any:
        """Forward mode has no gradients to show."""
        return dxs[2:]


def _tracked(parts: Any) -> list[int]:
    """Which of the values are tensors that want a gradient."""
    if not tape.recording:
        return []
    return [i for i, x in enumerate(parts) if isinstance(x, Tensor) and x.node is not None]


def _watched(parts: Any, places: list[int], show: Callable[..., Grads]) -> list[Any]:
    """The values, those at `places` passed through ``_Passing``."""
    watched = list(parts)
    if places:
        passed = _Passing.apply(show, places, *[parts[i] for i in places])
        for i, x in zip(places, passed, strict=True):
            watched[i] = x
    return watched


def _put(grads: Grads, places: list[int], cts: Grads) -> Grads:
    """`grads` with `cts` at `places`."""
    new = list(grads)
    for i, ct in zip(places, cts, strict=True):
        new[i] = ct
    return tuple(new)
