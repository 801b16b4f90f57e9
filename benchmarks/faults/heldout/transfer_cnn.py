import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(31)
np.random.seed(31)


def glyphs(n, classes):
    base = np.random.RandomState(99).rand(6, 8, 8) > 0.55
    y = np.random.randint(0, classes, n)
    x = base[y].astype(np.float32) + 0.35 * np.random.randn(n, 8, 8).astype(np.float32)
    return torch.from_numpy(x[:, None]), torch.from_numpy(y).long()


class ConvNet(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.fc = nn.Linear(16 * 4, num_classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc(x.flatten(1))


def evaluate(model, x, y):
    model.eval()
    with torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()


model = ConvNet(num_classes=1000)
optimizer = torch.optim.SGD(model.parameters(), lr=0.003, momentum=0.9)
model.fc = nn.Linear(16 * 4, 6)

x, y = glyphs(600, 6)
xv, yv = glyphs(300, 6)
for epoch in range(8):
    model.train()
    perm = torch.randperm(600)
    for i in range(0, 600, 30):
        idx = perm[i : i + 30]
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[idx]), y[idx])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
print("val accuracy", evaluate(model, xv, yv))
