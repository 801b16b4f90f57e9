"""A Wasserstein GAN with gradient penalty: the loss holds a gradient and is differentiated."""

import numpy as np
import torch
from common import arguments, normal, report, reset
from torch import autograd, nn, optim


def network(inputs, outputs, width=48):
    """Three linear layers with tanh between."""
    return nn.Sequential(
        nn.Linear(inputs, width), nn.Tanh(),
        nn.Linear(width, width), nn.Tanh(),
        nn.Linear(width, outputs),
    )  # fmt: skip


def gradient_penalty(critic, real, fake, rng, weight=10.0):
    """weight · (|∇ critic| - 1)² between real and fake points (I. Gulrajani et al., 1704.00028)."""
    alpha = torch.tensor(rng.random((len(real), 1)), dtype=torch.float32).expand(real.size())
    between = (alpha * real + (1 - alpha) * fake).detach().requires_grad_(True)
    judged = critic(between)
    gradients = autograd.grad(
        outputs=judged,
        inputs=between,
        grad_outputs=torch.ones_like(judged),
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )[0]
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean() * weight


def clusters(rng, count):
    """Eight Gaussians on a circle."""
    angle = rng.integers(0, 8, count) * np.pi / 4
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1) * 1.5
    noisy = points + 0.05 * rng.standard_normal((count, 2))
    return torch.from_numpy(noisy.astype(np.float32))


def main():
    args = arguments(__doc__, steps=60)
    rng = np.random.default_rng(args.seed)
    generator, critic = reset(network(3, 2), rng), reset(network(2, 1), rng)
    adam_g = optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.9))
    adam_c = optim.Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.9))
    size, losses, penalties = 64, [], []
    for _ in range(args.steps):
        for p in critic.parameters():
            p.requires_grad = True
        for _ in range(3):
            critic.zero_grad()
            real = clusters(rng, size)
            with torch.no_grad():
                fake = generator(normal(rng, size, 3))
            penalty = gradient_penalty(critic, real.data, fake.data, rng)
            loss = critic(fake).mean() - critic(real).mean() + penalty
            loss.backward()
            adam_c.step()
        losses.append(loss.item())
        penalties.append(penalty.item())

        for p in critic.parameters():
            p.requires_grad = False
        generator.zero_grad()
        (-critic(generator(normal(rng, size, 3))).mean()).backward()
        adam_g.step()
    report(losses, penalty=penalties[-1])


if __name__ == "__main__":
    main()
