"""Optimized graphs compute what the originals do: every op, its rule, models, random programs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.compile import trace
from chainrule.compile.passes import expand, optimize, verify
from chainrule.core.graph import Graph
from chainrule.core.op import Op
from chainrule.core.value import describe_site
from chainrule.errors import IndexRangeError
from chainrule.ops import all_ops
from chainrule.testing.cases import Case

F = nn.functional
GOLDEN = Path(__file__).parent / "golden"
SAMPLES = 8
"""Of each op: enough for its ranks and options; the dtypes alternate."""

OPS = sorted(
    (op for op in all_ops().values() if op.__module__.startswith("chainrule.")),
    key=lambda op: op.name,
)


def assert_same(after: Graph, before: Graph, inputs: list[Any], ulps: float) -> None:
    """Results are equal to `ulps` of the largest; integers and truth values exactly."""
    with np.errstate(all="ignore"):
        found, expected = after.run(*inputs), before.run(*inputs)
        for a, b in zip(map(np.asarray, found), map(np.asarray, expected), strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            if b.dtype.kind != "f":
                np.testing.assert_array_equal(a, b)
                continue
            scale = np.abs(b[np.isfinite(b)]).max(initial=np.finfo(b.dtype).tiny)
            limit = ulps * np.finfo(b.dtype).eps * scale
            np.testing.assert_allclose(a, b, rtol=0, atol=limit)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_optimized_op_and_rule_equal_the_traced_ones(op: type[Op]) -> None:
    cases = [Case(sample, seed) for seed, sample in enumerate(islice(op.samples(), SAMPLES))]
    inputs = [
        x.astype(("f8", "f4")[seed % 2]) if x.dtype.kind == "f" else x
        for seed, case in enumerate(cases)
        for x in case.inputs
    ]

    def run(*tensors: cr.Tensor) -> list[cr.Tensor]:
        rest, results = list(tensors), []
        for case in cases:
            outs, grads = case.differentiate(rest[: len(case.inputs)])
            rest = rest[len(case.inputs) :]
            results += [*outs, *[g for g in grads.values() if g is not None]]
        return results

    graph = trace(run, *[cr.Tensor.wrap(x) for x in inputs])
    assert_same(verify(optimize(graph, check=True)), graph, inputs, 4)


# Models -------------------------------------------------------------------------------------------


class Classifier(nn.Module):
    """A recurrent layer and a linear one, for its last state."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.out = nn.Linear(5, 4)

    def forward(self, x: Any) -> Any:
        return self.out(self.layer(x)[0][-1])


def image_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Dropout(0.5), nn.Linear(27, 4),
    )  # fmt: skip


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "cnn": (image_net, (4, 1, 8, 8)),
    "lstm": (lambda: Classifier(nn.LSTM(3, 5)), (3, 4, 3)),
    "gru": (lambda: Classifier(nn.GRU(3, 5)), (3, 4, 3)),
    "rnn": (lambda: Classifier(nn.RNN(3, 5)), (3, 4, 3)),
    "mlp": (
        lambda: nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.GELU(), nn.Linear(5, 4)),
        (4, 6),
    ),
}
"""Each with the shape of its inputs, of which there are four."""
PRIMITIVES = {
    "cnn": {
        "matmul",
        "convolution",
        "convolution_kernel",
        "max_scatter",
        "one_hot",
        "random_mask",
        "slice",
    },
    "lstm": {"concatenate", "matmul", "one_hot", "slice", "stack", "tanh"},
    "gru": {"concatenate", "matmul", "one_hot", "slice", "stack", "tanh"},
    "rnn": {"matmul", "one_hot", "slice", "stack", "tanh"},
    "mlp": {"gelu", "gelu_slope", "matmul", "one_hot", "rsqrt"},
}
"""What is left besides arithmetic, reductions and reshapes."""
PLAIN = {
    "add", "amax", "cast", "div", "eq", "exp", "expand", "gt", "le", "log", "logical_and",
    "logical_not", "mul", "ne", "relu", "reshape", "rsqrt", "square", "sub", "sum", "where",
}  # fmt: skip


def model_graph(name: str) -> tuple[Graph, list[Any]]:
    """The graph of a loss and its gradients, and inputs for it."""
    cr.manual_seed(0)
    make, shape = MODELS[name]
    model = make()
    weights = list(model.parameters())

    def step(x: Any, labels: Any, *values: Any) -> Any:
        for weight, value in zip(weights, values, strict=True):
            weight.array = value.array
        loss = F.cross_entropy(model(x), labels)
        return (loss, *cr.gradients(loss, weights))

    rng = np.random.default_rng(1)
    start = [np.array(w.array) for w in weights]
    inputs = [rng.normal(size=shape).astype(np.float32), np.array([0, 3, 1, 1]), *start]
    return trace(step, *inputs), inputs


