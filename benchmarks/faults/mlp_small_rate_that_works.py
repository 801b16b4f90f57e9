import torch
from torch import nn, optim
from torch.nn import functional as F

torch.manual_seed(0)
inputs = torch.randn(512, 8)
targets = torch.sin(inputs @ torch.randn(8, 1) / 3)

model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
optimizer = optim.Adam(model.parameters(), lr=3e-4)

for _ in range(20):
    order = torch.randperm(512)
    for start in range(0, 512, 32):
        batch = order[start : start + 32]
        optimizer.zero_grad()
        loss = F.mse_loss(model(inputs[batch]), targets[batch])
        loss.backward()
        optimizer.step()
