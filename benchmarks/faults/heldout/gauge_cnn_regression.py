import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(91)


class GaugeReader(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.fc1 = nn.Linear(16 * 9, 32)
        self.fc2 = nn.Linear(32, 1)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


def dial(value):
    n = len(value)
    g = torch.linspace(-1, 1, 12)
    yy, xx = g.view(1, 12, 1), g.view(1, 1, 12)
    a = (value * 1.4).view(n, 1, 1)
    needle = torch.exp(-10 * (xx * torch.cos(a) + yy * torch.sin(a)) ** 2) * (xx > -0.2).float()
    return (needle + 0.1 * torch.randn(n, 12, 12)).unsqueeze(1)


readings = torch.linspace(-1, 1, 640)
photos = dial(readings)
test_readings = 2 * torch.rand(200) - 1
test_photos = dial(test_readings)

model = GaugeReader()
optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
mse = nn.MSELoss()
for epoch in range(10):
    for photo, reading in zip(photos.split(32), readings.split(32)):
        prediction = model(photo).squeeze(1)
        loss = mse(prediction, reading)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())

with torch.no_grad():
    print("test mse", mse(model(test_photos).squeeze(1), test_readings).item())
