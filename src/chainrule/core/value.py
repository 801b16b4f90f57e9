"""Values and nodes: what the tape is made of.

A Value is a cell with an array in it. If it was computed from something that wants a gradient, it
also has a Node, which remembers the op, the nodes of its inputs and the residuals. Nodes never
refer to Values (except leaves, weakly), so a tape holds exactly what backward needs.
"""

from __future__ import annotations

import linecache
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from types import CodeType
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np

from .aval import Aval, Data, DType, Shape
from .graph import Var
from .op import Op

_order = count()


class Tracer(Protocol):
    """A trace in progress: it writes operations down instead of doing them."""

    def emit(self, op: Op, operands: Sequence[Any]) -> Any:
        """What stands for the result of ``op(*operands)``."""

    def draw(self, generator: Any, blocks: int) -> tuple[Any, Any]:
        """What stands for the key and the counter of the next blocks of random numbers."""

    def adopt(self, cell: Value, forget: Callable[[], None]) -> None:
        """Take a cell that was made in the trace, and outlives it, for one that was there before.

        Its array is where it starts from, not a constant. If nothing comes of the trace, it is
        forgotten.
        """

    def numbers(self, group: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
        """`values`, read from `group`, with what stands for those that may change between runs."""

    def visit(self, part: Configured) -> None:
        """Note that what is written down depends on the configuration of `part`."""


@runtime_checkable
class Configured(Protocol):
    """What has settings that decide which operations it does, such as a module in training."""

    def configuration(self) -> dict[str, Any]:
        """The settings by name, to be compared by equality or, if they are objects, identity."""


class Configuration:
    """A number that grows whenever the settings of a module or an optimizer may have changed.

    It also grows when a tensor begins or ceases to want a gradient. So a compiled step compares one
    number, and looks at the settings only if it moved.
    """

    __slots__ = ("version",)

    def __init__(self) -> None:
        self.version = 0


configuration = Configuration()


class TapeState(threading.local):
    """Per thread: whether ops are recorded, the trace in progress, the running module."""

    recording: bool = True
    graph: Tracer | None = None
    scope: Scope | None = None


class Scope:
    """A module call in progress: a linked list from the innermost module outward."""

    __slots__ = ("module", "outer")

    def __init__(self, module: object, outer: Scope | None) -> None:
        self.module = module
        self.outer = outer

    def modules(self) -> list[object]:
        """The modules in progress, outermost first."""
        chain: list[object] = []
        scope: Scope | None = self
        while scope is not None:
            chain.append(scope.module)
            scope = scope.outer
        return chain[::-1]

    def path(self) -> str:
        """``Net.fc1``: the outermost module's class, then the innermost one's name within it.

        A module that the outermost does not list goes by the name of its class.
        """
        outermost, *inner = self.modules()
        named: Any = getattr(outermost, "named_modules", dict)
        names = {id(module): name for name, module in named()}
        parts = [type(outermost).__name__]
        for module in inner:
            name = names.get(id(module))
            parts = [*parts, type(module).__name__] if name is None else [parts[0], name]
        return ".".join(parts)


tape = TapeState()


def moment() -> int:
    """A number between the ``order`` of the nodes made so far and of those made from now on."""
    return next(_order)


class Node:
    """One recorded operation, or (with `op` None) a leaf."""

    __slots__ = (
        "__weakref__", "dtype", "hooks", "op", "order", "parents", "scope", "shape", "site",
        "variable", "xs", "y",
    )  # fmt: skip

    def __init__(
        self,
        op: Op | None,
        parents: Sequence[Node | None],
        xs: Sequence[Data] | None,
        y: Data,
        shape: Shape | None,
        dtype: DType | None,
        site: tuple[CodeType, int] | None = None,
        scope: Scope | None = None,
    ) -> None:
        self.op = op
        self.parents = parents
        self.xs = xs
        """Inputs that backward needs; an Aval stands for each one that it does not. None: freed."""
        self.y = y
        self.shape = shape
        self.dtype = dtype
        """Of the output, and so of its cotangent; None with several outputs."""
        self.order = next(_order)
        self.site = site
        self.scope = scope
        self.hooks: list[Callable[[Any], Any]] | None = None
        self.variable: weakref.ref[Value] | None = None
        """The Value whose ``grad`` is to receive this node's cotangent: a leaf, or retain_grad."""

    def retain(self, value: Value) -> None:
        """Deliver this node's cotangent to the ``grad`` of `value` during backward."""
        self.variable = weakref.ref(value)

    @property
    def name(self) -> str:
        """Name of the op, or ``leaf``."""
        return "leaf" if self.op is None else self.op.name

    @property
    def location(self) -> str:
        """``file.py:line  source`` of the user's line that made this node, or an empty string."""
        return "" if self.site is None else describe_site(*self.site)

    def __repr__(self) -> str:
        where = self.location
        return f"<{self.name}{' at ' + where if where else ''}>"


class Item(Op, abstract=True):
    """Output `index` of an op with several outputs: the bridge from one node to many values.

    The engine handles it itself, so it is in no registry.
    """

    index: int

    def infer(self, *xs: Any) -> Aval:
        return xs[0][self.index]  # type: ignore[no-any-return]  # the tuple's member is an Aval


def item(node: Node, index: int, part: Any) -> Node:
    """The node of output `index`, the array `part`, of an op with several outputs."""
    return Node(Item(index), [node], (), None, part.shape, part.dtype, node.site, node.scope)


class Value:
    """A cell holding an array, and the node that made it if a gradient is wanted.

    ``core.apply`` returns ``result_class`` of its first Value, so the core never imports Tensor.
    """

    __slots__ = ("__weakref__", "_grad", "array", "node")
    result_class: ClassVar[type[Value]]
    array: Any
    node: Node | None
    _grad: Any

    @classmethod
    def wrap(cls, array: Any, node: Node | None = None) -> Self:
        """A value of this class around an array, without conversion or copy."""
        value = cls.__new__(cls)
        value.array = array
        value.node = node
        value._grad = None
        return value

    def _view(self, result: Value) -> Value:
        """Hook for classes that mark results which stand for a part of this value."""
        return result

    @property
    def shape(self) -> Shape:
        """Sizes along the axes."""
        return self.array.shape  # type: ignore[no-any-return]  # a tuple

    @property
    def dtype(self) -> DType:
        """Element type, a NumPy dtype."""
        return self.array.dtype  # type: ignore[no-any-return]  # a dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.array.ndim  # type: ignore[no-any-return]  # an int


Value.result_class = Value


class Symbol:
    """What a cell holds during a trace in place of an array: a value of the graph."""

    __slots__ = ("variable",)
    weak: ClassVar[bool] = False
    """Whether it stands for a Python number, which takes on the dtype of its partners."""

    def __init__(self, variable: Var) -> None:
        self.variable = variable


def is_traced(x: Any) -> bool:
    """Whether `x`, the content of a cell, has no numbers because it is being traced."""
    return isinstance(x, Symbol)


def stored(x: Any) -> Any:
    """`x` as a cell holds it: NumPy's scalars become zero-dimensional arrays."""
    return np.asarray(x) if isinstance(x, np.generic) else x


def make_leaf(value: Value) -> None:
    """Give `value` a node of its own, so that gradients with respect to it are computed."""
    node = Node(None, (), (), None, value.shape, value.dtype)
    node.retain(value)
    value.node = node


@contextmanager
def recording(enabled: bool) -> Iterator[None]:
    """Record operations, or not, in this thread while the block runs."""
    before = tape.recording
    tape.recording = enabled
    try:
        yield
    finally:
        tape.recording = before


def line_number(code: CodeType, instruction: int) -> int:
    """The line of the instruction with this index in a code object."""
    return next(
        (n for start, end, n in code.co_lines() if start <= instruction < end and n is not None),
        code.co_firstlineno,
    )


def describe_site(code: CodeType, instruction: int) -> str:
    """``train.py:41  h = x @ self.w1`` for a code object and the instruction index in it."""
    line = line_number(code, instruction)
    source = linecache.getline(code.co_filename, line).strip()
    return f"{os.path.basename(code.co_filename)}:{line}  {source}".rstrip()
