"""Kernels in a form to be read: what CHAINRULE_DEBUG prints from level 3 on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

from .. import config
from ..core.graph import Graph
from ..runtime import native as toolchain
from ..runtime.target import Target
from .codegen.source import fingerprint, generate
from .kernels import (
    Access,
    Apply,
    Const,
    Contraction,
    Index,
    Kernel,
    Load,
    Lookup,
    Loop,
    Operand,
    Scan,
    Scatter,
    Total,
)
from .lower.emit import Step
from .lower.groups import Host
from .origin import origin, traffic

_LONGEST = 200
_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}

_known: WeakSet[Graph] = WeakSet()
"""Graphs that were listed: a profile makes another program of one."""


def show(
    planned: Sequence[Step | Host],
    starts: Sequence[int],
    graph: Graph,
    target: Target,
) -> None:
    """Print a graph's kernels to standard error, once; at level 4, the code of each, too."""
    if graph in _known:
        return
    _known.add(graph)
    level = config.debug_level()
    print(f"# {len(planned)} steps for the target {target.name}", file=sys.stderr)
    shown: set[str] = set()
    for i, step in enumerate(planned):
        source = origin(step, starts, graph.equations)
        place = source.module or source.line
        where = f"  ({place})" if place else ""
        if isinstance(step, Host):
            print(f"[{i}] numpy {source.operations}{where}", file=sys.stderr)
            continue
        print(f"[{i}] {step.label}: {source.operations}{where}", file=sys.stderr)
        print("\n".join(f"    {line}" for line in described(step.kernel)), file=sys.stderr)
        print(f"    {traffic(step):,} bytes", file=sys.stderr)
        key = fingerprint(step.kernel)
        if level >= 4 and key not in shown:
            shown.add(key)
            text = generate(step.kernel, target, step.label).text
            print(f"; LLVM IR of [{i}]\n{text}", file=sys.stderr)
            print(f"; assembly of [{i}]\n{toolchain.assembly(text, target)}", file=sys.stderr)
    print(file=sys.stderr)


def described(kernel: Kernel) -> list[str]:
    """A kernel in lines: its loops, then what it stores or folds.

    ``s2[i*32 + j]`` is the element i·32 + j behind the pointer of slot 2; ``Σ`` in the stores of a
    contraction is its sum.
    """
    if isinstance(kernel, Contraction):
        total = (*kernel.batch, *kernel.rows, kernel.columns)
        names = _names(len(total) + len(kernel.depth))
        outer, inner = names[: len(total)], names[len(total) :]
        lead = len(kernel.batch)
        batch, rows, column = outer[:lead], outer[lead:-1], outer[-1:]
        left = _operand(kernel.left, batch, rows, inner)
        right = _operand(kernel.right._replace(free=(1,)), batch, column, inner)
        lines = [
            f"contraction of {kernel.dtype.name}, {kernel.products:,} products",
            f"for {_loops(outer, total)}:",
            f"    Σ = sum of {left} * {right} for {_loops(inner, kernel.depth)}",
        ]
        return lines + [f"    {_stored(s.access, s.value, outer)}" for s in kernel.stores]
    names = _names(len(kernel.sizes))
    lines = [f"for {_loops(names, kernel.sizes)}:"]
    if isinstance(kernel, Scan):
        lines.insert(0, f"running {kernel.kind} along {names[kernel.dim]}")
    if isinstance(kernel, Scatter):
        at = " + ".join(
            f"{step}*{_shown(arg, names)}"
            for step, arg in zip(kernel.steps, kernel.args, strict=True)
        )
        lines.insert(0, f"scatter, added {at} further")
    lines += [f"    {_stored(s.access, s.value, names)}" for s in kernel.stores]
    if isinstance(kernel, Loop):
        folded = ", ".join(n for n, r in zip(names, kernel.reduced, strict=True) if r)
        lines += [
            f"    {_at(f.access, names)} = {f.kind} over {folded} of {_cut(_shown(f.value, names))}"
            for f in kernel.folds
        ]
    return lines


def _names(count: int) -> list[str]:
    return [chr(ord("i") + d) if count <= 10 else f"i{d}" for d in range(count)]


def _loops(names: Sequence[str], sizes: Sequence[int]) -> str:
    return ", ".join(f"{name} < {size}" for name, size in zip(names, sizes, strict=True)) or "once"


def _at(access: Access, names: Sequence[str]) -> str:
    terms = [
        name if stride == 1 else f"{name}*{stride}"
        for name, stride in zip(names, access.strides, strict=True)
        if stride
    ]
    if access.offset or not terms:
        terms.append(str(access.offset))
    return f"s{access.slot}[{' + '.join(terms)}]"


def _operand(
    operand: Operand, batch: Sequence[str], free: Sequence[str], depth: Sequence[str]
) -> str:
    strides = (*operand.batch, *operand.free, *operand.depth)
    access = Access(operand.slot, _ANY, strides, operand.offset)
    return _at(access, [*batch, *free, *depth])


_ANY: Any = None


def _stored(access: Access, value: Any, names: Sequence[str]) -> str:
    return f"{_at(access, names)} = {_cut(_shown(value, names))}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _shown(e: Any, names: Sequence[str], depth: int = 0) -> str:
    """An expression as calls; what is very deep in it is left out."""
    if depth > 6:
        return "…"
    if isinstance(e, Load):
        return _at(e.access, names)
    if isinstance(e, Const):
        return repr(e.value)
    if isinstance(e, Index):
        return names[e.dim]
    if isinstance(e, Total):
        return "Σ"
    args = [_shown(arg, names, depth + 1) for arg in e.args]
    if isinstance(e, Lookup):
        return f"{_at(e.access, names)[:-1]} + at({', '.join(args)})]"
    assert isinstance(e, Apply)
    if e.function in _SIGNS:
        return f"({f' {_SIGNS[e.function]} '.join(args)})"
    name = e.dtype.name if e.function == "cast" else e.function
    return f"{name}({', '.join(args)})"
