"""Checkpoints of models and optimizers: there and back, or an error and nothing changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import chainrule as cr
from chainrule import nn, optim, train
from chainrule.errors import CheckpointError


def make_net(hidden: int = 3, seed: int = 0) -> nn.Module:
    cr.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, hidden), nn.BatchNorm1d(hidden), nn.Linear(hidden, 1))


def steps(net: nn.Module, optimizer: optim.Optimizer, n: int = 3) -> None:
    x = cr.tensor(np.random.default_rng(1).normal(size=(8, 2)).astype(np.float32))
    for _ in range(n):
        optimizer.zero_grad()
        (net(x) ** 2).mean().backward()
        optimizer.step()


def contents(net: nn.Module, optimizer: optim.Optimizer | None = None) -> dict[str, Any]:
    found = {name: t.array.copy() for name, t in net.state_dict().items()}
    if optimizer is not None:
        for i, cells in optimizer.state_dict()["state"].items():
            found |= {f"{i}/{slot}": cell.array for slot, cell in cells.items()}
    return found


def assert_same(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert a.keys() == b.keys()
    for name, array in a.items():
        np.testing.assert_array_equal(array, b[name], strict=True)


OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.1),
    "plain SGD": lambda p: optim.SGD(p, lr=0.1),
    "Adam": lambda p: optim.Adam(p, amsgrad=True),
    "RMSprop": lambda p: optim.RMSprop(p, centered=True),
    "Adagrad": optim.Adagrad,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_from_a_checkpoint_bit_by_bit(tmp_path: Path, name: str) -> None:
    net = make_net()
    optimizer = OPTIMIZERS[name](net.parameters())
    steps(net, optimizer)
    train.save(tmp_path / "x", net, optimizer, state={"epoch": 3, "rates": [0.1]})
    other = make_net(seed=5)
    restored = OPTIMIZERS[name](other.parameters())
    assert train.load(tmp_path / "x", other, restored) == {"epoch": 3, "rates": [0.1]}
    assert_same(contents(other, restored), contents(net, optimizer))
    steps(net, optimizer)
    steps(other, restored)
    assert_same(contents(other, restored), contents(net, optimizer))


def test_tuples_and_schedules_survive(tmp_path: Path) -> None:
    net = make_net()
    optimizer = optim.Adam(net.parameters(), betas=(0.8, 0.9))
    optim.OneCycleLR(optimizer, 0.1, total_steps=5)
    train.save(tmp_path / "x", net, optimizer)
    restored = optim.Adam(net.parameters())
    train.load(tmp_path / "x", optimizer=restored)
    assert restored.param_groups[0]["betas"] == (0.95, 0.9)
    assert restored.param_groups[0]["max_lr"] == 0.1


def test_weights_can_be_read_by_themselves(tmp_path: Path) -> None:
    net = make_net()
    train.save(tmp_path / "x", net, optim.Adam(net.parameters()))
    loaded = train.load_weights(tmp_path / "x")
    assert_same({n: t.array for n, t in loaded.items()}, contents(net))


def test_weights_of_other_programs_can_be_loaded(tmp_path: Path) -> None:
    net = make_net(seed=3)
    safetensors.numpy.save_file(contents(net), tmp_path / "x")
    other = make_net()
    assert train.load(tmp_path / "x", other, foreign=True) == {}
    assert_same(contents(other), contents(net))


def test_a_checkpoint_of_another_model_names_keys_and_shapes(tmp_path: Path) -> None:
    train.save(tmp_path / "x", make_net(hidden=4))
    other = make_net()
    before = contents(other)
    with pytest.raises(CheckpointError) as caught:
        train.load(tmp_path / "x", other)
    assert "0.weight: float32[4,2] for float32[3,2]" in str(caught.value)
    assert_same(contents(other), before)
    train.save(tmp_path / "y", nn.Linear(2, 3))
    with pytest.raises(CheckpointError) as caught:
        train.load(tmp_path / "y", other)
    assert "missing 0.weight: float32[3,2]" in str(caught.value)
    assert_same(contents(other), before)


def test_numbers_of_another_kind_do_not_fit(tmp_path: Path) -> None:
    net = make_net()
    spoilt = contents(net)
    spoilt["0.weight"] = spoilt["0.weight"].astype(np.int64)
    train.save_arrays(tmp_path / "x", spoilt)
    before = contents(net)
    with pytest.raises(CheckpointError, match=r"0\.weight: int64\[3,2\] for float32"):
        train.load(tmp_path / "x", net)
    assert_same(contents(net), before)


def test_a_state_of_another_optimizer_changes_neither_it_nor_the_model(tmp_path: Path) -> None:
    net = make_net(seed=1)
    adam = optim.Adam(net.parameters())
    steps(net, adam)
    train.save(tmp_path / "x", net, adam)
    other = make_net()
    before = contents(other)
    for wrong in (
        optim.SGD(other.parameters(), lr=0.1, momentum=0.9),
        optim.AdamW(other.parameters()),
        optim.Adam(other[0].parameters()),
        optim.Adam([{"params": other[0].parameters()}, {"params": other[2].parameters()}]),
    ):
        with pytest.raises(CheckpointError):
            train.load(tmp_path / "x", other, wrong)
        assert_same(contents(other), before)
        assert wrong.state == {}


def test_a_checkpoint_without_optimizer_is_an_error_if_one_is_asked_for(tmp_path: Path) -> None:
    net = make_net()
    train.save(tmp_path / "x", net)
    with pytest.raises(CheckpointError, match="does not hold this optimizer"):
        train.load(tmp_path / "x", net, optim.Adam(net.parameters()))


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("optimizer/0", np.zeros(1, np.float32)),
        ("optimizer/x/exp_avg", np.zeros(1, np.float32)),
        ("optimizer/99/exp_avg", np.zeros(1, np.float32)),
        ("optimizer/0/exp_avg", np.zeros(7, np.float32)),
    ],
)
def test_hostile_optimizer_tensors_are_refused(tmp_path: Path, name: str, array: Any) -> None:
    net = make_net()
    adam = optim.Adam(net.parameters())
    steps(net, adam)
    train.save(tmp_path / "x", net, adam)
    stored = train.load_arrays(tmp_path / "x")
    train.save_arrays(tmp_path / "x", {**stored.arrays, name: array}, stored.notes)
    before = contents(net, adam)
    with pytest.raises(CheckpointError):
        train.load(tmp_path / "x", net, adam)
    assert_same(contents(net, adam), before)


@pytest.mark.parametrize(
    "groups", [None, {}, [], [1], [{}], [{"params": "all"}], [{"params": [[]]}]]
)
def test_hostile_parameter_groups_are_refused(tmp_path: Path, groups: Any) -> None:
    net = make_net()
    adam = optim.Adam(net.parameters())
    train.save(tmp_path / "x", net, adam)
    stored = train.load_arrays(tmp_path / "x")
    notes = {**stored.notes, "param_groups": groups}
    train.save_arrays(tmp_path / "x", stored.arrays, notes)
    with pytest.raises(CheckpointError):
        train.load(tmp_path / "x", net, adam)


def test_a_damaged_checkpoint_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x"
    train.save(path, make_net(seed=9))
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    net = make_net()
    before = contents(net)
    with pytest.raises(CheckpointError, match="damaged"):
        train.load(path, net)
    assert_same(contents(net), before)
