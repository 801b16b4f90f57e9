"""Sequential, ModuleList, ModuleDict and ParameterList."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, DTypeError, IndexRangeError


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def test_sequential_calls_its_modules_in_turn() -> None:
    net = mlp()
    x = cr.randn(3, 4)
    assert net(x).tolist() == net[2](net[1](net[0](x))).tolist()
    assert nn.Sequential()(x) is x


def test_sequential_takes_names() -> None:
    net = nn.Sequential(OrderedDict(hidden=nn.Linear(2, 2), out=nn.Linear(2, 1)))
    assert list(net.state_dict()) == ["hidden.weight", "hidden.bias", "out.weight", "out.bias"]
    assert net.hidden is net[0]
    assert [name for name, _ in net[1:].named_children()] == ["out"]


def test_sequential_is_a_list() -> None:
    net = mlp()
    assert len(net) == 3
    assert isinstance(net[:2], nn.Sequential)
    assert net[:2][0] is net[0]
    assert net[-1] is net[2]
    assert [type(m).__name__ for m in net] == ["Linear", "ReLU", "Linear"]
    net.append(nn.Tanh()).insert(1, nn.Dropout())
    assert [type(m).__name__ for m in net] == ["Linear", "Dropout", "ReLU", "Linear", "Tanh"]
    assert list(dict(net.named_children())) == ["0", "1", "2", "3", "4"]
    del net[1]
    net[1] = nn.Sigmoid()
    assert isinstance(net.pop(), nn.Tanh)
    assert [type(m).__name__ for m in net] == ["Linear", "Sigmoid", "Linear"]
    net.extend([nn.ReLU(), nn.Linear(2, 1)])
    del net[1:3]
    assert [type(m).__name__ for m in net] == ["Linear", "ReLU", "Linear"]
    assert len(net + mlp()) == 6
    assert net[0] in net
    assert nn.ReLU() not in net


def test_positions_outside_are_refused() -> None:
    with pytest.raises(IndexRangeError, match="Sequential has 3 modules"):
        mlp()[3]
    with pytest.raises(IndexRangeError):
        del mlp()[5]
    with pytest.raises(IndexRangeError):
        nn.ModuleList()[0]
    with pytest.raises(TypeError, match=r"must be an nn\.Module"):
        nn.Sequential(nn.ReLU(), 3)
    with pytest.raises(TypeError, match=r"must be an nn\.Module"):
        mlp().insert(0, "ReLU")  # type: ignore[arg-type]


def test_module_list_registers_its_modules() -> None:
    layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
    assert len(list(layers.parameters())) == 6
    layers += [nn.ReLU()]
    assert len(layers) == 4
    assert isinstance(layers[1:], nn.ModuleList)
    assert len(layers + nn.ModuleList([nn.ReLU()])) == 5
    assert bool(nn.ModuleList())
    with pytest.raises(NotImplementedError):
        layers(cr.ones(2))


def test_equal_neighbours_are_shown_together() -> None:
    layers = nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Tanh(), nn.ReLU()])
    assert repr(layers) == "ModuleList(\n  (0-1): 2 x ReLU()\n  (2): Tanh()\n  (3): ReLU()\n)"
    assert repr(nn.ModuleList()) == "ModuleList()"


def test_module_dict_is_a_dictionary() -> None:
    heads = nn.ModuleDict({"a": nn.Linear(2, 1)})
    heads["b"] = nn.Linear(2, 3)
    assert list(heads) == ["a", "b"]
    assert heads["b"].weight.shape == (3, 2)
    assert "a" in heads
    assert len(heads) == 2
    assert [type(m).__name__ for m in heads.values()] == ["Linear", "Linear"]
    assert [k for k, _ in heads.items()] == list(heads.keys())
    assert list(heads.state_dict()) == ["a.weight", "a.bias", "b.weight", "b.bias"]
    heads.pop("a")
    with pytest.raises(IndexRangeError, match="no module 'a'"):
        heads["a"]
    heads.clear()
    assert len(heads) == 0


def test_parameter_list_registers_parameters_and_converts_tensors() -> None:
    values = nn.ParameterList([cr.ones(2), nn.Parameter(cr.zeros(3))])
    values.append(cr.ones(1))
    assert [name for name, _ in values.named_parameters()] == ["0", "1", "2"]
    assert all(p.requires_grad for p in values)
    assert values[-1].shape == (1,)
    assert len(values[:2]) == 2
    values[0] = cr.zeros(5)
    assert values[0].shape == (5,)
    assert "float32 of size 5" in repr(values)
    with pytest.raises(IndexRangeError):
        values[3]
    with pytest.raises(TypeError):
        values.append(3)
    with pytest.raises(ArgumentError):
        values()


def test_what_is_no_module_is_refused_with_a_hint() -> None:
    with pytest.raises(DTypeError, match=r"such as nn\.ReLU\(\) for relu"):
        nn.Sequential(nn.Linear(2, 2), cr.relu)
    with pytest.raises(DTypeError, match=r"make an instance: ReLU\(\)"):
        nn.Sequential(nn.ReLU)
    held = nn.ModuleList([nn.ReLU()])
    with pytest.raises(DTypeError, match="a module of ModuleList must be"):
        held.insert(0, 3)  # type: ignore[arg-type]  # meant
    assert len(held) == 1
