"""Eight networks with their training steps, small, but with work for more than one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pytest
from closeness import ulps

import chainrule as cr
from chainrule import nn, optim
from chainrule.core import apply, large
from chainrule.nn import functional as F


class LastState(nn.Module):
    """A recurrent layer over (batch, time, features), and a classifier of its last output."""

    def __init__(self, layer: nn.Module, hidden: int) -> None:
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(hidden, 10)

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        return self.head(self.layer(x)[0][:, -1])


class Block(nn.Module):
    """Two convolutions around which the input is added, projected if the shape changes."""

    def __init__(self, inner: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inner, out, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out)
        self.second = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inner != out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inner, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        y = F.relu(self.norm1(self.first(x)))
        return F.relu(self.norm2(self.second(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """A convolution and two blocks, the second with strides."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.blocks = nn.Sequential(Block(8, 8, 1), Block(8, 16, 2))
        self.head = nn.Linear(16, 10)

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        y = self.blocks(F.relu(self.norm(self.stem(x))))
        return self.head(F.adaptive_avg_pool2d(y, 1).flatten(1))


class Attention(nn.Module):
    """Causal attention of several heads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.inward = nn.Linear(width, 3 * width)
        self.outward = nn.Linear(width, width)

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        n, length, width = x.shape
        parts = self.inward(x).reshape(n, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        scores = q @ k.transpose(-1, -2) * (width // self.heads) ** -0.5
        past = np.tril(np.ones((length, length), bool))
        weights = F.softmax(cr.where(cr.tensor(past), scores, -1e9), -1)
        return self.outward((weights @ v).permute(0, 2, 1, 3).reshape(n, length, width))


class Transformer(nn.Module):
    """A language model of one layer: tokens (n, length) to scores of the next ones."""

    def __init__(self, tokens: int = 20, width: int = 16, length: int = 12) -> None:
        super().__init__()
        self.tokens = nn.Embedding(tokens, width)
        self.places = nn.Parameter(cr.randn(length, width) * 0.02)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, 2)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.last = nn.LayerNorm(width)
        self.head = nn.Linear(width, tokens)

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        h = self.tokens(x) + self.places
        h = h + self.attention(self.norm1(h))
        h = h + self.mlp(self.norm2(h))
        return self.head(self.last(h)).reshape(-1, 20)


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.25), nn.Linear(64, 10),
    )  # fmt: skip


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(64, 96), nn.ReLU(), nn.Dropout(0.1), nn.Linear(96, 48), nn.ReLU(),
        nn.Linear(48, 10),
    )  # fmt: skip


def autoencoder() -> nn.Module:
    return nn.Sequential(
        nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 8), nn.ReLU(),
        nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 48), nn.Sigmoid(),
    )  # fmt: skip


def tiny() -> nn.Module:
    return nn.Sequential(
        nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1)
    )


def images(*shape: int) -> Callable[[np.random.Generator], tuple[Any, Any]]:
    """Batches of numbers of a shape, each with one of ten classes."""
    return lambda rng: (rng.normal(size=shape), rng.integers(0, 10, shape[0]))


def regression(rng: np.random.Generator) -> tuple[Any, Any]:
    x = rng.uniform(-2, 2, (32, 2))
    return x, np.sin(x.sum(1, keepdims=True))


def itself(rng: np.random.Generator) -> tuple[Any, Any]:
    x = rng.uniform(size=(64, 48))
    return x, x


def text(rng: np.random.Generator) -> tuple[Any, Any]:
    whole = rng.integers(0, 20, (6, 13))
    return whole[:, :-1], whole[:, 1:].reshape(-1)


class Model(NamedTuple):
    """How to make a network, its optimizer, its loss and its batches."""

    make: Callable[[], nn.Module]
    optimizer: Callable[[Any], optim.Optimizer]
    loss: Callable[[Any, Any], Any]
    batch: Callable[[np.random.Generator], tuple[Any, Any]]
    clip: float | None = None


MODELS = {
    "cnn": Model(cnn, lambda p: optim.Adam(p, lr=1e-3), F.cross_entropy, images(16, 1, 16, 16)),
    "mlp": Model(
        mlp, lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True), F.cross_entropy,
        images(64, 64),
    ),
    "autoencoder": Model(autoencoder, lambda p: optim.RMSprop(p, lr=1e-3), F.mse_loss, itself),
    "lstm": Model(
        lambda: LastState(nn.LSTM(12, 24, batch_first=True), 24),
        lambda p: optim.Adam(p, lr=1e-3, amsgrad=True),
        F.cross_entropy, images(16, 6, 12), clip=1.0,
    ),
    "gru": Model(
        lambda: LastState(nn.GRU(12, 24, batch_first=True), 24),
        lambda p: optim.RMSprop(p, lr=1e-3, momentum=0.9), F.cross_entropy, images(16, 6, 12),
    ),
    "resnet": Model(
        ResNet, lambda p: optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-4),
        F.cross_entropy, images(8, 3, 12, 12),
    ),
    "transformer": Model(Transformer, lambda p: optim.AdamW(p, lr=1e-3), F.cross_entropy, text),
    "tiny": Model(tiny, lambda p: optim.Adam(p, lr=1e-2), F.mse_loss, regression),
}  # fmt: skip


@contextmanager
def precision(dtype: Any) -> Iterator[None]:
    """New tensors are of this dtype in the block."""
    before = cr.get_default_dtype()
    cr.set_default_dtype(dtype)
    try:
        yield
    finally:
        cr.set_default_dtype(before)


@contextmanager
def numpy_only() -> Iterator[None]:
    """Large eager operations do not run on compiled kernels in the block."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (apply, large):
            patch.setattr(module, "is_large", lambda *_: False)
        yield


