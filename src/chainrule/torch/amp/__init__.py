"""``torch.amp``: accepted and without effect, for all is computed in the types it comes in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any

from .._names import mirrored

__getattr__, __dir__ = mirrored(__name__)


class autocast(ContextDecorator):  # noqa: N801  PyTorch's name
    """A block in which PyTorch may compute in narrower types; here float32 stays float32."""

    def __init__(
        self,
        device_type: str = "cpu",
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        self.device_type = device_type
        self.enabled = enabled

    def __enter__(self) -> autocast:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing is to be undone."""


class GradScaler:
    """Scales a loss by one: float32 gradients need no other scale."""

    def __init__(self, device: str = "cpu", **options: Any) -> None:
        self.options = options

    def scale(self, outputs: Any) -> Any:
        """The outputs as they are."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Nothing is to be done."""

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step()``."""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: float | None = None) -> None:
        """Nothing is to be done."""

    def get_scale(self) -> float:
        """1."""
        return 1.0

    def is_enabled(self) -> bool:
        """False: nothing is scaled."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """An empty dictionary."""
        return {}

    def load_state_dict(self, state_dict: Any) -> None:
        """Nothing is to be done."""


def custom_fwd(fwd: Callable[..., Any] | None = None, **options: Any) -> Any:
    """The function itself; a decorator if options are given."""
    return (lambda fn: fn) if fwd is None else fwd


custom_bwd = custom_fwd


def is_autocast_available(device_type: str) -> bool:
    """False."""
    return False
