"""Nodes: a graph's values taken apart into a handful of primitives.

A node is an array that may never exist: a pointwise function, a view or an index is evaluated
wherever it is used. Only leaves, and what the scheduler decides to store, are in memory. All
indexing is affine, so that views, windows and layouts compose to strides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, NamedTuple, TypeAlias

from ...core.aval import DType, Shape
from ...core.op import Op
from ..kernels import Expr


class Affine(NamedTuple):
    """One coordinate, ``offset + Σ factors[d] · i[d]`` for the indices i of a box."""

    offset: int
    factors: tuple[int, ...]


Place: TypeAlias = tuple[Affine, ...]
"""Where a point of a box is in an array: one Affine for each axis of the array."""


def identity(rank: int) -> Place:
    """Every point at its own coordinates."""
    return tuple(Affine(0, tuple(int(d == e) for e in range(rank))) for d in range(rank))


def compose(outer: Place, inner: Place, rank: int) -> Place:
    """Where points of a box of `rank` dimensions are, by way of an array: outer after inner."""
    out = []
    for offset, factors in outer:
        total = [0] * rank
        for factor, (more, terms) in zip(factors, inner, strict=True):
            if factor:
                offset += factor * more
                for d, term in enumerate(terms):
                    total[d] += factor * term
        out.append(Affine(offset, tuple(total)))
    return tuple(out)


_numbers = count()


def moment() -> int:
    """A number between those of the nodes made so far and of those made from now on."""
    return next(_numbers)


class Node:
    """An array of a shape and dtype. Equality is identity; `number` rises with dependence."""

    __slots__ = ("dtype", "number", "shape")

    def __init__(self, shape: Shape, dtype: DType) -> None:
        self.shape = shape
        self.dtype = dtype
        self.number = next(_numbers)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def arguments(self) -> Sequence[Node]:
        """The nodes that this one is computed from."""
        return ()


class Leaf(Node):
    """An array that is in memory when the program starts: an input, or a constant."""

    __slots__ = ("array", "index")

    def __init__(self, shape: Shape, dtype: DType, index: int | None, array: Any = None) -> None:
        super().__init__(shape, dtype)
        self.index = index
        """Number of the program's input; None for a constant."""
        self.array = array


class Scalar(Node):
    """One number in every place."""

    __slots__ = ("value",)

    def __init__(self, value: float | int | bool, dtype: DType, shape: Shape = ()) -> None:
        super().__init__(shape, dtype)
        self.value = value


class Iota(Node):
    """The coordinate along an axis, as an int64."""

    __slots__ = ("axis",)

    def __init__(self, shape: Shape, dtype: DType, axis: int) -> None:
        super().__init__(shape, dtype)
        self.axis = axis


class Pointwise(Node):
    """A function of nodes of the same shape, element by element."""

    __slots__ = ("args", "cost", "make")

    def __init__(
        self,
        shape: Shape,
        dtype: DType,
        args: Sequence[Node],
        make: Callable[[Sequence[Expr]], Expr],
        cost: int,
    ) -> None:
        super().__init__(shape, dtype)
        self.args = tuple(args)
        self.make = make
        """From the arguments' expressions to the result's."""
        self.cost = cost
        """Roughly how many instructions it takes, its arguments not counted."""

    def arguments(self) -> Sequence[Node]:
        return self.args


class View(Node):
    """``y[i] = arg[place(i)]``."""

    __slots__ = ("arg", "place")

    def __init__(self, shape: Shape, arg: Node, place: Place) -> None:
        super().__init__(shape, arg.dtype)
        self.arg = arg
        self.place = place

    def arguments(self) -> Sequence[Node]:
        return (self.arg,)


class Lookup(Node):
    """``y[i] = arg[place(i) + Σ steps[k] · index[k](i)]``, with steps along each axis of `arg`.

    The indices are int64 nodes of the result's shape. Where one is not from 0 to limits[k] - 1, the
    result is NaN, or 0 if it is no float.
    """

    __slots__ = ("arg", "index", "limits", "place", "steps")

    def __init__(
        self,
        shape: Shape,
        arg: Node,
        place: Place,
        index: Sequence[Node],
        steps: Sequence[tuple[int, ...]],
        limits: Sequence[int],
    ) -> None:
        super().__init__(shape, arg.dtype)
        self.arg = arg
        self.place = place
        self.index = tuple(index)
        self.steps = tuple(steps)
        self.limits = tuple(limits)

    def arguments(self) -> Sequence[Node]:
        return (self.arg, *self.index)


