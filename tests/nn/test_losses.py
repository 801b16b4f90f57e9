"""Losses against their formulas in NumPy, their gradients, reductions and edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import nn
from chainrule.errors import ArgumentError, ChainruleError, IndexRangeError, ShapeError

rng = np.random.default_rng(7)
X = rng.normal(size=(6, 4))
Y = rng.normal(size=(6, 4))
P = rng.uniform(0.05, 0.95, size=(6, 4))
T = rng.uniform(size=(6, 4))
LABELS = rng.integers(0, 4, size=6)
WEIGHT = rng.uniform(0.5, 2.0, size=4)


def log_softmax(x: Any) -> Any:
    z = x - x.max(1, keepdims=True)
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def smooth(d: Any, beta: float) -> Any:
    return np.where(abs(d) < beta, d * d / (2 * beta), abs(d) - beta / 2)


def huber(d: Any, delta: float) -> Any:
    return np.where(abs(d) <= delta, d * d / 2, delta * (abs(d) - delta / 2))


SIGMOID = 1 / (1 + np.exp(-X))
FORMULAS: dict[str, tuple[Any, Any, Any, Any]] = {
    "mse": (nn.MSELoss, X, Y, (X - Y) ** 2),
    "l1": (nn.L1Loss, X, Y, abs(X - Y)),
    "smooth l1": (nn.SmoothL1Loss, X, Y, smooth(X - Y, 1.0)),
    "smooth l1 0.3": (lambda **k: nn.SmoothL1Loss(beta=0.3, **k), X, Y, smooth(X - Y, 0.3)),
    "smooth l1 0": (lambda **k: nn.SmoothL1Loss(beta=0.0, **k), X, Y, abs(X - Y)),
    "huber": (nn.HuberLoss, X, Y, huber(X - Y, 1.0)),
    "huber 0.3": (lambda **k: nn.HuberLoss(delta=0.3, **k), X, Y, huber(X - Y, 0.3)),
    "bce": (nn.BCELoss, P, T, -(T * np.log(P) + (1 - T) * np.log(1 - P))),
    "bce weights": (
        lambda **k: nn.BCELoss(cr.tensor(WEIGHT), **k), P, T,
        -WEIGHT * (T * np.log(P) + (1 - T) * np.log(1 - P)),
    ),
    "bce logits": (
        nn.BCEWithLogitsLoss, X, T, -(T * np.log(SIGMOID) + (1 - T) * np.log(1 - SIGMOID)),
    ),
    "bce logits weights": (
        lambda **k: nn.BCEWithLogitsLoss(
            cr.tensor(WEIGHT), pos_weight=cr.tensor(WEIGHT[::-1].copy()), **k
        ), X, T,
        -WEIGHT * (WEIGHT[::-1] * T * np.log(SIGMOID) + (1 - T) * np.log(1 - SIGMOID)),
    ),
    "kl": (nn.KLDivLoss, np.log(P), T, T * (np.log(T) - np.log(P))),
    "kl log": (
        lambda **k: nn.KLDivLoss(log_target=True, **k), np.log(P), np.log(T),
        T * (np.log(T) - np.log(P)),
    ),
    "nll": (nn.NLLLoss, log_softmax(X), LABELS, -log_softmax(X)[np.arange(6), LABELS]),
    "cross entropy": (nn.CrossEntropyLoss, X, LABELS, -log_softmax(X)[np.arange(6), LABELS]),
    "cross entropy smoothed": (
        lambda **k: nn.CrossEntropyLoss(label_smoothing=0.1, **k), X, LABELS,
        -0.9 * log_softmax(X)[np.arange(6), LABELS] - 0.1 * log_softmax(X).mean(1),
    ),
    "cross entropy of probabilities": (
        nn.CrossEntropyLoss, X, T, -(T * log_softmax(X)).sum(1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FORMULAS)
def test_losses_are_their_formulas_under_each_reduction(case: str) -> None:
    make, x, y, expected = FORMULAS[case]
    x, y = cr.tensor(x), cr.tensor(y)
    np.testing.assert_allclose(make(reduction="none")(x, y).numpy(), expected, rtol=1e-10)
    np.testing.assert_allclose(make(reduction="sum")(x, y).item(), expected.sum(), rtol=1e-10)
    np.testing.assert_allclose(make(reduction="mean")(x, y).item(), expected.mean(), rtol=1e-10)


@pytest.mark.parametrize("case", FORMULAS)
def test_gradients_of_losses_are_their_finite_differences(case: str) -> None:
    make, x, y, _ = FORMULAS[case]
    loss = make(reduction="sum")
    leaf, target = cr.tensor(x, requires_grad=True), cr.tensor(y)
    loss(leaf, target).backward()
    assert leaf.grad is not None
    direction = np.random.default_rng(1).normal(size=x.shape)
    step = 1e-6
    numeric = (
        loss(cr.tensor(x + step * direction), target).item()
        - loss(cr.tensor(x - step * direction), target).item()
    ) / (2 * step)
    assert (leaf.grad.numpy() * direction).sum() == pytest.approx(numeric, rel=1e-6, abs=1e-8)


def test_class_weights_weigh_and_the_mean_divides_by_them() -> None:
    picked = -log_softmax(X)[np.arange(6), LABELS] * WEIGHT[LABELS]
    loss = nn.CrossEntropyLoss(cr.tensor(WEIGHT))
    expected = picked.sum() / WEIGHT[LABELS].sum()
    assert loss(cr.tensor(X), cr.tensor(LABELS)).item() == pytest.approx(expected, rel=1e-10)
    nll = nn.NLLLoss(cr.tensor(WEIGHT))
    assert nll(cr.tensor(log_softmax(X)), cr.tensor(LABELS)).item() == pytest.approx(expected)
    assert "weight" in loss.state_dict()
    assert "weight" not in nn.CrossEntropyLoss().state_dict()


def test_ignored_labels_do_not_count() -> None:
    labels = LABELS.copy()
    labels[[1, 4]] = 9
    kept = labels != 9
    picked = -log_softmax(X)[kept][np.arange(kept.sum()), labels[kept]]
    x = cr.tensor(X, requires_grad=True)
    loss = nn.CrossEntropyLoss(ignore_index=9)(x, cr.tensor(labels))
    assert loss.item() == pytest.approx(picked.mean(), rel=1e-10)
    loss.backward()
    assert x.grad is not None
    assert not x.grad.numpy()[~kept].any()


def test_cross_entropy_of_images_and_of_a_single_sample() -> None:
    scores, labels = rng.normal(size=(2, 4, 3, 3)), rng.integers(0, 4, size=(2, 3, 3))
    flat = scores.transpose(0, 2, 3, 1).reshape(-1, 4)
    expected = -log_softmax(flat)[np.arange(18), labels.ravel()].mean()
    assert F.cross_entropy(cr.tensor(scores), cr.tensor(labels)).item() == pytest.approx(expected)
    single = F.cross_entropy(cr.tensor(X[0]), cr.tensor(LABELS[0]))
    assert single.item() == pytest.approx(-log_softmax(X[:1])[0, LABELS[0]])


def test_the_gradient_of_cross_entropy_is_softmax_minus_one_hot() -> None:
    x = cr.tensor(X, requires_grad=True)
    F.cross_entropy(x, cr.tensor(LABELS)).backward()
    assert x.grad is not None
    np.testing.assert_allclose(
        x.grad.numpy(), (np.exp(log_softmax(X)) - np.eye(4)[LABELS]) / 6, atol=1e-12
    )


def test_kl_divergence_batchmean_divides_by_the_batch() -> None:
    loss = F.kl_div(cr.tensor(np.log(P)), cr.tensor(T), reduction="batchmean")
    assert loss.item() == pytest.approx((T * (np.log(T) - np.log(P))).sum() / 6)
    assert nn.KLDivLoss(reduction="batchmean")(cr.tensor(np.log(P)), cr.tensor(T)).item() == (
        pytest.approx(loss.item())
    )


def test_where_the_target_is_zero_kl_divergence_is_zero() -> None:
    x = cr.tensor([-1.0, -2.0], requires_grad=True)
    loss = F.kl_div(x, cr.tensor([0.0, 1.0]), reduction="none")
    assert loss.tolist() == [0.0, 2.0]
    loss.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, -1.0]


def test_certain_probabilities_give_finite_losses_and_gradients() -> None:
    p = cr.tensor([0.0, 1.0, 0.0, 1.0, 1e-45], requires_grad=True)
    loss = F.binary_cross_entropy(p, cr.tensor([0.0, 1.0, 1.0, 0.0, 1.0]), reduction="none")
    assert loss.tolist() == [0.0, 0.0, 100.0, 100.0, 100.0]
    loss.sum().backward()
    assert p.grad is not None
    assert np.isfinite(p.grad.numpy()).all()


def test_a_saturated_sigmoid_gives_a_finite_gradient() -> None:
    x = cr.tensor([200.0, -200.0], requires_grad=True)
    F.binary_cross_entropy(x.sigmoid(), cr.tensor([0.0, 1.0])).backward()
    assert x.grad is not None
    assert np.isfinite(x.grad.numpy()).all()


def test_huge_logits_do_not_overflow() -> None:
    x = cr.tensor([1e30, -1e30, 1e4], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(x, cr.tensor([1.0, 0.0, 0.0]), reduction="none")
    assert loss.tolist() == [0.0, 0.0, 1e4]
    loss.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.0, 1.0]


def test_targets_that_broadcast_give_a_warning() -> None:
    with pytest.warns(UserWarning, match="rarely meant"):
        F.mse_loss(cr.zeros(4, 1), cr.zeros(4))
    for loss in (F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.kl_div):
        with pytest.warns(UserWarning, match="broadcasts"):
            loss(cr.zeros(4, 1), cr.zeros(1))


def test_losses_work_on_plain_arrays() -> None:
    assert F.mse_loss(X, Y) == pytest.approx(((X - Y) ** 2).mean())
    assert F.cross_entropy(X, LABELS) == pytest.approx(-log_softmax(X)[np.arange(6), LABELS].mean())


BAD: dict[str, tuple[Any, type[ChainruleError]]] = {
    "reduction": (lambda: F.mse_loss(cr.ones(2), cr.ones(2), reduction="average"), ArgumentError),
    "reduction of a module": (lambda: nn.L1Loss(reduction="batchmean"), ArgumentError),
    "reduction of nll": (
        lambda: F.nll_loss(cr.zeros(1, 2), cr.tensor([0]), reduction="all"), ArgumentError,
    ),
    "beta": (
        lambda: F.smooth_l1_loss(cr.ones(2), cr.ones(2), beta=-1.0), ArgumentError,
    ),
    "delta": (lambda: F.huber_loss(cr.ones(2), cr.ones(2), delta=0.0), ArgumentError),
    "smoothing": (lambda: nn.CrossEntropyLoss(label_smoothing=1.5), ArgumentError),
    "bce shapes": (lambda: F.binary_cross_entropy(cr.ones(2), cr.ones(2, 1)), ShapeError),
    "bce logits shapes": (
        lambda: F.binary_cross_entropy_with_logits(cr.ones(2), cr.ones(2, 1)), ShapeError,
    ),
    "bce range": (lambda: F.binary_cross_entropy(cr.tensor([1.5]), cr.ones(1)), ArgumentError),
    "bce nan": (
        lambda: F.binary_cross_entropy(cr.tensor([float("nan")]), cr.ones(1)), ArgumentError,
    ),
    "label": (lambda: F.cross_entropy(cr.zeros(1, 3), cr.tensor([7])), IndexRangeError),
    "nll label": (lambda: F.nll_loss(cr.zeros(1, 3), cr.tensor([-1])), IndexRangeError),
    "batch": (lambda: F.cross_entropy(cr.zeros(2, 3), cr.tensor([1])), ShapeError),
    "mse shapes": (lambda: nn.MSELoss()(cr.ones(2), cr.ones(3)), ShapeError),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:mse_loss broadcasts")
@pytest.mark.parametrize("case", BAD)
def test_losses_refuse_what_they_cannot_compare(case: str) -> None:
    call, error = BAD[case]
    with pytest.raises(error):
        call()


EMPTY = cr.zeros(0, 3)


@pytest.mark.parametrize(
    "loss",
    [
        F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.binary_cross_entropy,
        F.binary_cross_entropy_with_logits, F.kl_div,
    ],
)  # fmt: skip
def test_the_mean_over_an_empty_batch_is_refused(loss: Any) -> None:
    with pytest.raises(ShapeError, match="a mean over an empty batch"):
        loss(EMPTY, EMPTY)
    assert loss(EMPTY, EMPTY, reduction="sum").item() == 0
    assert loss(EMPTY, EMPTY, reduction="none").shape == (0, 3)


def test_modules_refuse_the_mean_over_an_empty_batch() -> None:
    labels = cr.zeros(0, dtype=cr.int64)
    for module, target in [
        (nn.MSELoss(), EMPTY), (nn.CrossEntropyLoss(), labels), (nn.NLLLoss(), labels),
        (nn.BCEWithLogitsLoss(), EMPTY), (nn.KLDivLoss(reduction="batchmean"), EMPTY),
    ]:  # fmt: skip
        with pytest.raises(ShapeError, match="a mean over an empty batch"):
            module(EMPTY, target)
