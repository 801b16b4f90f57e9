import math

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(201)
grid = torch.linspace(0, 1, 20)


def curves(n):
    a, phase = 0.5 + torch.rand(n, 1), 2 * math.pi * torch.rand(n, 1)
    return a * torch.sin(2 * math.pi * grid + phase)


class VAE(nn.Module):
    def __init__(self, latent=2):
        super().__init__()
        self.enc = nn.Linear(20, 48)
        self.mu = nn.Linear(48, latent)
        self.logvar = nn.Linear(48, latent)
        self.dec = nn.Sequential(nn.Linear(latent, 48), nn.ReLU(), nn.Linear(48, 20))

    def forward(self, x):
        h = F.relu(self.enc(x))
        mu, logvar = self.mu(h), self.logvar(h)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        return self.dec(z), mu, logvar


def elbo(recon, x, mu, logvar):
    rec = F.mse_loss(recon, x, reduction="sum") / x.size(0)
    kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp()) / x.size(0)
    return rec + 0.05 * kl


model = VAE()
opt = torch.optim.Adam(model.parameters(), lr=5e-3)
for step in range(300):
    x = curves(64)
    recon, mu, logvar = model(x)
    loss = elbo(recon, x, mu, logvar)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if step % 60 == 0:
        print(step, loss.item())
with torch.no_grad():
    x = curves(500)
    print("reconstruction mse", F.mse_loss(model(x)[0], x).item())
