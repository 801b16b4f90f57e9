"""From functions to graphs: tracing."""

from .trace import Traced, trace

__all__ = ["Traced", "trace"]
