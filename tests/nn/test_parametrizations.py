"""Weights that are computed from others: parametrize, weight, spectral and orthogonal, fusion."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, ShapeError, StateError
from chainrule.nn.utils import parametrizations, parametrize


class Double(nn.Module):
    calls = 0

    def forward(self, x: Any) -> Any:
        Double.calls += 1
        return x * 2

    def right_inverse(self, y: Any) -> Any:
        return y / 2


class Shift(nn.Module):
    def forward(self, x: Any) -> Any:
        return x + 1


def test_a_parametrized_weight_is_computed_when_read_and_its_original_is_trained() -> None:
    layer = nn.Linear(3, 2)
    before = layer.weight.detach().numpy()
    parametrize.register_parametrization(layer, "weight", Double())
    np.testing.assert_allclose(layer.weight.detach().numpy(), before, rtol=1e-6)
    parametrize.register_parametrization(layer, "weight", Shift())
    np.testing.assert_allclose(layer.weight.detach().numpy(), before + 1, rtol=1e-6)
    assert isinstance(layer, nn.Linear)
    assert parametrize.is_parametrized(layer, "weight")
    assert not parametrize.is_parametrized(layer, "bias")
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    assert [n for n, _ in layer.named_parameters()] == ["bias", "parametrizations.weight.original"]
    layer(cr.ones(1, 3)).sum().backward()
    assert (layer.parametrizations.weight.original.grad == 2).all()
    twin = deepcopy(layer)
    twin.parametrizations.weight.original.data.zero_()
    assert (twin.weight == 1).all()
    assert not (layer.weight == 1).all()


def test_assigning_and_removing() -> None:
    layer = parametrize.register_parametrization(nn.Linear(3, 2), "weight", Double())
    original = layer.parametrizations.weight.original
    layer.weight = cr.ones(2, 3)
    assert (original == 0.5).all()
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear
    assert layer.weight is original
    assert (layer.weight == 1).all()
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    with pytest.raises(ArgumentError, match="not parametrized"):
        parametrize.remove_parametrizations(layer, "weight")


def test_cached_weights_are_computed_once() -> None:
    layer = parametrize.register_parametrization(nn.Linear(3, 3), "weight", Double())
    Double.calls = 0
    with parametrize.cached():
        layer(layer(cr.ones(1, 3)))
    assert Double.calls == 1
    layer(layer(cr.ones(1, 3)))
    assert Double.calls == 3


def test_what_does_not_fit_is_refused_and_changes_nothing() -> None:
    layer = nn.Linear(3, 2)
    with pytest.raises(ArgumentError, match="no parameter"):
        parametrize.register_parametrization(layer, "weights", Double())
    with pytest.raises(ShapeError, match="shape"):
        parametrize.register_parametrization(layer, "weight", nn.Flatten(0))
    assert type(layer) is nn.Linear
    assert isinstance(layer.weight, nn.Parameter)


@pytest.mark.parametrize("norm", [nn.utils.weight_norm, parametrizations.weight_norm])
def test_weight_norm_keeps_the_weight_and_separates_its_length(norm: Any) -> None:
    layer = nn.Linear(4, 3)
    before = layer.weight.detach().numpy()
    norm(layer)
    np.testing.assert_allclose(layer(cr.zeros(1, 4)).shape, (1, 3))
    np.testing.assert_allclose(layer.weight.detach().numpy(), before, rtol=1e-6)
    g = next(p for n, p in layer.named_parameters() if n.endswith(("weight_g", "original0")))
    g.data.fill_(2.0)
    layer(cr.zeros(1, 4))
    np.testing.assert_allclose(np.linalg.norm(layer.weight.detach().numpy(), axis=1), 2, rtol=1e-6)


@pytest.mark.parametrize("norm", [nn.utils.spectral_norm, parametrizations.spectral_norm])
def test_spectral_norm_tends_to_one_and_stands_still_in_evaluation(norm: Any) -> None:
    layer = norm(nn.Linear(4, 3))
    for _ in range(60):
        layer(cr.zeros(1, 4))
    assert np.linalg.norm(layer.weight.detach().numpy(), 2) == pytest.approx(1, abs=1e-4)
    layer.eval()
    state = [b.numpy() for b in layer.buffers()]
    layer(cr.zeros(1, 4))
    for a, b in zip(state, layer.buffers(), strict=True):
        np.testing.assert_array_equal(a, b.numpy())


def test_old_norms_are_removed_and_copied() -> None:
    layer = nn.utils.weight_norm(nn.Linear(2, 2))
    layer(cr.ones(1, 2))
    assert (deepcopy(layer)(cr.ones(1, 2)) == layer(cr.ones(1, 2))).all()
    weight = layer.weight.detach().numpy()
    nn.utils.remove_weight_norm(layer)
    assert isinstance(layer.weight, nn.Parameter)
    np.testing.assert_array_equal(layer.weight.detach().numpy(), weight)
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    with pytest.raises(ArgumentError, match="not normalised"):
        nn.utils.remove_spectral_norm(layer)
    with pytest.raises(ArgumentError, match="no parameter"):
        nn.utils.weight_norm(layer, "kernel")


@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (3, 3)])
def test_orthogonal_weights_stay_orthogonal_and_take_assignments(
    kind: str, shape: tuple[int, int]
) -> None:
    layer = parametrizations.orthogonal(nn.Linear(*shape).double(), orthogonal_map=kind)
    original = layer.parametrizations.weight.original
    original.data.add_(cr.tril(cr.randn(*original.shape, dtype=np.float64), -1))
    w = layer.weight.detach().numpy()
    gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, np.eye(min(shape)), atol=1e-12)
    layer.weight = cr.tensor(w)
    np.testing.assert_allclose(layer.weight.detach().numpy(), w, atol=1e-12)


@pytest.mark.parametrize("transposed", [False, True])
def test_fused_layers_compute_what_both_did(transposed: bool) -> None:
    conv = (nn.ConvTranspose2d if transposed else nn.Conv2d)(2, 3, 3).double()
    norm = nn.BatchNorm2d(3).double()
    norm(cr.randn(4, 3, 5, 5, dtype=np.float64))
    with pytest.raises(StateError, match="evaluation"):
        nn.utils.fuse_conv_bn_eval(conv, norm, transposed)
    fused = nn.utils.fuse_conv_bn_eval(conv.eval(), norm.eval(), transposed)
    x = cr.randn(1, 2, 6, 6, dtype=np.float64)
    np.testing.assert_allclose(
        fused(x).detach().numpy(), norm(conv(x)).detach().numpy(), atol=1e-12
    )
    linear, norm1 = nn.Linear(2, 3, bias=False).eval(), nn.BatchNorm1d(3).eval()
    y = nn.utils.fuse_linear_bn_eval(linear, norm1)(cr.ones(1, 2))
    np.testing.assert_allclose(
        y.detach().numpy(), norm1(linear(cr.ones(1, 2))).detach().numpy(), atol=1e-6
    )


def test_vectors_of_parameters_go_there_and_back() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    vector = nn.utils.parameters_to_vector(net.parameters())
    assert vector.shape == (13,)
    nn.utils.vector_to_parameters(vector.detach() * 2, net.parameters())
    again = nn.utils.parameters_to_vector(net.parameters())
    np.testing.assert_array_equal(again.detach().numpy(), 2 * vector.detach().numpy())
    with pytest.raises(ShapeError, match="element for each"):
        nn.utils.vector_to_parameters(cr.zeros(12), net.parameters())
