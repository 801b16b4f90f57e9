"""Orders of axes, as views and operands of dots see them."""

from __future__ import annotations

from collections.abc import Sequence

from . import nodes
from .nodes import Affine, Node, Place, View


def behind(part: Node, place: Place) -> tuple[Node, Place | None]:
    """A part without a view that only adds axes of size one, and where it lies then."""
    if not isinstance(part, View):
        return part, place
    source, rank = part.arg, len(part.arg.shape)
    axes: list[int | None] = [None] * len(part.shape)
    for axis, (offset, factors) in enumerate(part.place):
        if source.shape[axis] == 1:
            continue
        dims = [d for d, f in enumerate(factors) if f and part.shape[d] > 1]
        if offset or len(dims) != 1 or factors[dims[0]] != 1:
            return part, None
        if source.shape[axis] != part.shape[dims[0]]:
            return part, None
        axes[dims[0]] = axis
    if source.size != part.size:
        return part, None
    inverse = tuple(Affine(0, tuple(int(axis == a) for a in range(rank))) for axis in axes)
    return source, nodes.compose(place, inverse, rank)


def resolve(node: Node, place: Place, rank: int) -> tuple[Node, Place]:
    """An operand without the view that it may be, and where it is read then."""
    if isinstance(node, View):
        return node.arg, nodes.compose(node.place, place, rank)
    return node, place


def column_axis(a: Place, b: Place, c: int, out: int) -> int | None:
    """The axis of `b` that dimension `c` of the result runs along by ones.

    Other dimensions of the result may go along it too, such as the heads of attention, which lie
    next to each other; `out` is how many there are. Depth may not: then it slides, as a window.
    """
    if any(f.factors[c] for f in a):
        return None
    axes = [k for k, f in enumerate(b) if f.factors[c]]
    if len(axes) != 1:
        return None
    factors = b[axes[0]].factors
    return axes[0] if factors[c] == 1 and not any(factors[out:]) else None


def column_order(node: Node, axis: int) -> tuple[int, ...]:
    """The order that ends in `axis`; for kernels (O, C, *taps) the taps come first."""
    rank = len(node.shape)
    if rank > 2 and axis in (0, 1):
        return (*range(2, rank), 1 - axis, axis)
    return (*(d for d in range(rank) if d != axis), axis)


def permuted(order: Sequence[int], place: Place, shape: Sequence[int]) -> tuple[int, ...] | None:
    """The order in which a box's dimensions follow an array's axes; None if they do not."""
    rank = len(shape)
    out: list[int] = []
    for axis in order:
        dims = [d for d in range(rank) if place[axis].factors[d]]
        if len(dims) > 1:
            dims.sort(key=lambda d, axis=axis: -abs(place[axis].factors[d]))  # type: ignore[misc]
        out.extend(d for d in dims if d not in out)
    missing = [d for d in range(rank) if d not in out]
    if any(shape[d] != 1 for d in missing):
        return None
    return (*missing, *out)
