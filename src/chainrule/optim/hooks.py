"""Functions that users attach to an optimizer, called around steps, saving and loading."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..engine.hooks import HookHandle

Hook = Callable[..., Any]


class Hooked:
    """Mixin with PyTorch's methods that attach functions; each returns a handle to remove it."""

    def register_step_pre_hook(self, hook: Hook) -> HookHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step."""
        return self._attach("before step", hook)

    def register_step_post_hook(self, hook: Hook) -> HookHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return self._attach("after step", hook)

    def register_state_dict_pre_hook(self, hook: Hook) -> HookHandle:
        """Call ``hook(optimizer)`` before ``state_dict``."""
        return self._attach("before saving", hook)

    def register_state_dict_post_hook(self, hook: Hook) -> HookHandle:
        """Call ``hook(optimizer, state_dict)``, which may return another state to use."""
        return self._attach("after saving", hook)

    def register_load_state_dict_pre_hook(self, hook: Hook) -> HookHandle:
        """Call ``hook(optimizer, state_dict)`` before loading; it may return another state."""
        return self._attach("before loading", hook)

    def register_load_state_dict_post_hook(self, hook: Hook) -> HookHandle:
        """Call ``hook(optimizer)`` after a state was loaded."""
        return self._attach("after loading", hook)

    def _attach(self, moment: str, hook: Hook) -> HookHandle:
        hooks = self._attached.setdefault(moment, [])
        hooks.append(hook)
        return HookHandle(hooks, hook)

    @property
    def _attached(self) -> dict[str, list[Hook]]:
        """The hooks of each moment, in order."""
        return vars(self).setdefault("_hooks", {})  # type: ignore[no-any-return]  # made here

    def _call_hooks(self, moment: str, *args: Any) -> Any:
        """Call the hooks of a moment; what the last of them returned that returned something."""
        result = None
        for hook in list(self._attached.get(moment, ())):
            returned = hook(self, *args)
            result = result if returned is None else returned
        return result
