"""Where kernels come from: the operations in each, the user's line and module, and its traffic."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..config import PACKAGE_ROOT
from ..core.aval import DType
from ..core.graph import Equation
from ..core.value import Scope, describe_site
from .kernels import Access, Apply, Contraction, Kernel, Load, Lookup, Loop, Scatter
from .lower.emit import Step
from .lower.groups import Host

_LAUNCHERS = ("chainrule", "__main__.py", "<frozen runpy>")
_PLUMBING = frozenset({"cast", "where", "expand", "reshape", "permute", "copy"})
"""Operations that say little about a kernel; they are named if there are no others."""


class Origin(NamedTuple):
    """What a step of a program computes, and for whom."""

    equations: tuple[Equation, ...]
    """Those that it computes, or a part of, the heaviest first."""
    dtype: DType | None = None
    """The dtype of its sums of products, if it makes any."""

    @property
    def operations(self) -> str:
        """Names of the operations: ``conv + add + relu``."""
        names = list(dict.fromkeys(equation.op.name for equation in self.equations))
        telling = [name for name in names if name not in _PLUMBING]
        return " + ".join(telling or names) or "copy"

    @property
    def module(self) -> str:
        """``Net.fc1``: the module of the heaviest operation that has one, or nothing."""
        for equation in self.equations:
            if isinstance(equation.scope, Scope):
                return equation.scope.path()
        return ""

    @property
    def line(self) -> str:
        """``train.py:41  loss.backward()``: the user's line, or nothing if there is none."""
        for equation in self.equations:
            if equation.site is not None:
                file = equation.site[0].co_filename
                if not file.startswith(PACKAGE_ROOT) and not file.endswith(_LAUNCHERS):
                    return describe_site(*equation.site)
        return ""


def origin(step: Step | Host, starts: Sequence[int], equations: Sequence[Equation]) -> Origin:
    """The origin of a step; the nodes of equation i have numbers from ``starts[i]`` on."""
    numbers = (
        [node.number for node in step.nodes[:1]] if isinstance(step, Host) else list(step.nodes)
    )
    places = [bisect_right(starts, number) - 1 for number in numbers]
    found = dict.fromkeys(i for i in places if 0 <= i < len(equations))
    kernel = step.kernel if isinstance(step, Step) else None
    dtype = kernel.dtype if isinstance(kernel, Contraction) else None
    return Origin(tuple(equations[i] for i in found), dtype)


# Traffic ------------------------------------------------------------------------------------------


def traffic(step: Step) -> int:
    """Bytes of the distinct elements that a kernel reads and writes."""
    kernel = step.kernel
    touched: dict[tuple[int, bool], set[tuple[Access, int]]] = {}

    def note(access: Access, sizes: Sequence[int], *, write: bool = False) -> None:
        met = math.prod(n for n, s in zip(sizes, access.strides, strict=True) if s)
        touched.setdefault((access.slot, write), set()).add((access, met))

    if isinstance(kernel, Contraction):
        left, right, dtype = kernel.left, kernel.right, kernel.dtype
        sizes = (*kernel.batch, *kernel.rows, kernel.columns)
        note(
            Access(left.slot, dtype, (*left.batch, *left.free, *left.depth), left.offset),
            (*kernel.batch, *kernel.rows, *kernel.depth),
        )
        note(
            Access(right.slot, dtype, (*right.batch, 1, *right.depth), right.offset),
            (*kernel.batch, kernel.columns, *kernel.depth),
        )
    else:
        sizes = kernel.sizes
    for access, anywhere in _reads(kernel):
        note(_all_over(access) if anywhere else access, sizes)
    written = [store.access for store in kernel.stores]
    if isinstance(kernel, Loop):
        written += [fold.access for fold in kernel.folds]
    for access in written:
        anywhere = isinstance(kernel, Scatter)
        note(_all_over(access) if anywhere else access, sizes, write=True)
    total = 0
    for (slot, _), accesses in touched.items():
        buffer = step.buffers[slot]
        elements = min(sum(met for _, met in accesses), buffer.elements)
        total += elements * buffer.dtype.itemsize
    return total


def _all_over(access: Access) -> Access:
    """An access that is at another place for each point, as a computed one may be."""
    return access._replace(strides=(1,) * len(access.strides))


def _reads(kernel: Kernel) -> Iterator[tuple[Access, bool]]:
    """Where a kernel's expressions read, and whether the place is computed."""
    pending: list[Any] = [store.value for store in kernel.stores]
    if isinstance(kernel, Loop):
        pending += [fold.value for fold in kernel.folds]
    if isinstance(kernel, Scatter):
        pending += kernel.args
        yield from ((store.access, True) for store in kernel.stores)
    seen: set[int] = set()
    while pending:
        e = pending.pop()
        if id(e) in seen:
            continue
        seen.add(id(e))
        if isinstance(e, (Load, Lookup)):
            yield e.access, isinstance(e, Lookup)
        if isinstance(e, (Apply, Lookup)):
            pending.extend(e.args)
