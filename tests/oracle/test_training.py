"""Whole training runs from the same weights on the shipped digits, in float64."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import chainrule as cr
from chainrule import nn
from chainrule.data import MNIST
from chainrule.nn.networks import mnist_cnn

from .calls import real
from .compare import same
from .test_nn import compare_parameters, compare_step, twins

STEPS = 10
BATCH = 32


def batches(count: int = STEPS) -> list[tuple[np.ndarray, np.ndarray]]:
    """The first digits of the training set, in float64."""
    digits = MNIST()
    images, labels = digits.images.numpy().astype(np.float64), digits.labels.numpy()
    starts = range(0, count * BATCH, BATCH)
    return [(images[i : i + BATCH], labels[i : i + BATCH]) for i in starts]


def torch_cnn() -> Any:
    """The network of document 002, as torch's own programs write it."""
    t = torch.nn
    return t.Sequential(
        OrderedDict(
            conv1=t.Conv2d(1, 32, 3), relu1=t.ReLU(), pool1=t.MaxPool2d(2),
            conv2=t.Conv2d(32, 64, 3), relu2=t.ReLU(), pool2=t.MaxPool2d(2),
            flatten=t.Flatten(), dropout=t.Dropout(0.5), dense=t.Linear(1600, 10),
        )
    )  # fmt: skip


def train(mine: Any, judge: Any, optimizers: Callable[[Any, Any], Any], label: str) -> None:
    """Ten steps of both; the losses, and the parameters in the end, must be equal to 1e-8."""
    optimizer = optimizers(cr.optim, mine.parameters())
    judged_optimizer = optimizers(torch.optim, judge.parameters())
    losses, judged = [], []
    for images, labels in batches():
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(mine(cr.Tensor(images)), cr.Tensor(labels))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        judged_optimizer.zero_grad()
        judged_loss = torch.nn.CrossEntropyLoss()(
            judge(torch.from_numpy(images)), torch.from_numpy(labels)
        )
        judged_loss.backward()
        judged_optimizer.step()
        judged.append(judged_loss.item())
    same(np.array(losses), np.array(judged), f"{label}: losses", rtol=1e-8)
    for (name, p), q in zip(mine.named_parameters(), judge.parameters(), strict=True):
        same(p, q, f"{label}: trained {name}", rtol=1e-8, floor=1e-3)
    assert losses[-1] < losses[0]


def test_the_cnn_of_the_sources_trains_alike() -> None:
    cr.manual_seed(0)
    mine, judge = twins(mnist_cnn(), torch_cnn())
    # Evaluation leaves dropout out; nothing else in this network depends on the mode.
    train(mine.eval(), judge.eval(), lambda lib, ps: lib.Adam(ps), "the sources' CNN")
    test = MNIST(train=False).images.numpy()[:200].astype(np.float64)
    with cr.no_grad(), torch.no_grad():
        scores, judged = mine(cr.Tensor(test)), judge(torch.from_numpy(test))
    same(scores.argmax(1), judged.argmax(1), "the sources' CNN: predictions")
    same(scores, judged, "the sources' CNN: scores", rtol=1e-8)


def test_the_cnn_has_the_same_gradients_for_its_input() -> None:
    cr.manual_seed(1)
    mine, judge = twins(mnist_cnn(), torch_cnn())
    compare_step(mine.eval(), judge.eval(), (real(4, 1, 28, 28),), "the sources' CNN")


def rows(nn: Any) -> Any:
    """Reads a digit row by row with an LSTM; a normalised dense layer gives the scores."""

    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(28, 16, 2, batch_first=True, bidirectional=True)
            self.norm = nn.BatchNorm1d(32)
            self.head = nn.Sequential(
                nn.Linear(32, 24), nn.GELU(), nn.LayerNorm(24), nn.Linear(24, 10)
            )

        def forward(self, x: Any) -> Any:
            y, _ = self.lstm(x.squeeze(1))
            return self.head(self.norm(y[:, -1]))

    return Rows()


def test_a_recurrent_network_trains_alike() -> None:
    cr.manual_seed(2)
    mine, judge = twins(rows(nn), rows(torch.nn))
    train(mine, judge, lambda lib, ps: lib.SGD(ps, lr=0.1, momentum=0.9, weight_decay=1e-3), "rows")
    compare_parameters(mine.eval(), judge.eval(), "rows after training")
