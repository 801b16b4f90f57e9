"""vmap: a function of one example, made into a function of many that runs once.

Operations inside go to a Level, which does each for all examples (see ``batching``). The tape
inside is that of one example. Seen from outside the whole call is one node, whose rules walk the
inner tape once for all examples, entered again into the level; so derivatives go through a vmap
and stand inside of one, to any order and in both modes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar, NamedTuple

from ..core.apply import user_site
from ..core.aval import Aval, Data, describe
from ..core.op import INPUTS, Active, Cotangents, Op
from ..core.value import Node, item, make_leaf, moment, stored, tape
from ..creation import zeros
from ..engine.forward import push
from ..engine.reverse import sweep
from ..errors import ArgumentError, ShapeError
from ..ops import joining, movement, reduce
from ..tensor import Tensor
from .batching import Batched, Level
from .trees import leaves_of, rebuilt, spread

Dims = Any
"""An int or None, or a nesting of them that follows that of arguments or results."""


def vmap(
    fn: Callable[..., Any],
    in_dims: Dims = 0,
    out_dims: Dims = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function that maps `fn` over an axis of its arguments, all examples at once.

    `in_dims` says which axis of each argument holds the examples; None gives every example the
    whole argument. It is one number, or a nesting that follows the arguments' tuples, lists and
    dicts. `out_dims` says the same of results. Keyword arguments are passed as they are.
    `randomness` is ``"error"``, ``"different"`` or ``"same"`` numbers for the examples.
    `chunk_size` limits how many examples run at once.

    Inside, shapes are those of one example; ``if x > 0`` raises TracingError. Derivatives may be
    taken inside, of it, or both. Raises ArgumentError for dims that do not fit the arguments, and
    ShapeError for axes of different sizes.

    >>> vmap(lambda x, y: (x * y).sum())(tensor([[1.0, 2.0], [3.0, 4.0]]), ones(2, 2))
    tensor([3., 7.])
    """
    if randomness not in ("error", "different", "same"):
        raise ArgumentError(
            "vmap() knows three ways to draw random numbers",
            expected="error, different or same",
            got=repr(randomness),
        )
    if chunk_size is not None and chunk_size < 1:
        raise ArgumentError("a chunk has at least one example", got=f"chunk_size={chunk_size}")

    def mapped(*args: Any, **kwargs: Any) -> Any:
        leaves = leaves_of(args)
        dims = [
            _axis(leaf, dim) for leaf, dim in zip(leaves, _spread_dims(in_dims, args), strict=True)
        ]
        size = _common_size(leaves, dims)
        given = [
            leaf if dim is None else movement.movedim(leaf, dim, 0)
            for leaf, dim in zip(leaves, dims, strict=True)
        ]
        call = _Call(fn, args, kwargs, [dim is not None for dim in dims], out_dims)
        step = size if chunk_size is None or not size else chunk_size
        if step >= size:
            return call.run(Level(size, randomness), given)
        parts = [
            call.run(Level(min(step, size - start), randomness), call.cut(given, start, step))
            for start in range(0, size, step)
        ]
        return _joined(parts, out_dims)

    mapped.__name__ = getattr(fn, "__name__", "mapped")
    mapped.__doc__ = getattr(fn, "__doc__", None)
    return mapped


