"""``torch.version``: which PyTorch's interface is mirrored."""

from __future__ import annotations

__version__ = "2.13.0+chainrule"
cuda = hip = None
debug = False
git_version = "unknown"
