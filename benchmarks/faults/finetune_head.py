import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(103)
prototypes = torch.randn(8, 1, 8, 8)


def images(classes, n):
    pick = torch.randint(0, len(classes), (n,))
    ids = torch.tensor(classes)[pick]
    return prototypes[ids] + 0.6 * torch.randn(n, 1, 8, 8), pick


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 16, 3, padding=1)
        self.fc = nn.Linear(64, 32)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return F.relu(self.fc(x.flatten(1)))


def fit(model, optimizer, classes, steps):
    for _ in range(steps):
        x, y = images(classes, 32)
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


backbone = Backbone()
source = nn.Sequential(backbone, nn.Linear(32, 6))
print(
    "pretraining", fit(source, torch.optim.Adam(source.parameters(), 2e-3), [0, 1, 2, 3, 4, 5], 120)
)

for p in backbone.parameters():
    p.requires_grad = False
target = nn.Sequential(backbone, nn.Linear(32, 3))
head_optimizer = torch.optim.Adam(target[1].parameters(), lr=1e-2)
print("fine-tuning", fit(target, head_optimizer, [0, 6, 7], 80))
x, y = images([0, 6, 7], 400)
with torch.no_grad():
    print("accuracy", (target(x).argmax(1) == y).float().mean().item())
