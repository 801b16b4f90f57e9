import numpy as np
import torch
from torch import nn

torch.manual_seed(0)
np.random.seed(0)
T, N = 25, 512
level = np.random.uniform(-1, 1, (N, 1, 1))
wave = np.sin(np.linspace(0, 6, T)[None, :, None] * (1 + level)) * 180
drift = np.linspace(0, 1, T)[None, :, None] * 120 * np.random.choice([-1, 1], (N, 1, 1))
readings = wave + drift + np.random.randn(N, T, 1) * 5
readings = 2048 + readings
readings = np.concatenate([readings, readings**2 / 200], axis=2)
target = np.concatenate([level[:, 0], np.sign(drift[:, -1])], axis=1)

X = torch.tensor(readings, dtype=torch.float)
Y = torch.tensor(target, dtype=torch.float)


class SensorNet(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.rnn = nn.RNN(2, hidden, num_layers=2, batch_first=True, nonlinearity="tanh")
        self.head = nn.Linear(hidden, 2)

    def forward(self, x):
        out, _ = self.rnn(x)
        return self.head(out[:, -1])


net = SensorNet(24)
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
mse = nn.MSELoss()
for epoch in range(16):
    perm = torch.randperm(400)
    for b in range(0, 400, 40):
        sel = perm[b : b + 40]
        loss = mse(net(X[sel]), Y[sel])
        opt.zero_grad()
        loss.backward()
        opt.step()
with torch.no_grad():
    print(f"test MSE {mse(net(X[400:]), Y[400:]).item():.4f}")
