"""Transposed convolutions as sums of products in which no zero is multiplied."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

from ...core.aval import Shape
from ...ops.window import Window
from .nodes import Affine, Node, Place, identity
from .places import Phase, box, residue_phase

if TYPE_CHECKING:
    from .builder import Lowering

NARROW = 8
"""With fewer columns than this in each group, a convolution is a fold over products."""


def transposed(k: Lowering, window: Window, size: Shape, ct: Node, w: Node) -> Node:
    """One Dot for each residue of positions by the strides.

    ct (N, O, *out) and w (O, C, *kernel) give (N, C, *size); with groups, ct (N, G, O, *out) and
    w (G, O, C, *kernel) give (N, G, C, *size). Of the kernel's taps only those count that meet an
    output at such a position.
    """
    lead = len(ct.shape) - window.rank
    shape = (*ct.shape[: lead - 1], w.shape[lead - 1], *size)
    parts: list[tuple[Node, Place]] = []
    for residues in product(*map(range, window.stride)):
        axes = [
            residue_phase(window, a, r, n)
            for a, (r, n) in enumerate(zip(residues, size, strict=True))
        ]
        if any(axis is None for axis in axes):
            continue
        part = _phase(k, [axis for axis in axes if axis is not None], ct, w)
        if all(s == 1 for s in window.stride):
            return part
        zeros = (0,) * lead
        parts.append((part, box((*zeros, *residues), (*(1,) * lead, *window.stride))))
    return k.assemble(shape, ct.dtype, 0, parts)


def _phase(k: Lowering, axes: Sequence[Phase], ct: Node, w: Node) -> Node:
    rank = len(axes)
    lead = len(ct.shape) - rank
    total = lead + 2 * rank + 1  # the box: n, groups, c, *j, then o, *t
    unit = identity(total)
    o = lead + rank
    read, taps = [], []
    for a, (_, _, start, step, first, stride) in enumerate(axes):
        factors = [0] * total
        factors[lead + a], factors[o + 1 + a] = 1, -step
        read.append(Affine(start, tuple(factors)))
        tap = tuple(stride * u for u in unit[o + 1 + a].factors)
        taps.append(Affine(first, tap))
    groups = unit[1 : lead - 1]
    make = k.products if groups and w.shape[2] < NARROW else k.dot
    return make(
        (*ct.shape[: lead - 1], w.shape[lead - 1], *(axis.points for axis in axes)),
        (w.shape[lead - 2], *(axis.taps for axis in axes)),
        ct,
        w,
        ((unit[0], *groups, unit[o], *read), (*groups, unit[o], unit[lead - 1], *taps)),
    )
