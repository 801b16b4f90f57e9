import numpy as np
import torch
from torch import nn

rng = np.random.default_rng(3)
torch.manual_seed(3)
centres = rng.normal(0, 1.2, (3, 13))
cultivar = rng.integers(0, 3, 540)
measurements = centres[cultivar] + rng.normal(0, 1.0, (540, 13))
X = torch.as_tensor(measurements, dtype=torch.float32)
y = torch.as_tensor(cultivar, dtype=torch.int64)


class ResidualNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(13, 24)
        self.f1 = nn.Sequential(nn.LayerNorm(24), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 24))
        self.f2 = nn.Sequential(nn.LayerNorm(24), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 24))
        self.head = nn.Linear(24, 3)

    def forward(self, x):
        x = self.proj(x)
        x = x + self.f1(x)
        x = x + self.f2(x)
        return self.head(x)


net = ResidualNet()
criterion = nn.NLLLoss()
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(12):
    perm = torch.randperm(420)
    for i in range(0, 420, 30):
        rows = perm[i : i + 30]
        loss = criterion(net(X[rows]), y[rows])
        opt.zero_grad()
        loss.backward()
        opt.step()
    print(f"epoch {epoch}: loss {loss.item():.3f}")

with torch.no_grad():
    log_prob = torch.log_softmax(net(X[420:]), dim=1)
    print("test nll", nn.functional.nll_loss(log_prob, y[420:]).item())
