"""``torch.optim.lr_scheduler``."""

from __future__ import annotations

from ...optim.schedules import LRScheduler
from .._names import mirrored

__all__ = ["LRScheduler"]

_LRScheduler = LRScheduler

__getattr__, __dir__ = mirrored(__name__, "chainrule.optim")
