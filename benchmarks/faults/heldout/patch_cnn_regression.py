import torch
import torch.nn as nn

torch.manual_seed(73)


def weights_init(m):
    if type(m) in (nn.Conv2d, nn.Linear):
        nn.init.normal_(m.weight, 0.0, 1.0)
        nn.init.zeros_(m.bias)


class CountNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(5),
        )
        self.regressor = nn.Linear(16, 1)

    def forward(self, x):
        return self.regressor(self.features(x).flatten(1))


def scene(n):
    spots = (torch.rand(n, 1, 10, 10) < torch.rand(n, 1, 1, 1) * 0.3).float()
    return spots + 0.1 * torch.randn(n, 1, 10, 10), spots.sum((2, 3)) / 10


net = CountNet()
net.apply(weights_init)
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
criterion = nn.MSELoss()
for i in range(200):
    x, y = scene(32)
    optimizer.zero_grad()
    loss = criterion(net(x), y)
    loss.backward()
    optimizer.step()
    if i % 40 == 0:
        print(i, loss.item())
x, y = scene(400)
with torch.no_grad():
    print("mse", criterion(net(x), y).item())
