"""The networks, written once: `nn` is ``chainrule.nn`` or ``torch.nn``, which share their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Attention = Callable[[Any, Any, Any], Any]
"""Causal attention of queries, keys and values, each (batch, heads, context, width)."""

VOCABULARY, CONTEXT, WIDTH, HEADS, BLOCKS = 65, 128, 128, 4, 4


def cnn(nn: Any, _: Attention) -> Any:
    """Conv 32 → pool → Conv 64 → pool → dense 10 for 28×28 digits, as document 002 has it.

    Its dropout of 0.5 is left out: its masks would differ from one library to the next.
    """
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1600, 10),
    )  # fmt: skip


def mlp(nn: Any, _: Attention) -> Any:
    """784-512-512-10 with ReLU."""
    return nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


def autoencoder(nn: Any, _: Attention) -> Any:
    """784-256-32-256-784 with ReLU, and sigmoid at the end."""
    return nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 32), nn.ReLU(),
        nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 784), nn.Sigmoid(),
    )  # fmt: skip


def tiny(nn: Any, _: Attention) -> Any:
    """2-16-16-1 with tanh."""
    return nn.Sequential(
        nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1)
    )


def lstm(nn: Any, _: Attention) -> Any:
    """A digit read as 28 rows of 28; the last of 128 hidden units decides."""

    class Reader(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(28, 128, batch_first=True)
            self.dense = nn.Linear(128, 10)

        def forward(self, x: Any) -> Any:
            hidden, _ = self.lstm(x)
            return self.dense(hidden[:, -1])

    return Reader()


def resnet20(nn: Any, _: Attention) -> Any:
    """ResNet-20 for 32×32×3 (He et al. 2016, section 4.2): 3 × 3 blocks of 16, 32, 64 channels.

    Shortcuts are option A: every second pixel, and zeros for the channels that are new.
    """

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, before: int, after: int, stride: int) -> None:
            super().__init__()
            self.stride, self.extra = stride, after - before
            self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
            self.norm1 = nn.BatchNorm2d(after)
            self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
            self.norm2 = nn.BatchNorm2d(after)

        def forward(self, x: Any) -> Any:
            F = nn.functional
            y = F.relu(self.norm1(self.conv1(x)))
            y = self.norm2(self.conv2(y))
            if self.extra:
                half = self.extra // 2
                x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, half))
            return F.relu(y + x)

    blocks, before = [], 16
    for after in (16, 32, 64):
        for k in range(3):
            blocks.append(Block(before, after, 2 if k == 0 and after > 16 else 1))
            before = after
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def gpt(nn: Any, attention: Attention) -> Any:
    """A transformer as GPT-2's: normalised first, GELU, learned positions, a head of its own."""

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm1 = nn.LayerNorm(WIDTH)
            self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
            self.mix = nn.Linear(WIDTH, WIDTH)
            self.norm2 = nn.LayerNorm(WIDTH)
            self.up = nn.Linear(WIDTH, 4 * WIDTH)
            self.down = nn.Linear(4 * WIDTH, WIDTH)

        def forward(self, x: Any) -> Any:
            batch, context, width = x.shape
            heads = (batch, context, HEADS, width // HEADS)
            q, k, v = (
                part.reshape(heads).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, -1)
            )
            y = attention(q, k, v).transpose(1, 2).reshape((batch, context, width))
            x = x + self.mix(y)
            return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))

    class Transformer(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(VOCABULARY, WIDTH)
            self.positions = nn.Embedding(CONTEXT, WIDTH)
            self.blocks = nn.Sequential(*[Block() for _ in range(BLOCKS)])
            self.norm = nn.LayerNorm(WIDTH)
            self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)

        def forward(self, x: Any) -> Any:
            y = self.tokens(x) + self.positions.weight
            return self.head(self.norm(self.blocks(y))).reshape((-1, VOCABULARY))

    return Transformer()
