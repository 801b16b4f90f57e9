import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(157)
dictionary = F.normalize(torch.randn(40, 20), dim=1)


def signals(n):
    active = (torch.rand(n, 40) < 0.06).float() * (0.5 + torch.rand(n, 40))
    return active @ dictionary


class SparseAutoencoder(nn.Module):
    def __init__(self, d=20, h=128):
        super().__init__()
        self.encode = nn.Linear(d, h)
        self.decode = nn.Linear(h, d)

    def forward(self, x):
        code = F.relu(self.encode(x))
        return self.decode(code), code


sae = SparseAutoencoder()
optimizer = torch.optim.Adam(sae.parameters(), lr=3e-3)
for step in range(300):
    x = signals(64)
    x_hat, code = sae(x)
    loss = F.mse_loss(x_hat, x) + 3e-3 * code.abs().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
x = signals(500)
with torch.no_grad():
    x_hat, code = sae(x)
    print("active", (code > 0).float().mean().item())
    print("reconstruction", F.mse_loss(x_hat, x).item())
