import numpy as np
import torch
import torch.nn as nn

torch.manual_seed(34)
np.random.seed(34)


class ResFeatures(nn.Module):
    def __init__(self, dim=24):
        super().__init__()
        self.inp = nn.Linear(5, dim)
        self.r1 = nn.Linear(dim, dim)
        self.r2 = nn.Linear(dim, dim)

    def forward(self, x):
        h = torch.relu(self.inp(x))
        h = h + torch.relu(self.r1(h))
        return h + torch.tanh(self.r2(h))


def whiten(features):
    a = features.detach().numpy()
    a = (a - a.mean(axis=0)) / (a.std(axis=0) + 1e-5)
    return torch.from_numpy(a)


class Regressor(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = ResFeatures()
        self.linear = nn.Linear(24, 1)

    def forward(self, x):
        return self.linear(whiten(self.features(x)))


X = torch.from_numpy(np.random.uniform(-2, 2, (900, 5)).astype(np.float32))
Y = torch.sin(2 * X[:, 0:1]) + X[:, 1:2] * X[:, 2:3]
model = Regressor()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(12):
    for idx in torch.randperm(700).split(50):
        loss = nn.functional.mse_loss(model(X[idx]), Y[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, round(loss.item(), 4))
with torch.no_grad():
    print("val mse", nn.functional.mse_loss(model(X[700:]), Y[700:]).item())
