"""Attacks: closed forms of linear models, balls and bounds, training, and planted masking."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.data import DataLoader, TensorDataset
from chainrule.errors import (
    ArgumentError,
    DTypeError,
    GradientError,
    IndexRangeError,
    ShapeError,
)
from chainrule.uses.adversarial import (
    ATTACKS,
    BIM,
    FGSM,
    PGD,
    AdversarialExamples,
    DeepFool,
    check_masking,
    examples_picture,
    margin,
    robust_accuracy,
)

RNG = np.random.default_rng(1)
W = RNG.normal(size=(6, 2))
NORMAL = W[:, 1] - W[:, 0]
X = RNG.normal(size=(40, 6))
GAP = X @ NORMAL
Y = (GAP > 0).astype(np.int64)
"""Classes as the linear model has them: all are right."""
LENGTHS = {"linf": np.abs(NORMAL).sum(), "l2": np.sqrt((NORMAL**2).sum())}
"""How far a step of length one moves the gap between the logits: the dual norm."""


def linear(x):
    return x @ cr.tensor(W)


def gap(x):
    return x @ NORMAL


@pytest.fixture
def net() -> nn.Module:
    cr.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3)).double().eval()


# Closed forms ------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("kind", [FGSM, BIM, PGD], ids=lambda kind: kind.name)
def test_the_best_step_on_a_linear_model_is_found(kind, norm) -> None:
    found = kind(linear, 0.3, norm=norm, bounds=None, step_size=0.3)(X, Y)
    toward = np.where(Y == 1, -1, 1)
    np.testing.assert_allclose(gap(found.examples), GAP + toward * 0.3 * LENGTHS[norm], rtol=1e-6)
    np.testing.assert_allclose(found.distances(), 0.3, rtol=1e-6)
    assert found.clean_accuracy == 1
    assert found.accuracy == (np.abs(GAP) > 0.3 * LENGTHS[norm]).mean()
    assert found.success_rate == pytest.approx(1 - found.accuracy)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_deepfool_finds_the_distance_to_the_boundary(norm) -> None:
    found = DeepFool(linear, norm=norm, bounds=None)(X, Y)
    assert found.success.all()
    np.testing.assert_allclose(found.distances(), 1.02 * np.abs(GAP) / LENGTHS[norm], rtol=1e-6)
    assert found.eps is None


def test_deepfool_goes_to_the_nearest_of_several_classes() -> None:
    weights = RNG.normal(size=(6, 5))
    logits = X @ weights
    own = logits.argmax(1)
    found = DeepFool(lambda x: x @ cr.tensor(weights), bounds=None)(X, own)
    normals = weights[:, None, :] - weights[:, own].swapaxes(0, 0)[:, :, None]
    steep = np.sqrt((normals**2).sum(0))
    gaps = logits.max(1)[:, None] - logits
    gaps[np.arange(40), own] = np.inf
    steep[np.arange(40), own] = 1
    nearest = gaps / steep
    np.testing.assert_allclose(found.distances(), 1.02 * nearest.min(1), rtol=1e-6)
    np.testing.assert_array_equal(found.after, nearest.argmin(1))


def test_deepfool_moves_what_is_free_when_the_rest_is_at_its_bound() -> None:
    def model(x):
        return cr.stack([x[:, 0] + x[:, 1], cr.full((len(x),), 0.6, dtype=x.dtype)], 1)

    x = np.array([[0.0, 1.0]])  # the first element cannot fall
    found = DeepFool(model, bounds=(0.0, 1.0))(x, 0)
    np.testing.assert_allclose(found.examples, [[0.0, 1 - 1.02 * 0.4]], rtol=1e-6)
    assert found.success.all()


def test_margin_is_the_lead_of_the_best_other_class() -> None:
    logits = RNG.normal(size=(7, 4))
    labels = RNG.integers(0, 4, 7)
    others = np.where(np.arange(4) == labels[:, None], -np.inf, logits)
    expected = others.max(1) - logits[np.arange(7), labels]
    np.testing.assert_allclose(margin(cr.tensor(logits), cr.tensor(labels)).numpy(), expected)


# Balls, bounds and targets ------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(
    "make",
    [
        lambda m, n: FGSM(m, 0.25, norm=n),
        lambda m, n: FGSM(m, 0.25, norm=n, random_start=True),
        lambda m, n: BIM(m, 0.25, norm=n, steps=3, step_size=1.0),
        lambda m, n: PGD(m, 0.25, norm=n, steps=3, restarts=2, loss="margin"),
    ],
)
def test_no_example_leaves_its_ball_or_the_bounds(make, norm, net) -> None:
    x = RNG.uniform(0, 1, (33, 6))
    x[0], x[1] = 0.0, 1.0
    found = make(net, norm)(x, net(cr.tensor(x)).detach().numpy().argmax(1))
    assert found.examples.min() >= 0
    assert found.examples.max() <= 1
    assert found.distances().max() <= 0.25 * (1 + 1e-12)
    assert found.accuracy <= found.clean_accuracy
    assert found.examples.shape == x.shape
    assert all(p.grad is None for p in net.parameters())


def test_a_targeted_attack_reaches_its_class() -> None:
    labels = X.argmax(1)
    target = (labels + 1) % 6
    found = PGD(lambda x: x * 2, 10.0, bounds=None, steps=20)(X, labels, target=target)
    np.testing.assert_array_equal(found.after, target)
    assert found.to_json()["targeted"]
    assert found.success.all()
    one = FGSM(linear, 0.5, bounds=None)(X, Y, target=1)
    np.testing.assert_allclose(gap(one.examples), GAP + 0.5 * LENGTHS["linf"])


def test_more_steps_and_restarts_do_not_do_worse(net) -> None:
    x = RNG.uniform(0, 1, (60, 6))
    labels = net(cr.tensor(x)).detach().numpy().argmax(1)
    few, many = (PGD(net, 0.3, steps=5, restarts=r, seed=0)(x, labels) for r in (1, 4))
    assert many.accuracy <= few.accuracy
    losses = [
        margin(net(cr.tensor(f.examples)), cr.tensor(labels)).sum().item() for f in (few, many)
    ]
    assert losses[1] >= losses[0] - 1e-9


def test_random_starts_fill_the_ball_and_repeat_with_their_seed() -> None:
    x = np.zeros((4000, 2))
    attack = PGD(linear, 0.5, norm="l2", bounds=None, seed=3)
    points = attack.started(x)
    radii = np.sqrt((points**2).sum(1))
    assert radii.max() <= 0.5 * (1 + 1e-12)
    assert abs((radii < 0.25).mean() - 0.25) < 0.03  # a quarter of the area
    again = PGD(linear, 0.5, norm="l2", bounds=None, seed=3).started(x)
    np.testing.assert_array_equal(points, again)
    cube = PGD(linear, 0.5, bounds=None, seed=3).started(x)
    assert np.abs(cube).max() <= 0.5
    assert abs(cube.std() - 0.5 / math.sqrt(3)) < 0.01


def test_a_batch_is_attacked_like_its_samples(net) -> None:
    x = RNG.uniform(0, 1, (9, 6))
    labels = np.arange(9) % 3
    whole = BIM(net, 0.1, steps=4)(x, labels).examples
    parts = BIM(net, 0.1, steps=4, batch_size=2)(x, labels).examples
    alone = [BIM(net, 0.1, steps=4)(x[i : i + 1], labels[i : i + 1]).examples for i in range(9)]
    np.testing.assert_allclose(parts, whole, atol=1e-12)
    np.testing.assert_allclose(np.concatenate(alone), whole, atol=1e-12)


def test_a_model_in_training_mode_is_attacked_with_a_warning() -> None:
    net = nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.5), nn.Linear(4, 2)).double()
    with pytest.warns(UserWarning, match="training mode"):
        FGSM(net, 0.1, bounds=None)(X, Y)
    assert net.training
    FGSM(net.eval(), 0.1, bounds=None)(X, Y)  # a warning would be an error


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: FGSM(linear, 0.1)(X, Y), ArgumentError, "outside their bounds"),
        (lambda: FGSM(linear, 0.0), ArgumentError, "eps"),
        (lambda: FGSM(linear, math.inf), ArgumentError, "eps"),
        (lambda: FGSM(linear, 0.1, norm="l1"), ArgumentError, "no such norm"),
        (lambda: FGSM(linear, 0.1, loss="mse"), ArgumentError, "no such loss"),
        (lambda: FGSM(linear, 0.1, bounds=(1, 0)), ArgumentError, "no room"),
        (lambda: PGD(linear, 0.1, steps=0), ArgumentError, "takes steps"),
        (lambda: PGD(linear, 0.1, restarts=0), ArgumentError, "takes steps"),
        (lambda: BIM(linear, 0.1, step_size=-1.0), ArgumentError, "step_size"),
        (lambda: DeepFool(linear, classes=1), ArgumentError, "two classes"),
        (lambda: DeepFool(linear, bounds=None)(X, Y, target=1), ArgumentError, "no target"),
        (lambda: FGSM(linear, 0.1, bounds=None)(X, Y[:3]), ShapeError, "40 labels"),
        (lambda: FGSM(linear, 0.1, bounds=None)(X, Y * 2), IndexRangeError, "no such class"),
        (lambda: FGSM(linear, 0.1, bounds=None)(X, Y * 1.0), ArgumentError, "integers"),
        (lambda: FGSM(linear, 0.1, bounds=None)(X * np.nan, Y), ArgumentError, "not finite"),
        (lambda: FGSM(linear, 0.1, bounds=None)(Y[:, None], Y), DTypeError, "integers"),
        (lambda: FGSM(lambda x: x[:, :1], 0.1, bounds=None)(X, Y), ShapeError, "classifiers"),
        (lambda: FGSM(lambda x: x / 0, 0.1, bounds=None)(X, Y), ArgumentError, "outputs are not"),
        (
            lambda: FGSM(lambda x: cr.sqrt(x * 0)[:, :2], 0.1, bounds=None)(X, Y),
            GradientError,
            "not finite",
        ),
        (lambda: robust_accuracy(linear, X, Y, [0.1], methods=["cw"]), ArgumentError, "attack"),
        (lambda: robust_accuracy(linear, X, Y, [-0.1]), ArgumentError, "positive"),
        (lambda: robust_accuracy(linear, X, Y, [0.0]), ArgumentError, "positive"),
        (lambda: AdversarialExamples([], FGSM(linear, 0.1), share=0), ArgumentError, "share"),
    ],
)
def test_what_cannot_be_attacked_is_refused(call, error, words) -> None:
    with pytest.raises(error, match=words):
        call()


# Robust accuracy ----------------------------------------------------------------------------------


def test_robust_accuracy_of_a_linear_model_is_its_share_beyond_the_distance() -> None:
    sizes = [0.1, 0.3, 0.6]
    found = robust_accuracy(
        linear, X, Y, sizes, methods=list(ATTACKS), norm="l2", bounds=None, steps=10
    )
    far = np.abs(GAP) / LENGTHS["l2"]
    for name in ("fgsm", "bim", "pgd"):
        assert found.accuracy[name] == (1.0, *((far > e).mean() for e in sizes))
    assert found.accuracy["deepfool"] == (1.0, *((1.02 * far > e).mean() for e in sizes))
    document = json.loads(json.dumps(found.to_json()))
    assert document["eps"] == [0.0, *sizes]
    assert str(found).splitlines()[0].split() == ["ε", *ATTACKS]
    assert len(str(found).splitlines()) == 5


def test_tables_and_examples_are_drawn(net, tmp_path) -> None:
    x = RNG.uniform(0, 1, (30, 6))
    labels = net(cr.tensor(x)).detach().numpy().argmax(1)
    found = robust_accuracy(net, x, labels, [0.2, 0.4], steps=3)
    found.save(tmp_path / "curve.svg")
    ET.fromstring((tmp_path / "curve.svg").read_text())
    attacked = FGSM(net, 0.4)(x, labels)
    assert attacked.success.any()
    ET.fromstring(examples_picture(attacked, ["a", "b<", "c"]))
    never = FGSM(net, 1e-9)(x, labels)
    assert not never.success.any()
    ET.fromstring(examples_picture(never))
    assert math.isnan(never.to_json()["median_distance"])


def test_an_attack_of_another_size_shares_what_was_compiled(net) -> None:
    attack = BIM(net, 0.1, steps=4)
    other = attack.at(0.3)
    assert other.passes is attack.passes
    assert (attack.eps, other.eps) == (0.1, 0.3)
    assert other.step_size == pytest.approx(3 * attack.step_size)


# Training -----------------------------------------------------------------------------------------


def two_kinds_of_features(n: int) -> tuple[np.ndarray, np.ndarray]:
    """One feature that is far from its boundary, and thirty that are near it but all together tell.

    After D. Tsipras et al. 2019, arXiv:1805.12152, section 2.1.
    """
    rng = np.random.default_rng(5)
    y = rng.integers(0, 2, n)
    sign = 2.0 * y - 1
    strong = 0.5 + 0.25 * sign * np.where(rng.random(n) < 0.9, 1, -1)
    weak = 0.5 + 0.08 * sign[:, None] + 0.06 * rng.normal(size=(n, 30))
    return np.clip(np.c_[strong, weak], 0, 1).astype(np.float32), y


def trained(attacked: bool, seed: int = 0) -> nn.Module:
    x, y = two_kinds_of_features(400)
    cr.manual_seed(seed)
    model = nn.Linear(31, 2)
    data = TensorDataset(x, y)
    if attacked:
        data = AdversarialExamples(data, FGSM(model, 0.1, random_start=True))
    trainer = cr.Trainer(
        model, cr.optim.Adam(model.parameters(), lr=0.2), nn.CrossEntropyLoss(), compile=False
    )
    trainer.fit(DataLoader(data, 50, shuffle=True), epochs=25, seed=seed, quiet=True)
    return model.eval()


def test_adversarial_training_makes_a_model_robust() -> None:
    x, y = two_kinds_of_features(400)
    plain, hardened = (PGD(trained(a), 0.1, steps=10)(x, y) for a in (False, True))
    assert plain.clean_accuracy > 0.98
    assert plain.accuracy < 0.7
    assert hardened.accuracy > 0.85


def test_adversarial_training_repeats_with_its_seed() -> None:
    once, again = trained(True), trained(True)
    np.testing.assert_array_equal(once.weight.array, again.weight.array)


def test_examples_for_training_leave_the_model_as_it_was() -> None:
    net = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    net.double()
    state = {name: value.numpy().copy() for name, value in net.state_dict().items()}
    data = AdversarialExamples(TensorDataset(X, Y), PGD(net, 0.1, bounds=None, steps=2), share=0.25)
    (inputs, labels), (one, label) = data.batch(slice(0, 8)), data[3]
    assert net.training
    assert all(m.training for m in net.modules())
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[name])
    moved = np.abs(inputs.numpy() - X[:8]).max(1)
    assert (moved[:2] > 0).all()
    assert (moved[2:] == 0).all()
    assert labels.tolist() == Y[:8].tolist()
    assert one.shape == (6,)
    assert label.item() == Y[3]
    assert len(data) == 40


# Masking ------------------------------------------------------------------------------------------


def blobs(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    y = np.arange(n) % 2
    return np.clip(RNG.normal(0.5, 0.08, (n, 4)) + 0.12 * (2 * y[:, None] - 1), 0, 1), y


def honest(x):
    total = (x - 0.5).sum(1)
    return cr.stack([-total, total], 1) * 4.0


def saturated(x):
    return honest(x) * 1e4


def stepped(x):
    return honest(cr.round(x * 8) / 8)


def test_an_honest_model_shows_no_sign_of_masking() -> None:
    x, y = blobs()
    found = check_masking(honest, x, y, 0.05, surrogate=honest)
    assert not found.is_suspected, str(found)
    assert [sign.name for sign in found.signs] == [
        "zero_gradients", "one_step", "random_search", "unbounded", "growing_eps", "transfer",
    ]  # fmt: skip
    assert not found.not_tried
    assert not json.loads(json.dumps(found.to_json()))["suspected"]


@pytest.mark.parametrize("model", [saturated, stepped])
def test_masked_gradients_are_found(model) -> None:
    x, y = blobs()
    found = check_masking(model, x, y, 0.1, surrogate=honest, draws=50)
    seen = {sign.name for sign in found.signs if sign.seen}
    assert found.is_suspected
    assert seen >= {"zero_gradients", "unbounded", "transfer", "random_search"}, str(found)
    assert "may be masked" in str(found)


def test_the_margin_sees_through_a_saturated_loss() -> None:
    x, y = blobs()
    weak, strong = (PGD(saturated, 0.2, loss=loss)(x, y) for loss in ("cross_entropy", "margin"))
    assert strong.accuracy < weak.accuracy - 0.3


def test_a_gradient_that_points_elsewhere_shows_in_one_step_against_many() -> None:
    def rippled(x):
        ripple = cr.sin(300 * x).sum(1) * 0.15  # steep, and of no height to speak of
        total = (x - 0.5).sum(1) * 4
        return cr.stack([-(total + ripple), total + ripple], 1)

    x, y = blobs(100)
    found = check_masking(rippled, x, y, 0.1, surrogate=honest, steps=10)
    (transfer,) = [sign for sign in found.signs if sign.name == "transfer"]
    assert transfer.seen, str(found)


def test_masking_is_not_looked_for_without_anything_to_attack() -> None:
    x, y = blobs()
    with pytest.raises(ArgumentError, match="no input is classified right"):
        check_masking(honest, x, 1 - (honest(cr.tensor(x)).numpy().argmax(1)), 0.1)
    with pytest.raises(ArgumentError, match="bounds"):
        check_masking(honest, x, y, 0.1, bounds=None)
    assert check_masking(honest, x, y, 0.05, draws=1).not_tried
