"""``torch.cuda``: there is none, and every question about it is answered so."""

from __future__ import annotations

from typing import Any

from .._names import mirrored
from ..amp import GradScaler as GradScaler
from ..amp import autocast as autocast

__getattr__, __dir__ = mirrored(__name__)


def is_available() -> bool:
    """False: computation is on the CPU."""
    return False


is_initialized = is_bf16_supported = is_available


def device_count() -> int:
    """0."""
    return 0


def memory_allocated(device: Any = None) -> int:
    """0: no memory of a device is in use."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_allocated
max_memory_cached = memory_cached = memory_allocated


def synchronize(device: Any = None) -> None:
    """Nothing is to be waited for."""


empty_cache = reset_peak_memory_stats = ipc_collect = synchronize


def manual_seed(seed: int) -> None:
    """Nothing: random numbers are drawn on the CPU, by ``torch.manual_seed``."""


manual_seed_all = manual_seed


def current_accelerator(check_available: bool = False) -> None:
    """None: there is no other device than the CPU."""
