"""Where kernels work, taken out of their text, so that the same work elsewhere is the same text."""

from __future__ import annotations

from typing import Any

from ..kernels import Access, Apply, Contraction, Kernel, Load, Lookup, Loop, Scan, Scatter, Store


def rebase(kernel: Kernel) -> tuple[Kernel, tuple[int, ...]]:
    """The kernel with the least offset of each slot taken off all its accesses, and these."""
    least: dict[int, int] = {}

    def see(slot: int, offset: int) -> None:
        least[slot] = min(offset, least.get(slot, offset))

    pending: list[Any] = []
    for store in kernel.stores:
        see(store.access.slot, store.access.offset)
        pending.append(store.value)
    if isinstance(kernel, Loop):
        for fold in kernel.folds:
            see(fold.access.slot, fold.access.offset)
            pending.append(fold.value)
    elif isinstance(kernel, Scatter):
        pending.extend(kernel.args)
    elif isinstance(kernel, Contraction):
        see(kernel.left.slot, kernel.left.offset)
        see(kernel.right.slot, kernel.right.offset)
    seen: set[int] = set()
    while pending:
        e = pending.pop()
        if id(e) in seen:
            continue
        seen.add(id(e))
        if isinstance(e, (Load, Lookup)):
            see(e.access.slot, e.access.offset)
        pending.extend(getattr(e, "args", ()))
    known: dict[int, Any] = {}

    def access(a: Access) -> Access:
        return a._replace(offset=a.offset - least[a.slot])

    def moved(e: Any) -> Any:
        found = known.get(id(e))
        if found is None:
            if isinstance(e, Load):
                found = Load(access(e.access))
            elif isinstance(e, Apply):
                found = e._replace(args=tuple(moved(a) for a in e.args))
            elif isinstance(e, Lookup):
                args = tuple(moved(a) for a in e.args)
                found = e._replace(access=access(e.access), args=args)
            else:
                found = e
            known[id(e)] = found
        return found

    stores = tuple(Store(access(s.access), moved(s.value)) for s in kernel.stores)
    origins = tuple(least.get(slot, 0) for slot in range(kernel.slots))
    if isinstance(kernel, Loop):
        folds = tuple(
            f._replace(access=access(f.access), value=moved(f.value)) for f in kernel.folds
        )
        return kernel._replace(stores=stores, folds=folds), origins
    if isinstance(kernel, Scatter):
        return kernel._replace(stores=stores, args=tuple(moved(a) for a in kernel.args)), origins
    if isinstance(kernel, Scan):
        return kernel._replace(stores=stores), origins
    left, right = (o._replace(offset=o.offset - least[o.slot]) for o in (kernel.left, kernel.right))
    return kernel._replace(stores=stores, left=left, right=right), origins
