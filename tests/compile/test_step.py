"""Compiled training steps leave what eager ones leave: bit for bit, on the interpreter."""

from __future__ import annotations

import copy
import gc
import os
import random
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.compile import executable, step
from chainrule.compile.executable import Interpreter
from chainrule.errors import IndexRangeError, SecondOrderError, ShapeError, TracingError
from chainrule.nn import functional
from chainrule.runtime import slots

Make = Callable[[], tuple[nn.Module, optim.Optimizer, Callable[..., Any]]]


class Reusing:
    """Writes donated results into the memory of their inputs, as compiled code does."""

    in_place = True

    def __init__(self, graph: Any, donations: Any) -> None:
        self._graph = graph
        self._donations = dict(donations)
        self._given: list[Any] = [None] * len(graph.inputs)

    def prepare(self, i: int, array: Any) -> Any:
        ready = array if array.flags.c_contiguous else np.ascontiguousarray(array)
        self._given[i] = weakref.ref(ready)
        return ready

    def run_alone(self) -> Any:
        """A run on what was prepared last, which somebody must still hold."""
        return self([given() for given in self._given])[0]

    def __call__(self, arrays: Any) -> list[Any]:
        for array, var in zip(arrays, self._graph.inputs, strict=True):
            assert (array.shape, array.dtype) == (var.shape, var.dtype)
        outputs = [np.array(y) for y in self._graph.run(*arrays)]
        for i, j in self._donations.items():
            arrays[i][...] = outputs[j]
            outputs[j] = arrays[i]
        return outputs


