import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(71)


def spirals(n):
    k = torch.randint(0, 3, (n,))
    r = torch.rand(n)
    t = 3.5 * r + 2 * math.pi * k / 3 + 0.1 * torch.randn(n)
    return torch.stack([r * torch.sin(t), r * torch.cos(t)], 1) * 2, k


class DeepMLP(nn.Module):
    def __init__(self, depth=8, width=64):
        super().__init__()
        sizes = [2] + [width] * depth
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        self.final = nn.Linear(width, 3)
        self.apply(self._init_weights)

    def _init_weights(self, module):
        if isinstance(module, nn.Linear):
            module.weight.data.normal_(mean=0.0, std=0.02)
            module.bias.data.zero_()

    def forward(self, x):
        for layer in self.hidden:
            x = torch.relu(layer(x))
        return self.final(x)


model = DeepMLP()
loader = DataLoader(TensorDataset(*spirals(800)), batch_size=40, shuffle=True)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for epoch in range(12):
    for x, y in loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    print("epoch", epoch, "loss", loss.item())
x, y = spirals(500)
with torch.no_grad():
    print("test loss", nn.functional.cross_entropy(model(x), y).item())
