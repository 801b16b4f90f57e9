"""Lowering by itself: kernels that NumPy runs equal the graph, and there are not too many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from emulator import Emulator
from schedules import launches
from small_models import MODELS, Training, executables

from chainrule.compile import executable, trace
from chainrule.compile.kernels import Contraction
from chainrule.compile.lower import memory
from chainrule.compile.lower.builder import Lowering
from chainrule.compile.lower.emit import Step
from chainrule.compile.lower.groups import Grouping, Host
from chainrule.compile.lower.layout import Layout
from chainrule.compile.lower.nodes import Affine, Node
from chainrule.compile.lower.storage import Buffer, live, stored
from chainrule.compile.native import NativeExecutable
from chainrule.compile.passes import optimize
from chainrule.compile.planning import planned_steps
from chainrule.core.graph import Graph
from chainrule.errors import ArgumentError
from chainrule.ops import conv2d, flip, pad, relu, softmax
from chainrule.runtime import native
from chainrule.runtime.target import check_host, target

COUNTS = Path(__file__).parent / "golden_counts.txt"


class Memory:
    """A flat array for each buffer that has memory of its own, margins included."""

    def __init__(self, inputs: Sequence[Any]) -> None:
        self.inputs = inputs
        self.known: dict[int, Any] = {}

    def flat(self, buffer: Buffer) -> Any:
        """The memory that a buffer is in, with what is there at the start."""
        top = memory.root(buffer)
        if id(top) not in self.known:
            self.known[id(top)] = np.zeros(max(1, top.elements), top.dtype)
            given = top.array if top.index is None else self.inputs[top.index]
            if given is not None:
                self.view(top)[...] = given
        return self.known[id(top)]

    def view(self, buffer: Buffer) -> Any:
        """A buffer as an array."""
        size = buffer.dtype.itemsize
        strides = [s * size for s in buffer.strides]
        flat = self.flat(buffer)
        return np.ndarray(buffer.shape, buffer.dtype, flat, buffer.origin * size, strides)


def emulated(graph: Graph, inputs: Sequence[Any]) -> list[Any]:
    """The outputs of a graph: lowered, and its kernels run by NumPy."""
    lowering = Lowering(graph)
    outputs = list(lowering.outputs)
    alive = live(outputs)
    layout = Layout(alive, stored(alive, outputs), outputs, {}, set())
    held = Memory(inputs)
    for step in planned_steps(layout, Grouping(layout), outputs):
        if isinstance(step, Step):
            arrays = [held.flat(b) for b in step.buffers]
            Emulator(arrays, step.origins).run(step.kernel)
        else:
            by_numpy(step, layout, held)
    return [held.view(layout.buffers[node.number]) for node in outputs]


def by_numpy(host: Host, layout: Layout, held: Memory) -> None:
    """Do a step that is no kernel."""
    first = host.nodes[0]
    out = first.op(
        *[
            held.view(layout.buffers[x.number]) if isinstance(x, Node) else x for x in first.args
        ]
    )  # fmt: skip
    outs = (out,) if first.op.n_out is None else out
    for node in host.nodes:
        held.view(layout.buffers[node.number])[...] = outs[node.output]


def assert_close(
    found: Sequence[Any], graph: Graph, inputs: Sequence[Any], rtol: float = 3e-5
) -> None:
    """Equal to what the interpreter makes of a graph, up to the order of sums."""
    for got, want in zip(found, graph.run(*inputs), strict=True):
        want = np.asarray(want)
        assert (got.shape, got.dtype) == (want.shape, want.dtype)
        if want.dtype.kind != "f":
            np.testing.assert_array_equal(got, want)
            continue
        scale = max(float(np.abs(want).max(initial=0)), 1e-3)
        np.testing.assert_allclose(got, want, rtol=0, atol=rtol * scale)


@pytest.mark.parametrize("name", MODELS)
def test_lowered_training_step_equals_its_graph(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Graph, list[Any]]] = []

    class Watched(executable.Interpreter):  # type: ignore[misc]  # it is final to the package
        def __init__(self, graph: Graph) -> None:
            super().__init__(graph)
            self.graph = graph

        def __call__(self, arrays: Sequence[Any]) -> list[Any]:
            seen.append((self.graph, [np.array(x) for x in arrays]))
            return super().__call__(arrays)

    monkeypatch.setattr(executable, "build", lambda graph, donations, *, results: Watched(graph))
    Training(name, compiled=True).train(2)
    graph, inputs = seen[-1]
    # Adam divides the rounding of gradients that are zero by itself
    rtol = 1e-3 if name == "transformer" else 3e-5
    assert_close(emulated(optimize(graph, check=True), inputs), graph, inputs, rtol)


PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "broadcast": (lambda x, y: x + y * 2, ((3, 4), (4,))),
    "product": (lambda x, w: relu(x @ w.transpose(0, 1)) * 2, ((9, 7), (5, 7))),
    "sums": (lambda x: ((x * x).sum(), (x * x).sum(0), x.sum(1, True) - x), ((30, 5),)),
    "convolution": (lambda x, w: conv2d(x, w, padding=1), ((2, 3, 7, 6), (8, 3, 3, 2))),
    "strides": (lambda x, w: conv2d(x, w, stride=2, padding=2), ((2, 3, 7, 6), (8, 3, 3, 2))),
    "views": (lambda x: (flip(x, 0)[1:, ::2], x.permute(1, 0).reshape(2, -1)), ((6, 5),)),
    "padding": (lambda x: pad(flip(x, 1) * 2, [(1, 2), (3, 0)]) + 1, ((4, 5),)),
    "softmax": (lambda x: softmax(x, -1), ((5, 9),)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_lowered_program_equals_its_graph(name: str) -> None:
    fn, shapes = PROGRAMS[name]
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    graph = trace(fn, *inputs)
    assert_close(emulated(optimize(graph), inputs), graph, inputs)


# Counts -------------------------------------------------------------------------------------------


def counts(name: str) -> str:
    """What a model's training step takes: a line of the table."""
    (program,) = executables(Training(name, compiled=True).train(1).step)
    assert isinstance(program, NativeExecutable)
    kernels = [s.kernel for s in program.planned if isinstance(s, Step)]
    hosts = sum(isinstance(s, Host) for s in program.planned)
    products = sum(isinstance(k, Contraction) for k in kernels)
    different = len(set(kernels))
    arena = program._arena.nbytes
    return (
        f"{name:12}{len(kernels):9}{different:11}{products:10}{hosts:7}"
        f"{launches(program.program)[1]:10}{arena:13}"
    )


