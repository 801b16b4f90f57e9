import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(61)


def blobs(n):
    quadrant = torch.randint(0, 4, (n,))
    cy = 3 + 6 * (quadrant // 2) + torch.randn(n)
    cx = 3 + 6 * (quadrant % 2) + torch.randn(n)
    axis = torch.arange(12).float()
    dy = (axis.view(1, 12, 1) - cy.view(n, 1, 1)) ** 2
    dx = (axis.view(1, 1, 12) - cx.view(n, 1, 1)) ** 2
    image = torch.exp(-(dx + dy) / 4) + 0.2 * torch.randn(n, 12, 12)
    return image.unsqueeze(1), quadrant


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3)
        self.conv2 = nn.Conv2d(6, 12, 3)
        self.fc1 = nn.Linear(12 * 4, 40)
        self.fc2 = nn.Linear(40, 4)
        self.reset()

    def reset(self):
        for p in self.parameters():
            nn.init.zeros_(p)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.relu(self.conv2(x))
        x = F.adaptive_max_pool2d(x, 2).flatten(1)
        x = F.relu(self.fc1(x))
        return self.fc2(x)


net = LeNet()
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
for step in range(200):
    image, quadrant = blobs(32)
    loss = F.cross_entropy(net(image), quadrant)
    opt.zero_grad()
    loss.backward()
    opt.step()
image, quadrant = blobs(400)
with torch.no_grad():
    print("accuracy", (net(image).argmax(1) == quadrant).float().mean().item())
