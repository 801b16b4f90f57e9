import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(223)


class Bottleneck(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.fc1 = nn.Linear(dim, dim)
        self.fc2 = nn.Linear(dim, dim)
        nn.init.zeros_(self.fc2.weight)
        nn.init.zeros_(self.fc2.bias)

    def forward(self, x):
        return x + self.fc2(F.relu(self.fc1(x)))


class DeepResidual(nn.Module):
    def __init__(self, n_in, dim, n_out, depth):
        super().__init__()
        self.stem = nn.Linear(n_in, dim)
        self.blocks = nn.ModuleList([Bottleneck(dim) for _ in range(depth)])
        self.head = nn.Linear(dim, n_out)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


x = torch.randn(1000, 5)
y = torch.sin(x[:, :1] * 2) + x[:, 1:2] * x[:, 2:3]
net = DeepResidual(5, 32, 1, depth=10)
optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
for epoch in range(14):
    for idx in torch.randperm(800).split(40):
        loss = F.mse_loss(net(x[idx]), y[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
with torch.no_grad():
    print("mse", F.mse_loss(net(x[800:]), y[800:]).item())
