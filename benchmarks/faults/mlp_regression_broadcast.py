import torch
from torch import nn, optim

torch.manual_seed(0)
inputs = torch.randn(256, 8)
weights = torch.randn(8)
targets = torch.sin(inputs @ weights / 3)

model = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 1))
optimizer = optim.Adam(model.parameters(), lr=5e-3)

for _ in range(10):
    order = torch.randperm(256)
    for start in range(0, 256, 32):
        batch = order[start : start + 32]
        optimizer.zero_grad()
        loss = ((model(inputs[batch]) - targets[batch]) ** 2).mean()
        loss.backward()
        optimizer.step()
