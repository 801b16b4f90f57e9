import math

import numpy as np
import torch
import torch.nn as nn

rs = np.random.RandomState(1)
X = rs.rand(900, 6).astype(np.float32)
Y = (
    10 * np.sin(math.pi * X[:, 0] * X[:, 1])
    + 20 * (X[:, 2] - 0.5) ** 2
    + 10 * X[:, 3]
    + 5 * X[:, 4]
)
Y = ((Y - Y.mean()) / Y.std()).astype(np.float32)
X = (X - 0.5) / 0.29
tx, ty = torch.from_numpy(X[:700]), torch.from_numpy(Y[:700]).unsqueeze(1)
vx, vy = torch.from_numpy(X[700:]), torch.from_numpy(Y[700:]).unsqueeze(1)

torch.manual_seed(1)
model = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.2)

n_epochs, batch_size = 10, 35
for epoch in range(n_epochs):
    optimizer.zero_grad()
    order = torch.randperm(len(tx))
    epoch_loss = 0.0
    for b in range(len(tx) // batch_size):
        take = order[b * batch_size : (b + 1) * batch_size]
        output = model(tx[take])
        loss = criterion(output, ty[take])
        loss.backward()
        optimizer.step()
        epoch_loss += loss.item()
    print(f"Epoch {epoch:2d}  train {epoch_loss / (len(tx) // batch_size):.4f}")

with torch.no_grad():
    print("Validation MSE:", criterion(model(vx), vy).item())
