"""Tracing: run a function on values without numbers, and write down what it does."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ..core.apply import user_site
from ..core.aval import SCALARS, Aval, DType, Shape, aval_of, result_dtype
from ..core.gate import tensors
from ..core.graph import Capture, Graph, Var
from ..core.op import Op
from ..core.value import Configured, Symbol, Value, is_traced, tape
from ..errors import TracingError
from ..methods import Methods
from ..ops.movement import cast
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


class Number(Traced):
    """A Python number that is read anew each time the graph runs, such as a learning rate.

    It is a weak float64, as a Python float is: next to a tensor it takes on the tensor's dtype.
    Whether it is zero may be known, and asked for.
    """

    __slots__ = ("is_nonzero",)
    weak = True

    def __init__(self, variable: Var, *, is_nonzero: bool = False) -> None:
        super().__init__(variable)
        self.is_nonzero = is_nonzero

    def __bool__(self) -> bool:  # type: ignore[override]  # the base class never returns
        return True if self.is_nonzero else self._refuse()


class Reading(NamedTuple):
    """Where a Number comes from: ``group[key]``, or one of the entries of a tuple there."""

    group: dict[str, Any]
    key: str
    place: int | None
    number: Number

    def value(self) -> Any:
        """What it is now."""
        value = self.group[self.key]
        return value if self.place is None else value[self.place]


class Draws(NamedTuple):
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
        self.draws: dict[int, Draws] = {}
        self.adopted: list[tuple[Value, Any, Traced]] = []
        """Cells made in the trace that outlive it, what they start from, and what stands for it."""
        self._forget: list[Callable[[], None]] = []
        self._groups: dict[tuple[int, str], tuple[dict[str, Any], tuple[Reading, ...]]] = {}
        self.visited: dict[int, Configured] = {}

    def new(self, array: Any) -> Traced:
        """A new value of the graph with the shape and dtype of `array`."""
        return Traced(self.graph.new(Aval(array.shape, array.dtype)))

    def emit(self, op: Op, operands: Sequence[Any]) -> Any:
        """Append an equation, with the user's line and module; see ``Graph.emit``."""
        weak = any(isinstance(x, Symbol) and x.weak for x in operands)
        if weak and op.promotes:
            partners = [x for x in operands if not _is_weak(x)]
            if partners:
                dtype = result_dtype([0.0, *partners], floating=op.floating)
                operands = [cast(x, dtype) if isinstance(x, Number) else x for x in operands]
                weak = False
        inputs = [x.variable if isinstance(x, Symbol) else x for x in operands]
        out = self.graph.emit(op, inputs, user_site(), tape.scope)
        if op.n_out is not None:
            return tuple([_traced(part) for part in out])
        if weak and op.promotes and isinstance(out, Var) and out.dtype.kind == "f":
            return Number(out)
        return _traced(out)

    def draw(self, generator: Generator, blocks: int) -> tuple[Any, Any]:
        """The captured key of a generator, and its captured counter plus what was drawn so far.

        The generator counts along, so rewinding it (as a checkpoint does) gives the same numbers.
        """
        draws = self.draws.get(id(generator))
        if draws is None:
            number = Aval((), np.dtype(np.uint64))
            key, counter = Traced(self.graph.new(number)), Traced(self.graph.new(number))
            draws = Draws(generator, generator.get_state(), key, counter)
            self.draws[id(generator)] = draws
        offset = draws.blocks()
        if int(generator.reserve(blocks)[0]) != int(draws.before[0]):
            raise TracingError("a generator was given another seed in a trace")
        return draws.key, draws.counter + offset if offset else draws.counter

    def adopt(self, cell: Value, forget: Callable[[], None]) -> None:
        """Take a cell made in the trace for one that was there before, with a symbol in it."""
        array = cell.array
        if not is_traced(array):
            cell.array = self.new(array)
            self.adopted.append((cell, array, cell.array))
            self._forget.append(forget)

    def numbers(self, group: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
        """`values`, read from `group`, with a Number for each float that is not zero.

        For ``lr`` there is one in any case: a schedule may begin or end with zero.
        """
        found = {}
        for key, value in values.items():
            where = id(group), key
            if where not in self._groups:
                self._groups[where] = group, self._read(group, key, value)
            numbers = {reading.place: reading.number for reading in self._groups[where][1]}
            if type(value) is tuple:
                found[key] = tuple([numbers.get(i, x) for i, x in enumerate(value)])
            else:
                found[key] = numbers.get(None, value)
        return found

    def _read(self, group: dict[str, Any], key: str, value: Any) -> tuple[Reading, ...]:
        parts = enumerate(value) if type(value) is tuple else [(None, value)]
        aval = Aval((), np.dtype(np.float64))
        return tuple(
            [
                Reading(group, key, i, Number(self.graph.new(aval), is_nonzero=key != "lr"))
                for i, x in parts
                if (type(x) is float and x != 0.0) or (key == "lr" and type(x) in (int, float))
            ]
        )

    def groups(self) -> list[tuple[dict[str, Any], list[Reading]]]:
        """The groups that numbers were read from, with the readings of each."""
        found: dict[int, tuple[dict[str, Any], list[Reading]]] = {}
        for group, readings in self._groups.values():
            found.setdefault(id(group), (group, []))[1].extend(readings)
        return list(found.values())

    def visit(self, part: Configured) -> None:
        """Note a module or an optimizer that takes part."""
        self.visited[id(part)] = part

    def finish(self) -> None:
        """Enter numbers that are read, and what was drawn, among the graph's captured values."""
        for _, readings in self.groups():
            for reading in readings:
                variables = (reading.number.variable,)
                self.graph.captured.append(Capture(variables, _number_reader(reading)))
        for draws in self.draws.values():
            self.graph.captured.append(
                Capture(
                    (draws.key.variable, draws.counter.variable),
                    _reader(draws.generator, draws.blocks()),
                )
            )

    def rewind(self) -> None:
        """Set generators and adopted cells back to where they were before the trace."""
        for draws in self.draws.values():
            draws.generator.set_state(draws.before)
        for cell, array, _ in self.adopted:
            cell.array = array

    def discard(self) -> None:
        """Nothing comes of the trace: let those who made adopted cells forget them."""
        for forget in self._forget:
            forget()


def _is_weak(x: Any) -> bool:
    return type(x) in SCALARS or (isinstance(x, Symbol) and x.weak)


def _traced(x: Any) -> Any:
    return Traced(x) if isinstance(x, Var) else x


def _reader(generator: Generator, blocks: int) -> Callable[[], Sequence[Any]]:
    return lambda: generator.reserve(blocks)


def _number_reader(reading: Reading) -> Callable[[], Sequence[Any]]:
    return lambda: [np.float64(reading.value())]


@contextmanager
def tracing(tracer: GraphTracer) -> Iterator[None]:
    """Send operations to `tracer`; generators and adopted cells are as before afterwards."""
    before = tape.graph
    tape.graph = tracer
    try:
        yield
    finally:
        tape.graph = before
        tracer.rewind()


@contextmanager
def _cells_unchanged() -> Iterator[None]:
    """Give every tensor that exists now its array, node and gradient back when the block ends."""
    saved = [
        (cell, slot, content)
        for cell in living_cells()
        for slot in ("array", "node", "_grad")
        if (content := getattr(cell, slot, _UNSET)) is not _UNSET
    ]
    try:
        yield
    finally:
        for cell, slot, content in saved:
            if getattr(cell, slot) is not content:
                setattr(cell, slot, content)


def living_cells() -> list[Value]:
    """Every tensor that exists now.

    Cells are plain slots, so that eager writes cost nothing: nobody is told of a write. An object
    refers to its class, so the garbage collector finds the cells among all objects, at some 10 ms
    a trace. It must not pass over any: what ``gc.freeze`` set aside is unfrozen. Other threads must
    not write to tensors meanwhile.
    """
    if gc.get_freeze_count():
        gc.unfreeze()
    classes = {Value}
    added = [Value]
    while added:
        added = [sub for cls in added for sub in type.__subclasses__(cls) if sub not in classes]
        classes.update(added)
    return [x for x in gc.get_referrers(*classes) if type(x) in classes]


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
    tracer = GraphTracer(graph)
    try:
        with tensors.closed(), _cells_unchanged(), tracing(tracer):
            out = fn(*args)
            outs = out if isinstance(out, (tuple, list)) else [out]
            graph.outputs = [_output(graph, y) for y in outs]
            tracer.finish()
    finally:
        tracer.discard()
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