@pytest.mark.parametrize("name", MODELS)
def test_optimized_models_compute_the_same_from_few_primitives(name: str) -> None:
    graph, inputs = model_graph(name)
    text = str(graph)
    after = optimize(graph, check=True)
    results = []
    for g in (after, graph):
        cr.manual_seed(5)
        results.append(g.run(*inputs))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6 * np.abs(b).max(initial=1e-3))
    assert {e.op.name for e in after.equations} - PLAIN == PRIMITIVES[name] - PLAIN
    assert str(graph) == text
    assert [v.aval for v in after.inputs] == [v.aval for v in graph.inputs]
    assert [len(c.variables) for c in after.captured] == [len(c.variables) for c in graph.captured]


def test_states_of_a_recurrent_layer_are_not_stacked_for_backward() -> None:
    """Two stacks are left: the states and the gate cotangents that meet in W's gradient."""
    after = optimize(model_graph("lstm")[0])
    names = [e.op.name for e in after.equations]
    assert names.count("stack") == 2
    assert names.count("concatenate") == 3
    steps, backward = 3, 2  # the cotangent of the first state is not asked for
    assert names.count("matmul") == 1 + steps + 1 + 2 + backward + 2


def test_equations_of_an_expansion_keep_site_and_scope() -> None:
    graph, _ = model_graph("mlp")
    scopes = {
        e.op.name: e.scope.path() for e in expand(graph).equations if getattr(e, "scope", None)
    }
    assert scopes["rsqrt"].endswith("LayerNorm") or scopes["rsqrt"].endswith(".1")
    last = [e for e in expand(graph).equations if e.op.name == "log"]
    assert "cross_entropy(model(x), labels)" in describe_site(*last[0].site)


# Awkward values -----------------------------------------------------------------------------------


def run(f: Callable[..., Any], *inputs: Any) -> list[Any]:
    return optimize(trace(f, *inputs), check=True).run(*inputs)


def test_max_pooling_keeps_the_first_nan_and_the_first_of_equals() -> None:
    rng = np.random.default_rng(0)
    x = rng.choice([np.nan, 1.0, 2.0, -np.inf, 2.0], size=(3, 2, 8, 8)).astype(np.float32)
    for options in ({}, {"stride": 1}, {"padding": 1}, {"dilation": 2, "stride": 1}):
        graph = trace(
            lambda x, o=options: cr.max_pool2d(x, 2, return_indices=True, **o), cr.tensor(x)
        )
        assert_same(optimize(graph, check=True), graph, [x], 0)
    assert "max_pool" not in {e.op.name for e in optimize(graph).equations}


def test_softmax_is_stable_for_any_score() -> None:
    x = np.array([[1e30, -1e30, 0.0], [-np.inf, 0.0, 1.0], [88.0, 89.0, 90.0]], np.float32)
    for f in (cr.softmax, cr.log_softmax, lambda x: cr.logsumexp(x, 1)):
        graph = trace(f, x)
        assert_same(optimize(graph, check=True), graph, [x], 0)


def test_norm_neither_overflows_nor_underflows() -> None:
    for dtype, sizes in (("f4", (1e30, 1e-30)), ("f8", (1e300, 1e-300))):
        for size in (*sizes, np.inf, 0.0):
            x = (np.array([3.0, 4.0]) * size if size < np.inf else np.array([size, 1])).astype(
                dtype
            )
            graph = trace(cr.norm, x)
            assert_same(optimize(graph, check=True), graph, [x], 4)


def test_ignored_labels_and_wrong_ones() -> None:
    scores = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    graph = trace(lambda x, t: F.cross_entropy(x, t), scores, np.array([0, -100, 3]))
    after = optimize(graph, check=True)
    assert_same(after, graph, [scores, np.array([0, -100, 3])], 4)
    with pytest.raises(IndexRangeError):
        after.run(scores, np.array([0, 4, 3]))


def test_half_precision_adds_up_in_single() -> None:
    x = np.full((2, 300), 300.0, np.float16)
    graph = trace(lambda x: (x.mean(1), cr.var(x, 1), cr.softmax(x, 1)), x)
    assert_same(optimize(graph, check=True), graph, [x], 4)


def test_sizes_zero_leave_constants() -> None:
    x = np.zeros((0, 3), np.float32)
    (total, mean) = run(lambda x: (cr.softmax(x, 1).sum(0), x.sum()), x)
    np.testing.assert_array_equal(total, np.zeros(3))
    assert mean == 0
    assert not optimize(trace(lambda x: cr.softmax(x, 1).sum(0), x)).equations


# Random programs ----------------------------------------------------------------------------------

NUMBERS = (0.0, -0.0, 1.0, -1.0, 2.0, 0.25, 3.0)
VALUES = np.array([0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, 1e-45, 3e38, 0.1, 7.0, -1e-3])


