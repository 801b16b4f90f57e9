"""Recordings: one trace of a function, with all that it read and everything that it changed."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..core.aval import Aval
from ..core.gate import tensors
from ..core.graph import Equation, Graph, Var
from ..core.value import Configured, Node, Symbol, Value
from ..engine.reverse import reachable, sweep
from ..errors import TracingError
from ..tensor import Tensor
from .state import Cells, Change, is_outside
from .trace import GraphTracer, Number, Traced, tracing
from .trees import Structure, flatten, unflatten

Content: TypeAlias = Any
"""A Symbol, or an array that no input decides."""


class Kind(Enum):
    """What a leaf of the arguments is to the graph."""

    TENSOR = auto()
    ARRAY = auto()
    NUMBER = auto()
    """A Python float that may be another one in each call."""
    STATIC = auto()
    """Part of the program: anything else, compared in each call."""


class Backward(NamedTuple):
    """The graph of a function's gradient, as far as it is to go on outside."""

    outputs: list[int]
    """Which leaves of the result have a graph that goes on outside."""
    cotangents: list[Traced]
    leaves: list[Value]
    """What gradients are for: cells that are there before and after."""
    gradients: list[Content | None]
    start: int
    """How many equations there are before those of the gradient."""


class Recording(NamedTuple):
    """What a trace found out."""

    tracer: GraphTracer
    cells: Cells
    kinds: list[Kind]
    symbols: list[Traced | None]
    """What stands for each leaf of the arguments."""
    stand_ins: dict[int, Value]
    """Cells that stood for arguments, by the number of the leaf."""
    results: list[Any]
    """The leaves of what the function returned."""
    contents: list[Content | None]
    """The arrays of those among them that are tensors or arrays."""
    structure: Structure
    changes: list[Change]
    backward: Backward | None
    blocks: list[int]
    """How many blocks of random numbers a call takes from each generator that it draws from."""

    def aliases(self, leaves: Sequence[Any]) -> set[int]:
        """Arguments that the function got at in another way, too, such as from an optimizer."""
        used = {x for equation in self.tracer.graph.equations for x in equation.inputs
                if isinstance(x, Var)}  # fmt: skip
        contents = [*self.contents, *[change.content for change in self.changes]]
        used |= {x.variable for x in contents if isinstance(x, Symbol)}
        affected = self.cells.changed | self.cells.touched
        return {
            i for i in self.stand_ins
            if id(leaves[i]) in affected
            or (id(leaves[i]) in self.cells.held and self.cells.symbol(leaves[i]).variable in used)
        }  # fmt: skip

    @property
    def equations(self) -> list[Equation]:
        """Those of the function itself."""
        equations = self.tracer.graph.equations
        return equations if self.backward is None else equations[: self.backward.start]


def kind_of(leaf: Any, *, dynamic: bool, fixed: bool) -> Kind:
    """What a leaf of the arguments is: `dynamic` floats are inputs, `fixed` tensors are not."""
    if isinstance(leaf, Value):
        return Kind.STATIC if fixed else Kind.TENSOR
    if isinstance(leaf, np.ndarray):
        return Kind.ARRAY
    return Kind.NUMBER if dynamic and isinstance(leaf, (float, np.floating)) else Kind.STATIC


def record(
    fn: Callable[..., Any],
    leaves: Sequence[Any],
    structure: Structure,
    *,
    parts: Collection[object] = (),
    dynamic: Collection[int] = (),
    fixed: Collection[int] = (),
    exact: bool = False,
) -> Recording:
    """Trace a call of `fn`, whose arguments (a tuple and a dict) were taken apart into `leaves`.

    `parts` are modules that are known to take part. Numbers of `dynamic` leaves are inputs; tensors
    of `fixed` leaves are passed themselves. For `exact`, see ``Cells``.
    Afterwards, all tensors and generators are as before.

    Raises whatever `fn` raises, and TracingError if it asks for numbers.
    """
    tracer = GraphTracer(Graph())
    cells = Cells(tracer, exact=exact)
    for part in parts:
        if isinstance(part, Configured):
            tracer.visit(part)
    try:
        with tensors.closed(), cells.symbolic(), tracing(tracer), _no_foreign_randomness():
            given = _Given(tracer, cells, leaves, dynamic, fixed)
            args, kwargs = unflatten(structure, given.passed)
            results, form = flatten(fn(*args, **kwargs))
            contents = [_content(tracer.graph, y) for y in results]
            changes = cells.changes()
            for change in changes:
                _content(tracer.graph, change.content)
            backward = _backward(tracer, cells, results)
            blocks = [draws.blocks() for draws in tracer.draws.values()]
    except BaseException:
        tracer.discard()
        raise
    return Recording(
        tracer, cells, given.kinds, given.symbols, given.stand_ins,
        results, contents, form, changes, backward, blocks,
    )  # fmt: skip


