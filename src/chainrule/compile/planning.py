"""What a program consists of: its steps in order, what they use, and what may lie where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..runtime.build import Kernel as Loaded
from .kernels import Contraction, Kernel, Load, Lookup, Loop, Scatter
from .lower import memory
from .lower.emit import Step, steps
from .lower.groups import Grouping, Host
from .lower.layout import Layout, needs_fill
from .lower.nodes import Assemble, Node
from .lower.storage import Buffer
from .lower.uses import needed, read_next


def planned_steps(layout: Layout, grouping: Grouping, outputs: Sequence[Node]) -> list[Step | Host]:
    """The steps of a program: kernels, and calls of NumPy between them."""
    kept = needed(grouping, outputs)
    planned: list[Step | Host] = []
    for i, group in enumerate(grouping.groups):
        task = group.tasks[0]
        if isinstance(task, Host):
            planned.append(task)
        else:
            planned += steps(layout, group, kept, read_next(grouping, i))
    return planned


def replaces(source: Buffer, made: Buffer, planned: Sequence[Step | Host], layout: Layout) -> bool:
    """Whether `made` may lie where `source` does.

    Not if NumPy computes something afterwards: what raises must leave all state as it was.
    """
    written = [
        i
        for i, s in enumerate(planned)
        if isinstance(s, Step) and any(memory.root(b) is made for b in s.writes)
    ]
    if not written or any(isinstance(step, Host) for step in planned[written[0] :]):
        return False
    for i, step in enumerate(planned):
        if isinstance(step, Host):
            continue
        if not any(memory.root(b) is source for b in step.reads):
            continue
        if i > written[0]:
            return False
        if i == written[0] and not _same_points(step, source, made):
            return False
    return True


def _same_points(step: Step, source: Buffer, made: Buffer) -> bool:
    """Whether a kernel reads each element of one buffer where it writes that of the other."""
    both = [b for b in step.buffers if memory.root(b) in (source, made)]
    if len(both) != 2 or source not in both or made not in both:
        return False
    read, write = step.buffers.index(source), step.buffers.index(made)
    if step.origins[read] != step.origins[write]:
        return False
    kernel = step.kernel
    if isinstance(kernel, Contraction):
        if read in (kernel.left.slot, kernel.right.slot):
            return False
    elif isinstance(kernel, Scatter) or (
        isinstance(kernel, Loop) and any(fold.access.slot == write for fold in kernel.folds)
    ):
        return False
    wanted = {s.access[2:] for s in kernel.stores if s.access.slot == write}
    found: set[Any] = set()
    pending: list[Any] = [s.value for s in kernel.stores]
    if isinstance(kernel, Loop):
        pending += [fold.value for fold in kernel.folds]
    while pending:
        e = pending.pop()
        if isinstance(e, Lookup) and e.access.slot == read:
            return False
        if isinstance(e, Load) and e.access.slot == read:
            found.add(e.access[2:])
        pending.extend(getattr(e, "args", ()))
    return len(wanted) == 1 and found <= wanted


def use_of(step: Step | Host, kernel: Loaded | None, layout: Layout) -> memory.Use:
    """What a step uses, for the memory plan."""
    if isinstance(step, Host):
        args = [x for x in step.nodes[0].args if isinstance(x, Node)]
        return memory.Use(
            tuple(layout.buffers[x.number] for x in args),
            tuple(layout.buffers[node.number] for node in step.nodes),
            True,
        )
    assert kernel is not None
    return memory.Use(step.reads, step.writes, kernel.tiles <= 1)


def keeps_zeros(layout: Layout) -> dict[int, object]:
    """Slots around whose contents there must be zeros, and what they may share memory with."""
    keeps: dict[int, object] = {}
    for node in layout.sequence:
        buffer = layout.buffers[node.number]
        holes = isinstance(node, Assemble) and not (node.covered or needs_fill(layout, node))
        if (buffer.has_margins or holes) and buffer.slot >= 0:
            parts = node.parts if isinstance(node, Assemble) else ()
            written = tuple((part.node.shape, part.place) for part in parts)
            keeps[buffer.slot] = (
                buffer.shape, buffer.order, buffer.margins, buffer.dtype, written,
            )  # fmt: skip
    return keeps


def products(kernel: Kernel) -> int:
    """How many multiplications (and additions) a contraction takes; 0 for other kernels."""
    return kernel.products if isinstance(kernel, Contraction) else 0


def operations(kernel: Kernel) -> float:
    """Roughly how much work a kernel is."""
    return float(kernel.products if isinstance(kernel, Contraction) else 4 * kernel.points)


def nbytes(step: Step) -> int:
    """Bytes of all that a step reads and writes."""
    return sum(b.elements * b.dtype.itemsize for b in (*step.reads, *step.writes))
