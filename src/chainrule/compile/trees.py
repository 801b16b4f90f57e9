"""Nested tuples, lists and dicts, taken apart into leaves and put together again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

Structure: TypeAlias = Any
"""LEAF, or (type, keys or None, structures of the parts): equal for trees of equal structure."""

LEAF: Structure = None


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """The leaves of a tree in order, and its structure.

    Tuples (named ones, too), lists and dicts are taken apart; everything else is a leaf.

    >>> flatten({"a": [1, 2], "b": 3})[0]
    [1, 2, 3]
    """
    leaves: list[Any] = []
    return leaves, _structure(tree, leaves)


def _structure(tree: Any, leaves: list[Any]) -> Structure:
    if isinstance(tree, dict):
        return type(tree), tuple(tree), tuple([_structure(x, leaves) for x in tree.values()])
    if isinstance(tree, (tuple, list)):
        return type(tree), None, tuple([_structure(x, leaves) for x in tree])
    leaves.append(tree)
    return LEAF


def unflatten(structure: Structure, leaves: Sequence[Any]) -> Any:
    """The tree of a structure with other leaves."""
    return _built(structure, iter(leaves))


def _built(structure: Structure, leaves: Iterator[Any]) -> Any:
    if structure is LEAF:
        return next(leaves)
    kind, keys, parts = structure
    built = [_built(part, leaves) for part in parts]
    if keys is not None:
        return kind(zip(keys, built, strict=True))
    make = getattr(kind, "_make", kind)  # a named tuple's takes a sequence, too
    return make(built)


def paths(structure: Structure, start: str = "") -> list[str]:
    """Where each leaf is: ``[0]['x']``, after `start`."""
    if structure is LEAF:
        return [start]
    _, keys, parts = structure
    names = range(len(parts)) if keys is None else keys
    found = []
    for name, part in zip(names, parts, strict=True):
        found += paths(part, f"{start}[{name!r}]")
    return found
