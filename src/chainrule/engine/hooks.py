"""Hooks on tensors: what ``Tensor.register_hook`` returns."""

from __future__ import annotations

from typing import Any


class HookHandle:
    """Returned by ``register_hook``: ``remove()`` takes the hook away again."""

    def __init__(self, hooks: list[Any], hook: Any) -> None:
        self._hooks = hooks
        self._hook = hook

    def remove(self) -> None:
        """Take the hook away. Removing it twice is harmless."""
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)
