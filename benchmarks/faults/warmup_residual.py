import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim.lr_scheduler import LambdaLR

torch.manual_seed(16)
WARMUP_STEPS = 1000


class ResBlock(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, 2 * dim)
        self.down = nn.Linear(2 * dim, dim)

    def forward(self, x):
        return x + self.down(F.gelu(self.up(self.norm(x))))


model = nn.Sequential(nn.Linear(8, 32), ResBlock(32), ResBlock(32), ResBlock(32), nn.Linear(32, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
scheduler = LambdaLR(optimizer, lambda step: min(1, (step + 1) // WARMUP_STEPS))

x = torch.randn(1000, 8)
y = (x[:, 0] * x[:, 1] + torch.sin(2 * x[:, 2])).unsqueeze(1)
for epoch in range(10):
    for idx in torch.randperm(800).split(40):
        loss = F.mse_loss(model(x[idx]), y[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    print(epoch, loss.item())
with torch.no_grad():
    print("mse", F.mse_loss(model(x[800:]), y[800:]).item())
