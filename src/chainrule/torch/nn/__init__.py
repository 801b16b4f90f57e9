"""``torch.nn``."""

from __future__ import annotations

from .._names import mirrored
from .parallel import DataParallel as DataParallel

__getattr__, __dir__ = mirrored(__name__, "chainrule.nn")
