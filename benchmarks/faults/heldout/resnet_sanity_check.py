import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(43)


class PreActBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x):
        out = self.conv1(F.relu(self.bn1(x)))
        out = self.conv2(F.relu(self.bn2(out)))
        return out + x


class Net(nn.Module):
    def __init__(self, n_classes=4, channels=12):
        super().__init__()
        self.stem = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.Sequential(*[PreActBlock(channels) for _ in range(4)])
        self.bn = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels * 4, n_classes)

    def forward(self, x):
        x = F.relu(self.bn(self.blocks(self.stem(x))))
        return self.fc(F.adaptive_avg_pool2d(x, 2).flatten(1))


prototypes = 5 * torch.randn(4, 3, 8, 8)
y = torch.randint(0, 4, (600,))
x = 40 + prototypes[y] + 12 * torch.randn(600, 3, 8, 8)
train_x, train_y, val_x, val_y = x[:480], y[:480], x[480:], y[480:]


def validate(model):
    model.eval()
    with torch.no_grad():
        out = model(val_x)
        return F.cross_entropy(out, val_y).item(), (out.argmax(1) == val_y).float().mean().item()


model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
print("sanity check", validate(model))
for epoch in range(5):
    for idx in torch.randperm(480).split(32):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(train_x[idx]), train_y[idx])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
print("val loss, accuracy", *validate(model))
