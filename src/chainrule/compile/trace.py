"""Tracing: run a function on values without numbers, and write down what it does."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ..core.apply import user_site
from ..core.aval import SCALARS, Aval, DType, Shape, aval_of
from ..core.graph import Capture, Graph, Var
from ..core.op import Op
from ..core.value import Symbol, Value, tape
from ..errors import TracingError
from ..methods import Methods
from ..ops.random import Generator
from ..tensor import Tensor


class Traced(Methods, Symbol):
    """A value of a graph with operators and methods: it appends to the graph instead of computing.

    Asking for its numbers (``if x > 0``, ``float(x)``) raises TracingError with the user's line.
    """

    __slots__ = ()
    __hash__ = object.__hash__
    __array_ufunc__ = None  # so that ndarray * Traced asks Traced

    @property
    def shape(self) -> Shape:
        """Sizes along the axes."""
        return self.variable.shape

    @property
    def dtype(self) -> DType:
        """Element type."""
        return self.variable.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.variable.ndim

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TracingError(
            "a traced value has no numbers yet",
            got=repr(self.variable.aval),
            hint="use where(condition, a, b) instead of if, and shapes instead of data",
        )

    __bool__ = __float__ = __int__ = __index__ = __array__ = item = tolist = numpy = _refuse

    def __repr__(self) -> str:
        return repr(self.variable)


class _Draws(NamedTuple):
    """How far a generator was when the trace first drew from it, and what stands for that."""

    generator: Generator
    before: Any
    key: Traced
    counter: Traced

    def blocks(self) -> int:
        """How many blocks the trace has used up."""
        return (int(self.generator.get_state()[1]) - int(self.before[1])) % 2**64


class GraphTracer:
    """A trace in progress: it fills a graph, and hands out Traced values for the graph's Vars."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._draws: dict[int, _Draws] = {}

    def emit(self, op: Op, operands: Sequence[Any]) -> Any:
        """Append an equation, with the user's line and module; see ``Graph.emit``."""
        inputs = [x.variable if isinstance(x, Symbol) else x for x in operands]
        out = self.graph.emit(op, inputs, user_site(), tape.scope)
        if op.n_out is None:
            return _traced(out)
        return tuple([_traced(part) for part in out])

    def draw(self, generator: Generator, blocks: int) -> tuple[Any, Any]:
        """The captured key of a generator, and its captured counter plus what was drawn so far.

        The generator counts along, so rewinding it (as a checkpoint does) gives the same numbers.
        """
        draws = self._draws.get(id(generator))
        if draws is None:
            number = Aval((), np.dtype(np.uint64))
            key, counter = Traced(self.graph.new(number)), Traced(self.graph.new(number))
            draws = _Draws(generator, generator.get_state(), key, counter)
            self._draws[id(generator)] = draws
        offset = draws.blocks()
        if int(generator.reserve(blocks)[0]) != int(draws.before[0]):
            raise TracingError("a generator was given another seed in a trace")
        return draws.key, draws.counter + offset if offset else draws.counter

    def finish(self) -> None:
        """Enter what was drawn from generators among the graph's captured values."""
        for draws in self._draws.values():
            self.graph.captured.append(
                Capture(
                    (draws.key.variable, draws.counter.variable),
                    _reader(draws.generator, draws.blocks()),
                )
            )

    def rewind(self) -> None:
        """Set the generators back to where they were before the trace."""
        for draws in self._draws.values():
            draws.generator.set_state(draws.before)


def _traced(x: Any) -> Any:
    return Traced(x) if isinstance(x, Var) else x


def _reader(generator: Generator, blocks: int) -> Callable[[], Sequence[Any]]:
    return lambda: generator.reserve(blocks)


@contextmanager
def _tracing(tracer: GraphTracer) -> Iterator[None]:
    """Send operations to `tracer`; then undo what the block did to tensors and generators."""
    before = tape.graph
    with _cells_unchanged():
        tape.graph = tracer
        try:
            yield
            tracer.finish()
        finally:
            tape.graph = before
            tracer.rewind()


@contextmanager
def _cells_unchanged() -> Iterator[None]:
    """Give every tensor that exists now its array, node and gradient back when the block ends.

    Cells are plain slots, so that eager writes cost nothing: nobody is told of a write. The garbage
    collector's list of all objects finds the cells at some 10 ms a trace. Other threads must not
    write to tensors meanwhile.
    """
    cells = [x for x in gc.get_objects() if issubclass(type(x), Value)]
    saved = [
        (cell, slot, content)
        for cell in cells
        for slot in ("array", "node", "_grad")
        if (content := getattr(cell, slot, _UNSET)) is not _UNSET
    ]
    try:
        yield
    finally:
        for cell, slot, content in saved:
            if getattr(cell, slot) is not content:
                setattr(cell, slot, content)


_UNSET = object()
"""Content of a tensor whose construction failed, which a traceback may keep alive."""


def trace(fn: Callable[..., Any], *examples: Any) -> Graph:
    """The graph of ``fn`` for arguments of the shapes and dtypes of `examples`.

    `fn` gets tensors and returns a tensor or a sequence of them. It may differentiate inside:
    backward runs through the same door, so the gradient's operations are in the graph as well.
    It may change tensors that it closes over, and draw random numbers: after the trace they are
    as before, and each run of the graph draws new numbers from the same generator.

    Raises TracingError if `fn` asks for numbers, returns something else, or uses a value of another
    trace.

    >>> print(trace(lambda x: (x * x).sum(), ones(3)))
    def graph(v0):  # float32[3]
        v1 = mul(v0, v0)  # float32[3]
        v2 = sum(axes=(0,), keepdim=False)(v1)  # float32[]
        return (v2,)
    """
    graph = Graph()
    args = []
    for example in examples:
        aval = example if isinstance(example, Aval) else aval_of(example)
        wants_gradient = isinstance(example, Tensor) and example.requires_grad
        arg = Tensor.wrap(Traced(graph.add_input(aval)))
        args.append(arg.requires_grad_() if wants_gradient else arg)
    with _tracing(GraphTracer(graph)):
        out = fn(*args)
        outs = out if isinstance(out, (tuple, list)) else [out]
        graph.outputs = [_output(graph, y) for y in outs]
    return graph


def _output(graph: Graph, y: Any) -> Any:
    """A result of the traced function, as the graph lists it."""
    content = y.array if isinstance(y, Value) else y
    if isinstance(content, Symbol):
        graph.require_own(content.variable)
        return content.variable
    if type(content) in SCALARS or isinstance(content, (np.ndarray, np.generic)):
        return content
    raise TracingError(
        "a traced function returns a tensor or a sequence of tensors", got=type(y).__name__
    )
