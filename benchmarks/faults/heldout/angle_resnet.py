import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(23)


def render(n):
    angle = 3.0 * torch.rand(n)
    ax = torch.linspace(-1, 1, 9)
    yy, xx = ax.view(1, 9, 1), ax.view(1, 1, 9)
    a = angle.view(n, 1, 1)
    line = torch.exp(-8 * (xx * torch.sin(a) - yy * torch.cos(a)) ** 2)
    return (line + 0.1 * torch.randn(n, 9, 9)).unsqueeze(1), angle


class BasicBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv1 = nn.Conv2d(c, c, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(c)
        self.conv2 = nn.Conv2d(c, c, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c)

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(x + self.bn2(self.conv2(out)))


class AngleNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.layer1 = BasicBlock(8)
        self.layer2 = BasicBlock(8)
        self.fc = nn.Linear(8 * 9, 1)

    def forward(self, x):
        x = self.layer2(self.layer1(F.relu(self.stem(x))))
        x = F.avg_pool2d(x, 3)
        return self.fc(x.flatten(1)).squeeze(1)


images, angles = render(640)
targets = angles.view(-1, 1)
net = AngleNet()
optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
for epoch in range(6):
    net.train()
    for idx in torch.randperm(512).split(32):
        prediction = net(images[idx])
        loss = F.mse_loss(prediction, targets[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())

net.eval()
with torch.no_grad():
    print("mse", ((net(images[512:]) - angles[512:]) ** 2).mean().item())
