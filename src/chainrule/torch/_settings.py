"""Switches of a PyTorch program: modes, seeds, threads, printing; some have nothing to switch."""

from __future__ import annotations

import os
from typing import Any, Final

from ..errors import ArgumentError
from ..facts import CPU, Device, require_cpu
from ..grad_mode import enable_grad, no_grad
from ..ops.random import Generator as _Generator
from ..ops.random import default_generator as _default
from ..printing import set_print_options as set_printoptions
from ..runtime.threads import get_num_threads, set_num_threads

__all__ = [
    "Generator", "are_deterministic_algorithms_enabled", "get_default_device",
    "get_float32_matmul_precision", "get_num_interop_threads", "get_num_threads", "get_rng_state",
    "inference_mode", "initial_seed", "is_inference_mode_enabled", "seed",
    "set_default_device",
    "set_float32_matmul_precision", "set_flush_denormal", "set_num_interop_threads",
    "set_num_threads", "set_printoptions", "set_rng_state", "use_deterministic_algorithms",
]  # fmt: skip

PRECISIONS: Final = ("highest", "high", "medium")


class inference_mode(no_grad):  # noqa: N801  PyTorch's name
    """``no_grad``; with ``mode=False``, nothing: operations are recorded as before."""

    def __new__(cls, mode: Any = True) -> Any:
        if mode is False:
            return enable_grad()
        return super().__new__(cls) if mode is True else super().__new__(cls, mode)

    def __init__(self, mode: Any = True) -> None:
        super().__init__()


def is_inference_mode_enabled() -> bool:
    """False: there is ``no_grad`` only, and ``is_grad_enabled`` tells of it."""
    return False


# Random numbers -----------------------------------------------------------------------------------


class Generator(_Generator):
    """A sequence of random numbers on a device, which can only be the CPU."""

    __slots__ = ()

    def __init__(self, device: Any = "cpu") -> None:
        require_cpu(device)
        super().__init__()

    @property
    def device(self) -> Device:
        """The CPU."""
        return CPU


def initial_seed() -> int:
    """The seed of the default generator."""
    return _default.initial_seed()


def seed() -> int:
    """Start the default generator at a seed that the operating system draws; returns it."""
    drawn = int.from_bytes(os.urandom(8), "little")
    _default.manual_seed(drawn)
    return drawn


def get_rng_state() -> Any:
    """The state of the default generator, as an array."""
    return _default.get_state()


def set_rng_state(new_state: Any) -> None:
    """Go to a state that ``get_rng_state`` returned."""
    _default.set_state(new_state)


# Devices, threads, precision ----------------------------------------------------------------------


def set_default_device(device: Any) -> None:
    """Accepts the CPU. Raises ArgumentError for another device."""
    require_cpu(device)


def get_default_device() -> Device:
    """The CPU."""
    return CPU


def get_num_interop_threads() -> int:
    """1: programs run one after the other."""
    return 1


def set_num_interop_threads(threads: int) -> None:
    """Accepted; programs run one after the other."""


def set_float32_matmul_precision(precision: str) -> None:
    """Accepted: products of float32 are computed in float32, whatever is allowed."""
    if precision not in PRECISIONS:
        raise ArgumentError(
            "no such precision", expected=", ".join(PRECISIONS), got=repr(precision)
        )


def get_float32_matmul_precision() -> str:
    """``"highest"``."""
    return PRECISIONS[0]


def set_flush_denormal(mode: bool) -> bool:
    """False: numbers near zero stay as they are."""
    return False


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted: all algorithms here are deterministic, also with several threads."""


def are_deterministic_algorithms_enabled() -> bool:
    """True."""
    return True