def random_step(rng: np.random.Generator, pool: list[Any]) -> Any:
    """A new value from those in `pool`: arithmetic with awkward numbers, or a movement."""
    x, y = (pool[i] for i in rng.integers(0, len(pool), 2))
    number = NUMBERS[rng.integers(len(NUMBERS))]
    size = x.shape[0] * x.shape[1]
    low = int(rng.integers(x.shape[0]))
    choices: list[Callable[[], Any]] = [
        lambda: -x, lambda: x + number, lambda: x - number, lambda: number - x,
        lambda: x * number, lambda: x / (number or 4.0), lambda: x.tanh(),
        lambda: x + y if x.shape == y.shape else x * x,
        lambda: cr.where(x > number, x, y if x.shape == y.shape else x),
        lambda: x.permute(1, 0), lambda: x.reshape(size, 1), lambda: x.reshape(1, size),
        lambda: x[low:], lambda: x[::-1], lambda: x[low].reshape(1, x.shape[1]), lambda: x[:, ::2],
        lambda: cr.pad(x, ((low, 0), (0, 1)), abs(number)),
        lambda: cr.concatenate([x, x[low:]], 0), lambda: cr.concatenate([x, y], 1)
        if x.shape[0] == y.shape[0] else x,
        lambda: cr.stack([x, x * number])[int(rng.integers(2))],
        lambda: cr.expand(x[:1], *x.shape) * x, lambda: x.astype(np.float64).astype(np.float32),
        lambda: cr.logical_not(cr.logical_not(x)).astype(np.float32),
        lambda: cr.amax(x.reshape(x.shape[0], 1, x.shape[1]), 1),
        lambda: cr.unbind(x)[low].reshape(x.shape[1], 1),
    ]  # fmt: skip
    return choices[rng.integers(len(choices))]()


@pytest.mark.parametrize("seed", range(60))
def test_random_programs_compute_the_same_bits(seed: int) -> None:
    def program(x: Any) -> Any:
        rng = np.random.default_rng(seed)
        pool = [x, x * 2.0]
        for _ in range(30):
            new = random_step(rng, pool)
            if new.shape[0] * new.shape[1] <= 200:
                pool.append(new)
        return pool[-6:]

    x = np.random.default_rng(seed).choice(VALUES, (3, 4)).astype(np.float32)
    graph = trace(program, x)
    after = optimize(graph, check=True)
    assert len(after.equations) <= len(graph.equations)
    with np.errstate(all="ignore"):
        for a, b in zip(after.run(x), graph.run(x), strict=True):
            np.testing.assert_array_equal(a, b)
            number = ~np.isnan(b)
            np.testing.assert_array_equal(np.signbit(a)[number], np.signbit(b)[number])


# What is printed ----------------------------------------------------------------------------------


def gradient_of(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: cr.grad(lambda x: f(x).sum())(x)


PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "softmax": (lambda x: cr.softmax(x, 1), (np.zeros((2, 3), "f4"),)),
    "cross_entropy_gradient": (
        lambda x, t: cr.grad(lambda x: F.cross_entropy(x, t))(x),
        (np.zeros((2, 3), "f4"), np.zeros(2, "i8")),
    ),
    "layer_norm": (lambda x: F.layer_norm(x, (4,)), (np.zeros((2, 4), "f4"),)),
    "max_pool_gradient": (
        gradient_of(lambda x: cr.max_pool2d(x, 2)),
        (np.zeros((1, 1, 4, 4), "f4"),),
    ),
    "average_pool": (lambda x: cr.avg_pool1d(x, 2), (np.zeros((1, 1, 4), "f4"),)),
    "lstm": (
        lambda *xs: cr.lstm(*xs)[0],
        tuple(np.zeros(s, "f4") for s in ((2, 1, 3), (1, 2), (1, 2), (8, 3), (8, 2), (8,))),
    ),
    "variance": (lambda x: cr.var(x, 0), (np.zeros((4, 2), "f4"),)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_golden_prints(name: str) -> None:
    f, inputs = PROGRAMS[name]
    text = str(optimize(trace(f, *inputs), check=True)) + "\n"
    assert text == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def test_debug_level_three_prints_the_graph_after_each_pass(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = trace(lambda x: cr.softmax(x, 0) * 1.0, cr.ones(3))
    optimize(graph)
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("CHAINRULE_DEBUG", "3")
    optimize(graph)
    told = capsys.readouterr().err
    assert told.index("# after expand") < told.index("# after simplify")
    assert "exp(" in told


def test_a_graph_that_nothing_improves_is_returned_itself() -> None:
    graph = trace(lambda x: x.exp() * 3.0, cr.ones(2))
    assert optimize(graph) is graph
