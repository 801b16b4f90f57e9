"""Nested tuples, lists and dicts with tensors in them: arguments, outputs and residuals."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..errors import ArgumentError
from ..tensor import Tensor


def map_leaves(change: Callable[[Any], Any], tree: Any) -> Any:
    """`tree` with each leaf changed, in order: whatever is no tuple, list or dict."""
    if isinstance(tree, tuple):
        make = getattr(type(tree), "_make", type(tree))  # a named tuple's takes a sequence, too
        return make([map_leaves(change, part) for part in tree])
    if isinstance(tree, list):
        twin = copy.copy(tree)
        twin[:] = [map_leaves(change, part) for part in tree]
        return twin
    if isinstance(tree, dict):
        pairs = copy.copy(tree)
        pairs.update([(key, map_leaves(change, part)) for key, part in tree.items()])
        return pairs
    return change(tree)


def map_tensors(change: Callable[[Tensor], Any], tree: Any) -> Any:
    """`tree` with each tensor in it changed, in order; everything else stays as it is."""
    return map_leaves(lambda leaf: change(leaf) if isinstance(leaf, Tensor) else leaf, tree)


def tensors_in(tree: Any) -> list[Tensor]:
    """The tensors that ``map_tensors`` meets, in that order."""
    return [leaf for leaf in leaves_of(tree) if isinstance(leaf, Tensor)]


def leaves_of(tree: Any) -> list[Any]:
    """The leaves of a tree, in order."""
    met: list[Any] = []
    map_leaves(met.append, tree)
    return met


def rebuilt(tree: Any, leaves: Sequence[Any]) -> Any:
    """`tree` with other leaves, as many as it has."""
    following: Iterator[Any] = iter(leaves)
    return map_leaves(lambda _: next(following), tree)


def spread(prefix: Any, tree: Any, what: str) -> list[Any]:
    """One entry of `prefix` for each leaf of `tree`: an entry is for all that is in its place.

    Raises ArgumentError, which names `what`, if `prefix` has parts that `tree` has not.
    """
    if not isinstance(prefix, (tuple, list, dict)):
        return [prefix] * len(leaves_of(tree))
    same = isinstance(tree, dict if isinstance(prefix, dict) else (tuple, list))
    if isinstance(prefix, dict):
        same = same and set(prefix) == set(tree)
    if not same or len(prefix) != len(tree):
        raise ArgumentError(
            f"{what} does not have the structure of what it is for",
            expected=f"a number, or one entry for each part of {_sketch(tree)}",
            got=repr(prefix)[:60],
        )
    places = tree if isinstance(tree, dict) else range(len(tree))
    return [entry for i in places for entry in spread(prefix[i], tree[i], what)]


def _sketch(tree: Any) -> str:
    if isinstance(tree, dict):
        return f"{{{', '.join(map(repr, tree))}}}"[:60]
    if isinstance(tree, (tuple, list)):
        return f"a {type(tree).__name__} of {len(tree)}"
    return f"a {type(tree).__name__}"
