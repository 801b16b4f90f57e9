"""Fit a cubic polynomial to noisy points: a linear layer on powers of x, mini-batches and SGD."""

import numpy as np
import torch
import torch.nn.functional as F
from common import arguments, report, reset
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

COEFFICIENTS = [0.5, -1.0, 2.0]
INTERCEPT = 5.0


def features(x):
    """The columns x, x², x³."""
    x = x.unsqueeze(1)
    return torch.cat([x**i for i in range(1, 4)], 1)


def main():
    args = arguments(__doc__, steps=300)
    rng = np.random.default_rng(args.seed)
    x = torch.tensor(rng.uniform(-1.5, 1.5, 320), dtype=torch.float32)
    noise = torch.tensor(rng.normal(0, 0.1, 320), dtype=torch.float32)
    y = features(x).mv(torch.tensor(COEFFICIENTS)) + INTERCEPT + noise
    loader = DataLoader(TensorDataset(features(x), y.unsqueeze(1)), batch_size=32)

    model = reset(nn.Linear(3, 1), rng)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.5)
    losses = []
    while len(losses) < args.steps:
        for inputs, target in loader:
            optimizer.zero_grad()
            loss = F.smooth_l1_loss(model(inputs), target)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if len(losses) == args.steps:
                break

    learned = model.weight.view(-1).tolist()
    print("learned  ", " ".join(f"{w:+.3f}" for w in learned), f"{model.bias.item():+.3f}")
    print("true     ", " ".join(f"{w:+.3f}" for w in COEFFICIENTS), f"{INTERCEPT:+.3f}")
    report(losses)


if __name__ == "__main__":
    main()