class _Given:
    """What a function gets in a trace for the leaves of its arguments."""

    def __init__(
        self,
        tracer: GraphTracer,
        cells: Cells,
        leaves: Sequence[Any],
        dynamic: Collection[int],
        fixed: Collection[int],
    ) -> None:
        self.kinds: list[Kind] = []
        self.symbols: list[Traced | None] = []
        self.stand_ins: dict[int, Value] = {}
        self.passed: list[Any] = []
        for i, leaf in enumerate(leaves):
            kind = kind_of(leaf, dynamic=i in dynamic, fixed=i in fixed)
            symbol: Traced | None = None
            if kind is Kind.TENSOR:
                self.stand_ins[i] = leaf = cells.stand_in(leaf, _aval(leaf))
                symbol = leaf.array
            elif kind is Kind.ARRAY:
                leaf = symbol = tracer.new(leaf)
            elif kind is Kind.NUMBER:
                leaf = symbol = Number(tracer.graph.new(Aval((), np.dtype(np.float64))))
            elif isinstance(leaf, Configured):
                tracer.visit(leaf)
            self.kinds.append(kind)
            self.symbols.append(symbol)
            self.passed.append(leaf)


def _aval(leaf: Value) -> Aval:
    array = leaf.array
    return array.variable.aval if isinstance(array, Symbol) else Aval(array.shape, array.dtype)


def _content(graph: Graph, y: Any) -> Content | None:
    """The array of a tensor, or an array; None for anything else.

    Raises TracingError for a value of another trace.
    """
    content = y.array if isinstance(y, Value) else y
    if isinstance(content, Symbol):
        graph.require_own(content.variable)
        return content
    return content if isinstance(content, (np.ndarray, np.generic)) else None


def _backward(tracer: GraphTracer, cells: Cells, results: Sequence[Any]) -> Backward | None:
    """Write down the gradient of the results, from what wants one outside, if they have a graph."""
    roots = {}
    for i, y in enumerate(results):
        if isinstance(y, Tensor) and y.node is not None and y.node.op is not None:
            nodes = reachable([y.node])
            if not is_outside(y.node) and all(node.xs is not None for node in nodes):
                roots[i] = (y, nodes)
    owners = {id(held.given[1]): held.cell for held in cells.held.values()}
    leaves: dict[Node, Value] = {}
    for _, nodes in roots.values():
        for node in nodes:
            cell = owners.get(id(node))
            if cell is None and node.op is None and node.variable is not None:
                cell = node.variable()  # an argument that requires_grad_() made a leaf
            if cell is not None and id(cell) in cells.held:
                leaves[node] = cell
    if not leaves:
        return None
    start = len(tracer.graph.equations)
    cts = [tracer.new(y) for y, _ in roots.values()]
    hooks = [(node, node.hooks) for node in leaves]
    try:
        for node in leaves:  # they are called where backward goes on
            node.hooks = None
        found = sweep(
            [nodes[0] for _, nodes in roots.values()], cts,
            value_class=Tensor, wanted=set(leaves), retain_graph=True,
        )  # fmt: skip
    finally:
        for node, own in hooks:
            node.hooks = own
    grads = [found.get(node) for node in leaves]
    return Backward(list(roots), cts, list(leaves.values()), grads, start)


@contextmanager
def _no_foreign_randomness() -> Iterator[None]:
    """Raise TracingError if the block draws from the generators of Python or NumPy."""
    python, numpy = random.getstate(), np.random.get_state()
    known = _fingerprint(numpy)
    yield
    if python != random.getstate() or known != _fingerprint(np.random.get_state()):
        random.setstate(python)
        np.random.set_state(numpy)
        raise TracingError(
            "random numbers of Python or NumPy would be the same in every call",
            hint="use chainrule.rand and its kind, or pass the numbers as arguments",
        )


def _fingerprint(state: Any) -> Any:
    """What tells states of NumPy's generator apart."""
    return (state[1].tobytes(), *state[2:]) if isinstance(state, tuple) else str(state)


def extract(equations: Sequence[Equation], inputs: Sequence[Var], outputs: Sequence[Var]) -> Graph:
    """A graph of its own with those equations that the outputs need."""
    needed = set(outputs)
    given = set(inputs)
    kept = []
    for equation in reversed(equations):
        if not needed.isdisjoint(equation.outputs):
            kept.append(equation)
            needed.update([x for x in equation.inputs if isinstance(x, Var) and x not in given])
    graph = Graph()
    new = {v: graph.add_input(v.aval) for v in inputs}
    for op, xs, ys, site, scope in reversed(kept):
        operands = tuple([new[x] if isinstance(x, Var) else x for x in xs])
        for y in ys:
            new[y] = graph.new(y.aval)
        graph.equations.append(Equation(op, operands, tuple([new[y] for y in ys]), site, scope))
    graph.outputs = [new[y] for y in outputs]
    return graph


def used_in(equations: Sequence[Equation], outputs: Collection[Var]) -> set[Var]:
    """All values that the outputs are computed from, themselves included."""
    needed = set(outputs)
    for equation in reversed(equations):
        if not needed.isdisjoint(equation.outputs):
            needed.update([x for x in equation.inputs if isinstance(x, Var)])
    return needed
