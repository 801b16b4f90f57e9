import numpy as np
import torch
from torch import nn, optim

rng = np.random.RandomState(251)
torch.manual_seed(251)
n = 1000
engine = rng.uniform(900, 4000, n)
weight = rng.uniform(700, 2400, n)
year = rng.randint(1990, 2021, n)
doors = rng.randint(2, 6, n)
use = 0.002 * engine + 0.003 * weight - 0.08 * (year - 2000) + rng.normal(0, 0.4, n)
table = np.stack([engine, weight, year, doors], 1)
X = torch.FloatTensor(table)
y = torch.FloatTensor((use - use.mean()) / use.std()).view(-1, 1)

model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(8):
    model.train()
    for idx in torch.randperm(800).split(40):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(X[idx]), y[idx])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
model.eval()
with torch.no_grad():
    print("mse", nn.functional.mse_loss(model(X[800:]), y[800:]).item())