@pytest.fixture(params=["new arrays", "in place", "in place, all looked at"], autouse=True)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each test runs with results in new arrays, and with the state updated in its memory.

    Whether the state is as a call left it is found out by machine code, or in Python each time.
    """
    if request.param == "in place, all looked at":
        monkeypatch.setattr(slots, "_look", lambda _: None)

    def build(graph: Any, donations: Any, *, results: int) -> Any:
        return Interpreter(graph) if request.param == "new arrays" else Reusing(graph, donations)

    monkeypatch.setattr(executable, "build", build)
    return str(request.param)


def classifier(loss: Callable[..., Any] = functional.cross_entropy) -> Callable[..., Any]:
    """A maker of plain training steps."""

    def make(model: nn.Module, optimizer: optim.Optimizer) -> Callable[..., Any]:
        def train(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            value = loss(model(x), y)
            value.backward()
            optimizer.step()
            return value

        return train

    return make


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))


class Snapshot(NamedTuple):
    """All numbers that a training leaves."""

    losses: list[Any]
    arrays: dict[str, Any]


def snapshot(model: nn.Module, optimizer: optim.Optimizer, losses: list[Any]) -> Snapshot:
    arrays = {f"state {k}": v.array.copy() for k, v in model.state_dict().items()}
    for i, p in enumerate(model.parameters()):
        arrays[f"grad {i}"] = None if p.grad is None else p.grad.array.copy()
        arrays[f"node {i}"] = p.requires_grad
        for slot, cell in optimizer.state.get(p, {}).items():
            arrays[f"{slot} {i}"] = cell.array.copy()
    arrays["generator"] = cr.default_generator.get_state()
    return Snapshot(losses, arrays)


def assert_same(found: Snapshot, expected: Snapshot) -> None:
    np.testing.assert_array_equal(found.losses, expected.losses)
    assert found.arrays.keys() == expected.arrays.keys()
    for name, array in expected.arrays.items():
        if array is None or isinstance(array, bool):
            assert found.arrays[name] is array, name
        else:
            np.testing.assert_array_equal(found.arrays[name], array, err_msg=name, strict=True)


def batches(n: int = 10, shape: tuple[int, ...] = (6, 5), seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [
        (rng.normal(size=shape).astype(np.float32), rng.integers(0, 3, shape[0])) for _ in range(n)
    ]


def train(
    make_model: Callable[[], nn.Module],
    make_optimizer: Callable[[Any], optim.Optimizer],
    make_step: Callable[..., Any] | None = None,
    *,
    compiled: bool,
    data: list[Any] | None = None,
    between: Callable[..., Any] | None = None,
) -> tuple[Snapshot, Any]:
    """Ten steps of training, and the step itself."""
    cr.manual_seed(0)
    model = make_model()
    optimizer = make_optimizer(model.parameters())
    run = (make_step or classifier())(model, optimizer)
    run = cr.compile(run) if compiled else run
    losses = []
    for i, (x, y) in enumerate(data or batches()):
        losses.append(run(cr.tensor(x), cr.tensor(y)).numpy() if compiled else
                      run(cr.tensor(x), cr.tensor(y)).detach().numpy())  # fmt: skip
        if between is not None:
            between(model, optimizer, i)
    return snapshot(model, optimizer, losses), run


def assert_compiled_equals_eager(*args: Any, traces: int = 1, **kwargs: Any) -> Any:
    expected, _ = train(*args, compiled=False, **kwargs)
    found, run = train(*args, compiled=True, **kwargs)
    assert_same(found, expected)
    assert run.traces == traces, run.why_recompiled()
    return run


# Optimizers ---------------------------------------------------------------------------------------

OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "SGD, momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "SGD, Nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "SGD, dampening": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.3, maximize=True),
    "Adam": lambda p: optim.Adam(p, lr=0.01),
    "Adam, decay": lambda p: optim.Adam(p, lr=0.01, weight_decay=0.1, amsgrad=True),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01),
    "RMSprop, all": lambda p: optim.RMSprop(
        p, lr=0.01, momentum=0.9, centered=True, weight_decay=0.1
    ),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.1),
    "Adagrad, all": lambda p: optim.Adagrad(
        p, lr=0.1, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.1
    ),
    "lr of a tensor": lambda p: optim.Adam(p, lr=cr.tensor(0.01)),
    "lr of an integer": lambda p: optim.SGD(p, lr=1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_ends_where_the_eager_one_does(name: str) -> None:
    assert_compiled_equals_eager(mlp, OPTIMIZERS[name])


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
@pytest.mark.parametrize("name", ["SGD, momentum", "Adam", "RMSprop, all"])
def test_optimizers_keep_the_dtype_of_the_parameters(name: str, dtype: Any) -> None:
    data = [(x.astype(dtype), y) for x, y in batches()]
    assert_compiled_equals_eager(lambda: mlp().to(dtype), OPTIMIZERS[name], data=data)


def test_parameters_without_dimensions_keep_their_dtype() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.s = nn.Parameter(cr.tensor(0.5))

        def forward(self, x: Any) -> Any:
            return x[:, :3] * self.s

    for name in ("SGD, momentum", "Adam, decay", "AdamW", "RMSprop, all", "Adagrad, all"):
        assert_compiled_equals_eager(Scale, OPTIMIZERS[name])


def test_groups_have_rates_of_their_own() -> None:
    def grouped(parameters: Any) -> optim.Optimizer:
        first, *rest = list(parameters)
        return optim.Adam([{"params": [first], "lr": 0.1}, {"params": rest}], lr=0.01)

    assert_compiled_equals_eager(mlp, grouped)


# Schedules ----------------------------------------------------------------------------------------


def scheduled(make: Callable[[optim.Optimizer], Any]) -> Callable[..., Any]:
    """What steps a schedule between the steps."""
    schedules: dict[int, Any] = {}

    def between(model: nn.Module, optimizer: optim.Optimizer, i: int) -> None:
        if i == 0:
            schedules[id(optimizer)] = make(optimizer)
        schedules[id(optimizer)].step()

    return between


@pytest.mark.parametrize("name", ["SGD, momentum", "Adam", "AdamW", "Adagrad"])
def test_a_schedule_changes_the_rate_without_another_trace(name: str) -> None:
    between = scheduled(lambda optimizer: optim.CosineAnnealingLR(optimizer, 9))
    assert_compiled_equals_eager(mlp, OPTIMIZERS[name], between=between)


@pytest.mark.parametrize("name", ["SGD, momentum", "Adam"])
def test_one_cycle_moves_momentum_too_without_another_trace(name: str) -> None:
    between = scheduled(lambda optimizer: optim.OneCycleLR(optimizer, 0.1, 20))
    assert_compiled_equals_eager(mlp, OPTIMIZERS[name], between=between)


def test_a_number_that_becomes_other_than_zero_is_traced_again() -> None:
    def between(model: nn.Module, optimizer: optim.Optimizer, i: int) -> None:
        optimizer.param_groups[0]["weight_decay"] = 0.0 if i < 4 else 0.1 * i

    run = assert_compiled_equals_eager(mlp, OPTIMIZERS["Adam"], between=between, traces=2)
    assert run.why_recompiled() == ["optimizer.param_groups[0].weight_decay: 0.0 became 0.4"]


# Networks -----------------------------------------------------------------------------------------


def test_dropout_draws_the_numbers_of_an_eager_step() -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(5, 64), nn.Dropout(0.5), nn.ReLU(), nn.Linear(64, 3))

    assert_compiled_equals_eager(make, OPTIMIZERS["Adam"])


def test_batch_norm_updates_its_buffers() -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))

    assert_compiled_equals_eager(make, OPTIMIZERS["SGD, momentum"])


def test_a_convolutional_network() -> None:
    def make() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)
        )

    assert_compiled_equals_eager(make, OPTIMIZERS["Adam"], data=batches(10, (4, 1, 8, 8)))


def test_a_recurrent_network() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(5, 6, batch_first=True)
            self.out = nn.Linear(6, 3)

        def forward(self, x: Any) -> Any:
            y, (h, _) = self.lstm(x)
            return self.out(y[:, -1] + h[0])

    assert_compiled_equals_eager(Reader, OPTIMIZERS["Adam"], data=batches(10, (4, 7, 5)))


def test_frozen_objects_are_seen() -> None:
    """``gc.freeze``, as servers call it before they fork, hides objects from the collector."""
    layer = nn.Linear(2, 1)
    optimizer = optim.SGD(layer.parameters(), lr=0.1)

    @cr.compile
    def step(x: cr.Tensor) -> cr.Tensor:
        optimizer.zero_grad()
        loss = (layer(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    gc.freeze()
    try:
        first, second = (float(step(cr.ones(4, 2))) for _ in range(2))
    finally:
        gc.unfreeze()
    assert second < first


def test_a_parameter_used_twice_gets_the_sum_of_its_gradients() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(5, 5, bias=False)
            self.b = nn.Linear(5, 5, bias=False)
            self.b.weight = self.a.weight
            self.out = nn.Linear(5, 3)

        def forward(self, x: Any) -> Any:
            return self.out(self.b(self.a(x).tanh()))

    assert_compiled_equals_eager(Tied, OPTIMIZERS["Adam"])


def test_two_parameters_with_one_gradient_stay_apart() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Parameter(cr.zeros(3)), nn.Parameter(cr.zeros(3))

        def forward(self, x: Any) -> Any:
            return x[:, :3] + (self.a + self.b)

    def clipped(model: nn.Module, optimizer: optim.Optimizer) -> Callable[..., Any]:
        def train(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), y)
            loss.backward()
            optim.clip_grad_value_([model.a], 0.01)
            optimizer.step()
            return loss

        return train

    assert_compiled_equals_eager(Sum, OPTIMIZERS["SGD, momentum"], clipped)


def test_frozen_layers_stay_and_have_no_gradient() -> None:
    def make() -> nn.Module:
        model = mlp()
        model[0].requires_grad_(False)
        return model

    assert_compiled_equals_eager(make, OPTIMIZERS["Adam"])


def test_thawing_a_layer_is_traced_again() -> None:
    def make() -> nn.Module:
        model = mlp()
        model[0].requires_grad_(False)
        return model

    def thaw(model: nn.Module, optimizer: optim.Optimizer, i: int) -> None:
        if i == 4:
            model[0].requires_grad_(True)

    run = assert_compiled_equals_eager(make, OPTIMIZERS["Adam"], between=thaw, traces=2)
    assert "no gradient became requires_grad" in run.why_recompiled()[0]


# Steps of other forms -----------------------------------------------------------------------------


def clipping(model: nn.Module, optimizer: optim.Optimizer) -> Callable[..., Any]:
    def train(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        norm = optim.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        return loss + norm * 0

    return train


def test_gradients_are_clipped() -> None:
    assert_compiled_equals_eager(mlp, OPTIMIZERS["SGD, momentum"], clipping)


def test_gradients_accumulate_over_calls() -> None:
    def accumulating(model: nn.Module, optimizer: optim.Optimizer) -> Callable[..., Any]:
        def add(x: Any, y: Any) -> Any:
            loss = functional.cross_entropy(model(x), y)
            loss.backward()
            return loss

        return add

    def update(model: nn.Module, optimizer: optim.Optimizer, i: int) -> None:
        if i % 3 == 2:
            optimizer.step()
            optimizer.zero_grad()

    run = assert_compiled_equals_eager(
        mlp, OPTIMIZERS["Adam"], accumulating, between=update, traces=2
    )
    assert "grad: None became a tensor" in run.why_recompiled()[0]


def test_gradients_accumulate_within_a_call() -> None:
    def accumulating(model: nn.Module, optimizer: optim.Optimizer) -> Callable[..., Any]:
        def add(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            for part in (slice(0, 3), slice(3, 6)):
                loss = functional.cross_entropy(model(x[part]), y[part]) / 2
                loss.backward()
            optimizer.step()
            return loss

        return add

    assert_compiled_equals_eager(mlp, OPTIMIZERS["Adam"], accumulating)


def test_gradients_set_to_zero_are_zeros() -> None:
    def zeroing(model: nn.Module, optimizer: optim.Optimizer) -> Callable[..., Any]:
        def train(x: Any, y: Any) -> Any:
            optimizer.zero_grad(set_to_none=False)
            loss = functional.cross_entropy(model[2](model[1](x[:, :3] @ cr.ones(3, 8))), y)
            loss.backward()
            optimizer.step()
            return loss

        return train

    def seeded(model: nn.Module, optimizer: optim.Optimizer, i: int) -> None:
        if i == 3:
            model[0].weight.grad = cr.ones(8, 5)

    expected, _ = train(mlp, OPTIMIZERS["SGD, momentum"], zeroing, compiled=False, between=seeded)
    found, _ = train(mlp, OPTIMIZERS["SGD, momentum"], zeroing, compiled=True, between=seeded)
    assert_same(found, expected)


def test_the_update_alone_can_be_compiled() -> None:
    cr.manual_seed(0)
    models = [mlp(), mlp()]
    models[1].load_state_dict(models[0].state_dict())
    optimizers = [optim.Adam(m.parameters(), lr=0.01) for m in models]

    @cr.compile
    def update() -> Any:
        norm = optim.clip_grad_norm_(models[1].parameters(), 0.01)
        optimizers[1].step()
        return norm

    for x, y in batches(4):
        for model in models:
            model.zero_grad()
            functional.cross_entropy(model(cr.tensor(x)), cr.tensor(y)).backward()
        norm = optim.clip_grad_norm_(models[0].parameters(), 0.01)
        optimizers[0].step()
        assert update().item() == norm.item()
        for p, q in zip(models[0].parameters(), models[1].parameters(), strict=True):
            np.testing.assert_array_equal(q.grad.array, p.grad.array)
            np.testing.assert_array_equal(q.array, p.array)
    assert update.traces == 1


def test_two_steps_that_share_parameters_take_turns() -> None:
    def run(compiled: bool) -> Any:
        cr.manual_seed(0)
        model = mlp()
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        make = classifier()
        steps = [make(model, optimizer), clipping(model, optimizer)]
        if compiled:
            steps = [cr.compile(s) for s in steps]
        losses = [
            steps[i % 2](cr.tensor(x), cr.tensor(y)).detach().numpy()
            for i, (x, y) in enumerate(batches())
        ]
        return snapshot(model, optimizer, losses)

    assert_same(run(True), run(False))


def test_batches_of_another_size_are_traced_once_each() -> None:
    data = [(x[: 6 if i % 3 else 4], y[: 6 if i % 3 else 4]) for i, (x, y) in enumerate(batches())]
    run = assert_compiled_equals_eager(mlp, OPTIMIZERS["Adam"], data=data, traces=2)
    assert run.why_recompiled() == [
        "argument 0: float32[4,5] became float32[6,5]; argument 1: int64[4] became int64[6]"
    ]


def test_training_and_evaluation_alternate_without_more_traces() -> None:
    cr.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 40), nn.Dropout(0.5), nn.Linear(40, 3))
    forward = cr.compile(lambda x: model(x))
    x = cr.randn(2, 5)
    for _ in range(4):
        state = cr.default_generator.get_state()
        for mode in (True, False):
            model.train(mode)
            found = forward(x)
            cr.default_generator.set_state(state)
            np.testing.assert_array_equal(found.array, model(x).array)
    assert forward.traces == 2
    assert forward.why_recompiled() == [
        "model.training: True became False; model.0.training: True became False; "
        "model.1.training: True became False; model.2.training: True became False"
    ]


# Values -------------------------------------------------------------------------------------------


def test_arrays_that_somebody_holds_keep_their_numbers() -> None:
    kept: list[Any] = []

    def keep(model: nn.Module, optimizer: optim.Optimizer, i: int) -> None:
        p = model[0].weight
        arrays = [
            p.array,
            p.array[1:],
            p.grad.array,
            *[c.array for c in optimizer.state[p].values()],
        ]
        kept.append((arrays, [a.copy() for a in arrays], p.grad, p.grad.array.copy()))

    assert_compiled_equals_eager(mlp, OPTIMIZERS["Adam"], between=keep)
    for arrays, copies, grad, numbers in kept:
        for array, copied in zip(arrays, copies, strict=True):
            np.testing.assert_array_equal(array, copied)
        np.testing.assert_array_equal(grad.array, numbers)


def test_memory_that_nobody_else_holds_stays_where_it_is(backend: str) -> None:
    if backend == "new arrays":
        return  # they may be anywhere
    cr.manual_seed(0)
    model = mlp()
    optimizer = optim.Adam(model.parameters())
    run = cr.compile(classifier()(model, optimizer))
    data = [(cr.tensor(x), cr.tensor(y)) for x, y in batches(4)]
    run(*data[0])
    cells = [*model.parameters(), *[c for s in optimizer.state.values() for c in s.values()]]
    assert len(cells) == 4 * 4
    before = [id(cell.array) for cell in cells]
    run(*data[1])
    cells[0].array = cells[0].array + 1
    run(*data[2])
    after = [id(cell.array) for cell in cells]
    assert before[1:] == after[1:]


def test_a_tensor_that_shares_a_parameters_array_keeps_its_numbers() -> None:
    cr.manual_seed(0)
    model = mlp()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    run = cr.compile(classifier()(model, optimizer))
    data = [(cr.tensor(x), cr.tensor(y)) for x, y in batches(3)]
    twin = model[0].weight.detach()
    numbers = twin.numpy()
    for x, y in data:
        run(x, y)
    np.testing.assert_array_equal(twin.numpy(), numbers)
    assert not np.array_equal(model[0].weight.array, numbers)


def test_the_arrays_of_arguments_are_never_written_to() -> None:
    weight = cr.zeros(3, requires_grad=True)
    target = np.ones(3, np.float32)

    @cr.compile
    def copy_in(x: Any) -> Any:
        with cr.no_grad():
            weight.copy_(x)
        return weight * 1

    @cr.compile
    def double() -> None:
        with cr.no_grad():
            weight.mul_(2)

    x = cr.tensor(target)
    copy_in(x)
    double()
    double()
    assert weight.tolist() == [4.0] * 3
    assert x.tolist() == [1.0] * 3
    copy_in(target)
    double()
    assert target.tolist() == [1.0] * 3


def test_values_assigned_between_calls_count() -> None:
    def change(model: nn.Module, optimizer: optim.Optimizer, i: int) -> None:
        if i == 3:
            model[0].weight.data = cr.ones(8, 5)
        if i == 5:
            model[0].bias.data.zero_()
        if i == 6:
            optimizer.state[model[0].bias]["exp_avg"].array = np.ones(8, np.float32)[::1]
        if i == 7:
            model[2].weight.array = np.asfortranarray(np.ones((3, 8), np.float32))

    assert_compiled_equals_eager(mlp, OPTIMIZERS["Adam"], between=change)


def test_a_checkpoint_is_saved_and_loaded_between_steps() -> None:
    saved: dict[int, Any] = {}

    def roll_back(model: nn.Module, optimizer: optim.Optimizer, i: int) -> None:
        if i == 2:
            saved[id(model)] = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
        if i == 6:
            weights, state = saved[id(model)]
            model.load_state_dict(weights)
            optimizer.load_state_dict(state)

    assert_compiled_equals_eager(mlp, OPTIMIZERS["Adam"], between=roll_back)


def test_a_state_that_is_forgotten_starts_again() -> None:
    def forget(model: nn.Module, optimizer: optim.Optimizer, i: int) -> None:
        if i == 4:
            optimizer.state.clear()

    assert_compiled_equals_eager(mlp, OPTIMIZERS["Adam"], between=forget, traces=2)


def test_a_layer_that_is_replaced_is_traced_again() -> None:
    def replace(model: nn.Module, optimizer: optim.Optimizer, i: int) -> None:
        if i == 4:
            model[0].bias = None

    run = assert_compiled_equals_eager(mlp, OPTIMIZERS["SGD"], between=replace, traces=2)
    assert "model.0.bias: a Parameter became None" in run.why_recompiled()[0]


def test_the_seed_of_the_generator_counts_in_each_call() -> None:
    draw = cr.compile(lambda x: x + cr.rand(4))
    zeros = cr.zeros(4)
    cr.manual_seed(3)
    first = [draw(zeros).tolist(), draw(zeros).tolist()]
    cr.manual_seed(3)
    assert [draw(zeros).tolist(), cr.rand(4).tolist()] == first
    assert first[0] != first[1]


# Results and arguments ----------------------------------------------------------------------------


class Pair(NamedTuple):
    """A named tuple of a result."""

    total: Any
    name: str


def test_results_may_be_nested_and_hold_anything() -> None:
    weight = cr.tensor([1.0, 2.0])

    @cr.compile
    def f(x: Any, options: Any) -> Any:
        y = x["a"] * weight
        return {"pair": Pair(y.sum(), "sum"), "list": [y, None, 3, (x["b"], weight)], "x": x["a"]}

    a, b = cr.tensor([3.0, 4.0]), np.array([1, 2])
    for _ in range(3):
        found = f({"a": a, "b": b}, [True, "mean", None, (1, 2.5)])
        assert found["pair"].total.item() == 11.0
        assert found["pair"].name == "sum"
        assert found["list"][0].tolist() == [3.0, 8.0]
        assert found["list"][1:3] == [None, 3]
        assert found["list"][3][0] is b
        assert found["list"][3][1] is weight
        assert found["x"] is a
    assert f.traces == 1


def test_static_arguments_are_compared_by_value() -> None:
    f = cr.compile(lambda x, n, mode="sum": x * n if mode == "sum" else x - n)
    x = cr.ones(2)
    assert f(x, 2).tolist() == [2.0, 2.0]
    assert f(x, 3).tolist() == [3.0, 3.0]
    assert f(x, 2, mode="other").tolist() == [-1.0, -1.0]
    assert f(x, 2).tolist() == [2.0, 2.0]
    assert f(x, True).tolist() == [1.0, 1.0]
    assert f.traces == 4
    assert f.why_recompiled()[0] == "argument 1: 2 became 3"


def test_a_float_that_changes_becomes_an_input() -> None:
    f = cr.compile(lambda x, scale: x * scale + (1.0 - scale) * cr.tensor(2.0))
    eager = lambda x, scale: x * scale + (1.0 - scale) * cr.tensor(2.0)  # noqa: E731
    for scale in (0.1, 0.1, 0.2, 0.3, 0.7, np.float32(0.9)):
        for x in (cr.ones(2), cr.tensor(1.5)):
            found, expected = f(x, scale), eager(x, scale)
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found.array, expected.array)
    assert f.traces == 4


def test_a_float_that_decides_what_is_computed_stays_part_of_the_graph() -> None:
    f = cr.compile(lambda x, limit: x if limit > 0.5 else -x)
    for limit in (0.1, 0.2, 0.9, 0.3, 0.8):
        assert f(cr.ones(1), limit).item() == (1.0 if limit > 0.5 else -1.0)


def test_arguments_that_want_gradients_get_them() -> None:
    @cr.compile
    def f(x: Any) -> Any:
        y = (x * x).sum()
        y.backward()
        return y

    for values in ([1.0, 2.0], [3.0, 4.0]):
        x = cr.tensor(values, requires_grad=True)
        f(x)
        assert x.grad.tolist() == [2 * v for v in values]
        f(x)
        assert x.grad.tolist() == [4 * v for v in values]
    assert f.traces == 2


def test_an_argument_changed_in_place_is_changed() -> None:
    f = cr.compile(lambda x: x.add_(1) and None)
    x = cr.tensor([1.0])
    array = x.array
    with pytest.raises(TracingError):
        f(x)
    g = cr.compile(lambda x: [x.add_(1)][0])
    assert g(x) is x
    assert g(x).tolist() == [3.0]
    assert array.tolist() == [1.0]


def test_a_parameter_that_is_passed_and_also_held_by_an_optimizer() -> None:
    def run(compiled: bool) -> Any:
        w = [cr.tensor([1.0, 2.0], requires_grad=True), cr.tensor([3.0, 4.0], requires_grad=True)]
        optimizer = optim.SGD(w, lr=0.1, momentum=0.9)

        def train(p: Any) -> Any:
            optimizer.zero_grad()
            loss = (p * p).sum()
            loss.backward()
            optimizer.step()
            return loss

        fn = cr.compile(train) if compiled else train
        losses = [fn(w[i]).detach().numpy() for i in (0, 0, 1, 0, 1)]
        return losses, [p.tolist() for p in w]

    found, expected = run(True), run(False)
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1] == expected[1]


# Compiled functions on the tape -------------------------------------------------------------------


def test_a_compiled_module_trains_with_an_eager_backward_and_update() -> None:
    def run(compiled: bool) -> Any:
        cr.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
        if compiled:
            assert cr.compile(model) is model
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        make = classifier()(model, optimizer)
        losses = [make(cr.tensor(x), cr.tensor(y)).detach().numpy() for x, y in batches()]
        return snapshot(model, optimizer, losses), model

    (found, model), (expected, _) = run(True), run(False)
    assert_same(found, expected)
    assert model.forward.traces == 1


def test_gradients_go_through_a_compiled_call_to_what_was_before_it() -> None:
    weight = cr.tensor([2.0, 3.0], requires_grad=True)
    f = cr.compile(lambda a, b: ((a * weight).exp(), a.sum() * b))
    for _ in range(2):
        grads = []
        for call in (f, f._fn):
            x = cr.tensor([0.1, 0.2], requires_grad=True)
            h = x * x
            y, z = call(h, cr.ones(1))
            weight.grad = None
            (y.sum() * 3 + z.sum()).backward()
            grads.append((x.grad.tolist(), weight.grad.tolist()))
        assert grads[0] == grads[1]
        (only,) = cr.gradients(f(h.detach(), cr.ones(1))[0].sum(), weight)
        assert only.tolist() == grads[0][1] or only.shape == (2,)
    with pytest.raises(SecondOrderError):
        cr.gradients(f(h.detach(), cr.ones(1))[0].sum(), weight, create_graph=True)


def test_nothing_is_recorded_where_recording_is_off() -> None:
    model = cr.compile(nn.Linear(2, 1))
    x = cr.ones(1, 2)
    assert model(x).requires_grad
    with cr.no_grad():
        assert not model(x).requires_grad
    assert model.forward.why_recompiled() == ["is_grad_enabled(): True became False"]


def test_hooks_are_called_once_for_a_gradient_through_a_compiled_call() -> None:
    weight = cr.tensor([1.0, 2.0], requires_grad=True)
    weight.register_hook(lambda g: g * 10)
    f = cr.compile(lambda x: x * weight)
    f(cr.ones(2)).sum().backward()
    assert weight.grad.tolist() == [10.0, 10.0]


def test_a_compiled_function_within_another_is_part_of_it() -> None:
    inner = cr.compile(lambda x: x.tanh())
    outer = cr.compile(lambda x: inner(x) * 2)
    np.testing.assert_allclose(outer(cr.ones(2)).array, np.tanh(1.0) * 2, rtol=1e-6)
    assert (outer.traces, inner.traces) == (1, 0)


def test_a_method_is_compiled_for_each_instance() -> None:
    class Learner:
        def __init__(self, start: float) -> None:
            self.w = cr.tensor([start], requires_grad=True)
            self.optimizer = optim.SGD([self.w], lr=0.1)

        @cr.compile
        def learn(self, x: Any) -> Any:
            self.optimizer.zero_grad()
            loss = (self.w * x).sum()
            loss.backward()
            self.optimizer.step()
            return loss

    first, second = Learner(1.0), Learner(2.0)
    for _ in range(2):
        first.learn(cr.ones(1))
        second.learn(cr.ones(1))
    assert [first.w.item(), second.w.item()] == pytest.approx([0.8, 1.8])
    assert Learner.learn.traces == 2


def test_a_copied_module_has_a_compiled_forward_of_its_own() -> None:
    model = cr.compile(nn.Linear(2, 1))
    x = cr.ones(1, 2)
    before = model(x).item()
    twin = copy.deepcopy(model)
    with cr.no_grad():
        twin.weight.zero_()
        twin.bias.zero_()
    assert twin(x).item() == 0.0
    assert model(x).item() == before


# Errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask",
    [
        lambda loss, w: loss.item(),
        lambda loss, w: float(loss),
        lambda loss, w: f"{loss:.3f}",
        lambda loss, w: print(loss),
        lambda loss, w: bool(loss > 0),
        lambda loss, w: w.grad.tolist(),
        lambda loss, w: np.asarray(w.grad),
        lambda loss, w: int(w.array.sum()),
    ],
)
def test_asking_for_numbers_names_the_line_and_changes_nothing(ask: Any) -> None:
    w = cr.tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.Adam([w], lr=0.1)

    @cr.compile
    def train(x: Any) -> Any:
        loss = (w * x).sum()
        loss.backward()
        optimizer.step()
        ask(loss, w)

    with pytest.raises(TracingError) as caught:
        train(cr.ones(2))
    assert "test_step.py" in str(caught.value)
    assert "lambda loss, w:" in str(caught.value)
    assert w.tolist() == [1.0, 2.0]
    assert w.grad is None
    assert (w * 2).tolist() == [2.0, 4.0]


def test_errors_of_the_function_pass_unchanged() -> None:
    def fail(x: Any) -> Any:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        cr.compile(fail)(cr.ones(1))
    with pytest.raises(ShapeError):
        cr.compile(lambda x: x @ cr.ones(7, 7))(cr.ones(2, 2))


def test_a_label_out_of_range_is_found_when_it_runs() -> None:
    f = cr.compile(lambda x, y: functional.cross_entropy(x, y))
    x = cr.randn(2, 3)
    f(x, cr.tensor([0, 2]))
    with pytest.raises(IndexRangeError):
        f(x, cr.tensor([0, 3]))
    assert np.isfinite(f(x, cr.tensor([0, 2])).item())


def test_random_numbers_of_python_and_numpy_are_refused() -> None:
    for draw in (random.random, np.random.rand):
        with pytest.raises(TracingError, match="random numbers of Python or NumPy"):
            cr.compile(lambda x, draw=draw: x * draw())(cr.ones(1))


def test_backward_into_what_was_computed_outside_is_refused() -> None:
    x = cr.tensor([1.0], requires_grad=True)
    h = x * 2
    with pytest.raises(TracingError, match="computed outside"):
        cr.compile(lambda: (h * 3).sum().backward())()
    (h * 3).sum().backward()
    assert x.grad.tolist() == [6.0]


def test_a_defect_of_the_compiler_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph: Any, donations: Any, *, results: int) -> Any:
        raise NotImplementedError("no kernel for tanh")

    monkeypatch.setattr(executable, "build", broken)
    f = cr.compile(lambda x: x.tanh())
    with pytest.warns(UserWarning, match="no kernel for tanh"):
        assert f(cr.zeros(2)).tolist() == [0.0, 0.0]
    assert f(cr.zeros(3)).tolist() == [0.0] * 3


def test_what_keeps_changing_is_a_warning_and_then_runs_eagerly() -> None:
    f = cr.compile(lambda x: x * 2)
    for n in range(1, step.MANY_TRACES + 1):
        f(cr.ones(n))
    with pytest.warns(UserWarning, match="traced 8 times, now because argument 0"):
        f(cr.ones(20))
    for n in range(21, 40):
        assert f(cr.ones(n)).shape == (n,)
    assert f.traces == step.MOST_TRACES


def test_no_garbage_is_collected_while_a_function_is_traced() -> None:
    seen: list[bool] = []

    @cr.compile
    def double(x: Any) -> Any:
        seen.append(gc.isenabled())
        return x * 2

    @cr.compile
    def failing(x: Any) -> Any:
        return x * float(x.sum())

    assert gc.isenabled()
    double(cr.ones(3))
    with pytest.raises(TracingError):
        failing(cr.ones(3))
    assert gc.isenabled()
    gc.disable()
    try:
        double(cr.ones(4))
        assert not gc.isenabled()
    finally:
        gc.enable()
    assert seen == [False, False]


def test_only_what_is_held_in_part_or_cannot_be_written_moves_elsewhere() -> None:
    cr.manual_seed(0)
    model = nn.Linear(3, 2)
    run = cr.compile(classifier()(model, optim.SGD(model.parameters(), lr=0.1)))
    x, y = cr.ones(4, 3), cr.tensor(np.array([0, 1, 0, 1]))
    run(x, y)
    run(x, y)
    gradient = model.bias.grad
    assert gradient is not None
    numbers = gradient.array.copy()
    run(x, y)  # the tensor is held, its array is not
    np.testing.assert_array_equal(gradient.array, numbers)
    whole = np.zeros(2, np.float32)
    model.bias.array = whole[...]  # a view is alone, what it looks at is not
    run(x, y)
    assert not whole.any()
    fixed = np.zeros(2, np.float32)
    fixed.flags.writeable = False
    model.bias.array = fixed
    del fixed
    run(x, y)
    assert model.bias.array.flags.writeable
    assert model.bias.array.any()


def test_a_child_of_a_fork_during_a_trace_collects_garbage() -> None:
    answers: list[int] = []

    @cr.compile
    def forking(x: Any) -> Any:
        child = os.fork()
        if not child:
            os._exit(gc.isenabled())
        answers.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        return x * 2

    forking(cr.ones(3))
    assert answers == [1]


def test_state_lives_as_long_as_a_run_though_another_thread_replaces_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weight = cr.ones(3)
    replaced: list[Any] = []

    class Racing(Reusing):
        def run_alone(self) -> Any:
            replaced.append(weakref.ref(weight.array))
            weight.array = weight.array + 1
            assert replaced[-1]() is not None  # or the program would read memory that is free
            return super().run_alone()

    monkeypatch.setattr(
        executable, "build", lambda graph, donations, *, results: Racing(graph, donations)
    )

    @cr.compile
    def product(x: Any) -> Any:
        return x * weight

    x = cr.tensor(np.arange(3, dtype=np.float32))
    for i in range(4):
        np.testing.assert_array_equal(product(x).numpy(), (i + 1) * x.numpy())
    assert len(replaced) == 4
    assert not any(ref() is not None for ref in replaced)