class Training:
    """A network in training: ``step(x, y)`` as written, and all that it leaves."""

    def __init__(
        self, kind: str | Model, dtype: Any = np.float32, *, compiled: bool = False
    ) -> None:
        self.kind = MODELS[kind] if isinstance(kind, str) else kind
        self.dtype = np.dtype(dtype)
        cr.manual_seed(1)
        with precision(dtype):
            self.model = self.kind.make()
        self.optimizer = self.kind.optimizer(self.model.parameters())
        self.step: Callable[..., Any] = cr.compile(self.written) if compiled else self.written
        self.losses: list[float] = []

    def written(self, x: cr.Tensor, y: cr.Tensor) -> cr.Tensor:
        self.optimizer.zero_grad()
        loss = self.kind.loss(self.model(x), y)
        loss.backward()
        if self.kind.clip is not None:
            optim.clip_grad_norm_(self.model.parameters(), self.kind.clip)
        self.optimizer.step()
        return loss

    def batches(self, count: int, seed: int = 0) -> list[tuple[cr.Tensor, cr.Tensor]]:
        """So many batches, the same for the same seed."""
        rng = np.random.default_rng(seed)
        return [
            tuple(  # type: ignore[misc]  # there are two
                cr.tensor(a.astype(self.dtype) if a.dtype.kind == "f" else a)
                for a in self.kind.batch(rng)
            )
            for _ in range(count)
        ]

    def train(self, steps: int, seed: int = 0) -> Training:
        """Do so many steps."""
        for x, y in self.batches(steps, seed):
            self.losses.append(float(self.step(x, y).array))
        return self

    def state(self) -> dict[str, Any]:
        """Copies of all that the training has changed, by name."""
        found = {name: p.array.copy() for name, p in self.model.state_dict().items()}
        for name, p in self.model.named_parameters():
            found[f"gradient of {name}"] = p.grad.array.copy()
            for slot, cell in self.optimizer.state.get(p, {}).items():
                found[f"{slot} of {name}"] = np.array(cell.array)
        found["generator"] = np.array(cr.default_generator.get_state()[1])
        found["losses"] = np.array(self.losses, self.dtype)
        return found


def eager(kind: str | Model, steps: int, dtype: Any = np.float32) -> dict[str, Any]:
    """What a training by NumPy alone leaves."""
    with numpy_only():
        return Training(kind, dtype).train(steps).state()


def apart(found: dict[str, Any], expected: dict[str, Any]) -> tuple[float, str]:
    """The largest distance, relative to the largest element of an array, and of what."""
    assert found.keys() == expected.keys()
    worst, name = 0.0, ""
    for key, want in expected.items():
        limits = np.finfo(want.dtype if want.dtype.kind == "f" else np.float32)
        distance = ulps(found[key], want, float(limits.eps)) * float(limits.eps)
        if distance > worst:
            worst, name = distance, key
    return worst, name


def executables(step: Any) -> Sequence[Any]:
    """What runs the variants of a compiled step."""
    return [variant.executable for variant in step._variants]
