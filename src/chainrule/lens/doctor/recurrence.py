"""Recurrences whose state is cut off from the graph at every step, within one loss."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from .flow import Flow, Record
from .places import Place
from .reading import LAYERS, Leaves, record_node


class Link(NamedTuple):
    """How one use of a weight depends on the use before it."""

    is_cut: bool
    place: Place = Place()
    """Where the numbers go on without their graph."""


def recurrences(
    flow: Flow, visited: Iterable[Record], leaves: Leaves
) -> dict[int, tuple[Any, list[Link]]]:
    """By weight: the links between its uses, each computed from the one before.

    Only uses that the tape recorded count: what runs without gradients on purpose is no link.
    """
    chosen = set(visited)
    uses: dict[int, tuple[Any, list[Record]]] = {}
    for record in flow.records:
        node = record_node(record)
        if record not in chosen or record.op.name not in LAYERS or node is None:
            continue
        weight = leaves.weight(node)
        if weight is not None:
            uses.setdefault(id(weight), (weight, []))[1].append(record)
    found = {}
    for key, (weight, records) in uses.items():
        among = set(records)
        links = [link for r in records[1:] if (link := _link(flow, r, among)) is not None]
        if links:
            found[key] = (weight, links)
    return found


def _link(flow: Flow, user: Record, uses: set[Record]) -> Link | None:
    """The link from a use back to others; None: it depends on none."""
    if _back(flow, user, uses, tracked=True) is not None:
        return Link(False)
    place = _back(flow, user, uses, tracked=False)
    return None if place is None else Link(True, place)


def _back(flow: Flow, user: Record, uses: set[Record], *, tracked: bool) -> Place | None:
    """Follow operands back to a use: where the graph was left on the way, or merely a place."""
    stack: list[tuple[Record, Place | None]] = [(user, None)]
    seen = {user}
    while stack:
        record, left = stack.pop()
        for x, want in zip(record.inputs, record.wants, strict=True):
            source = flow.maker.get(id(x))
            if source is None or source in seen or (tracked and not want):
                continue
            at = left or (record.place if source.tracked and not want else None)
            if source in uses:
                return at or record.place
            seen.add(source)
            stack.append((source, at))
    return None
