"""What runs a graph: the seam between tracing and the backends, and the NumPy interpreter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Protocol, TypeAlias, final

import numpy as np

from .. import config
from ..core.apply import warn
from ..core.graph import Graph, Var
from ..runtime import native as toolchain
from . import passes
from .native import NativeExecutable

Array: TypeAlias = "np.ndarray[Any, Any]"
Build: TypeAlias = "Callable[[Graph, Mapping[int, int], int], Executable]"
"""A function of a graph, donations and the number of results; see ``build``."""


class Executable(Protocol):
    """A graph that is ready to run on arrays."""

    in_place: bool
    """Whether each result that was offered an input's memory is there, or all are new arrays."""

    run_alone: Callable[[], Array] | None
    """A run that returns the first output only, for arrays that were prepared and that somebody
    still holds; None if a run has to look at them."""

    def prepare(self, i: int, array: Array) -> Array:
        """`array` in the layout that input `i` wants: the same object if it fits, else a copy.

        It is called with each array that is new in its place: for a tensor of the state whenever
        another array stands there than in the last call, for an argument in each call. So what it
        finds out about an array, such as its address, holds until it is called for `i` again.
        """

    def __call__(self, arrays: Sequence[Array]) -> Sequence[Array]:
        """The outputs, for arrays that were prepared, which it keeps no reference to.

        If it works in place, an output that was offered an input is that input's array.
        """


@final
class Interpreter:
    """Runs a graph with NumPy, equation by equation, and drops each value after its last use.

    It is what compiled code is compared to, and what runs where there is no compiler.
    """

    def __init__(self, graph: Graph) -> None:
        self.in_place = False
        self.run_alone: Callable[[], Array] | None = None
        self._inputs = [v.index for v in graph.inputs]
        self._outputs = [v.index for v in graph.outputs]
        last = {
            x.index: n
            for n, equation in enumerate(graph.equations)
            for x in (*equation.inputs, *equation.outputs)
            if isinstance(x, Var)
        }
        self._size = 1 + max([*self._inputs, *last], default=0)
        dying: list[list[int]] = [[] for _ in graph.equations]
        for index, n in last.items():
            if index not in self._outputs:
                dying[n].append(index)
        self._steps = [
            (
                equation.op,
                [(None, x.index) if isinstance(x, Var) else (x, -1) for x in equation.inputs],
                [v.index for v in equation.outputs],
                dead,
            )
            for equation, dead in zip(graph.equations, dying, strict=True)
        ]

    def prepare(self, i: int, array: Array) -> Array:
        """The array itself: NumPy takes any layout."""
        return array

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """The outputs."""
        values: list[Any] = [None] * self._size
        for index, array in zip(self._inputs, arrays, strict=True):
            values[index] = array
        for op, operands, results, dead in self._steps:
            out = op(*[values[i] if i >= 0 else x for x, i in operands])
            for index, y in zip(results, (out,) if op.n_out is None else out, strict=True):
                values[index] = np.asarray(y)
            for index in dead:
                values[index] = None
        return [values[index] for index in self._outputs]


def build(graph: Graph, donations: Mapping[int, int], *, results: int) -> Executable:
    """What runs `graph`, whose outputs are distinct results of its equations.

    `donations` says which output may be written into the memory of which input, as input: output;
    nobody needs the numbers there afterwards, and an input that no equation uses is there for its
    memory only. The first `results` outputs go to the user and are new arrays in each call.

    Machine code, unless CHAINRULE_BACKEND is ``numpy`` or llvmlite is not installed.
    """
    if config.environment("CHAINRULE_BACKEND") == "numpy":
        return Interpreter(graph)
    if not toolchain.available():
        _warn_of_missing_compiler()
        return Interpreter(graph)
    return NativeExecutable(passes.optimize(graph), donations)


@cache
def _warn_of_missing_compiler() -> None:
    warn("NumPy runs compiled functions, slowly: pip install llvmlite for machine code")
