"""From functions to compiled functions: tracing, guards, and what runs a graph.

The package is the decorator, too: ``chainrule.compile(fn)`` is ``chainrule.compile.step.compile``.
"""

import sys
from types import ModuleType
from typing import Any

from . import step
from .step import Compiled
from .trace import Traced, trace

__all__ = ["Compiled", "Traced", "trace"]


class _Decorator(ModuleType):
    """A module that is called as the function it exists for."""

    def __call__(self, fn: Any) -> Any:
        """See ``chainrule.compile.step.compile``."""
        return step.compile(fn)


sys.modules[__name__].__class__ = _Decorator
