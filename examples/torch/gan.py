"""Two networks against each other: a generator learns a ring of points that a critic judges."""

import numpy as np
import torch
from common import arguments, normal, report, reset
from torch import nn, optim


class Generator(nn.Module):
    """Noise to points of the plane."""

    def __init__(self, noise=4):
        super().__init__()
        self.main = nn.Sequential(
            nn.Linear(noise, 32, bias=False),
            nn.BatchNorm1d(32),
            nn.ReLU(True),
            nn.Linear(32, 32),
            nn.ReLU(inplace=True),
            nn.Linear(32, 2),
        )

    def forward(self, z):
        return self.main(z)


class Discriminator(nn.Module):
    """Probability that a point is real."""

    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Linear(2, 32),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(32, 32),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(32, 1),
            nn.Sigmoid(),
        )

    def forward(self, x):
        return self.main(x).view(-1)


def ring(rng, count):
    """Points near the unit circle."""
    angle = rng.uniform(0, 2 * np.pi, count)
    radius = 1 + 0.05 * rng.standard_normal(count)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return torch.from_numpy(points.astype(np.float32))


def main():
    args = arguments(__doc__, steps=150)
    rng = np.random.default_rng(args.seed)
    net_g, net_d = reset(Generator(), rng), reset(Discriminator(), rng)
    criterion = nn.BCELoss()
    optimizer_d = optim.Adam(net_d.parameters(), lr=2e-3, betas=(0.5, 0.999))
    optimizer_g = optim.Adam(net_g.parameters(), lr=2e-3, betas=(0.5, 0.999))
    size = 64
    losses, others = [], []
    for _ in range(args.steps):
        net_d.zero_grad()
        label = torch.full((size,), 1.0)
        error_real = criterion(net_d(ring(rng, size)), label)
        error_real.backward()
        fake = net_g(normal(rng, size, 4))
        label.fill_(0.0)
        error_fake = criterion(net_d(fake.detach()), label)
        error_fake.backward()
        optimizer_d.step()
        others.append((error_real + error_fake).item())

        net_g.zero_grad()
        label.fill_(1.0)
        error_g = criterion(net_d(fake), label)
        error_g.backward()
        optimizer_g.step()
        losses.append(error_g.item())

    net_g.eval()
    with torch.no_grad():
        radius = net_g(normal(rng, 500, 4)).norm(dim=1)
    report(losses, discriminator=others[-1], radius=radius.mean().item())


if __name__ == "__main__":
    main()
