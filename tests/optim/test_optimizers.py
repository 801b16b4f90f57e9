"""Optimizers against independent NumPy re-implementations of the published algorithms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import optim
from chainrule.compile.trace import trace
from chainrule.errors import ArgumentError, StateError

Vector = Any
Steps = Callable[[Vector, list[Vector]], Vector]


def sgd(lr=0.1, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, sign=1.0) -> Steps:
    def run(w: Vector, grads: list[Vector]) -> Vector:
        b = None
        for g in grads:
            g = sign * g + weight_decay * w
            if momentum:
                b = g if b is None else momentum * b + (1 - dampening) * g
                g = g + momentum * b if nesterov else b
            w = w - lr * g
        return w

    return run


def adam(lr, b1=0.9, b2=0.999, eps=1e-8, l2=0.0, decay=0.0, amsgrad=False, sign=1.0) -> Steps:
    def run(w: Vector, grads: list[Vector]) -> Vector:
        m = v = top = 0.0
        for t, g in enumerate(grads, start=1):
            w = w * (1 - lr * decay)
            g = sign * g + l2 * w
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * g**2
            top = np.maximum(top, v)
            v_hat = (top if amsgrad else v) / (1 - b2**t)
            w = w - lr * m / (1 - b1**t) / (np.sqrt(v_hat) + eps)
        return w

    return run


def rmsprop(lr=0.01, alpha=0.99, eps=1e-8, l2=0.0, momentum=0.0, centered=False) -> Steps:
    def run(w: Vector, grads: list[Vector]) -> Vector:
        v = mean = b = 0.0
        for g in grads:
            g = g + l2 * w
            v = alpha * v + (1 - alpha) * g**2
            mean = alpha * mean + (1 - alpha) * g
            b = momentum * b + g / (np.sqrt(v - mean**2 if centered else v) + eps)
            w = w - lr * b
        return w

    return run


def adagrad(lr, lr_decay=0.0, l2=0.0, start=0.0, eps=1e-10) -> Steps:
    def run(w: Vector, grads: list[Vector]) -> Vector:
        s = start
        for t, g in enumerate(grads):
            g = g + l2 * w
            s = s + g**2
            w = w - lr / (1 + t * lr_decay) * g / (np.sqrt(s) + eps)
        return w

    return run


CASES: list[tuple[str, dict[str, Any], Steps]] = [
    ("SGD", {"lr": 0.1}, sgd()),
    ("SGD", {"lr": 0.1, "momentum": 0.9}, sgd(momentum=0.9)),
    (
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3},
        sgd(momentum=0.9, dampening=0.3),
    ),
    (
        "SGD",
        {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
        sgd(momentum=0.8, nesterov=True, weight_decay=0.01),
    ),
    ("SGD", {"lr": 0.1, "maximize": True}, sgd(sign=-1.0)),
    ("Adam", {"lr": 0.05}, adam(0.05)),
    ("Adam", {"lr": 0.05, "betas": (0.5, 0.8), "eps": 1e-3}, adam(0.05, 0.5, 0.8, 1e-3)),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1}, adam(0.05, l2=0.1)),
    ("Adam", {"lr": 0.05, "amsgrad": True}, adam(0.05, amsgrad=True)),
    ("Adam", {"lr": 0.05, "maximize": True}, adam(0.05, sign=-1.0)),
    ("AdamW", {"lr": 0.05}, adam(0.05, decay=0.01)),
    (
        "AdamW",
        {"lr": 0.05, "weight_decay": 0.2, "amsgrad": True},
        adam(0.05, decay=0.2, amsgrad=True),
    ),
    ("RMSprop", {}, rmsprop()),
    (
        "RMSprop",
        {"lr": 0.02, "alpha": 0.8, "momentum": 0.5, "weight_decay": 0.1},
        rmsprop(0.02, 0.8, momentum=0.5, l2=0.1),
    ),
    (
        "RMSprop",
        {"centered": True, "alpha": 0.9, "eps": 1e-3},
        rmsprop(alpha=0.9, centered=True, eps=1e-3),
    ),
    ("Adagrad", {"lr": 0.1}, adagrad(0.1)),
    (
        "Adagrad",
        {"lr": 0.1, "lr_decay": 0.2, "weight_decay": 0.1, "initial_accumulator_value": 0.5},
        adagrad(0.1, 0.2, 0.1, 0.5),
    ),
]
NAMES = [f"{name} {settings}" for name, settings, _ in CASES]
ONE_OF_EACH = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "dampening": 0.5},
    "Adam": {"amsgrad": True},
    "AdamW": {},
    "RMSprop": {"centered": True, "momentum": 0.9},
    "Adagrad": {"lr_decay": 0.1},
}


def gradients(steps: int, shape: tuple[int, ...], seed: int = 0) -> list[Vector]:
    return list(np.random.default_rng(seed).normal(size=(steps, *shape)))


def parameter(value: Any) -> cr.Tensor:
    return cr.tensor(value, requires_grad=True)


def feed(optimizer: optim.Optimizer, tensors: list[cr.Tensor], grads: list[Vector]) -> None:
    """One step for each gradient, the same for all tensors."""
    for g in grads:
        for t in tensors:
            t.grad = cr.Tensor(np.asarray(g, t.dtype))
        optimizer.step()


@pytest.mark.parametrize(("name", "settings", "steps"), CASES, ids=NAMES)
@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_ten_steps_are_those_of_the_published_algorithm(
    name: str, settings: dict[str, Any], steps: Steps, shape: tuple[int, ...]
) -> None:
    start = np.random.default_rng(7).normal(size=shape)
    grads = gradients(10, shape)
    w = parameter(start)
    feed(getattr(optim, name)([w], **settings), [w], grads)
    np.testing.assert_allclose(w.array, steps(start, grads), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_float32_stays_float32_and_close_to_float64(name: str) -> None:
    grads = gradients(20, (5,))
    single, double = parameter(np.ones(5, np.float32)), parameter(np.ones(5))
    for w in (single, double):
        feed(getattr(optim, name)([w], **ONE_OF_EACH[name]), [w], grads)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single.array, double.array, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_numpy_float64_rate_does_not_widen_float32_parameters(name: str) -> None:
    w = parameter(np.ones(3, np.float32))
    optimizer = getattr(optim, name)([w], **ONE_OF_EACH[name])
    optimizer.param_groups[0]["lr"] = np.float64(0.1)
    feed(optimizer, [w], gradients(2, (3,)))
    assert w.dtype == np.float32
    assert type(w.array) is np.ndarray


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_the_step_never_writes_into_an_array_that_someone_may_hold(name: str) -> None:
    w = parameter(np.ones(3))
    optimizer = getattr(optim, name)([w], **ONE_OF_EACH[name])
    feed(optimizer, [w], gradients(1, (3,)))
    held = [w.array, *[cell.array for cell in optimizer.state[w].values()]]
    copies = [array.copy() for array in held]
    grad = np.ones(3)
    feed(optimizer, [w], [grad])
    for array, copy in zip(held, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
    np.testing.assert_array_equal(grad, np.ones(3))


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_the_update_rule_can_be_traced(name: str) -> None:
    def step(w: cr.Tensor, grad: cr.Tensor) -> cr.Tensor:
        optimizer = getattr(optim, name)([w], **ONE_OF_EACH[name])
        w.grad = grad
        optimizer.step()
        return w

    graph = trace(step, parameter(np.ones(3, np.float32)), cr.ones(3))
    (out,) = graph.outputs
    assert (out.shape, out.dtype) == ((3,), np.float32)


def test_parameters_without_a_gradient_are_left_alone() -> None:
    used, unused = parameter([1.0]), parameter([1.0])
    optimizer = optim.Adam([used, unused])
    used.grad = cr.tensor([1.0])
    optimizer.step()
    assert unused.array[0] == 1.0
    assert unused not in optimizer.state


def test_groups_have_hyper_parameters_of_their_own() -> None:
    slow, fast = parameter([1.0]), parameter([1.0])
    optimizer = optim.SGD([{"params": [slow]}, {"params": fast, "lr": 0.5}], lr=0.1)
    feed(optimizer, [slow, fast], [np.ones(1)])
    assert slow.array[0] == pytest.approx(0.9)
    assert fast.array[0] == pytest.approx(0.5)


def test_a_group_can_be_added_and_its_rate_changed_between_steps() -> None:
    a, b = parameter([0.0]), parameter([0.0])
    optimizer = optim.SGD([a], lr=1.0)
    optimizer.add_param_group({"params": [b], "lr": 2.0})
    optimizer.param_groups[0]["lr"] = 0.25
    feed(optimizer, [a, b], [np.ones(1)])
    assert (a.array[0], b.array[0]) == (-0.25, -2.0)


def test_momentum_may_be_switched_on_later() -> None:
    w = parameter([0.0])
    optimizer = optim.SGD([w], lr=1.0)
    feed(optimizer, [w], [np.ones(1)])
    optimizer.param_groups[0]["momentum"] = 0.5
    feed(optimizer, [w], [np.ones(1), np.ones(1)])
    assert w.array[0] == -1.0 - 1.0 - 1.5


def test_zero_grad_forgets_gradients_or_sets_them_to_zero() -> None:
    w = parameter([1.0, 2.0])
    optimizer = optim.SGD([w], lr=1.0)
    w.grad = cr.tensor([1.0, 1.0])
    optimizer.zero_grad(set_to_none=False)
    assert w.grad is not None
    assert w.grad.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert w.grad is None


def test_a_closure_is_evaluated_with_recording_on_and_its_loss_returned() -> None:
    w = parameter([3.0])
    optimizer = optim.SGD([w], lr=0.5)

    def closure() -> cr.Tensor:
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with cr.no_grad():
        loss = optimizer.step(closure)
    assert (loss.item(), w.array[0]) == (9.0, 0.0)


def test_steps_are_not_recorded() -> None:
    w = parameter([1.0])
    optimizer = optim.Adam([w])
    feed(optimizer, [w], [np.ones(1)])
    assert w.is_leaf
    assert not any(cell.requires_grad for cell in optimizer.state[w].values())


# State --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_loaded_state_goes_on_as_if_never_interrupted(name: str) -> None:
    grads = gradients(6, (3,))
    make = getattr(optim, name)
    whole, first = parameter(np.ones(3)), parameter(np.ones(3))
    straight, before = make([whole], **ONE_OF_EACH[name]), make([first], **ONE_OF_EACH[name])
    feed(straight, [whole], grads)
    feed(before, [first], grads[:3])
    state = before.state_dict()
    resumed = parameter(first.array)
    after = make([resumed], **ONE_OF_EACH[name])
    feed(before, [first], grads[3:])  # a snapshot does not follow
    after.load_state_dict(state)
    feed(after, [resumed], grads[3:])
    np.testing.assert_array_equal(resumed.array, whole.array)


def adam_state() -> tuple[optim.Adam, dict[str, Any]]:
    w = parameter([1.0, 2.0])
    optimizer = optim.Adam([w])
    feed(optimizer, [w], [np.ones(2)])
    return optimizer, optimizer.state_dict()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s["param_groups"].append(dict(s["param_groups"][0])),
        lambda s: s["param_groups"][0].pop("betas"),
        lambda s: s["param_groups"][0].update(lr="fast"),
        lambda s: s["param_groups"][0].update(betas=(0.9,)),
        lambda s: s["param_groups"][0].update(amsgrad=1),
        lambda s: s["param_groups"][0].update(amsgrad=True),
        lambda s: s["state"][0].pop("exp_avg"),
        lambda s: s["state"][0].update(exp_avg=cr.ones(3)),
        lambda s: s["state"][0].update(exp_avg=cr.tensor([1, 2])),
        lambda s: s["state"].update({7: {}}),
        lambda s: s.update(param_groups=None),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(spoil: Callable[[Any], Any]) -> None:
    optimizer, state = adam_state()
    before = optimizer.state_dict()
    spoil(state)
    with pytest.raises(StateError):
        optimizer.load_state_dict(state)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    for slot, cell in before["state"][0].items():
        np.testing.assert_array_equal(after["state"][0][slot].array, cell.array)


# Bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("SGD", {"lr": -0.1}),
        ("SGD", {"momentum": -1}),
        ("SGD", {"nesterov": True}),
        ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}),
        ("Adam", {"betas": (0.9, 1.0)}),
        ("Adam", {"betas": (-0.1, 0.9)}),
        ("Adam", {"eps": -1.0}),
        ("AdamW", {"weight_decay": -1.0}),
        ("RMSprop", {"alpha": -0.5}),
        ("Adagrad", {"lr_decay": -0.5}),
        ("SGD", {"lr": float("nan")}),
    ],
)
def test_a_hyper_parameter_out_of_range_is_an_error(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="out of range"):
        getattr(optim, name)([parameter([1.0])], **settings)


def test_bad_parameters_are_an_error() -> None:
    w = parameter([1.0])
    for wrong in ([], w, [w, w], [1.0], [w * 2], [{"params": [w]}, {"params": [w]}]):
        with pytest.raises(ArgumentError):
            optim.SGD(wrong, lr=0.1)  # type: ignore[arg-type]  # that is the point


def test_what_an_optimizer_cannot_take_is_refused_with_a_hint() -> None:
    layer = cr.nn.Linear(2, 2)
    for given in (layer, 5, [], cr.nn.ReLU().parameters()):
        with pytest.raises(ArgumentError, match=r"pass model\.parameters\(\)"):
            cr.optim.SGD(given, lr=0.1)  # type: ignore[arg-type]  # meant
    with pytest.raises(ArgumentError, match="lr: a number"):
        cr.optim.SGD(layer.parameters(), lr="0.1")  # type: ignore[arg-type]  # meant
