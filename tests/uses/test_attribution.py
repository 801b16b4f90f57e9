"""Attribution: closed forms of linear and quadratic models, completeness, and what is refused."""

from __future__ import annotations

import itertools
import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from scipy.stats import spearmanr

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from chainrule.nn import functional
from chainrule.uses.attribution import (
    METHODS,
    Scores,
    agreement,
    explain_all,
    grad_cam,
    gradient_x_input,
    guided_backprop,
    integrated_gradients,
    occlusion,
    occlusion_drops,
    rank_correlation,
    saliency,
    smoothgrad,
)

RNG = np.random.default_rng(0)
W = RNG.normal(size=(4, 3))
X = RNG.normal(size=(5, 4))


def linear(x):
    return x @ cr.tensor(W) + 1.5


def quadratic(x):
    return (x * x * cr.tensor([1.0, 2.0, 3.0, 4.0], dtype=cr.float64)).sum(1)


class SmallNet(nn.Module):
    """A convolution, a ReLU called as a function, dropout, and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.dropout = nn.Dropout(0.5)
        self.dense = nn.Linear(3 * 16, 4)

    def forward(self, x):
        h = functional.relu(self.conv(x))
        return self.dense(self.dropout(h.flatten(1)))


@pytest.fixture
def net() -> SmallNet:
    cr.manual_seed(3)
    return SmallNet().double()


IMAGES = RNG.normal(size=(3, 1, 6, 6))

# Closed forms ------------------------------------------------------------------------------------


def test_gradients_of_a_linear_model_are_its_weights() -> None:
    found = saliency(linear, X, 2)
    np.testing.assert_allclose(found.values, np.tile(W[:, 2], (5, 1)), rtol=1e-12)
    np.testing.assert_allclose(found.scores, (X @ W + 1.5)[:, 2], rtol=1e-12)


@pytest.mark.parametrize("target", [0, [0, 1, 2, 1, 0]])
def test_three_methods_agree_exactly_on_a_linear_model(target) -> None:
    expected = X * W[:, np.broadcast_to(target, 5)].T
    products, integrals = (
        gradient_x_input(linear, X, target),
        integrated_gradients(linear, X, target),
    )
    covered = occlusion(linear, X, target, window=1)
    for found in (products, integrals, covered):
        np.testing.assert_allclose(found.values, expected, rtol=1e-9)
    assert products.completeness.holds
    assert integrals.completeness.holds
    assert integrals.completeness.residual.max() < 1e-12
    assert (integrals.completeness.steps == 16).all()


def test_integrated_gradients_of_a_quadratic_split_its_change() -> None:
    baseline = np.full(4, 0.5)
    found = integrated_gradients(quadratic, X, baseline=baseline)
    np.testing.assert_allclose(
        found.values, np.array([1, 2, 3, 4]) * (X**2 - baseline**2), rtol=1e-9
    )
    assert not gradient_x_input(quadratic, X).completeness.holds  # 2x² instead of x²


def test_steps_are_doubled_until_the_integral_is_complete() -> None:
    def bent(x):
        return functional.relu(x - 0.93).sum(1)

    x = np.array([[1.0], [0.5]])
    coarse = integrated_gradients(bent, x, first_steps=2, tolerance=0.01)
    assert coarse.completeness.holds
    assert coarse.completeness.steps[0] > 2
    assert coarse.completeness.steps[1] == 2
    assert abs(coarse.values[0, 0] - 0.07) < 0.0007


def test_an_incomplete_integral_is_said_to_be_one() -> None:
    def bent(x):
        return functional.relu(x - 0.93).sum(1)

    with pytest.warns(UserWarning, match="not complete"):
        found = integrated_gradients(bent, np.ones((1, 1)), first_steps=2, max_steps=2)
    assert not found.completeness.holds
    assert "NOT complete" in str(found.completeness)


def test_a_score_that_does_not_change_counts_as_complete_if_nothing_is_attributed() -> None:
    found = integrated_gradients(lambda x: (x * 0.0).sum(1) + 3.0, X)
    assert found.completeness.holds
    assert (found.values == 0).all()


def test_smoothgrad_without_noise_is_the_gradient_and_repeats_with_its_seed(net) -> None:
    plain = saliency(net, IMAGES)
    np.testing.assert_allclose(smoothgrad(net, IMAGES, noise=0.0, samples=3).values, plain.values)
    once, again = (smoothgrad(net, IMAGES, samples=5, seed=7).values for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, smoothgrad(net, IMAGES, samples=5, seed=8).values)


def test_smoothgrad_of_a_cubic_adds_the_variance_of_the_noise() -> None:
    x = np.array([[-1.0, 1.0]])  # E[3 (x + σz)²] = 3x² + 3σ², σ = 0.15 · 2
    found = smoothgrad(lambda x: (x**3).sum(1), x, samples=4000)
    np.testing.assert_allclose(found.values, 3 + 3 * 0.3**2, rtol=0.03)


def test_grad_cam_weighs_maps_by_their_mean_gradient(net) -> None:
    net.eval()
    found = grad_cam(net, IMAGES, 1)
    maps = net.conv(cr.tensor(IMAGES)).detach().numpy()
    slopes = net.dense.weight.detach().numpy()[1].reshape(1, 3, 4, 4) * (maps > 0)
    weights = slopes.mean((2, 3), keepdims=True)
    small = np.maximum((weights * maps).sum(1, keepdims=True), 0)
    expected = functional.interpolate(cr.tensor(small), size=(6, 6), mode="bilinear").numpy()
    np.testing.assert_allclose(found.values, expected, atol=1e-12)
    assert found.settings["layer"] == "conv"
    np.testing.assert_array_equal(grad_cam(net, IMAGES, 1, layer=net.conv).values, found.values)


def test_grad_cam_takes_the_activation_after_the_last_convolution() -> None:
    net = nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(18, 2))
    found = grad_cam(net, np.ones((2, 2, 8), np.float32))
    assert found.settings["layer"] == "1"
    assert found.values.shape == (2, 1, 8)


def test_guided_backprop_lets_only_positive_gradients_pass_relus() -> None:
    first, second = RNG.normal(size=(4, 6)), RNG.normal(size=(6, 1))

    def two_layers(x):
        return functional.relu(x @ cr.tensor(first)) @ cr.tensor(second)

    hidden = X @ first > 0
    expected = (hidden * np.maximum(second[:, 0], 0)) @ first.T
    np.testing.assert_allclose(guided_backprop(two_layers, X).values, expected, rtol=1e-12)
    plain = (hidden * second[:, 0]) @ first.T
    np.testing.assert_allclose(saliency(two_layers, X).values, plain, rtol=1e-12)


# Inputs, targets and modes ------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 5), (2, 7, 3), (2, 2, 4, 4), (1, 1)])
def test_inputs_of_any_shape_are_attributed(shape) -> None:
    x = RNG.normal(size=shape)
    weights = RNG.normal(size=shape[1:])

    def model(x):
        return (x * cr.tensor(weights)).reshape(len(x), -1).sum(1)

    for name in ("saliency", "integrated_gradients", "smoothgrad", "occlusion"):
        assert METHODS[name](model, x).values.shape == shape
    np.testing.assert_allclose(integrated_gradients(model, x).values, x * weights, rtol=1e-9)


def test_a_recurrent_model_of_a_series_is_complete() -> None:
    cr.manual_seed(0)
    layer = nn.LSTM(1, 8, batch_first=True).double()
    found = integrated_gradients(lambda x: layer(x)[0][:, -1, :1], RNG.normal(size=(2, 12, 1)))
    assert found.completeness.holds
    assert np.abs(found.values).min() > 0


def test_a_target_is_a_place_an_index_for_each_sample_or_a_function() -> None:
    def model(x):
        return (x @ cr.tensor(W)).reshape(len(x), 3, 1) * cr.tensor([1.0, 2.0], dtype=cr.float64)

    place = saliency(model, X, (2, 1))
    np.testing.assert_allclose(place.values, np.tile(2 * W[:, 2], (5, 1)))
    function = saliency(model, X, lambda y: y[:, 0, 0] - y[:, 1, 1])
    np.testing.assert_allclose(function.values, np.tile(W[:, 0] - 2 * W[:, 1], (5, 1)))
    best = saliency(linear, X)
    assert best.target == (X @ W).argmax(1).tolist()


def test_a_target_beside_an_infinite_output_is_untouched_by_it() -> None:
    def model(x):
        return cr.stack([x.sum(1), cr.full((len(x),), -np.inf, dtype=x.dtype)], 1)

    np.testing.assert_array_equal(saliency(model, X, 0).values, 1)


def test_the_model_runs_in_evaluation_mode_and_is_left_in_its_own(net) -> None:
    net.train()
    once, again = saliency(net, IMAGES).values, saliency(net, IMAGES).values
    np.testing.assert_array_equal(once, again)
    assert net.training
    assert net.dropout.training
    assert all(p.grad is None for p in net.parameters())
    assert not net.conv._hooks or not net.conv._hooks.named()


def test_hooks_of_the_user_are_called_in_every_pass(net) -> None:
    calls = []
    net.conv.register_forward_hook(lambda *_: calls.append(1))
    scores = Scores(net, IMAGES, 0)
    seen = len(calls)
    saliency(scores)
    saliency(scores)
    assert len(calls) == seen + 2


def test_nothing_is_traced_anew_for_another_class(net) -> None:
    scores = Scores(net, IMAGES)
    found = [saliency(Scores(net, IMAGES, k)).values for k in range(3)]
    assert not np.array_equal(found[0], found[1])
    for _ in range(3):
        saliency(scores)
    assert scores._passes._compiled_pass.traces == 1


@pytest.mark.parametrize(
    ("target", "error", "words"),
    [
        (3, IndexRangeError, "no such output"),
        (-1, IndexRangeError, "no such output"),
        ([0, 1], ShapeError, "for each of 5 samples"),
        ((0, 0), ShapeError, "1 indices"),
        ("cat", ArgumentError, "a target is"),
        (1.5, ArgumentError, "a target is"),
        (lambda y: y.sum(), ShapeError, "one number for each sample"),
    ],
)
def test_a_target_that_is_not_there_is_refused(target, error, words) -> None:
    with pytest.raises(error, match=words):
        saliency(linear, X, target)


def test_inputs_that_have_no_gradient_are_refused() -> None:
    with pytest.raises(DTypeError, match="integers"):
        saliency(linear, np.ones((2, 4), np.int64))
    with pytest.raises(ShapeError, match="no samples"):
        saliency(linear, np.ones((0, 4)))
    with pytest.raises(ShapeError, match="not one tensor"):
        saliency(lambda x: (x, x), X)
    with pytest.raises(ShapeError, match="several axes"):
        saliency(lambda x: x.reshape(-1, 2, 2), X)


def test_a_method_that_does_not_suit_the_model_says_so(net) -> None:
    with pytest.raises(ArgumentError, match="needs a convolution"):
        grad_cam(nn.Linear(4, 2), X)
    with pytest.raises(ArgumentError, match="looks into a module"):
        grad_cam(linear, X)
    with pytest.raises(ArgumentError, match="no such layer"):
        grad_cam(net, IMAGES, layer="missing")
    with pytest.raises(ShapeError, match="needs maps"):
        grad_cam(net, IMAGES, layer="dense")
    with pytest.raises(ArgumentError, match="there is none"):
        guided_backprop(linear, X)
    assert set(explain_all(linear, X).skipped) == {"grad_cam", "guided_backprop"}


@pytest.mark.parametrize(
    "call",
    [
        lambda: integrated_gradients(linear, X, tolerance=0),
        lambda: integrated_gradients(linear, X, first_steps=8, max_steps=4),
        lambda: integrated_gradients(linear, X, baseline=np.ones(3)),
        lambda: smoothgrad(linear, X, noise=-1),
        lambda: smoothgrad(linear, X, samples=0),
        lambda: occlusion(linear, X, window=5),
        lambda: occlusion(linear, X, window=(1, 1)),
        lambda: occlusion(linear, X, stride=0),
        lambda: explain_all(linear, X, methods=["lime"]),
    ],
)
def test_settings_that_are_not_possible_are_refused(call) -> None:
    with pytest.raises((ArgumentError, ShapeError)):
        call()


# Occlusion and agreement --------------------------------------------------------------------------


def test_windows_cover_every_element_and_drops_are_exact() -> None:
    x = RNG.normal(size=(1, 7))
    weights = RNG.normal(size=7)
    scores = Scores(lambda x: x @ cr.tensor(weights), x)
    found = occlusion_drops(scores, window=3, stride=2)
    assert [(w.start, w.stop) for (w,) in found.windows] == [(0, 3), (2, 5), (4, 7)]
    expected = [(x[0] * weights)[w].sum() for (w,) in found.windows]
    np.testing.assert_allclose(found.drops[0], expected, rtol=1e-9)
    assert found.changed.all()
    np.testing.assert_allclose(agreement(integrated_gradients(scores), found), 1)


def test_what_covering_does_not_change_has_no_say_in_the_agreement() -> None:
    x = np.array([[0.0, 0.0, 1.0, 2.0, 3.0]])
    scores = Scores(lambda x: x @ cr.tensor([9.0, -9.0, 1.0, 1.0, 1.0], dtype=cr.float64), x)
    drops = occlusion_drops(scores)
    assert drops.changed.tolist() == [[False, False, True, True, True]]
    assert np.isnan(agreement(saliency(scores), drops)).all()  # equal slopes, unequal drops
    assert agreement(gradient_x_input(scores), drops).tolist() == [1.0]


@pytest.mark.parametrize("n", [3, 10, 200])
def test_rank_correlation_is_that_of_scipy_with_ties(n) -> None:
    a, b = RNG.integers(0, 6, n), RNG.normal(size=n).round(1)
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-11)
    assert np.isnan(rank_correlation(np.ones(n), b))
    assert np.isnan(rank_correlation([], []))


# Results ------------------------------------------------------------------------------------------


def test_all_methods_are_compared_written_and_drawn(net, tmp_path) -> None:
    found = explain_all(net, IMAGES)
    assert list(found.attributions) == list(METHODS)
    document = json.loads(json.dumps(found.to_json()))
    exact = document["methods"]["integrated_gradients"]
    assert exact["completeness"]["holds"]
    assert exact["agreement"][0] == pytest.approx(
        agreement(found.attributions["integrated_gradients"], occlusion_drops(Scores(net, IMAGES)))[
            0
        ]
    )
    assert document["methods"]["occlusion"]["agreement"] is None
    paths = found.save(tmp_path / "pictures", "a title <of> mine", sample=1)
    assert len(paths) == 1 + len(METHODS)
    for path in paths:
        root = ET.fromstring(path.read_text())
        assert root.tag.endswith("svg")
    text = paths[0].read_text()
    assert text.count("<image") == 1 + len(METHODS)
    assert "a title &lt;of&gt; mine" in text


@pytest.mark.parametrize("shape", [(4,), (6, 1), (3, 5), (3, 6, 6), (2, 6, 6), (1,), (2, 2, 3, 3)])
def test_samples_of_every_shape_can_be_drawn(shape) -> None:
    def model(x):
        return x.reshape(len(x), -1).sum(1)

    x = np.concatenate([RNG.normal(size=(1, *shape)), np.zeros((1, *shape))])
    for sample, method in itertools.product((0, 1), (saliency, gradient_x_input)):
        ET.fromstring(method(model, x).svg(sample))


def test_an_attribution_is_all_in_its_json() -> None:
    found = integrated_gradients(linear, X, 1)
    document = json.loads(json.dumps(found.to_json()))
    np.testing.assert_array_equal(document["values"], found.values)
    assert document["method"] == "integrated_gradients"
    assert document["target"] == 1
    assert document["shape"] == [5, 4]
    assert "integrated_gradients, 5×4" in repr(found)
