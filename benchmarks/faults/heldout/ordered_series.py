import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

rng = np.random.default_rng(239)
torch.manual_seed(239)
noise = rng.normal(0, 0.3, 2200)
series = np.zeros(2200)
for t in range(3, 2200):
    series[t] = 1.2 * series[t - 1] - 0.7 * series[t - 2] + 0.5 * np.tanh(series[t - 3]) + noise[t]
series = (series - series.mean()) / series.std()
windows = np.lib.stride_tricks.sliding_window_view(series, 9).astype(np.float32)
past, future = torch.tensor(windows[:, :8].copy()), torch.tensor(windows[:, 8:].copy())

train = DataLoader(TensorDataset(past[:1800], future[:1800]), batch_size=30, shuffle=False)
net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
for epoch in range(4):
    for x, y in train:
        loss = nn.functional.mse_loss(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
with torch.no_grad():
    print("mse", nn.functional.mse_loss(net(past[1800:]), future[1800:]).item())
