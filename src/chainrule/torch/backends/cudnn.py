"""``torch.backends.cudnn``: switches without effect."""

from __future__ import annotations

benchmark = False
deterministic = True
enabled = False
allow_tf32 = False
fastest = False


def is_available() -> bool:
    """False: there is no such library."""
    return False


def version() -> None:
    """None: there is no such library."""
