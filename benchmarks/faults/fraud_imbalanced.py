import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

rng = np.random.default_rng(137)
torch.manual_seed(137)


def transactions(n):
    fraud = rng.random(n) < 0.05
    x = rng.normal(0, 1, (n, 8)) + fraud[:, None] * np.array([1.8, -1.5, 0, 0, 1.2, 0, 0, 0])
    return torch.tensor(x, dtype=torch.float32), torch.tensor(fraud, dtype=torch.float32)


x, y = transactions(3000)
loader = DataLoader(TensorDataset(x, y), batch_size=100, shuffle=True, drop_last=True)
model = nn.Sequential(nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 1))
criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([19.0]))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for epoch in range(6):
    for features, target in loader:
        optimizer.zero_grad()
        logits = model(features).squeeze(1)
        loss = criterion(logits, target)
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())

x, y = transactions(2000)
with torch.no_grad():
    flagged = model(x).squeeze(1) > 0
caught = (flagged & (y == 1)).sum().item() / (y == 1).sum().item()
cleared = (~flagged & (y == 0)).sum().item() / (y == 0).sum().item()
print("balanced accuracy", (caught + cleared) / 2)