class Scan(Node):
    """`arg` combined along an axis with all that is before it. `kind` is "add" or "mul"."""

    __slots__ = ("arg", "axis", "kind")

    def __init__(self, kind: str, arg: Node, axis: int) -> None:
        super().__init__(arg.shape, arg.dtype)
        self.kind = kind
        self.arg = arg
        self.axis = axis

    def arguments(self) -> Sequence[Node]:
        return (self.arg,)


class Scatter(Node):
    """`base`, with ``arg[i]`` put in order to ``place(i) + Σ steps[k] · index[k](i)``.

    It is added there, or with `kind` "set" it replaces what is there. The indices are int64 nodes
    of the shape of `arg`; where one is not from 0 to limits[k] - 1, nothing happens. Axes of `arg`
    that are `kept` hold elements apart whatever the indices.
    """

    __slots__ = ("arg", "base", "index", "kept", "kind", "limits", "place", "steps")

    def __init__(
        self,
        kind: str,
        base: Node,
        arg: Node,
        place: Place,
        index: Sequence[Node],
        steps: Sequence[tuple[int, ...]],
        limits: Sequence[int],
        kept: Sequence[bool],
    ) -> None:
        super().__init__(base.shape, base.dtype)
        self.kind = kind
        self.base = base
        self.arg = arg
        self.place = place
        self.index = tuple(index)
        self.steps = tuple(steps)
        self.limits = tuple(limits)
        self.kept = tuple(kept)

    def arguments(self) -> Sequence[Node]:
        return (self.base, self.arg, *self.index)


class Merge(Node):
    """`source` in row-major order in another shape: a copy, or a look at contiguous memory.

    `arg` is the source with axes split, and ``place`` says where its points lie in the result; it
    is None if there is no such splitting, so that only contiguous memory will do.
    """

    __slots__ = ("arg", "place", "source")

    def __init__(self, shape: Shape, source: Node, arg: Node, place: Place | None) -> None:
        super().__init__(shape, arg.dtype)
        self.source = source
        self.arg = arg
        self.place = place

    def arguments(self) -> Sequence[Node]:
        return (self.arg,)


class Reduce(Node):
    """`arg` folded along some axes, which the result lacks. `kind` as in ``kernels.Fold``."""

    __slots__ = ("arg", "axes", "kind")

    def __init__(self, kind: str, arg: Node, axes: Sequence[int], dtype: DType) -> None:
        shape = tuple(n for a, n in enumerate(arg.shape) if a not in axes)
        super().__init__(shape, dtype)
        self.kind = kind
        self.arg = arg
        self.axes = tuple(axes)

    def arguments(self) -> Sequence[Node]:
        return (self.arg,)


class Dot(Node):
    """``y[i] = Σ_d left[left_place(i, d)] · right[right_place(i, d)]`` over the box `depth`.

    Outside of its shape `left` counts as zero.
    """

    __slots__ = ("depth", "left", "left_place", "right", "right_place")

    def __init__(
        self,
        shape: Shape,
        depth: Shape,
        left: Node,
        right: Node,
        left_place: Place,
        right_place: Place,
    ) -> None:
        super().__init__(shape, left.dtype)
        self.depth = depth
        self.left = left
        self.right = right
        self.left_place = left_place
        self.right_place = right_place

    def arguments(self) -> Sequence[Node]:
        return (self.left, self.right)


class Part(NamedTuple):
    """A node within an Assemble: where each of its points lies in the whole."""

    node: Node
    place: Place


class Assemble(Node):
    """An array put together from parts that do not overlap; the rest of it is `fill`.

    With `added`, parts may overlap and are summed.
    """

    __slots__ = ("added", "covered", "fill", "parts")

    def __init__(
        self,
        shape: Shape,
        dtype: DType,
        fill: float | int | bool,
        parts: Sequence[Part],
        added: bool = False,
    ) -> None:
        super().__init__(shape, dtype)
        self.fill = fill
        self.parts = tuple(parts)
        self.added = added
        self.covered = not added and sum(p.node.size for p in parts) == self.size
        """Whether there is no rest to fill."""

    def arguments(self) -> Sequence[Node]:
        return [part.node for part in self.parts]


class Hosted(Node):
    """Output `output` (None: the only one) of an op that NumPy computes, as a step of its own."""

    __slots__ = ("args", "call", "op", "output")

    def __init__(
        self, shape: Shape, dtype: DType, op: Op, args: Sequence[Any], call: object, output: int
    ) -> None:
        super().__init__(shape, dtype)
        self.op = op
        self.args = tuple(args)
        self.call = call
        """One object for all outputs of one call."""
        self.output = output

    def arguments(self) -> Sequence[Node]:
        return [x for x in self.args if isinstance(x, Node)]
