import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

np.random.seed(81)
torch.manual_seed(81)
templates = np.random.randint(30, 226, (5, 8, 8))


def load(n):
    y = np.random.randint(0, 5, n)
    x = templates[y] + np.random.normal(0, 45, (n, 8, 8))
    return np.clip(x, 0, 255).astype(np.uint8), y


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3)
        self.conv2 = nn.Conv2d(8, 16, 3)
        self.fc = nn.Linear(16 * 4, 5)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc(x.view(-1, 64))


train_x, train_y = load(600)
test_x, test_y = load(300)
train_x = torch.from_numpy(train_x).float().unsqueeze(1)
test_x = torch.from_numpy(test_x).float().unsqueeze(1)
train_y, test_y = torch.from_numpy(train_y), torch.from_numpy(test_y)

net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
for epoch in range(8):
    perm = torch.randperm(600)
    for i in range(0, 600, 30):
        b = perm[i : i + 30]
        optimizer.zero_grad()
        loss = F.cross_entropy(net(train_x[b]), train_y[b])
        loss.backward()
        optimizer.step()
    print(f"{epoch}: {loss.item():.4f}")
with torch.no_grad():
    print("loss", F.cross_entropy(net(test_x), test_y).item())
