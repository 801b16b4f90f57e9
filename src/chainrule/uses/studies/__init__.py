"""Studies: measurements of what the sources claim, each with a table, pictures and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from . import batch_size, clipping, cost, depth, learning_rate, surface
from .study import Claim, Conclusion, Settings, Study, verdict

STUDIES: Final[Mapping[str, Study[Any]]] = MappingProxyType(
    {
        module.STUDY.name: module.STUDY
        for module in (batch_size, depth, clipping, learning_rate, cost, surface)
    }
)
"""The studies by their names."""

__all__ = ["STUDIES", "Claim", "Conclusion", "Settings", "Study", "verdict"]
