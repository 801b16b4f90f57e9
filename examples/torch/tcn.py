"""The adding problem by a temporal convolutional network: causal convolutions, residuals."""

import numpy as np
import torch
import torch.nn.functional as F
from common import arguments, report, reset
from torch import nn, optim
from torch.nn.utils import weight_norm


class Chomp1d(nn.Module):
    """Cuts what looks into the future off the end."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        return x[:, :, : -self.size].contiguous()


class TemporalBlock(nn.Module):
    """Two causal convolutions with weight normalisation, and the input on top."""

    def __init__(self, inputs, outputs, kernel, dilation):
        super().__init__()
        padding = (kernel - 1) * dilation
        self.net = nn.Sequential(
            weight_norm(nn.Conv1d(inputs, outputs, kernel, padding=padding, dilation=dilation)),
            Chomp1d(padding),
            nn.ReLU(),
            weight_norm(nn.Conv1d(outputs, outputs, kernel, padding=padding, dilation=dilation)),
            Chomp1d(padding),
            nn.ReLU(),
        )
        self.downsample = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x):
        return F.relu(self.net(x) + (x if self.downsample is None else self.downsample(x)))


class TCN(nn.Module):
    """Blocks whose dilation doubles; the last time step answers."""

    def __init__(self, channels=(16, 16, 16, 16)):
        super().__init__()
        sizes = [2, *channels]
        self.tcn = nn.Sequential(
            *[TemporalBlock(sizes[i], sizes[i + 1], 3, 2**i) for i in range(len(channels))]
        )
        self.linear = nn.Linear(channels[-1], 1)

    def forward(self, x):
        return self.linear(self.tcn(x)[:, :, -1])


def draw(rng, size, length=40):
    """Random numbers and two marks; the sum of the marked numbers is asked for."""
    x = np.zeros((size, 2, length), np.float32)
    x[:, 0] = rng.random((size, length))
    for row in x:
        row[1, rng.choice(length, 2, replace=False)] = 1
    y = (x[:, 0] * x[:, 1]).sum(axis=1, keepdims=True)
    return torch.from_numpy(x), torch.from_numpy(y)


def main():
    args = arguments(__doc__, steps=60)
    rng = np.random.default_rng(args.seed)
    model = reset(TCN(), rng)
    optimizer = optim.Adam(model.parameters(), lr=4e-3)
    scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=10)
    losses = []
    for _ in range(args.steps):
        x, y = draw(rng, 32)
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        nn.utils.clip_grad_value_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step(loss.item())
        losses.append(loss.item())
    report(losses, lr=optimizer.param_groups[0]["lr"])


if __name__ == "__main__":
    main()
