"""The further optimizers: compiled as eager, flags, hooks, names; LBFGS; averages of weights.

Their steps are compared with PyTorch's in tests/oracle.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import optim
from chainrule.errors import ArgumentError, StateError, TracingError
from chainrule.optim import swa_utils

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "NAdam": {"weight_decay": 0.1, "decoupled_weight_decay": True},
    "RAdam": {"betas": (0.6, 0.7)},  # the variance becomes finite within the steps below
    "Adamax": {},
    "Adadelta": {},
    "ASGD": {"t0": 2.0},
    "Rprop": {},
    "Adafactor": {"weight_decay": 0.1},
    "Muon": {},
    "SparseAdam": {},
}


def weights(seed: int = 0) -> list[cr.Tensor]:
    rng = np.random.default_rng(seed)
    return [cr.Tensor(rng.normal(size=s), requires_grad=True) for s in ((3, 4), (4, 2))]


def loss_of(w: list[cr.Tensor]) -> cr.Tensor:
    x = cr.Tensor(np.linspace(-1, 1, 12).reshape(4, 3))
    return ((cr.tanh(x @ w[0]) @ w[1] - 0.5) ** 2).mean()


def step_of(w: list[cr.Tensor], optimizer: Any) -> Any:
    def step() -> cr.Tensor:
        optimizer.zero_grad()
        loss = loss_of(w)
        loss.backward()
        optimizer.step()
        return loss

    return step


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_compiled_steps_are_the_eager_ones(name: str) -> None:
    sides = []
    for compiled in (False, True):
        w = weights()
        step = step_of(w, getattr(optim, name)(w, lr=0.05, **OPTIMIZERS[name]))
        step = cr.compile(step) if compiled else step
        losses = [step().item() for _ in range(8)]
        sides.append([*losses, *[x for p in w for x in p.detach().numpy().reshape(-1)]])
    np.testing.assert_allclose(sides[1], sides[0], rtol=1e-8)
    assert sides[0][7] != sides[0][0]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_continues_where_it_was_saved(name: str) -> None:
    w, again = weights(), weights()
    options = {"lr": 0.05, **OPTIMIZERS[name]}
    optimizer = getattr(optim, name)(w, **options)
    for _ in range(3):
        step_of(w, optimizer)()
    for p, q in zip(w, again, strict=True):
        q.data = p.detach()
    other = getattr(optim, name)(again, **options)
    other.load_state_dict(optimizer.state_dict())
    for _ in range(2):
        step_of(w, optimizer)()
        step_of(again, other)()
    for p, q in zip(w, again, strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("NAdam", {"betas": (1.0, 0.9)}),
        ("RAdam", {"lr": -1.0}),
        ("Adamax", {"eps": -1.0}),
        ("Adadelta", {"rho": 1.5}),
        ("Rprop", {"etas": (1.2, 0.5)}),
        ("Adafactor", {"beta2_decay": 0.5}),
        ("Adafactor", {"d": 0.5}),
        ("Muon", {"adjust_lr_fn": "guess"}),
        ("LBFGS", {"line_search_fn": "exact"}),
        ("SGD", {"differentiable": True}),
        ("SGD", {"no_such_flag": True}),
    ],
)
def test_settings_out_of_range_are_refused(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        getattr(optim, name)(weights(), **wrong)


def test_flags_of_pytorch_are_accepted_and_kept() -> None:
    optimizer = optim.Adam(weights(), foreach=True, fused=None, capturable=False)
    assert optimizer.param_groups[0]["foreach"] is True
    other = optim.Adam(weights())
    other.load_state_dict(optimizer.state_dict())


def test_muon_is_for_matrices() -> None:
    with pytest.raises(ArgumentError, match="matrices"):
        optim.Muon([cr.ones(3, requires_grad=True)])


def test_muon_steps_have_singular_values_near_one() -> None:
    w = cr.Tensor(np.zeros((6, 4)), requires_grad=True)
    optimizer = optim.Muon([w], lr=1.0, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    w.grad = cr.Tensor(np.random.default_rng(0).normal(size=(6, 4)))
    optimizer.step()
    values = np.linalg.svd(w.detach().numpy() / (0.2 * np.sqrt(6)), compute_uv=False)
    assert ((values > 0.6) & (values < 1.3)).all()


def test_sparse_adam_leaves_rows_without_a_gradient_alone() -> None:
    table = cr.Tensor(np.ones((4, 2)), requires_grad=True)
    optimizer = optim.SparseAdam([table], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (table[cr.tensor([1, 3])] ** 2).sum().backward()
        optimizer.step()
    changed = (table.detach().numpy() != 1.0).all(1)
    assert changed.tolist() == [False, True, False, True]
    assert (optimizer.state[table]["exp_avg"].numpy()[[0, 2]] == 0).all()


def test_named_parameters_and_hooks() -> None:
    net = cr.nn.Linear(2, 1)
    optimizer = optim.SGD(net.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    seen: list[str] = []
    handles = [
        optimizer.register_step_pre_hook(lambda o, a, k: seen.append("before")),
        optimizer.register_step_post_hook(lambda o, a, k: seen.append("after")),
        optimizer.register_state_dict_post_hook(lambda o, s: {**s, "extra": 1}),
        optimizer.register_load_state_dict_pre_hook(lambda o, s: seen.append("loading")),
        optimizer.register_load_state_dict_post_hook(lambda o: seen.append("loaded")),
    ]
    optimizer.step()
    state = optimizer.state_dict()
    assert state["extra"] == 1
    optimizer.load_state_dict(state)
    assert seen == ["before", "after", "loading", "loaded"]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(seen) == 4


# LBFGS --------------------------------------------------------------------------------------------


def rosenbrock(x: cr.Tensor) -> cr.Tensor:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def closure_of(x: cr.Tensor, optimizer: Any) -> Any:
    def closure() -> cr.Tensor:
        optimizer.zero_grad()
        loss = rosenbrock(x)
        loss.backward()
        return loss

    return closure


def test_lbfgs_finds_the_minimum_and_goes_on_from_its_state() -> None:
    x = cr.Tensor(np.array([-1.2, 1.0, -0.5]), requires_grad=True)
    optimizer = optim.LBFGS([x], line_search_fn="strong_wolfe", max_iter=10, history_size=5)
    optimizer.step(closure_of(x, optimizer))
    state = optimizer.state_dict()
    assert 1 < state["state"][0]["n_iter"] <= 10
    y = x.detach().clone().requires_grad_()
    other = optim.LBFGS([y], line_search_fn="strong_wolfe", max_iter=10, history_size=5)
    other.load_state_dict(state)
    for _ in range(4):
        optimizer.step(closure_of(x, optimizer))
        other.step(closure_of(y, other))
    np.testing.assert_array_equal(x.detach().numpy(), y.detach().numpy())
    np.testing.assert_allclose(x.detach().numpy(), 1.0, atol=1e-6)


def test_lbfgs_says_what_it_cannot_do() -> None:
    x = cr.ones(2, requires_grad=True)
    optimizer = optim.LBFGS([x])
    with pytest.raises(ArgumentError, match="step"):
        optimizer.step()
    with pytest.raises(ArgumentError, match="one parameter group"):
        optimizer.add_param_group({"params": [cr.ones(1, requires_grad=True)]})
    with pytest.raises(TracingError, match="does not"):
        cr.compile(lambda: optimizer.step(closure_of(x, optimizer)))()
    with pytest.raises(StateError, match="another algorithm"):
        optimizer.load_state_dict(
            {"state": {0: {"exp_avg": cr.ones(2)}}, "param_groups": optimizer.param_groups}
        )


def test_lbfgs_stops_at_the_minimum() -> None:
    x = cr.ones(3, dtype=cr.float64).requires_grad_()
    optimizer = optim.LBFGS([x])
    assert optimizer.step(closure_of(x, optimizer)).item() == 0.0
    assert x.tolist() == [1.0, 1.0, 1.0]


# Schedules and averages ---------------------------------------------------------------------------


def test_a_schedule_that_overtakes_the_optimizer_warns() -> None:
    w = weights()
    optimizer = optim.SGD(w, lr=1.0)
    schedule = optim.StepLR(optimizer, 1, 0.5)
    loss_of(w).backward()
    with pytest.warns(UserWarning, match="before the optimizer"):
        schedule.step()
    optimizer.step()
    schedule.step()
    assert schedule.get_last_lr() == [0.25]


def test_a_schedule_goes_to_a_given_epoch() -> None:
    optimizer = optim.SGD(weights(), lr=1.0)
    schedule = optim.ExponentialLR(optimizer, 0.5)
    schedule.step(4)
    assert schedule.get_last_lr() == [0.0625]
    schedule.step(1)
    assert schedule.get_last_lr() == [0.5]
    with pytest.raises(ArgumentError, match="start"):
        schedule.step(-1)


@pytest.mark.parametrize("name", ["CyclicLR", "MultiplicativeLR"])
def test_new_schedules_save_their_place(name: str) -> None:
    def made() -> tuple[Any, Any]:
        optimizer = optim.SGD(weights(), lr=0.1, momentum=0.9)
        if name == "CyclicLR":
            return optimizer, optim.CyclicLR(optimizer, 0.1, 0.5, step_size_up=3)
        return optimizer, optim.MultiplicativeLR(optimizer, lambda t: 1 / t)

    optimizer, schedule = made()
    for _ in range(4):
        schedule.step()
    other_optimizer, other = made()
    other_optimizer.load_state_dict(optimizer.state_dict())
    other.load_state_dict(schedule.state_dict())
    schedule.step()
    other.step()
    assert other.get_last_lr() == schedule.get_last_lr()


def test_exponential_averages_of_weights() -> None:
    net = cr.nn.Linear(1, 1, bias=False)
    average = swa_utils.AveragedModel(
        net, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.5), use_buffers=True
    )
    for value in (2.0, 4.0, 8.0):
        net.weight.data.fill_(value)
        average.update_parameters(net)
    assert average.module.weight.item() == 5.5
    assert average(cr.ones(1, 1)).item() == 5.5
    assert average.n_averaged.item() == 3
    assert net.weight.item() == 8.0
    with pytest.raises(ArgumentError, match="decay"):
        swa_utils.get_ema_avg_fn(1.5)


def test_averages_compile_with_the_step() -> None:
    found = []
    for compiled in (False, True):
        cr.manual_seed(0)
        net = cr.nn.Linear(2, 1)
        average = swa_utils.AveragedModel(net)
        optimizer = optim.SGD(net.parameters(), lr=0.1)

        def step(net: Any = net, average: Any = average, optimizer: Any = optimizer) -> cr.Tensor:
            optimizer.zero_grad()
            loss = ((net(cr.ones(3, 2)) - 1.0) ** 2).mean()
            loss.backward()
            optimizer.step()
            average.update_parameters(net)
            return loss

        run = cr.compile(step) if compiled else step
        for _ in range(4):
            run()
        found.append(average.module.weight.detach().numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


def test_batch_statistics_are_computed_anew() -> None:
    net = cr.nn.Sequential(cr.nn.BatchNorm1d(2), cr.nn.Linear(2, 1))
    batches = [cr.Tensor(np.random.default_rng(i).normal(size=(5, 2)).astype("f4")) for i in (0, 1)]
    net.eval()
    swa_utils.update_bn([(batch, None) for batch in batches], net)
    wanted = np.mean([batch.numpy().mean(0) for batch in batches], 0)
    np.testing.assert_allclose(net[0].running_mean.numpy(), wanted, rtol=1e-5)
    assert net[0].momentum == 0.1
    assert not net.training


def test_the_rate_anneals_to_that_of_averaging() -> None:
    optimizer = optim.SGD(weights(), lr=1.0)
    schedule = swa_utils.SWALR(optimizer, swa_lr=0.2, anneal_epochs=4, anneal_strategy="linear")
    rates = []
    for _ in range(6):
        rates += schedule.get_last_lr()
        schedule.step()
    np.testing.assert_allclose(rates, [1.0, 0.8, 0.6, 0.4, 0.2, 0.2])
