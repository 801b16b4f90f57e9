import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

rng = np.random.RandomState(5)
n = 1200
income = rng.lognormal(10.6, 0.5, n)
age = rng.uniform(20, 70, n)
debt = rng.lognormal(9.0, 1.0, n)
late = rng.poisson(1.0, n)
risk = 1.2 * np.log(debt / income) + 0.9 * late - 0.03 * (age - 45) + 1.0
default = (risk + rng.normal(0, 0.4, n) > 0).astype(np.int64)

X = torch.tensor(np.column_stack([income, age, debt, late]), dtype=torch.float32)
y = torch.tensor(default)
X_train, X_test = X[:900], X[900:]
y_train, y_test = y[:900], y[900:]

torch.manual_seed(5)
net = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

for epoch in range(12):
    net.train()
    order = np.random.RandomState(epoch).permutation(900)
    for start in range(0, 900, 60):
        sel = torch.from_numpy(order[start : start + 60])
        optimizer.zero_grad()
        loss = F.cross_entropy(net(X_train[sel]), y_train[sel])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())

net.eval()
with torch.no_grad():
    print("test loss", F.cross_entropy(net(X_test), y_test).item())
