"""``torch.utils``: data, checkpointing, and conversions."""

from __future__ import annotations

from .._names import mirrored

__getattr__, __dir__ = mirrored(__name__)
