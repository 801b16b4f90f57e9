"""Nested tuples, lists and dicts with tensors in them: arguments, outputs and residuals."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from ..tensor import Tensor


def map_tensors(change: Callable[[Tensor], Any], tree: Any) -> Any:
    """`tree` with each tensor in it changed, in order; everything else stays as it is."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, tuple):
        make = getattr(type(tree), "_make", type(tree))  # a named tuple's takes a sequence, too
        return make([map_tensors(change, part) for part in tree])
    if isinstance(tree, list):
        twin = copy.copy(tree)
        twin[:] = [map_tensors(change, part) for part in tree]
        return twin
    if isinstance(tree, dict):
        pairs = copy.copy(tree)
        pairs.update([(key, map_tensors(change, part)) for key, part in tree.items()])
        return pairs
    return tree


def tensors_in(tree: Any) -> list[Tensor]:
    """The tensors that ``map_tensors`` meets, in that order."""
    met: list[Tensor] = []
    map_tensors(met.append, tree)
    return met
