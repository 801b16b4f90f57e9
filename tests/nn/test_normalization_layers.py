"""Batch and layer normalisation: formulas, running statistics, training and evaluation."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ShapeError


def test_batch_norm_normalises_each_channel_while_training() -> None:
    x = cr.randn(8, 3, 5, 5) * 4 + 2
    y = nn.BatchNorm2d(3)(x).detach().numpy()
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std((0, 2, 3)), 1, atol=1e-4)


def test_running_statistics_are_moving_averages_with_the_unbiased_variance() -> None:
    layer = nn.BatchNorm1d(2, momentum=0.25)
    mean, var = np.zeros(2), np.ones(2)
    for _ in range(3):
        x = cr.randn(6, 2)
        layer(x)
        mean = 0.75 * mean + 0.25 * x.numpy().mean(0)
        var = 0.75 * var + 0.25 * x.numpy().var(0, ddof=1)
    np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.running_var.numpy(), var, rtol=1e-5)
    assert layer.num_batches_tracked.item() == 3
    assert layer.num_batches_tracked.dtype == np.int64


def test_without_momentum_the_average_is_over_all_batches() -> None:
    layer = nn.BatchNorm1d(2, momentum=None)
    xs = [cr.randn(6, 2) for _ in range(3)]
    for x in xs:
        layer(x)
    np.testing.assert_allclose(
        layer.running_mean.numpy(), np.mean([x.numpy().mean(0) for x in xs], 0), rtol=1e-4,
        atol=1e-6,
    )  # fmt: skip


def test_evaluation_uses_and_keeps_the_running_statistics() -> None:
    layer = nn.BatchNorm1d(2)
    layer(cr.randn(6, 2))
    layer.eval()
    mean, var = layer.running_mean.numpy(), layer.running_var.numpy()
    x = cr.randn(4, 2)
    np.testing.assert_allclose(
        layer(x).detach().numpy(), (x.numpy() - mean) / np.sqrt(var + 1e-5), rtol=1e-4, atol=1e-5
    )
    assert layer.running_mean.tolist() == mean.tolist()
    assert layer.num_batches_tracked.item() == 1
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0.0, 0.0]
    assert layer.num_batches_tracked.item() == 0


def test_without_tracking_the_batch_decides_always() -> None:
    layer = nn.BatchNorm1d(2, track_running_stats=False).eval()
    assert list(layer.state_dict()) == ["weight", "bias"]
    y = layer(cr.randn(6, 2) + 5).detach().numpy()
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-5)


def test_running_statistics_are_no_part_of_the_graph() -> None:
    layer = nn.BatchNorm1d(2)
    layer(cr.randn(6, 2, dtype=np.float32)).sum().backward()
    assert not layer.running_mean.requires_grad
    layer(cr.randn(6, 2)).sum().backward()


def test_one_value_per_channel_cannot_be_normalised_while_training() -> None:
    layer = nn.BatchNorm1d(3)
    with pytest.raises(ShapeError):
        layer(cr.zeros(1, 3))
    assert layer.num_batches_tracked.item() == 0
    assert layer.eval()(cr.zeros(1, 3)).shape == (1, 3)


def test_layer_norm_is_its_formula() -> None:
    layer = nn.LayerNorm((3, 4))
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    x = cr.randn(5, 3, 4)
    a = x.numpy().reshape(5, -1)
    expected = (a - a.mean(1, keepdims=True)) / np.sqrt(a.var(1, keepdims=True) + 1e-5)
    expected = expected.reshape(5, 3, 4) * layer.weight.detach().numpy()
    expected = expected + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-4, atol=1e-5)
