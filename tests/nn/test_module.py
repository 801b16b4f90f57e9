"""How modules hold parameters, buffers and other modules, and what they say if something is off."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, DTypeError, ShapeError


class Net(nn.Module):
    """Two layers, a buffer, and a scale."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(4, 8)
        self.fc2 = nn.Linear(8, 2)
        self.scale = nn.Parameter(cr.ones(2))
        self.register_buffer("calls", cr.tensor(0))

    def forward(self, x: Any) -> Any:
        h = self.fc1(x)
        return self.fc2(h) * self.scale


class Outer(nn.Module):
    """A network within a network."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), Net())

    def forward(self, x: Any) -> Any:
        return self.body(x)


def test_members_are_found_in_order_of_assignment_own_ones_first() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == [
        "scale", "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias",
    ]  # fmt: skip
    assert [name for name, _ in net.named_buffers()] == ["calls"]
    assert [name for name, _ in net.named_children()] == ["fc1", "fc2"]
    assert [name for name, _ in Outer().named_modules()] == [
        "", "body", "body.0", "body.1", "body.1.fc1", "body.1.fc2",
    ]  # fmt: skip
    assert [name for name, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert next(name for name, _ in net.named_parameters(prefix="m")) == "m.scale"


def test_shared_parameters_and_modules_appear_once() -> None:
    net = Net()
    net.fc2 = net.fc1
    assert len(list(net.parameters())) == 3
    assert len(list(net.children())) == 1
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    assert [name for name, _ in tied.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert len(list(tied.named_parameters(remove_duplicate=False))) == 4
    assert sorted(tied.state_dict()) == ["0.bias", "0.weight", "1.bias", "1.weight"]


def test_gradients_of_a_shared_parameter_add_up() -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, 3.0)
    nn.Sequential(layer, layer)(cr.tensor([[2.0]])).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.item() == pytest.approx(2 * 3 * 2)  # d(w² x)/dw = 2 w x


def test_assigning_replaces_and_none_empties() -> None:
    net = Net()
    net.fc1 = nn.Linear(4, 3)
    assert [name for name, _ in net.named_children()] == ["fc1", "fc2"]
    assert net.fc1.out_features == 3
    net.fc1.bias = None
    assert dict(net.fc1.named_parameters()).keys() == {"weight"}
    assert net.fc1(cr.zeros(1, 4)).tolist() == [[0.0, 0.0, 0.0]]
    del net.scale
    assert "scale" not in dict(net.named_parameters())
    with pytest.raises(AttributeError, match="scale"):
        _ = net.scale


def test_a_tensor_assigned_to_a_buffer_becomes_the_buffer() -> None:
    net = Net()
    net.calls = cr.tensor(7)
    assert dict(net.named_buffers())["calls"].item() == 7
    assert net.state_dict()["calls"].item() == 7
    net.note = cr.tensor(1.0)
    assert "note" not in net.state_dict()


def test_a_parameter_may_take_the_place_of_a_plain_attribute() -> None:
    net = Net()
    net.extra = 3
    net.extra = nn.Parameter(cr.zeros(1))
    assert "extra" in dict(net.named_parameters())
    assert net.extra.shape == (1,)


def test_what_does_not_fit_a_member_is_refused() -> None:
    net = Net()
    with pytest.raises(TypeError, match=r"Net.scale is a parameter: cannot assign a Tensor"):
        net.scale = cr.ones(2)
    with pytest.raises(TypeError, match=r"Net.fc1 is a module: cannot assign a int"):
        net.fc1 = 3
    with pytest.raises(TypeError, match=r"Net.calls is a buffer"):
        net.calls = 3
    with pytest.raises(TypeError, match=r"must be an nn\.Parameter"):
        net.register_parameter("p", cr.ones(2))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"must be an nn\.Module"):
        net.add_module("m", "Linear")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be a tensor"):
        net.register_buffer("b", np.ones(2))  # type: ignore[arg-type]
    for name in ("a.b", "", "forward", "training"):
        with pytest.raises(ArgumentError):
            net.register_buffer(name, cr.ones(2))


def test_a_missing_attribute_names_the_module() -> None:
    with pytest.raises(AttributeError, match="Net has no attribute 'fc3'") as caught:
        _ = Net().fc3
    assert caught.value.name == "fc3"
    assert {"fc1", "scale", "calls"} <= set(dir(Net()))


def test_forgetting_super_init_is_explained() -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            self.fc = nn.Linear(2, 2)

    with pytest.raises(AttributeError, match=r"call super\(\).__init__\(\) in Broken"):
        Broken()


def test_a_module_without_forward_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Module does not define forward"):
        nn.Module()(1)


def test_dotted_names_reach_members() -> None:
    outer = Outer()
    assert outer.get_submodule("body.1.fc1") is outer.body[1].fc1
    assert outer.get_submodule("") is outer
    assert outer.get_parameter("body.1.fc1.weight") is outer.body[1].fc1.weight
    with pytest.raises(AttributeError, match="nothing"):
        outer.get_submodule("body.nothing")
    with pytest.raises(AttributeError, match="is not a parameter"):
        outer.get_parameter("body.1.calls")
    with pytest.raises(AttributeError, match="is not a module"):
        outer.get_submodule("body.1.scale")


def test_train_and_eval_reach_every_module() -> None:
    net = Outer()
    assert all(m.training for m in net.modules())
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.body.train()
    assert not net.training
    assert net.body[1].fc1.training
    with pytest.raises(ArgumentError):
        net.train("yes")  # type: ignore[arg-type]


def test_apply_visits_children_before_the_module() -> None:
    seen: list[str] = []
    Outer().apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Flatten", "Linear", "Linear", "Net", "Sequential", "Outer"]


def test_dtype_conversion_keeps_parameters_and_leaves_integers_alone() -> None:
    net = Net()
    weight = net.fc1.weight
    net(cr.ones(3, 4)).sum().backward()
    assert net.double() is net
    assert net.fc1.weight is weight
    assert {p.dtype for p in net.parameters()} == {np.dtype(np.float64)}
    assert weight.grad is not None
    assert weight.grad.dtype == np.float64
    assert net.calls.dtype == np.int64
    net.zero_grad()
    net(cr.ones(3, 4).double()).sum().backward()
    assert weight.grad is not None
    assert weight.grad.dtype == np.float64
    assert net.to(np.float16).fc1.weight.dtype == np.float16
    assert net.to("cpu").float().fc1.weight.dtype == np.float32
    assert net.to(cr.zeros(1, dtype=np.float64)).fc1.weight.dtype == np.float64
    assert net.half().cpu().scale.dtype == np.float16
    with pytest.raises(ArgumentError, match="CPU"):
        net.to("cuda")
    with pytest.raises(DTypeError):
        net.to(np.int32)
    with pytest.raises(ArgumentError):
        net.to(colour="red")


def test_zero_grad_forgets_or_clears() -> None:
    net = Net()
    net(cr.ones(3, 4)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all(p.grad is not None and not p.grad.numpy().any() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_frozen_parameters_receive_no_gradient() -> None:
    net = Net()
    net.fc1.requires_grad_(False)
    net(cr.ones(3, 4)).sum().backward()
    assert net.fc1.weight.grad is None
    assert net.fc2.weight.grad is not None
    net.requires_grad_(True)
    assert all(p.requires_grad for p in net.parameters())


def test_parameters_copy_their_data_and_must_be_floats_to_be_trained() -> None:
    data = np.ones(2, np.float32)
    parameter = nn.Parameter(data)
    data[0] = 5
    assert parameter.tolist() == [1.0, 1.0]
    assert parameter.requires_grad
    assert parameter.is_leaf
    assert isinstance(parameter, cr.Tensor)
    assert type(parameter * 2) is cr.Tensor
    assert nn.Parameter().shape == (0,)
    assert not nn.Parameter(cr.tensor([1]), requires_grad=False).requires_grad
    with pytest.raises(DTypeError, match="floating-point"):
        nn.Parameter(cr.tensor([1]))
    assert repr(nn.Parameter(cr.ones(1))).startswith("Parameter containing:\ntensor([1.]")


def test_a_deep_copy_is_independent() -> None:
    net = Net()
    twin = copy.deepcopy(net)
    assert [n for n, _ in twin.named_parameters()] == [n for n, _ in net.named_parameters()]
    assert isinstance(twin.fc1.weight, nn.Parameter)
    nn.init.zeros_(twin.fc1.weight)
    assert twin.fc1.weight is not net.fc1.weight
    assert np.abs(net.fc1.weight.detach().numpy()).max() > 0
    twin(cr.ones(1, 4)).sum().backward()
    assert net.fc2.weight.grad is None


def test_the_tree_is_shown_as_pytorch_shows_it() -> None:
    assert repr(Outer()) == (
        "Outer(\n"
        "  (body): Sequential(\n"
        "    (0): Flatten(start_dim=1, end_dim=-1)\n"
        "    (1): Net(\n"
        "      (fc1): Linear(in_features=4, out_features=8, bias=True)\n"
        "      (fc2): Linear(in_features=8, out_features=2, bias=True)\n"
        "    )\n"
        "  )\n"
        ")"
    )
    assert repr(nn.ReLU()) == "ReLU()"
    assert repr(nn.Sequential()) == "Sequential()"


def test_an_error_names_the_module_that_got_the_wrong_input() -> None:
    with pytest.raises(ShapeError) as caught:
        Outer()(cr.zeros(32, 7))
    text = str(caught.value)
    assert "Linear built for 4 features got 7" in text
    assert "(Outer.body.1.fc1)" in text
    assert "test_module.py" in text
    assert "h = self.fc1(x)" in text
    assert "float32[32,7]" in text


def test_an_error_of_an_op_inside_forward_names_the_module() -> None:
    net = Net()
    net.scale = nn.Parameter(cr.ones(3))
    with pytest.raises(ShapeError) as caught:
        nn.Sequential(net)(cr.zeros(5, 4))
    assert "(Sequential.0)" in str(caught.value)
    assert "self.scale" in str(caught.value)


def test_the_tape_knows_the_module_of_every_node() -> None:
    net = Outer()
    y = net(cr.ones(2, 4))
    assert y.grad_fn is not None
    assert y.grad_fn.scope is not None
    assert y.grad_fn.scope.path() == "Outer.body.1"
    assert (y + 1).grad_fn.scope is None
    with pytest.raises(ShapeError):
        net(cr.ones(2, 5))
    assert (y + 1).grad_fn.scope is None


def test_a_module_made_during_forward_goes_by_its_class() -> None:
    class Careless(nn.Module):
        def forward(self, x: Any) -> Any:
            return nn.Sequential(nn.Linear(3, 1))(x)

    with pytest.raises(ShapeError, match=r"\(Careless.Sequential.Linear\)"):
        Careless()(cr.zeros(1, 2))
