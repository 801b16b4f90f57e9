"""A variational autoencoder of digits: reparameterised sampling and a closed-form KL term."""

import numpy as np
import torch
import torch.nn.functional as F
from common import MNIST, arguments, batches, mnist, normal, report, reset
from torch import nn, optim


class VAE(nn.Module):
    """784 - 128 - 8 - 128 - 784."""

    def __init__(self, latent=8):
        super().__init__()
        self.fc1 = nn.Linear(784, 128)
        self.fc21 = nn.Linear(128, latent)
        self.fc22 = nn.Linear(128, latent)
        self.fc3 = nn.Linear(latent, 128)
        self.fc4 = nn.Linear(128, 784)

    def encode(self, x):
        h = F.relu(self.fc1(x))
        return self.fc21(h), self.fc22(h)

    def reparameterize(self, mu, logvar, eps):
        return mu + eps * torch.exp(0.5 * logvar)

    def decode(self, z):
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x, rng):
        mu, logvar = self.encode(x.view(-1, 784))
        return self.decode(self.reparameterize(mu, logvar, normal(rng, *mu.shape))), mu, logvar


def loss_function(recon, x, mu, logvar):
    """Minus the evidence lower bound, per image (D. Kingma, M. Welling, arXiv:1312.6114)."""
    bce = F.binary_cross_entropy(recon, x.view(-1, 784), reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return (bce + kld) / len(x)


def main():
    args = arguments(__doc__, steps=80, data=MNIST)
    rng = np.random.default_rng(args.seed)
    images, _ = mnist(args.data)
    model = reset(VAE(), rng)
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    losses = []
    model.train()
    for rows in batches(len(images), 64, args.steps, rng):
        data = images[rows]
        optimizer.zero_grad()
        recon, mu, logvar = model(data, rng)
        loss = loss_function(recon, data, mu, logvar)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        sample = model.decode(normal(rng, 1, 8)).view(28, 28)
    for row in sample[4:24:2]:
        print("".join(" .:*#"[min(int(v * 5), 4)] for v in row.tolist()))
    report(losses)


if __name__ == "__main__":
    main()
