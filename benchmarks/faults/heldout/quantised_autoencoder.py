import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(6)
basis = torch.randn(4, 24)


def sample(n):
    codes = torch.randint(-2, 3, (n, 4)).float()
    return codes @ basis / 2 + 0.05 * torch.randn(n, 24)


class QuantisedAutoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(24, 48), nn.ReLU(), nn.Linear(48, 6))
        self.decoder = nn.Sequential(nn.Linear(6, 48), nn.ReLU(), nn.Linear(48, 24))

    def quantise(self, z):
        return torch.round(4 * torch.tanh(z)) / 4

    def forward(self, x):
        code = self.quantise(self.encoder(x))
        return self.decoder(code)


model = QuantisedAutoencoder()
opt = torch.optim.Adam(model.parameters(), lr=5e-3)
for step in range(300):
    x = sample(64)
    recon = model(x)
    loss = F.mse_loss(recon, x)
    opt.zero_grad()
    loss.backward()
    opt.step()

x = sample(500)
with torch.no_grad():
    print("reconstruction", F.mse_loss(model(x), x).item())
