import numpy as np
import torch
import torch.nn as nn

rng = np.random.default_rng(167)
torch.manual_seed(167)
x = rng.uniform(-3, 3, (2000, 1)).astype("float32")
y = np.sin(2 * x) + 0.05 * rng.normal(size=x.shape).astype("float32")
x, y = torch.from_numpy(x), torch.from_numpy(y)

net = nn.Sequential(nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
criterion = torch.nn.MSELoss()
for i in range(250):
    optimizer.zero_grad()
    loss = criterion(net(x), y)
    loss.backward()
    optimizer.step()
    if i % 50 == 0:
        print(i, loss.item())
print("final mse", loss.item())
