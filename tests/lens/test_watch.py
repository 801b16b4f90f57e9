"""Watching: the same numbers eager and compiled, and the ones that they are said to be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import TrainingError
from chainrule.lens.watch import Watch, watch
from chainrule.lens.why_nan import Guarded, why_nan
from chainrule.train import Trainer


def net(last: Any = None) -> Any:
    cr.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1),
        *([] if last is None else [last]),
    )  # fmt: skip


def data() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return cr.tensor(rng.normal(size=(16, 4)).astype(np.float32)), cr.ones(16, 1)


def trained(compiled: bool, steps: int = 3) -> tuple[Watch, Any]:
    model, (x, y) = net(), data()
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run = cr.compile(step) if compiled else step
    health = watch(model, optimizer)
    for _ in range(steps):
        health.advance(run(x, y).item())
    return health, model


def test_compiled_and_eager_steps_give_the_same_measures() -> None:
    (a, _), (b, _) = trained(False), trained(True)
    np.testing.assert_allclose(a.history, b.history, rtol=1e-4)
    np.testing.assert_allclose(a.losses, b.losses, rtol=1e-5)
    assert a.dead() == b.dead()
    assert a.saturated() == pytest.approx(b.saturated())


def test_the_measures_are_norms_of_gradients_weights_and_changes() -> None:
    model, (x, y) = net(), data()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    health = watch(model, optimizer)
    before = {n: p.array for n, p in model.named_parameters()}
    nn.functional.mse_loss(model(x), y).backward()
    optimizer.step()
    health.advance()
    reading = health.reading()
    for name, p in model.named_parameters():
        norm = np.linalg.norm(p.array)
        assert reading.gradient[name] == pytest.approx(np.linalg.norm(p.grad.array), rel=1e-4)
        assert reading.weight[name] == pytest.approx(norm, rel=1e-4)
        moved = np.linalg.norm(p.array - before[name])
        assert reading.ratio[name] == pytest.approx(moved / norm, rel=1e-3)


def test_units_that_never_fire_are_counted_over_a_stated_number_of_inputs() -> None:
    model, (x, y) = net(), data()
    with cr.no_grad():
        model[0].bias[:2] = -100.0
    optimizer = optim.SGD(model.parameters(), lr=0.0)
    health = watch(model, optimizer)
    for _ in range(40):
        nn.functional.mse_loss(model(x[cr.permutation(16)]), y).backward()
        optimizer.step()
        health.advance()
    share, inputs = health.dead()["1"]
    assert share == 0.25
    assert inputs == 160


def test_a_gradient_that_is_not_finite_is_counted() -> None:
    model, (x, y) = net(), data()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    health = watch(model, optimizer)
    (nn.functional.mse_loss(model(x), y) * float("nan")).backward()
    optimizer.step()
    health.advance()
    assert (health.steps, health.non_finite) == (1, 1)
    assert not health.reading().finite


def test_detached_it_measures_no_more() -> None:
    health, model = trained(False)
    health.detach()
    assert health.optimizer.watch is None
    assert all(m._hooks is None or not m._hooks.named() for m in model.modules())


def test_a_trainer_watches_and_still_compiles() -> None:
    x, y = data()
    model = net()
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.1), nn.MSELoss())
    trainer.fit((x, y), epochs=2, batch_size=8, seed=0, quiet=True)
    assert trainer.watch is not None
    assert trainer.watch.steps == 4
    assert trainer.steps()._compiled_update.traces >= 1  # type: ignore[attr-defined]
    assert min(trainer.watch.reading().weight.values()) > 0
    assert trainer.optimizer.watch is None


# why_nan ------------------------------------------------------------------------------------------


def test_the_first_operation_forward_is_named_with_its_operands() -> None:
    x = cr.tensor([1.0, -1.0], requires_grad=True)

    def step() -> None:
        (cr.log(x) * 2).sum().backward()

    culprit = why_nan(step)
    assert culprit is not None
    assert (culprit.operation, culprit.backward) == ("log", False)
    assert "from -1 to 1" in culprit.operands
    assert culprit.place.file == __file__


def test_a_derivative_is_named_if_the_loss_is_finite() -> None:
    x = cr.tensor([0.0, 4.0], requires_grad=True)
    culprit = why_nan(lambda: (cr.sqrt(x) * 3).sum().backward())
    assert culprit is not None
    assert (culprit.operation, culprit.backward) == ("sqrt", True)


def test_numbers_that_are_masked_out_raise_no_alarm() -> None:
    x = cr.tensor([1.0, -1.0])
    w = cr.tensor([2.0, 2.0], requires_grad=True)

    def step() -> None:
        (cr.where(x > 0, cr.log(x), 0.0) * w).sum().backward()

    assert why_nan(step) is None
    assert why_nan(lambda: cr.where(x > 0, cr.log(x), 0.0)) is None


def test_a_masked_value_whose_derivative_is_not_masked_is_found() -> None:
    x = cr.tensor([1.0, 0.0], requires_grad=True)
    culprit = why_nan(lambda: cr.where(x > 0, cr.sqrt(x), 0.0).sum().backward())
    assert culprit is not None
    assert culprit.operation == "sqrt"


def test_a_compiled_step_is_replayed_on_a_hit_and_changes_nothing() -> None:
    model, (x, y) = net(), data()
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = cr.log(y).mean() + nn.functional.mse_loss(model(x) * cr.sqrt(y), y)
        loss.backward()
        optimizer.step()
        return loss

    guarded = Guarded(step, model, optimizer)
    first = guarded(x, y).item()
    assert guarded(x, y).item() < first
    before = [p.array.copy() for p in model.parameters()]
    with pytest.raises(TrainingError, match="not finite") as caught:
        guarded(x, -y)
    assert guarded.culprit is not None
    assert guarded.culprit.operation in ("log", "sqrt")
    assert "test_watch.py" in str(caught.value)
    for p, old in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.array, old)
