"""What PyTorch programs expect of modules besides parameters: buffers, hooks of state, laziness."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import nn
from chainrule.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError, StateError


def test_lazy_layers_take_their_size_from_the_first_input() -> None:
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))
    net.double()
    before = list(net.parameters())
    assert net[3].has_uninitialized_params()
    y = net(cr.randn(2, 3, 5, 5, dtype=np.float64))
    assert (y.shape, y.dtype) == ((2, 2), np.float64)
    assert [type(m) for m in net] == [nn.Conv2d, nn.BatchNorm2d, nn.Flatten, nn.Linear]
    assert net[3].in_features == 36
    assert all(a is b for a, b in zip(before, net.parameters(), strict=True))
    assert all(type(p) is nn.Parameter for p in net.parameters())
    y.sum().backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in net.parameters())


def test_lazy_layers_take_their_size_from_a_state() -> None:
    state = nn.Linear(3, 2).state_dict()
    layer = nn.LazyLinear(2)
    layer.load_state_dict(state)
    assert layer.weight.shape == (2, 3)
    assert layer(cr.ones(1, 3)).shape == (1, 2)
    np.testing.assert_array_equal(layer.weight.detach().numpy(), state["weight"].numpy())
    assert repr(nn.LazyLinear(2)) == "LazyLinear(2)"


def test_buffers_are_registered_by_assignment() -> None:
    net = nn.Module()
    net.kept = nn.Buffer(cr.ones(2))
    net.lost = nn.Buffer(cr.ones(2), persistent=False)
    assert list(net.state_dict()) == ["kept"]
    assert net.get_buffer("lost") is net.lost
    net.lost = cr.zeros(2)
    assert dict(net.named_buffers())["lost"] is net.lost
    with pytest.raises(AttributeError):
        nn.Linear(1, 1).get_buffer("weight")


def test_submodules_are_replaced_by_their_path() -> None:
    net = nn.Sequential(nn.Sequential(nn.ReLU()), nn.ReLU())
    net.set_submodule("0.0", nn.Tanh())
    assert isinstance(net[0][0], nn.Tanh)
    with pytest.raises(AttributeError):
        net.set_submodule("0.1", nn.Tanh(), strict=True)


def test_hooks_see_and_change_the_state() -> None:
    net = nn.Sequential(nn.Linear(2, 2))
    seen: list[str] = []
    net.register_state_dict_pre_hook(lambda m, prefix, keep: seen.append("pre"))
    net[0].register_state_dict_post_hook(lambda m, d, prefix, meta: d.update({prefix + "x": 1}))
    state = net.state_dict()
    assert seen == ["pre"]
    assert state.pop("0.x") == 1

    def rename(m: Any, d: dict[str, Any], prefix: str, *_: Any) -> None:
        d[prefix + "weight"] = d.pop(prefix + "kernel")

    net[0].register_load_state_dict_pre_hook(rename)
    given = {"0.kernel": cr.ones(2, 2), "0.bias": state["0.bias"]}
    net.load_state_dict(given)
    assert list(given) == ["0.kernel", "0.bias"]
    assert (net[0].weight == 1).all()
    net.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
    net.load_state_dict({"0.kernel": cr.zeros(2, 2)})
    assert (net[0].weight == 0).all()


def test_assigned_state_keeps_its_dtype() -> None:
    layer = nn.Linear(2, 2)
    state = {k: v.double() for k, v in layer.state_dict().items()}
    layer.load_state_dict(state)
    assert layer.weight.dtype == np.float32
    layer.load_state_dict(state, assign=True)
    assert layer.weight.dtype == np.float64
    layer(cr.ones(1, 2, dtype=np.float64)).sum().backward()
    assert layer.weight.grad.dtype == np.float64
    with pytest.raises(StateError, match="missing"):
        layer.load_state_dict({})


def test_backward_hooks_before_a_module_change_its_gradient() -> None:
    layer = nn.Linear(2, 1, bias=False)
    layer.register_full_backward_pre_hook(lambda m, grads: (grads[0] * 3,))
    layer(cr.ones(1, 2)).sum().backward()
    assert (layer.weight.grad == 3).all()


def test_hooks_that_are_always_called_see_failures() -> None:
    layer, seen = nn.Linear(2, 1), []
    layer.register_forward_hook(lambda m, a, y: seen.append(y), always_call=True)
    with pytest.raises(ShapeError):
        layer(cr.ones(1, 3))
    assert seen == [None]


def test_a_parameter_dict_is_a_dictionary_of_parameters() -> None:
    d = nn.ParameterDict({"a": cr.ones(2)})
    d["b"] = nn.Parameter(cr.zeros(3))
    d.update([("c", cr.ones(1))])
    assert list(d) == ["a", "b", "c"] == list(d.state_dict())
    assert d.pop("b").shape == (3,)
    assert d.get("b") is None
    assert "b" not in d
    assert list(d | nn.ParameterDict({"z": cr.ones(1)})) == ["a", "c", "z"]
    with pytest.raises(IndexRangeError, match="no parameter"):
        d["b"]
    with pytest.raises(DTypeError):
        d["b"] = 3
    with pytest.raises(ArgumentError):
        d()


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_old_names_of_initialisers_still_work() -> None:
    w = nn.init.xavier_normal(cr.zeros(30, 40))
    assert 0.1 < w.std().item() < 0.25
    assert (nn.init.constant(cr.zeros(2), 3.0) == 3).all()
    with pytest.warns(FutureWarning, match="kaiming_uniform_"):
        nn.init.kaiming_uniform(cr.zeros(2, 2))


@pytest.mark.parametrize("drop", [F.alpha_dropout, F.feature_alpha_dropout])
def test_alpha_dropout_keeps_mean_and_variance(drop: Any) -> None:
    cr.manual_seed(0)
    x = cr.randn(400, 200, 2)
    y = drop(x, 0.3, training=True)
    assert abs(y.mean().item()) < 0.02
    assert y.std().item() == pytest.approx(1, abs=0.02)
    assert drop(x, 0.3) is x
    with pytest.raises(ArgumentError):
        drop(x, 1.5, training=True)


def test_hard_gumbel_samples_are_one_hot_and_differentiable() -> None:
    cr.manual_seed(0)
    x = cr.tensor(np.tile([0.0, 1.0, 2.0], (3000, 1)), requires_grad=True)
    y = F.gumbel_softmax(x, hard=True)
    assert (y.sum(-1) == 1).all()
    expected = F.softmax(cr.tensor([0.0, 1.0, 2.0]), 0).numpy()
    np.testing.assert_allclose(y.mean(0).detach().numpy(), expected, atol=0.04)
    (y[:, 0]).sum().backward()
    assert (x.grad != 0).any()


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize(
    ("kind", "mode"),
    [("Reflection", "reflect"), ("Replication", "edge"), ("Circular", "wrap")],
)
def test_borders_are_those_of_numpy(kind: str, mode: Any, n: int) -> None:
    x = np.random.default_rng(0).normal(size=(1, 2, *(4, 5, 3)[:n]))
    y = getattr(nn, f"{kind}Pad{n}d")(2)(cr.tensor(x)).numpy()
    np.testing.assert_array_equal(y, np.pad(x, ((0, 0), (0, 0), *[(2, 2)] * n), mode=mode))
