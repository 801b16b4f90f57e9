"""Taking out of a kernel where in its buffers it works: that belongs to its pointers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..kernels import Access, Kernel, Operand


def rebase(kernel: Kernel) -> tuple[Kernel, tuple[int, ...]]:
    """The kernel with the least offset of each slot taken off all its accesses, and these."""
    least: dict[int, int] = {}
    for at in _accesses(kernel, set()):
        least[at.slot] = min(at.offset, least.get(at.slot, at.offset))
    moved: Any = _moved(kernel, least, {})
    return moved, tuple(least.get(slot, 0) for slot in range(kernel.slots))


def _accesses(x: Any, seen: set[int]) -> Iterator[Access | Operand]:
    """All places in memory that a kernel, or a part of it, names."""
    if isinstance(x, (Access, Operand)):
        yield x
    elif isinstance(x, tuple) and id(x) not in seen:  # expressions share parts
        seen.add(id(x))
        for part in x:
            yield from _accesses(part, seen)


def _moved(x: Any, least: dict[int, int], known: dict[int, Any]) -> Any:
    """A kernel, or a part of it, with offsets that count from the least one of their slot."""
    if not isinstance(x, tuple):
        return x
    found = known.get(id(x))
    if found is None:
        if isinstance(x, (Access, Operand)):
            found = x._replace(offset=x.offset - least[x.slot])
        else:
            parts = [_moved(part, least, known) for part in x]
            found = tuple(parts) if type(x) is tuple else type(x)(*parts)
        known[id(x)] = found
    return found
