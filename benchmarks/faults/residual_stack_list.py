import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Block(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.a = nn.Linear(d, d)
        self.b = nn.Linear(d, d)

    def forward(self, x):
        return x + self.b(torch.relu(self.a(x)))


class Net(nn.Module):
    def __init__(self, d=32, depth=4):
        super().__init__()
        self.inp = nn.Linear(2, d)
        self.blocks = [Block(d) for _ in range(depth)]
        self.out = nn.Linear(d, 1)

    def forward(self, x):
        x = self.inp(x)
        for block in self.blocks:
            x = block(x)
        return self.out(x)


torch.manual_seed(21)
X = 4 * torch.rand(1000, 2) - 2
Y = torch.sin(2 * X[:, :1]) * torch.cos(2 * X[:, 1:])
loader = DataLoader(TensorDataset(X[:800], Y[:800]), batch_size=50, shuffle=True)
net = Net()
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
for epoch in range(15):
    running = 0
    for xb, yb in loader:
        opt.zero_grad()
        loss = ((net(xb) - yb) ** 2).mean()
        loss.backward()
        opt.step()
        running += loss.item()
    print(f"[{epoch}] {running / len(loader):.4f}")
with torch.no_grad():
    print("val mse", ((net(X[800:]) - Y[800:]) ** 2).mean().item())
