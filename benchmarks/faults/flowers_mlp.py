import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

np.random.seed(4)
torch.manual_seed(4)
means = np.random.randn(5, 6) * 1.2
X = np.concatenate([np.random.randn(120, 6) + m for m in means]).astype("float32")
y = np.repeat(np.arange(5), 120)
X_test = np.concatenate([np.random.randn(60, 6) + m for m in means]).astype("float32")
y_test = np.repeat(np.arange(5), 60)

dataset = TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
loader = DataLoader(dataset, batch_size=24)

model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 5))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for epoch in range(10):
    for inputs, targets in loader:
        optimizer.zero_grad()
        loss = criterion(model(inputs), targets)
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch}, loss {loss.item():.4f}")

with torch.no_grad():
    print("test loss", criterion(model(torch.from_numpy(X_test)), torch.from_numpy(y_test)).item())
