"""Losses of margins, counts and sequences, against their formulas and by brute force."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import nn
from chainrule.errors import ArgumentError, IndexRangeError, ShapeError

rng = np.random.default_rng(11)
X, Y, Z = (rng.normal(size=(5, 3)) for _ in range(3))
SIGN = np.array([1.0, -1.0, 1.0, -1.0, -1.0])
LABELS = np.array([0, 2, 1, 1, 0])
SETS = np.array([[0, 2, -1], [1, -1, 0], [-1, 0, 1], [2, 1, 0], [2, -1, -1]])


def above(x: Any) -> Any:
    return np.maximum(x, 0)


def cosine(a: Any, b: Any) -> Any:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def hinge_of_sets(x: Any) -> Any:
    out = []
    for row, labels in zip(x, SETS, strict=True):
        right = [c for i, c in enumerate(labels) if (labels[: i + 1] >= 0).all()]
        wrong = [c for c in range(3) if c not in right]
        out.append(sum(above(1 - row[j] + row[i]) for j in right for i in wrong) / 3)
    return np.array(out)


PICKED = X[np.arange(5), LABELS]
OTHERS = np.arange(3) != LABELS[:, None]
CASES: dict[str, tuple[Any, tuple[Any, ...], Any]] = {
    "ranking": (nn.MarginRankingLoss(0.3, reduction="none"), (X[:, 0], Y[:, 0], SIGN),
                above(-SIGN * (X[:, 0] - Y[:, 0]) + 0.3)),
    "hinge": (nn.HingeEmbeddingLoss(0.7, reduction="none"), (X[:, 0], SIGN),
              np.where(SIGN == 1, X[:, 0], above(0.7 - X[:, 0]))),
    "cosine": (nn.CosineEmbeddingLoss(0.2, reduction="none"), (X, Y, SIGN),
               np.where(SIGN == 1, 1 - cosine(X, Y), above(cosine(X, Y) - 0.2))),
    "triplet": (nn.TripletMarginLoss(0.5, reduction="none", eps=0.0), (X, Y, Z),
                above(np.linalg.norm(X - Y, axis=1) - np.linalg.norm(X - Z, axis=1) + 0.5)),
    "margins": (nn.MultiMarginLoss(2, 0.5, reduction="none"), (X, LABELS),
                (above(0.5 - PICKED[:, None] + X) ** 2 * OTHERS).sum(1) / 3),
    "sets": (nn.MultiLabelMarginLoss(reduction="none"), (X, SETS), hinge_of_sets(X)),
    "logistic": (nn.SoftMarginLoss(reduction="none"), (X[:, 0], SIGN),
                 np.log1p(np.exp(-SIGN * X[:, 0]))),
    "poisson": (nn.PoissonNLLLoss(reduction="none"), (X, abs(Y)), np.exp(X) - abs(Y) * X),
    "gaussian": (nn.GaussianNLLLoss(full=True, reduction="none"), (X, Y, abs(Z)),
                 0.5 * (np.log(abs(Z)) + (X - Y) ** 2 / abs(Z)) + 0.5 * math.log(2 * math.pi)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_losses_are_their_formulas_with_right_gradients(case: str) -> None:
    loss, arrays, expected = CASES[case]
    x = cr.tensor(arrays[0], requires_grad=True)
    rest = [cr.tensor(a) for a in arrays[1:]]
    y = loss(x, *rest)
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-9, atol=1e-12)
    y.sum().backward()
    direction, h = np.random.default_rng(1).normal(size=x.shape), 1e-6
    ends = [loss(cr.tensor(arrays[0] + s * direction), *rest).sum().item() for s in (h, -h)]
    assert (x.grad.numpy() * direction).sum() == pytest.approx((ends[0] - ends[1]) / (2 * h), 1e-6)


def spelled(path: tuple[int, ...], blank: int) -> list[int]:
    kept = [c for i, c in enumerate(path) if i == 0 or c != path[i - 1]]
    return [c for c in kept if c != blank]


@pytest.mark.parametrize("labels", [[1], [1, 2], [2, 2], [1, 2, 1], []])
def test_the_connectionist_loss_counts_every_alignment(labels: list[int]) -> None:
    steps, classes = 4, 3
    log_p = np.log(rng.dirichlet(np.ones(classes), size=steps))
    total = sum(
        math.exp(sum(log_p[t, c] for t, c in enumerate(path)))
        for path in product(range(classes), repeat=steps)
        if spelled(path, 0) == labels
    )
    y = F.ctc_loss(cr.tensor(log_p), cr.tensor(np.array([labels], np.int64)), [steps],
                   [len(labels)], reduction="sum")  # fmt: skip
    assert y.item() == pytest.approx(-math.log(total), rel=1e-10)


def test_an_impossible_target_costs_infinity_or_nothing() -> None:
    x = cr.log_softmax(cr.zeros(2, 1, 3), -1).detach().requires_grad_()
    labels = cr.tensor([[1, 1]])
    assert F.ctc_loss(x, labels, [2], [2]).item() == math.inf
    y = F.ctc_loss(x, labels, [2], [2], zero_infinity=True)
    y.backward()
    assert y.item() == 0
    assert (x.grad == 0).all()
    with pytest.raises(ArgumentError, match="input_lengths"):
        F.ctc_loss(x, labels, [3], [2])
    with pytest.raises(IndexRangeError, match="no class"):
        F.ctc_loss(x, cr.tensor([[3]]), [2], [1])
    with pytest.raises(ShapeError, match="targets"):
        F.ctc_loss(x, cr.tensor([1, 2, 1]), [2], [2])


def test_older_arguments_choose_the_reduction() -> None:
    x, y = cr.tensor(X), cr.tensor(Y)
    total = ((X - Y) ** 2).sum()
    assert F.mse_loss(x, y, size_average=False).item() == pytest.approx(total)
    assert nn.MSELoss(reduce=False)(x, y).shape == (5, 3)
    assert nn.CrossEntropyLoss(None, False)(x, cr.tensor(LABELS)).shape == ()


def test_wrong_arguments_are_refused() -> None:
    x = cr.tensor(X)
    with pytest.raises(ArgumentError, match="margin"):
        nn.TripletMarginLoss(0.0)
    with pytest.raises(ArgumentError, match="p = 1 or 2"):
        nn.MultiMarginLoss(3)
    with pytest.raises(ShapeError, match="labels"):
        F.multi_margin_loss(x, cr.tensor([0, 1]))
    with pytest.raises(ArgumentError, match="negative"):
        F.gaussian_nll_loss(x, x, cr.tensor(-abs(Y)))
    with pytest.raises(ArgumentError, match="cutoffs"):
        nn.AdaptiveLogSoftmaxWithLoss(4, 10, [5, 3])
    with pytest.raises(IndexRangeError, match="no class"):
        nn.AdaptiveLogSoftmaxWithLoss(4, 10, [3])(cr.zeros(1, 4), cr.tensor([10]))


def test_the_adaptive_softmax_is_a_distribution() -> None:
    layer = nn.AdaptiveLogSoftmaxWithLoss(6, 12, [3, 7], div_value=2.0).double()
    x = cr.randn(12, 6, dtype=np.float64)
    every = layer.log_prob(x).detach().numpy()
    np.testing.assert_allclose(np.exp(every).sum(1), 1, rtol=1e-10)
    got = layer(x, cr.arange(12))
    np.testing.assert_allclose(got.output.detach().numpy(), np.diag(every), rtol=1e-10)
    assert got.loss.item() == pytest.approx(-np.diag(every).mean())
    np.testing.assert_array_equal(layer.predict(x).numpy(), every.argmax(1))
