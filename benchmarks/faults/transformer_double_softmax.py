import torch
from torch import nn, optim
from torch.nn import functional as F

torch.manual_seed(0)
labels = torch.randint(0, 3, (256,))
inputs = 0.5 * torch.randn(256, 10, 4) + F.one_hot(labels, 4).float().unsqueeze(1)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dense = nn.Sequential(nn.Linear(width, 32), nn.GELU(), nn.Linear(32, width))

    def forward(self, x):
        h = self.norm1(x)
        scores = self.query(h) @ self.key(h).transpose(1, 2) / h.shape[-1] ** 0.5
        x = x + scores.softmax(-1) @ self.value(h)
        return x + self.dense(self.norm2(x))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(4, 16)
        self.blocks = nn.Sequential(Block(16), Block(16))
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return F.softmax(self.head(self.blocks(self.embed(x)).mean(1)), dim=1)


model = Net()
optimizer = optim.Adam(model.parameters(), lr=2e-3)

for _ in range(6):
    order = torch.randperm(256)
    for start in range(0, 256, 32):
        batch = order[start : start + 32]
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs[batch]), labels[batch])
        loss.backward()
        optimizer.step()