class _Call(NamedTuple):
    """What is mapped, over which leaves of its arguments."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    mapped: list[bool]
    out_dims: Dims

    def cut(self, leaves: Sequence[Any], start: int, size: int) -> list[Any]:
        """The leaves with the examples from `start` on only."""
        return [
            x[start : start + size] if mapped else x
            for x, mapped in zip(leaves, self.mapped, strict=True)
        ]

    def run(self, level: Level, leaves: Sequence[Any]) -> Any:
        """The results for the examples in `leaves`, which have them in front."""
        start = moment()
        own: list[tuple[Node, Node]] = []
        cells = [
            example(level, x, own) if mapped else x
            for x, mapped in zip(leaves, self.mapped, strict=True)
        ]
        with level.entered():
            out = self.fn(*rebuilt(self.args, cells), **self.kwargs)
        outs = leaves_of(out)
        for y in outs:
            if not isinstance(y, Tensor):
                raise ArgumentError(
                    "a function under vmap() returns tensors, or tuples, lists and dicts of them",
                    got=type(y).__name__,
                )
        dims = spread(self.out_dims, out, "out_dims")
        results = collected(level, start, own, outs)
        placed = [_placed(level, *each) for each in zip(outs, results, dims, strict=True)]
        return rebuilt(out, placed)


def example(level: Level, x: Tensor, own: list[tuple[Node, Node]]) -> Tensor:
    """The cell that stands for one example of `x`; if `x` has a node, `own` learns of the pair."""
    cell = Tensor.wrap(Batched(level, x.array))
    if x.node is not None and tape.recording:
        make_leaf(cell)
        assert cell.node is not None
        own.append((cell.node, x.node))
    return cell


def collected(
    level: Level, start: int, own: Sequence[tuple[Node, Node]], outs: Sequence[Tensor]
) -> list[Tensor]:
    """Tensors with all examples of `outs`, computed inside `level` since `start`.

    If they depend on `own` leaves, or on nodes from before, one node connects them to these.
    """
    wholes = [stored(level.whole(y.array)) for y in outs]
    roots = [y.node if tape.recording else None for y in outs]
    ends = _ends([root for root in roots if root is not None], {leaf for leaf, _ in own}, start)
    if not ends:
        return [Tensor.wrap(whole) for whole in wholes]
    leaves = {leaf for leaf, _ in own}
    outside = [node for node in ends if node not in leaves]
    tapes = _Tapes(level, start, roots, list(own), outside)
    avals = tuple(Aval(whole.shape, whole.dtype) for whole in wholes)
    parents = [*[outer for _, outer in own], *outside]
    node = Node(
        _Mapped(outputs=avals), [*parents, None], [*[None] * len(parents), tapes], None, None, None,
        user_site(), tape.scope,
    )  # fmt: skip
    return [
        Tensor.wrap(whole, None if root is None else item(node, i, whole))
        for i, (whole, root) in enumerate(zip(wholes, roots, strict=True))
    ]


def _ends(roots: Sequence[Node], own: Collection[Node], start: int) -> list[Node]:
    """What the roots depend on of `own` leaves and of nodes from before `start`, in order."""
    seen = set(roots)
    stack, ends = list(seen), []
    while stack:
        node = stack.pop()
        if node in own or node.order < start:
            ends.append(node)
            continue
        for parent in node.parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(ends, key=lambda node: node.order)


class _Tapes(NamedTuple):
    """The tape of one example, and how its ends are connected to the tape outside."""

    level: Level
    start: int
    roots: Sequence[Node | None]
    own: list[tuple[Node, Node]]
    """Leaves of the inner tape, each with the node of all its examples."""
    outside: list[Node]
    """Nodes from before, that are the same for all examples."""

    @property
    def ends(self) -> list[Node]:
        """Where inner walks end: in the order of the outer node's parents."""
        return [*[leaf for leaf, _ in self.own], *self.outside]

    def inside(
        self, given: Sequence[Data | None], is_shared: Sequence[bool], walk: Callable[..., Any]
    ) -> list[Any]:
        """``walk(given)`` inside the level, where entries are one example's, and its results.

        Results have all examples, None where there is none. In a walk that is recorded they are
        tensors, connected to what the inner tape and `given` are connected to.
        """
        own = list(self.own)
        cells = [
            x
            if x is None or shared
            else example(self.level, x, own)
            if isinstance(x, Tensor)
            else Batched(self.level, x)
            for x, shared in zip(given, is_shared, strict=True)
        ]
        with self.level.entered():
            found = walk(cells)
        there = [x for x in found if x is not None]
        if any(isinstance(x, Tensor) for x in there):
            ends = [x if isinstance(x, Tensor) else Tensor.wrap(x) for x in there]
            wholes = iter(collected(self.level, self.start, own, ends))
        else:
            wholes = iter([self.level.whole(x) for x in there])
        return [None if x is None else next(wholes) for x in found]


