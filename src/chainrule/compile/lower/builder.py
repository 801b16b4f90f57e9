"""The vocabulary in which ops say how they are lowered, and the walk over a graph's equations.

``Op.lower(k, *xs)`` gets a Lowering as `k` and nodes as operands, and returns nodes. Views cost
nothing, pointwise functions are fused into whatever uses them, and what an op cannot say here NumPy
computes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...core.aval import SCALARS, Aval, DType, Shape, broadcast_shapes, result_dtype
from ...core.graph import Equation, Graph, Var
from ...core.op import Op
from ...errors import CompilationError
from ...ops.window import Window
from .. import formula
from ..kernels import Access, Apply, Const, Expr, Load
from . import computed, nodes, transposed
from .nodes import (
    Affine,
    Assemble,
    Dot,
    Iota,
    Leaf,
    Merge,
    Node,
    Part,
    Place,
    Pointwise,
    Reduce,
    Scalar,
    View,
    identity,
)
from .places import (
    box,
    lengthy,
    merging,
    merging_units,
    refinement,
    windows,
)

SUPPORTED = frozenset(
    np.dtype(name)
    for name in (
        "float16", "float32", "float64", "bool", "int8", "uint8", "int16", "uint16", "int32",
        "uint32", "int64", "uint64",
    )
)  # fmt: skip
_COSTLY = frozenset(
    {"div", "sqrt", "rsqrt", "exp", "log", "tanh", "sigmoid", "erf", "pow", "remainder", "sin",
     "cos", "expm1", "log1p", "floor_divide"}
)  # fmt: skip


class Lowering:
    """Nodes of the values of one graph."""

    boolean = np.dtype(np.bool_)
    index = computed.index
    along = computed.along
    transposed = transposed.transposed
    counted_back = computed.counted_back
    number = computed.number
    scaled = computed.scaled
    within = computed.within
    look_up = computed.look_up
    put = computed.put
    scan = computed.scan
    first_best = computed.first_best
    row_major = computed.row_major
    framed = computed.framed
    padded = computed.padded
    products = computed.products

    def __init__(self, graph: Graph) -> None:
        self.values: dict[int, Node] = {}
        self.leaves: list[Leaf] = []
        given = [*graph.inputs, *(v for c in graph.captured for v in c.variables)]
        for i, var in enumerate(given):
            leaf = Leaf(var.shape, var.dtype, i)
            self.leaves.append(leaf)
            self.values[var.index] = leaf
        self._constants: dict[int, tuple[Any, Node]] = {}
        """By identity, with what has it, so that nothing else gets it."""
        self.starts: list[int] = []
        """A number before those of the nodes of each equation, and one behind all of them."""
        for equation in graph.equations:
            self.starts.append(nodes.moment())
            try:
                self._lower(equation)
            except Exception as failure:
                raise CompilationError(
                    f"the compiler failed at {equation.op.name}", got=repr(equation.op)
                ) from failure
        self.starts.append(nodes.moment())
        self.outputs = [self.node(x) for x in graph.outputs]

    def _lower(self, equation: Equation) -> None:
        op = equation.op
        out: Any = None
        known = all(v.dtype in SUPPORTED for v in equation.outputs)
        if known and all(x.dtype in SUPPORTED for x in equation.inputs if isinstance(x, Var)):
            out = op.lower(self, *[self._operand(x) for x in equation.inputs])
        if out is None:
            out = self._hosted(equation)
        outs = (out,) if op.n_out is None else out
        for var, node in zip(equation.outputs, outs, strict=True):
            assert node.shape == var.shape, f"{op}: {node.shape}, expected {var!r}"
            assert node.dtype == var.dtype, f"{op}: {node.dtype}, expected {var!r}"
            self.values[var.index] = node

    def _operand(self, x: Any) -> Any:
        return x if type(x) in SCALARS else self.node(x)

    def node(self, x: Any) -> Node:
        """The node of a value of the graph, an array or a number."""
        if isinstance(x, Node):
            return x
        if isinstance(x, Var):
            return self.values[x.index]
        if type(x) in SCALARS:
            return Scalar(x, result_dtype((x,)))
        _, known = self._constants.get(id(x), (x, None))
        if known is None:
            array = np.asarray(x)
            if array.size == 1 and array.dtype in SUPPORTED:
                known = self.full(array.item(), array.dtype, array.shape)
            else:
                known = Leaf(array.shape, array.dtype, None, array)
                self.leaves.append(known)
            self._constants[id(x)] = x, known
        return known

    def _hosted(self, equation: Equation) -> Any:
        call = object()
        args = [self._operand(x) for x in equation.inputs]
        made = [
            nodes.Hosted(v.shape, v.dtype, equation.op, args, call, i)
            for i, v in enumerate(equation.outputs)
        ]
        return made[0] if equation.op.n_out is None else tuple(made)

    # Pointwise ------------------------------------------------------------------------------------

    def full(self, value: float | int | bool, dtype: DType, shape: Shape) -> Node:
        """One number in every place."""
        return Scalar(value, dtype, shape)

    def iota(self, shape: Shape, axis: int) -> Node:
        """The coordinate along `axis`, int64."""
        return Iota(shape, np.dtype(np.int64), axis)

    def pointwise(
        self, make: Callable[[Sequence[Expr]], Expr], xs: Sequence[Node], dtype: DType
    ) -> Node:
        """A function of the elements of nodes, which are broadcast."""
        shape = broadcast_shapes(*[x.shape for x in xs])
        args = [self.expand(x, shape) for x in xs]
        probe = make([Load(Access(i, x.dtype, ())) for i, x in enumerate(args)])
        return Pointwise(shape, dtype, args, make, _cost(probe, set()))

    def apply(self, function: str, *xs: Node, dtype: DType | None = None) -> Node:
        """One of the code generator's functions; `dtype`: the first operand's."""
        out = xs[0].dtype if dtype is None else dtype
        return self.pointwise(lambda args: Apply(function, tuple(args), out), xs, out)

    def cast(self, x: Node, dtype: DType) -> Node:
        """Elements of another type."""
        if x.dtype == dtype:
            return x
        if isinstance(x, Scalar):
            return Scalar(np.asarray(x.value).astype(dtype).item(), dtype, x.shape)
        return self.apply("cast", x, dtype=dtype)

    def formula(self, op: Op, *xs: Any) -> Node | None:
        """An elementwise op by its ``expr``, computed in the dtype its operands are promoted to."""
        expr: str = getattr(op, "expr", "")
        if not expr:
            return None
        common = result_dtype(xs, floating=op.floating)
        avals = [Aval(x.shape, x.dtype) if isinstance(x, Node) else x for x in xs]
        inferred = op.infer(*avals)
        assert isinstance(inferred, Aval)
        fields = dict(zip(op.fields, op.parameters, strict=True))
        args = [
            self.cast(x, common) if isinstance(x, Node) else Scalar(_rounded(x, common), common)
            for x in xs
        ]
        return self.pointwise(
            lambda exprs: formula.parse(expr, exprs, fields, common, inferred.dtype),
            args,
            inferred.dtype,
        )

    def masked(self, op: Op, *xs: Any) -> Node | None:
        """A product of an array among zeros and a mask, part by part; None if it is no such thing.

        What is zero stays zero, and the mask is read only where it matters.
        """
        for whole, mask in (xs, xs[::-1]):
            if (
                isinstance(whole, Assemble)
                and isinstance(mask, Node)
                and whole.shape == mask.shape
                and mask.dtype == self.boolean
                and not (whole.fill or whole.added)
            ):
                parts: list[tuple[Node, Place]] = []
                for part, place in whole.parts:
                    made = self.formula(op, part, self.view(mask, part.shape, place))
                    assert made is not None
                    parts.append((made, place))
                return self.assemble(whole.shape, whole.dtype, 0, parts)
        return None

    # Views ----------------------------------------------------------------------------------------

    def view(self, x: Node, shape: Shape, place: Place) -> Node:
        """``y[i] = x[place(i)]``."""
        if x.shape == shape and place == identity(len(shape)):
            return x
        if isinstance(x, Scalar):
            return Scalar(x.value, x.dtype, shape)
        if isinstance(x, View):
            return View(shape, x.arg, nodes.compose(x.place, place, len(shape)))
        return View(shape, x, place)

    def expand(self, x: Node, shape: Shape) -> Node:
        """Broadcast to `shape`."""
        if x.shape == shape:
            return x
        lead = len(shape) - len(x.shape)
        unit = identity(len(shape))
        zero = Affine(0, (0,) * len(shape))
        place = tuple(zero if n == 1 else unit[lead + axis] for axis, n in enumerate(x.shape))
        return self.view(x, shape, place)

    def permute(self, x: Node, axes: Sequence[int]) -> Node:
        """``y.shape[k] = x.shape[axes[k]]``."""
        shape = tuple(x.shape[a] for a in axes)
        unit = identity(len(shape))
        return self.view(x, shape, tuple(unit[axes.index(a)] for a in range(len(axes))))

    def sliced(self, x: Node, starts: Sequence[int], sizes: Shape, steps: Sequence[int]) -> Node:
        """``y[i] = x[starts + steps · i]``."""
        return self.view(x, tuple(sizes), box(starts, steps))

    def cut(self, x: Node, lead: int, keys: Sequence[slice]) -> Node:
        """``x[..., *keys]`` behind `lead` axes; the slices have starts and positive steps."""
        place = self.spots(x, lead, keys)
        sizes = [len(range(*key.indices(n))) for key, n in zip(keys, x.shape[lead:], strict=True)]
        return self.view(x, (*x.shape[:lead], *sizes), place)

    @staticmethod
    def spots(x: Node, lead: int, keys: Sequence[slice]) -> Place:
        """Where the elements of x go that are stored at ``[..., *keys]``."""
        return box(
            [*(0,) * lead, *(key.start or 0 for key in keys)],
            [*(1,) * lead, *(key.step or 1 for key in keys)],
        )

    def slice_axis(self, x: Node, axis: int, index: int) -> Node:
        """x at one index along an axis, which is dropped."""
        unit = identity(len(x.shape) - 1)
        at = Affine(index, (0,) * len(unit))
        return self.view(
            x, (*x.shape[:axis], *x.shape[axis + 1 :]), (*unit[:axis], at, *unit[axis:])
        )

    def reshape(self, x: Node, shape: Shape) -> Node:
        """The elements in row-major order in another shape; splits of axes are views."""
        if x.shape == shape:
            return x
        if isinstance(x, Scalar):
            return Scalar(x.value, x.dtype, shape)
        if 0 in shape:
            return Scalar(0, x.dtype, shape)
        fine = refinement(x.shape, shape)
        if fine is None:
            return Merge(shape, x, x, None)
        split = self.view(x, fine, merging(fine, x.shape))
        if lengthy(fine) == lengthy(shape):
            return self.view(split, shape, merging_units(shape, fine))
        return Merge(shape, x, split, merging(fine, shape))

    @staticmethod
    def box(starts: Sequence[int], steps: Sequence[int]) -> Place:
        """The place ``starts + steps · i``."""
        return box(starts, steps)

    @staticmethod
    def units(rank: int) -> Place:
        """The coordinates of a box of `rank` dimensions, one by one."""
        return identity(rank)

    @staticmethod
    def windows(window: Window, total: int, lead: int, kernel_at: int, point_at: int) -> Place:
        """Where windows read: see ``places.windows``."""
        return windows(window, total, lead, kernel_at, point_at)

    def swap(self, x: Node) -> Node:
        """The last two axes exchanged."""
        rank = len(x.shape)
        return self.permute(x, (*range(rank - 2), rank - 1, rank - 2))

    # Everything else ------------------------------------------------------------------------------

    def reduce(self, kind: str, x: Node, axes: Sequence[int], keepdim: bool = False) -> Node:
        """Fold along axes; `kind` as in ``kernels.Fold``."""
        shape = x.shape
        if not axes:
            return x
        if kind == "add":
            x = _gathered(self, x, axes) or x
        out: Node = Reduce(kind, x, axes, x.dtype)
        if keepdim:
            out = self.reshape(out, tuple(1 if a in axes else n for a, n in enumerate(shape)))
        return out

    def dot(
        self, shape: Shape, depth: Shape, left: Node, right: Node, places: tuple[Place, Place]
    ) -> Node:
        """Sums of products over a box `depth`, of operands of one type."""
        if left.dtype == np.float16:
            wide = np.dtype(np.float32)
            made = self.dot(shape, depth, self.cast(left, wide), self.cast(right, wide), places)
            return self.cast(made, left.dtype)
        if left.dtype not in _CONTRACTED:
            return self.products(shape, depth, left, right, places)
        if 0 in shape or 0 in depth:
            return Scalar(0.0, left.dtype, shape)
        if math.prod(shape) <= _FEW and math.prod(depth) >= _MANY:
            return self._chunked(shape, depth, left, right, places)
        return Dot(shape, depth, left, right, *places)

    def _chunked(
        self, shape: Shape, depth: Shape, left: Node, right: Node, places: tuple[Place, Place]
    ) -> Node:
        """A long sum of small products, in parts of its first dimension that are summed last.

        The parts are work for several threads; they do not depend on how many there are.
        """
        n = depth[0]
        chunks = next(c for c in range(min(n, _CHUNKS), 0, -1) if n % c == 0)
        if chunks < 4:
            return Dot(shape, depth, left, right, *places)
        at = len(shape)
        split = [
            tuple(Affine(a.offset, (a.factors[at] * (n // chunks), *a.factors)) for a in place)
            for place in places
        ]
        parts = Dot((chunks, *shape), (n // chunks, *depth[1:]), left, right, *split)
        return Reduce("add", parts, (0,), left.dtype)

    def assemble(
        self,
        shape: Shape,
        dtype: DType,
        fill: float | int | bool,
        parts: Sequence[tuple[Node, Place]],
        *,
        added: bool = False,
    ) -> Node:
        """Parts within a whole; the rest is `fill`. With `added`, parts that overlap are summed."""
        kept = [Part(node, place) for node, place in parts if node.size]
        if not kept:
            return Scalar(fill, dtype, shape)
        return Assemble(shape, dtype, fill, kept, added)


_FEW, _MANY, _CHUNKS = 65536, 2048, 16
"""Dots with at most so many results and at least so many products each are cut into chunks."""
_CONTRACTED = (np.dtype(np.float32), np.dtype(np.float64))


def _gathered(k: Lowering, x: Node, axes: Sequence[int]) -> Node | None:
    """The sum of an array's parts, if summing it along `axes` sums no more than they hold."""
    if not isinstance(x, Assemble) or x.fill or x.added:
        return None
    first = x.parts[0].node
    for part, place in x.parts:
        if part.shape != first.shape or len(part.shape) != len(x.shape):
            return None
        for axis, at in enumerate(place):
            alone = all(bool(f) == (d == axis) for d, f in enumerate(at.factors))
            whole = at.offset == 0 and at.factors[axis] == 1 and part.shape[axis] == x.shape[axis]
            if not alone or not (axis in axes or whole):
                return None
    total = first
    for part, _ in x.parts[1:]:
        total = k.apply("add", total, part)
    return total


def _rounded(x: Any, dtype: DType) -> Any:
    """A Python number as an element of `dtype`."""
    return np.asarray(x).astype(dtype).item() if math.isfinite(x) or dtype.kind == "f" else x


def _cost(e: Any, seen: set[int]) -> int:
    """How many instructions an expression takes, roughly."""
    if not isinstance(e, Apply) or id(e) in seen:
        return 0
    seen.add(id(e))
    own = 12 if e.function in _COSTLY else 1
    return own + sum(_cost(a, seen) for a in e.args)


__all__ = ["Const", "Lowering", "box"]
