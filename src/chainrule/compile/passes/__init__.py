"""Passes: from a graph to an equal one that is easier to compile.

Each takes a graph and returns a new one, or the same object if there is nothing to do; none changes
the graph that it is given. Inputs, captured values and outputs keep their order and meaning.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from ... import config
from ...core.graph import Graph
from .expand import expand
from .prune import prune
from .settle import settle
from .share import share
from .simplify import simplify
from .unmask import unmask
from .verify import verify

__all__ = [
    "PIPELINE",
    "expand",
    "optimize",
    "prune",
    "settle",
    "share",
    "simplify",
    "unmask",
    "verify",
]

PIPELINE: tuple[Callable[[Graph], Graph], ...] = (
    prune, unmask, expand, simplify, share, prune, settle,
)  # fmt: skip
"""The passes in the order that they run in."""
_ROUNDS = 4


def optimize(graph: Graph, *, check: bool = False) -> Graph:
    """`graph` after all passes, again until nothing changes, at most four rounds.

    With `check`, or if CHAINRULE_DEBUG is set, the verifier runs after each pass; from level 3 on,
    the graph is printed after each pass that changed it.
    """
    level = config.debug_level()
    for _ in range(_ROUNDS):
        before = graph
        for step in PIPELINE:
            after = step(graph)
            if after is graph:
                continue
            if check or level:
                verify(after)
            if level >= 3:
                print(f"# after {step.__name__}\n{after}\n", file=sys.stderr)
            graph = after
        if graph is before:
            break
    return graph
