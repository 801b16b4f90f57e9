"""Metrics, counted over samples and not over batches."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, ShapeError
from chainrule.train import Accuracy, MeanLoss, TopK, accuracy, top_k_accuracy
from chainrule.train.metrics import make_metrics


def test_accuracy_counts_the_largest_score() -> None:
    scores = cr.tensor([[1.0, 3.0, 2.0], [9.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    assert accuracy(scores, cr.tensor([1, 0, 0, 2])) == 0.5


def test_accuracy_of_pixels() -> None:
    scores = np.zeros((2, 3, 4, 5), np.float32)
    scores[:, 1] = 1.0
    targets = np.ones((2, 4, 5), np.int64)
    targets[0, 0, 0] = 2
    assert accuracy(cr.tensor(scores), cr.tensor(targets)) == 39 / 40


def test_accuracy_of_yes_and_no() -> None:
    targets = cr.tensor([[0.0], [1.0], [1.0]])
    assert accuracy(cr.tensor([[0.2], [0.9], [0.4]]), targets) == 2 / 3
    logits = Accuracy(threshold=0.0)
    logits.update(cr.tensor([[-1.0], [2.0], [0.4]]), cr.tensor([0, 1, 1]))
    assert logits.compute() == 1.0


def test_uneven_batches_weigh_by_their_samples() -> None:
    metric = Accuracy()
    metric.update(cr.tensor(np.eye(3)), cr.tensor([0, 1, 2]))
    metric.update(cr.tensor([[1.0, 0.0]]), cr.tensor([1]))
    assert metric.compute() == 0.75
    metric.reset()
    assert math.isnan(metric.compute())
    loss = MeanLoss()
    loss.update(cr.tensor(1.0), cr.zeros(3))
    loss.update(cr.tensor(5.0), cr.zeros(1))
    assert loss.compute() == 2.0


def test_top_k_ranks_equal_scores_by_class() -> None:
    scores = cr.tensor([[0.5, 0.5, 0.5, 0.1]])
    assert [top_k_accuracy(scores, cr.tensor([2]), k) for k in (1, 2, 3)] == [0.0, 0.0, 1.0]
    assert top_k_accuracy(scores, cr.tensor([0]), 1) == 1.0
    rng = np.random.default_rng(0)
    many, truth = rng.normal(size=(200, 8)), rng.integers(0, 8, 200)
    expected = np.mean([t in np.argsort(-s)[:3] for s, t in zip(many, truth, strict=True)])
    assert top_k_accuracy(cr.tensor(many), cr.tensor(truth), 3) == expected


@pytest.mark.parametrize(
    ("scores", "targets"),
    [((4, 3), (5,)), ((4, 3, 2), (4,)), ((4,), (3,)), ((4, 3), (4, 3, 1))],
)
def test_shapes_that_do_not_belong_together_are_an_error(
    scores: tuple[int, ...], targets: tuple[int, ...]
) -> None:
    with pytest.raises(ShapeError, match="accuracy cannot compare"):
        accuracy(cr.zeros(scores), cr.zeros(targets, dtype=np.int64))


def test_metrics_can_be_named() -> None:
    assert [m.name for m in make_metrics(["accuracy", "top5", TopK(3)])] == [
        "accuracy",
        "top5",
        "top3",
    ]
    assert [m.name for m in make_metrics("accuracy")] == ["accuracy"]
    for wrong in ("acuracy", ["accuracy", Accuracy()], [MeanLoss()]):
        with pytest.raises(ArgumentError):
            make_metrics(wrong)
