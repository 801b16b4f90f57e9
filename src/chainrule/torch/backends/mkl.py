"""``torch.backends.mkl``, ``mkldnn`` and ``openmp``: libraries that are not used."""

from __future__ import annotations

enabled = False


def is_available() -> bool:
    """False: there is no such library."""
    return False
