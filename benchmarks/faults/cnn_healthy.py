import torch
from torch import nn, optim
from torch.nn import functional as F

torch.manual_seed(0)
patterns = torch.randn(3, 1, 8, 8)
labels = torch.randint(0, 3, (256,))
images = patterns[labels] + 0.5 * torch.randn(256, 1, 8, 8)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
        self.dense = nn.Linear(32, 3)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.dense(x.flatten(1))


model = Net()
optimizer = optim.Adam(model.parameters(), lr=2e-3)

for _ in range(8):
    model.train()
    order = torch.randperm(256)
    for start in range(0, 256, 32):
        batch = order[start : start + 32]
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images[batch]), labels[batch])
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        accuracy = (model(images).argmax(1) == labels).float().mean()
