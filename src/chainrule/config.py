"""Flags and environment variables, in one table."""

from __future__ import annotations

import os
from typing import Final

import numpy as np

ENVIRONMENT: Final = {
    "CHAINRULE_BACKEND": "numpy: run compiled functions with NumPy instead of machine code",
    "CHAINRULE_MNIST": "folder with full MNIST in IDX files, used instead of the shipped subset",
    "CHAINRULE_FASHION_MNIST": "folder with Fashion-MNIST in IDX files",
    "CHAINRULE_TARGET": "processor to generate code for: native (default), avx2, sse2 or neon",
    "CHAINRULE_THREADS": "how many threads run compiled code: 1 to 64, default all usable cores",
    "CHAINRULE_CACHE": "folder that keeps compiled code between runs, or 'off'",
    "CHAINRULE_DEBUG": (
        "what the compiler tells: 1 cache and retraces, 2 time per kernel, 3 graphs, 4 LLVM's text"
    ),
}
"""Every environment variable that chainrule reads, and what it does."""

FASHION_MNIST_DEFAULT: Final = "/usr/share/datasets/fashion-mnist"
"""Where Debian's package ``dataset-fashion-mnist`` puts its files."""

PACKAGE_ROOT: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")
"""Folder of the installed package: frames below it are ours, the others are the user's."""

_default_dtype: np.dtype[np.floating] = np.dtype(np.float32)


def get_default_dtype() -> np.dtype[np.floating]:
    """Element type of new floating-point tensors: float32 unless it was changed."""
    return _default_dtype


def set_default_dtype(dtype: np.dtype[np.floating] | type[np.floating]) -> None:
    """Set the element type of new floating-point tensors.

    Raises ``ValueError`` unless it is float16, float32 or float64.
    """
    global _default_dtype  # noqa: PLW0603  the one setting that the whole program shares
    chosen = np.dtype(dtype)
    if chosen.kind != "f" or chosen.itemsize > 8:
        raise ValueError(f"the default dtype must be float16, float32 or float64, not {chosen}")
    _default_dtype = chosen


def environment(name: str) -> str | None:
    """The value of an environment variable listed in ``ENVIRONMENT``, or None."""
    assert name in ENVIRONMENT, name
    return os.environ.get(name) or None


def debug_level() -> int:
    """How much the compiler tells, 0 to 4, by ``CHAINRULE_DEBUG``; anything else counts as 0."""
    text = environment("CHAINRULE_DEBUG") or "0"
    return int(text) if text in ("1", "2", "3", "4") else 0
