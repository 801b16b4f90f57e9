import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

rng = np.random.default_rng(7)
torch.manual_seed(7)
n = 600
area = rng.uniform(40, 200, n)
rooms = rng.integers(1, 7, n)
age = rng.uniform(0, 80, n)
price = 2.0 * area + 20 * rooms - 1.5 * age + 0.01 * area * rooms * 3 + rng.normal(0, 10, n)
features = np.stack([area, rooms, age], axis=1)
features = (features - features.mean(0)) / features.std(0)

X = torch.tensor(features, dtype=torch.float32)
y = torch.tensor(price, dtype=torch.float32).reshape(-1, 1)
train = DataLoader(TensorDataset(X[:480], y[:480]), batch_size=24, shuffle=True)

model = nn.Sequential(
    nn.Linear(3, 48),
    nn.ReLU(),
    nn.Linear(48, 48),
    nn.ReLU(),
    nn.Linear(48, 1),
)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
loss_fn = nn.MSELoss()

for epoch in range(12):
    model.train()
    for xb, yb in train:
        loss = loss_fn(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 50)
        optimizer.step()

model.eval()
with torch.no_grad():
    print("mae", (model(X[480:]) - y[480:]).abs().mean().item())
