"""What is trained: batch, data, loss, optimizer and first weights of every workload."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import networks

Arrays = dict[str, np.ndarray]
Batch = tuple[np.ndarray, np.ndarray]

SEED = 0
BATCHES = 20
"""Different batches; training goes round them."""


class Workload(NamedTuple):
    """One training step: a network, its loss and optimizer, and the factors it must reach."""

    network: Callable[[Any, networks.Attention], Any]
    data: str
    batch: int
    lr: float
    loss: str = "cross_entropy"
    optimizer: str = "Adam"
    must_as_written: float | None = None
    must_tuned: float | None = None
    images: bool = False
    tolerance: float = 1e-3
    """Largest relative difference of the losses of 20 steps."""


WORKLOADS: Mapping[str, Workload] = {
    "cnn": Workload(networks.cnn, "digits", 128, 1e-3, images=True,
                    must_as_written=2.0, must_tuned=1.5),
    "cnn-32": Workload(networks.cnn, "digits", 32, 1e-3, images=True),
    "lstm": Workload(networks.lstm, "rows", 128, 1e-3, must_tuned=1.3),
    "mlp": Workload(networks.mlp, "pixels", 128, 1e-4, must_as_written=1.5, must_tuned=1.2),
    "autoencoder": Workload(networks.autoencoder, "copies", 256, 1e-3, loss="mse_loss",
                            must_as_written=1.3, must_tuned=1.1),
    "tiny": Workload(networks.tiny, "product", 32, 1e-3, loss="mse_loss",
                     must_as_written=20.0, must_tuned=3.0),
    "resnet20": Workload(networks.resnet20, "noise", 64, 1e-3, optimizer="SGD", images=True,
                         must_as_written=1.6, must_tuned=1.1),
    "gpt": Workload(networks.gpt, "tokens", 16, 3e-4, must_as_written=1.4, must_tuned=1.3),
}  # fmt: skip
"""By name. Adam has its usual constants; SGD has momentum 0.9 and weight decay 1e-4."""

MOMENTUM, WEIGHT_DECAY = 0.9, 1e-4
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


def batches(workload: Workload) -> list[Batch]:
    """The same `BATCHES` batches in every process: digits that come with chainrule, or noise."""
    rng = np.random.default_rng(SEED)
    n = workload.batch
    return [_batch(workload.data, rng, rng.integers(0, 7000, n)) for _ in range(BATCHES)]


def _batch(kind: str, rng: np.random.Generator, rows: np.ndarray) -> Batch:
    n = len(rows)
    if kind == "product":
        x = rng.normal(size=(n, 2)).astype(np.float32)
        return x, x[:, :1] * x[:, 1:]
    if kind == "noise":
        return rng.normal(size=(n, 3, 32, 32)).astype(np.float32), rng.integers(0, 10, n)
    if kind == "tokens":
        text = rng.integers(0, networks.VOCABULARY, (n, networks.CONTEXT + 1))
        return text[:, :-1].copy(), text[:, 1:].reshape(-1)
    images, labels = _digits()
    x = images[rows]
    if kind == "digits":
        return x, labels[rows]
    if kind == "rows":
        return x[:, 0], labels[rows]
    pixels = x.reshape(n, 784)
    return (pixels, pixels) if kind == "copies" else (pixels, labels[rows])


def _digits() -> Batch:
    from chainrule.data import MNIST

    digits = MNIST()
    return digits.images.numpy(), digits.labels.numpy()


def weights(name: str) -> Arrays:
    """First weights and statistics by their names, which chainrule and PyTorch share."""
    import chainrule as cr
    from chainrule import nn

    cr.manual_seed(SEED)
    model = WORKLOADS[name].network(nn, lambda q, k, v: v)
    state = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    if name == "gpt":
        rng = np.random.default_rng(SEED)
        for key, value in state.items():
            if value.ndim == 2:  # GPT-2's choice; embeddings of size 1 would drown the rest
                state[key] = rng.normal(0, 0.02, value.shape).astype(np.float32)
    return state


def save(name: str, path: Path) -> None:
    """Write batches and weights to one npz file, from which all contestants start."""
    data = batches(WORKLOADS[name])
    arrays = {f"x{i}": x for i, (x, _) in enumerate(data)}
    arrays |= {f"y{i}": y for i, (_, y) in enumerate(data)}
    np.savez(path, **arrays, **{f"weight:{key}": v for key, v in weights(name).items()})


def load(path: Path) -> tuple[list[Batch], Arrays]:
    """What ``save`` wrote: batches and weights."""
    with np.load(path, allow_pickle=False) as file:
        data = [(file[f"x{i}"], file[f"y{i}"]) for i in range(BATCHES)]
        state = {k.removeprefix("weight:"): file[k] for k in file.files if ":" in k}
    return data, state


class Program(NamedTuple):
    """A network ready to train in one library. Each function takes a batch of that library."""

    batches: list[Any]
    step: Callable[[Any], Any]
    """Zero gradients, forward, loss, backward, optimizer: returns the loss before the update."""
    forward: Callable[[Any], Any]
    """The loss, with nothing recorded."""
    gradients: Callable[[Any], Any]
    """Forward and backward; the first of what it returns is the loss."""
    value: Callable[[Any], float]
    """The number in a loss, once it is there."""
