"""What becomes of a group's results: which must be in memory, and what is read beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .groups import Folding, Grouping, Host, Product, Write
from .nodes import Merge, Node
from .storage import is_identity


def needed(grouping: Grouping, outputs: Sequence[Node]) -> set[int]:
    """Numbers of the nodes that must be in memory: somebody reads them besides their own group.

    What only the same kernel uses, at the same points, stays in registers.
    """
    layout = grouping.layout
    found = {node.number for node in outputs}
    for node in layout.sequence:
        buffer = layout.buffers[node.number]
        if isinstance(node, Merge) and buffer.alias is not None:
            found |= {n.number for n in layout.sequence if layout.buffers[n.number] is buffer.alias}
        elif buffer.within is not None:
            found.add(node.number)
    for group in grouping.groups:
        made = {
            t.owner.number
            for t in group.tasks
            if isinstance(t, (Write, Product)) and t.node is t.owner
        }
        for task in group.tasks:
            here = len(task.box) if not isinstance(task, Host) else 0
            for source, place in grouping.task_reads(task):
                inside = source.number in made and isinstance(task, (Write, Folding))
                if not (inside and is_identity(place, here)):
                    found.add(source.number)
    return found


FAR = 2**18
"""Elements that are likely to have left the nearer caches before they are read again."""


def read_next(grouping: Grouping, index: int) -> list[Node]:
    """What the kernel that reads a product's results first reads beside them, point by point.

    That was made before the product, and often long ago: in a backward pass, the activations whose
    sums with a new gradient are made. So it may be fetched from memory while the product is
    computed, which takes little of that.
    """
    group = grouping.groups[index]
    if group.product is None or math.prod(group.box) < FAR:
        return []
    for later in grouping.groups[index + 1 :]:
        if not later.reads & group.writes:
            continue
        if later.box != group.box or later.product is not None:
            return []
        reads = [read for task in later.tasks for read in grouping.task_reads(task)]
        found = {
            source.number: source
            for source, place in reads
            if is_identity(place, len(group.box))
            and source.shape == group.box
            and source.number not in group.writes | group.reads
            and grouping.maker(source) in range(index)
        }
        return list(found.values())
    return []
