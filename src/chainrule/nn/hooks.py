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
        self.after: dict[int, tuple[Hook, bool, bool]] = {}
        self.backward: dict[int, Hook] = {}
        self.backward_pre: dict[int, Hook] = {}
        self.saving: dict[int, Hook] = {}
        self.saved: dict[int, Hook] = {}
        self.loading: dict[int, Hook] = {}
        self.loaded: dict[int, Hook] = {}

    def named(self) -> dict[str, Any]:
        """The hooks by when they run and their number."""
        moments: dict[str, dict[int, Any]] = {
            "before": self.before, "after": self.after, "backward": self.backward,
            "backward_pre": self.backward_pre,
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
        watch = Watch(module, self) if self.backward or self.backward_pre else None
        if watch is not None:
            args = watch.inputs(args)
        try:
            result = module.forward(*args, **kwargs)
        except Exception:
            for hook, takes_kwargs, always in tuple(self.after.values()):
                if always:
                    hook(module, args, *([kwargs] if takes_kwargs else []), None)
            raise
        for hook, takes_kwargs, _ in tuple(self.after.values()):
            changed = hook(module, args, *([kwargs] if takes_kwargs else []), result)
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


class Hooked:
    """The part of Module that registers hooks."""

    _hooks: Hooks | None = None

    def _own_hooks(self) -> Hooks:
        if self._hooks is None:
            self._hooks = Hooks()
        return self._hooks

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before ``forward``; what it returns replaces `args`."""
        return register(self._own_hooks().before, (hook, with_kwargs), first=prepend)

    def register_forward_hook(
        self,
        hook: Hook,
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after ``forward``; what it returns is the output.

        With `always_call` also where ``forward`` raised, then with None as the output.

        >>> layer = cr.nn.Linear(2, 3)
        >>> handle = layer.register_forward_hook(lambda module, args, y: print(y.shape))
        >>> y = layer(ones(5, 2))
        (5, 3)
        >>> handle.remove()
        """
        return register(self._own_hooks().after, (hook, with_kwargs, always_call), first=prepend)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` when backward has passed the module.

        Both are tuples, with None where there is no gradient. What the hook returns replaces
        `grad_input`.
        """
        return register(self._own_hooks().backward, hook, first=prepend)

    register_backward_hook = register_full_backward_hook

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` when backward reaches the module's outputs.

        What it returns replaces `grad_output`.
        """
        return register(self._own_hooks().backward_pre, hook, first=prepend)

    def register_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(module, prefix, keep_vars)`` before the module's state is read."""
        return register(self._own_hooks().saving, hook)

    def register_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata)``; it may change `state_dict`."""
        return register(self._own_hooks().saved, hook)

    def register_load_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)`` before a state is loaded; it may change `state_dict`, a copy.
        """
        return register(self._own_hooks().loading, hook)

    def register_load_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(module, incompatible_keys)`` after a state is loaded; it may change those."""
        return register(self._own_hooks().loaded, hook)


class Watch:
    """One call of a module with backward hooks: stands before its inputs and behind its outputs.

    Backward passes the outputs first, where the gradients are noted, and the inputs last, where the
    hooks are called with both.
    """

    def __init__(self, module: Module, hooks: Hooks) -> None:
        self.module = module
        self.hooks = tuple(hooks.backward.values())
        self.pre_hooks = tuple(hooks.backward_pre.values())
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
        for hook in self.pre_hooks:
            changed = hook(self.module, self.grad_output)
            if changed is not None:
                self.grad_output = changed if isinstance(changed, tuple) else (changed,)
        if not self.inputs_are_tracked:
            self._call(self.grad_input)
        return tuple(self.grad_output[i] for i in places)

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
