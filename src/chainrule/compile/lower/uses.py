"""What becomes of a group's results: which must be in memory, and what is read beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .groups import Folding, Grouping, Host, Product, Write
from .nodes import Merge, Node, Place, identity
from .storage import Buffer, is_identity


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


LARGE = 2**18
"""Elements that are likely to have left the nearer caches before they are read again."""


def read_next(grouping: Grouping, index: int) -> list[tuple[Buffer, Place]]:
    """What the kernel that reads a product's results first reads beside them, point by point.

    That was made before the product, and often long ago: in a backward pass, the activations whose
    sums with a new gradient are made. So it may be fetched from memory while the product is
    computed, which takes little of that. Buffers, and where in them the product's points are.
    """
    group, layout = grouping.groups[index], grouping.layout
    if group.product is None:
        return []
    own, rank = group.product.buffer, len(group.box)
    results, shape, at = group.writes, group.box, identity(rank)
    if own.within is not None and own.alias is not None:  # a part of something
        results = {
            node.number for node in layout.alive if layout.buffers.get(node.number) is own.alias
        }
        shape, at = own.alias.shape, own.within
    if math.prod(shape) < LARGE:
        return []
    later = next((g for g in grouping.groups[index + 1 :] if g.reads & results), None)
    if later is None or later.product is not None or later.box != shape:
        return []
    reads = [read for task in later.tasks for read in grouping.task_reads(task)]
    found = {
        source.number: layout.buffers[source.number]
        for source, place in reads
        if is_identity(place, len(shape))
        and source.shape == shape
        and source.number not in results | group.writes | group.reads
        and grouping.maker(source) in range(index)
    }
    return [(buffer, at) for buffer in found.values()]
