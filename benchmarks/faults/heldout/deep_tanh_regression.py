import math

import torch
from torch import nn

torch.manual_seed(1)
x = torch.rand(1024, 6) * 2 - 1
y = torch.sin(math.pi * x[:, :1]) * x[:, 1:2] + 0.5 * x[:, 2:3]
x_val, y_val = x[768:], y[768:]
x, y = x[:768], y[:768]


def build(depth, width):
    modules = [nn.Linear(6, width), nn.Tanh()]
    for i in range(depth):
        modules.append(nn.Linear(width, width))
        modules.append(nn.Tanh())
    modules.append(nn.Linear(width, 1))
    return nn.Sequential(*modules)


net = build(depth=12, width=40)
loss_fn = nn.MSELoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)

for epoch in range(12):
    perm = torch.randperm(len(x))
    for i in range(0, len(x), 48):
        idx = perm[i : i + 48]
        pred = net(x[idx])
        loss = loss_fn(pred, y[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

with torch.no_grad():
    print("validation mse %.5f" % loss_fn(net(x_val), y_val).item())
