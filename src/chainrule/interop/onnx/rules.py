"""How ops are written in ONNX (operator set 17): one rule for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from .writer import Pair, Writer

Rule: TypeAlias = Callable[[Writer, Pair], Any]
RULES: Final[dict[str, Rule]] = {}
"""By the op's name; each returns the name of its output, or the names of the first few."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a function as the rule of the ops of these names."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register