TITLE = "model         kernels  different  products  numpy  barriers  arena bytes"


@pytest.mark.skipif(not native.available(), reason="needs llvmlite")
def test_training_steps_take_no_more_kernels_barriers_and_memory_than_they_did(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exact, for one target: a change for the better is written down as well."""
    try:
        check_host(target("avx2"))
    except ArgumentError as error:
        pytest.skip(str(error))
    monkeypatch.setenv("CHAINRULE_TARGET", "avx2")
    found = "\n".join([TITLE, *map(counts, MODELS)]) + "\n"
    assert found == COUNTS.read_text(encoding="utf-8"), f"\n{found}"


def test_parts_that_share_no_element_need_no_barrier_between_them() -> None:
    whole = Buffer((8, 6), np.dtype(np.float32))
    whole.slot = 0

    def part(shape: tuple[int, ...], *place: tuple[int, tuple[int, ...]]) -> Buffer:
        made = Buffer(shape, whole.dtype)
        made.alias, made.slot = whole, 0
        made.within = tuple(Affine(offset, factors) for offset, factors in place)
        return made

    across = (0, (0, 1))
    even, odd = (part((4, 6), (start, (2, 0)), across) for start in (0, 1))
    upper, lower = (part((4, 6), (start, (1, 0)), across) for start in (0, 4))
    backwards = part((4, 6), (3, (-1, 0)), across)

    def waits(first: Buffer, second: Buffer) -> bool:
        uses = [memory.Use((), (b,), False) for b in (first, second)]
        return memory.plan(uses, set(), {}).barriers[1]

    apart = [(even, odd), (upper, lower), (backwards, lower)]
    assert not any(waits(a, b) or waits(b, a) for a, b in apart)
    meeting = [(even, even), (even, upper), (odd, lower), (backwards, upper), (even, whole)]
    assert all(waits(a, b) and waits(b, a) for a, b in meeting)
