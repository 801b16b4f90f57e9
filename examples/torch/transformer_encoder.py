"""A transformer encoder learns to sort: sinusoidal positions, padding mask, Noam's schedule."""

import math

import numpy as np
import torch
from common import arguments, report, reset
from torch import nn


class PositionalEncoding(nn.Module):
    """Sines and cosines of the place (A. Vaswani et al., arXiv:1706.03762, section 3.5)."""

    def __init__(self, width, longest=32):
        super().__init__()
        position = torch.arange(longest).unsqueeze(1)
        rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
        table = torch.zeros(longest, 1, width)
        table[:, 0, 0::2] = torch.sin(position * rate)
        table[:, 0, 1::2] = torch.cos(position * rate)
        self.register_buffer("table", table)

    def forward(self, x):
        return x + self.table[: x.size(0)]


class Sorter(nn.Module):
    """What stands at each place once the numbers are sorted."""

    def __init__(self, numbers, width=32, heads=4, layers=2):
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(numbers, width)
        self.position = PositionalEncoding(width)
        layer = nn.TransformerEncoderLayer(width, heads, dim_feedforward=64, dropout=0.0)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.decoder = nn.Linear(width, numbers)

    def forward(self, src, padding):
        x = self.position(self.embedding(src) * math.sqrt(self.width))
        return self.decoder(self.encoder(x, src_key_padding_mask=padding))


def draw(rng, size, longest=8, numbers=10):
    """Numbers 1 … 9 of shape (time, batch), 0 for padding, and the same sorted."""
    src = rng.integers(1, numbers, (longest, size))
    lengths = rng.integers(4, longest + 1, size)
    padding = np.arange(longest)[:, None] >= lengths
    target = np.sort(np.where(padding, numbers, src), axis=0)
    src[padding], target[padding] = 0, -100
    return torch.from_numpy(src), torch.from_numpy(target), torch.from_numpy(padding.T.copy())


def main():
    args = arguments(__doc__, steps=100)
    rng = np.random.default_rng(args.seed)
    model = reset(Sorter(10), rng)
    criterion = nn.CrossEntropyLoss(ignore_index=-100)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02, betas=(0.9, 0.98), eps=1e-9)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) ** -0.5, (step + 1) * 30**-1.5)
    )
    losses, right = [], 0.0
    for _ in range(args.steps):
        src, target, padding = draw(rng, 32)
        optimizer.zero_grad()
        output = model(src, padding)
        loss = criterion(output.view(-1, 10), target.view(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
        known = target != -100
        right = (output.argmax(-1)[known] == target[known]).float().mean().item()
    report(losses, accuracy=right)


if __name__ == "__main__":
    main()
