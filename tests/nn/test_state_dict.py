"""Saving the state of a module and loading it again, or learning exactly why it does not fit."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import StateError


def model() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))


def equal(a: nn.Module, b: nn.Module) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(
        np.array_equal(first[k].numpy(), second[k].numpy()) for k in first
    )


def test_a_round_trip_restores_parameters_and_buffers() -> None:
    source, target = model(), model()
    source(cr.randn(8, 1, 4, 4))
    assert not equal(source, target)
    result = target.load_state_dict(source.state_dict())
    assert equal(source, target)
    assert result.missing_keys == []
    assert result.unexpected_keys == []
    assert target[1].num_batches_tracked.item() == 1


def test_the_keys_are_those_of_pytorch() -> None:
    assert list(model().state_dict()) == [
        "0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var",
        "1.num_batches_tracked", "3.weight", "3.bias",
    ]  # fmt: skip
    assert next(iter(model().state_dict(prefix="net."))) == "net.0.weight"


def test_a_state_is_a_snapshot() -> None:
    net = model()
    state = net.state_dict()
    before = state["3.bias"].tolist()
    assert not state["3.bias"].requires_grad
    nn.init.constant_(net[3].bias, 9.0)
    assert state["3.bias"].tolist() == before
    assert net.state_dict(keep_vars=True)["3.bias"] is net[3].bias


def test_loading_keeps_the_parameters_and_their_dtype() -> None:
    net = model()
    weight = net[3].weight
    state = {k: v.numpy().astype(np.float64) for k, v in model().state_dict().items()}
    net.load_state_dict(state)
    assert net[3].weight is weight
    assert weight.requires_grad
    assert weight.dtype == np.float32
    state["3.weight"][:] = 0
    assert np.abs(weight.detach().numpy()).max() > 0


def test_buffers_that_are_not_persistent_stay_out() -> None:
    net = nn.Linear(2, 2)
    net.register_buffer("mask", cr.ones(2), persistent=False)
    assert list(net.state_dict()) == ["weight", "bias"]
    assert "mask" in dict(net.named_buffers())
    net.register_buffer("mask", cr.ones(2))
    assert "mask" in net.state_dict()


def test_missing_and_unexpected_keys_are_named_and_nothing_is_changed() -> None:
    net = model()
    before = net.state_dict()
    state = model().state_dict()
    state["9.weight"] = state.pop("3.weight")
    with pytest.raises(StateError) as caught:
        net.load_state_dict(state)
    text = str(caught.value)
    assert "missing 3.weight" in text
    assert "unexpected 9.weight" in text
    assert "Sequential" in text
    assert all(np.array_equal(before[k].numpy(), v.numpy()) for k, v in net.state_dict().items())
    assert isinstance(caught.value, KeyError)


def test_without_strict_what_fits_by_name_is_loaded() -> None:
    net, other = model(), model()
    state = other.state_dict()
    state["9.weight"] = state.pop("3.weight")
    result = net.load_state_dict(state, strict=False)
    assert result.missing_keys == ["3.weight"]
    assert result.unexpected_keys == ["9.weight"]
    assert net[3].bias.tolist() == other[3].bias.tolist()
    assert net[3].weight.tolist() != other[3].weight.tolist()


@pytest.mark.parametrize("strict", [True, False])
def test_a_shape_that_differs_is_reported_with_both_shapes(strict: bool) -> None:
    net = model()
    before = net.state_dict()
    state = model().state_dict()
    state["3.weight"] = cr.zeros(2, 17)
    with pytest.raises(StateError) as caught:
        net.load_state_dict(state, strict)
    assert "3.weight: float32[2,16]" in str(caught.value)
    assert "3.weight: float32[2,17]" in str(caught.value)
    assert np.array_equal(before["0.weight"].numpy(), net.state_dict()["0.weight"].numpy())


def test_what_is_no_state_is_refused() -> None:
    with pytest.raises(StateError, match="dictionary"):
        model().load_state_dict([1, 2])  # type: ignore[arg-type]
    state = dict(model().state_dict())
    state["3.bias"] = "zeros"  # type: ignore[assignment]
    with pytest.raises(StateError, match=r"3.bias is not a tensor"):
        model().load_state_dict(state)


def test_many_wrong_keys_are_summed_up() -> None:
    net = nn.Sequential(*[nn.Linear(1, 1) for _ in range(10)])
    with pytest.raises(StateError, match=r"and 14 more") as caught:
        net.load_state_dict({})
    assert len(str(caught.value).splitlines()) <= 5
