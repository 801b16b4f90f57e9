"""``torch.backends.mps``: there is no such device."""

from __future__ import annotations


def is_available() -> bool:
    """False: computation is on the CPU."""
    return False


is_built = is_available
