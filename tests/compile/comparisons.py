"""Graphs in machine code against the interpreter: several runs, in memory of many layouts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from schedules import run_shuffled

from chainrule.compile.native import NativeExecutable
from chainrule.compile.passes import optimize
from chainrule.core.graph import Graph, Var
from chainrule.runtime.target import Target

ROUNDED = ("tanh", "exp", "mul", "div", "sqrt")
"""Ops whose results are rounded to whole numbers by what follows, in random programs."""


def interpreted(graph: Graph, arrays: Sequence[Any]) -> tuple[list[Any], bool, float]:
    """Outputs of a graph, whether every float on the way is exact in any order, and the largest."""
    values: dict[Var, Any] = {var: np.array(x) for var, x in zip(graph.inputs, arrays, strict=True)}
    exact, largest = True, 1.0
    with np.errstate(all="ignore"):
        for equation in graph.equations:
            out = equation.op(*[values[x] if isinstance(x, Var) else x for x in equation.inputs])
            outs = (out,) if equation.op.n_out is None else out
            for var, y in zip(equation.outputs, outs, strict=True):
                y = values[var] = np.asarray(y)
                if y.dtype.kind == "f" and y.size:
                    largest = max(largest, float(np.abs(y).max()))
                    if equation.op.name not in ROUNDED:
                        exact = exact and bool((y * 64 % 1 == 0).all())
    outputs = [values[x] if isinstance(x, Var) else np.asarray(x) for x in graph.outputs]
    return outputs, exact and largest < 2.0**16, largest


def distinct_results(graph: Graph) -> None:
    """Leave of the outputs what an executable is asked for: results of equations, each once."""
    made = {v for equation in graph.equations for v in equation.outputs}
    found = [x for x in graph.outputs if isinstance(x, Var) and x in made]
    graph.outputs = list(dict.fromkeys(found))


def random_donations(graph: Graph, rng: np.random.Generator) -> dict[int, int]:
    """Outputs that may be written into the memory of inputs of their shape, as input: output."""
    chosen: dict[int, int] = {}
    for i, var in enumerate(graph.inputs):
        fits = [j for j, y in enumerate(graph.outputs) if y.aval == var.aval]
        fits = [j for j in fits if j not in chosen.values()]
        if fits and rng.random() < 0.7:
            chosen[i] = int(rng.choice(fits))
    return chosen


def rearranged(x: Any, rng: np.random.Generator) -> Any:
    """A copy of an array in one of several layouts."""
    which = int(rng.integers(5))
    if which == 0:
        return np.array(x, order="F")
    if which == 1 and x.ndim:
        return np.array(x[::-1])[::-1]
    return np.array(x, order="C")


def compare(
    graph: Graph,
    draw: Callable[[int], Sequence[Any]],
    rng: np.random.Generator,
    donations: Mapping[int, int],
    *,
    target: Target | None = None,
    threads: int | None = None,
    shuffled: bool = True,
) -> NativeExecutable:
    """Run a graph four times on other numbers, twice in random orders of tiles; all must be right.

    Results that do not depend on the order of sums must be equal to the bit, others close. What is
    donated comes back in place; other arguments are not written to.
    """
    orders = {
        i: tuple(map(int, rng.permutation(v.ndim)))
        for i, v in enumerate(graph.inputs)
        if rng.random() < 0.3
    }
    program = NativeExecutable(
        optimize(graph, check=True), donations, orders=orders, target=target, threads=threads
    )
    plainly = program.program.run
    arrays: list[Any] = []
    for k in range(4):
        fresh = draw(k)
        want, exact, largest = interpreted(graph, fresh)
        for i, x in enumerate(fresh):
            if k == 0:
                arrays.append(program.prepare(i, rearranged(x, rng)))
            elif i in donations:
                arrays[i][...] = x
            else:
                arrays[i] = program.prepare(i, rearranged(x, rng))
        if shuffled and k >= 2:
            program.program.run = lambda: run_shuffled(program.program, rng)  # type: ignore[method-assign]
        else:
            program.program.run = plainly  # type: ignore[method-assign]
        found = program(arrays)
        for j, (a, b) in enumerate(zip(found, want, strict=True)):
            assert (a.shape, a.dtype) == (b.shape, b.dtype), f"output {j}"
            if exact or b.dtype.kind != "f":
                np.testing.assert_array_equal(a, b, err_msg=f"output {j} of run {k}")
            else:
                limit = (2e-5 if b.dtype == np.float32 else 1e-12) * largest
                np.testing.assert_allclose(a, b, rtol=0, atol=limit, err_msg=f"output {j}")
        for i, x in enumerate(arrays):
            if i in donations:
                assert found[donations[i]] is x, f"input {i} was donated"
            else:
                np.testing.assert_array_equal(x, fresh[i], err_msg=f"input {i} was written to")
    return program