class _Mapped(Op, abstract=True, name="vmap"):
    """A vmapped call on the tape; what its node keeps is a ``_Tapes``, which has no parent."""

    needs = INPUTS
    interned: ClassVar[bool] = False

    outputs: Any

    @property
    def n_out(self) -> int:  # type: ignore[override]  # as many as the function returned
        """Number of tensors among the results."""
        return len(self.outputs)

    def infer(self, *xs: Any) -> tuple[Aval, ...]:
        return self.outputs  # type: ignore[no-any-return]  # a tuple of avals

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        tapes: _Tapes = xs[-1]
        ends = tapes.ends
        wanted = [end for end, a in zip(ends, active, strict=False) if a is not None]

        def walk(cts: Sequence[Data | None]) -> list[Any]:
            seeds = [
                (root, c)
                for root, c in zip(tapes.roots, cts, strict=True)
                if root is not None and c is not None
            ]
            found = sweep(
                [root for root, _ in seeds],
                [c for _, c in seeds],
                value_class=Tensor,
                wanted=set(wanted),
                boundary=set(ends),
                retain_graph=True,
                create_graph=tape.recording,
            )
            return [found.get(end) for end in ends]

        grads = tapes.inside(list(ct), [False] * len(ct), walk)
        own = len(tapes.own)
        summed = [None if g is None else reduce.sum(g, 0) for g in grads[own:]]
        return [*grads[:own], *summed, None]

    def jvp(self, dxs: Sequence[Data | None], xs: Sequence[Data], y: Data) -> Data:
        tapes: _Tapes = xs[-1]
        ends, own = tapes.ends, len(tapes.own)

        def walk(given: Sequence[Data | None]) -> list[Any]:
            roots = [root for root in tapes.roots if root is not None]
            tangents = {end: dx for end, dx in zip(ends, given, strict=True) if dx is not None}
            pushed = iter(push(roots, tangents, value_class=Tensor, create_graph=tape.recording))
            return [None if root is None else next(pushed) for root in tapes.roots]

        shared = [False] * own + [True] * len(tapes.outside)
        dys = tapes.inside(list(dxs[:-1]), shared, walk)
        return tuple(
            zeros(aval.shape, dtype=aval.dtype).array if dy is None else dy
            for dy, aval in zip(dys, self.outputs, strict=True)
        )


# Axes ---------------------------------------------------------------------------------------------


def _spread_dims(in_dims: Dims, args: tuple[Any, ...]) -> list[Any]:
    if isinstance(in_dims, list):
        in_dims = tuple(in_dims)
    return spread(in_dims, args, "in_dims")


def _axis(leaf: Any, dim: Any) -> int | None:
    """The axis of a leaf that holds the examples, counted from the front."""
    if dim is None:
        return None
    if not isinstance(dim, int) or isinstance(dim, bool):
        raise ArgumentError("in_dims holds axes", expected="ints or None", got=repr(dim))
    if not isinstance(leaf, Tensor):
        raise ArgumentError(
            "vmap() maps over tensors",
            got=type(leaf).__name__,
            hint="give arguments of other kinds None in in_dims",
        )
    if not -leaf.ndim <= dim < leaf.ndim:
        raise ArgumentError(
            "in_dims names an axis that its argument does not have",
            expected=f"{-leaf.ndim} <= dim < {leaf.ndim}" if leaf.ndim else "None for a number",
            got=f"dim {dim} of {describe(leaf)}",
        )
    return dim % leaf.ndim


def _common_size(leaves: Sequence[Any], dims: Sequence[int | None]) -> int:
    sizes = [x.shape[dim] for x, dim in zip(leaves, dims, strict=True) if dim is not None]
    if not sizes:
        raise ArgumentError("vmap() needs at least one argument to map over", got="no axes")
    if len(set(sizes)) > 1:
        raise ShapeError("the mapped axes must have the same size", got=" ".join(map(str, sizes)))
    return int(sizes[0])


def _placed(level: Level, y: Tensor, whole: Tensor, dim: Any) -> Tensor:
    """A result with its examples along axis `dim`, or only one of them for None."""
    if dim is None:
        if level.owns(y.array):
            raise ArgumentError(
                "out_dims is None for a result that differs between examples", got=describe(y)
            )
        return y
    if not isinstance(dim, int) or not -whole.ndim <= dim < whole.ndim:
        raise ArgumentError(
            "out_dims names an axis that its result does not have",
            expected=f"{-whole.ndim} <= dim < {whole.ndim}",
            got=repr(dim),
        )
    return whole if dim == 0 else movement.movedim(whole, 0, dim)


def _joined(parts: Sequence[Any], out_dims: Dims) -> Any:
    """The results of several chunks as one."""
    dims = spread(out_dims, parts[0], "out_dims")
    columns = zip(*[leaves_of(part) for part in parts], strict=True)
    return rebuilt(
        parts[0],
        [
            column[0] if dim is None else joining.concatenate(list(column), dim)
            for column, dim in zip(columns, dims, strict=True)
        ],
    )
