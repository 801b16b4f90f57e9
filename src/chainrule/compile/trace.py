"""Tracing: run a function on values without numbers, and write down what it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from ..core.apply import user_line
from ..core.aval import Aval, aval_of
from ..core.graph import Graph, Var
from ..core.value import tape
from ..errors import TracingError
from ..methods import Methods
from ..tensor import Tensor


class Traced(Methods, Var):
    """A value of a graph with operators and methods: it appends to the graph instead of computing.

    Asking for its numbers (``if x > 0``, ``float(x)``) raises TracingError with the user's line.
    """

    __slots__ = ()
    shape = Var.shape
    dtype = Var.dtype
    ndim = Var.ndim
    __hash__ = object.__hash__

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TracingError(
            "a traced value has no numbers yet",
            got=repr(self.aval),
            at=user_line(),
            hint="use where(condition, a, b) instead of if, and shapes instead of data",
        )

    __bool__ = __float__ = __int__ = __index__ = __array__ = item = tolist = numpy = _refuse

    def __repr__(self) -> str:
        return f"{self.name}: {self.aval!r}"


def trace(fn: Callable[..., Any], *examples: Any) -> Graph:
    """The graph of ``fn`` for arguments of the shapes and dtypes of `examples`.

    `fn` gets tensors and returns a tensor or a sequence of them. It may differentiate inside:
    backward runs through the same door, so the gradient's operations are in the graph as well.

    >>> print(trace(lambda x: (x * x).sum(), ones(3)))
    def graph(v0):  # float32[3]
        v1 = mul(v0, v0)  # float32[3]
        v2 = sum(axes=(0,), keepdim=False)(v1)  # float32[]
        return (v2,)
    """
    graph = Graph(Traced)
    args = []
    for example in examples:
        aval = example if isinstance(example, Aval) else aval_of(example)
        wants_gradient = isinstance(example, Tensor) and example.requires_grad
        arg = Tensor.wrap(graph.add_input(aval))
        args.append(arg.requires_grad_() if wants_gradient else arg)
    before = tape.graph
    tape.graph = graph
    try:
        out = fn(*args)
    finally:
        tape.graph = before
    outs = list(out) if isinstance(out, (tuple, list)) else [out]
    graph.outputs = [y.array if isinstance(y, Tensor) else y for y in outs]
    return graph
