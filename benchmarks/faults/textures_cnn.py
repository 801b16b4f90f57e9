import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(5)


def textures(n):
    y = torch.randint(0, 4, (n,))
    grid = torch.arange(10).float()
    row, col = grid.view(1, 10, 1), grid.view(1, 1, 10)
    phase = 6.28 * torch.rand(n, 1, 1)
    fr = torch.tensor([0.5, 1.5, 0.0, 1.0])[y].view(n, 1, 1)
    fc = torch.tensor([1.5, 0.5, 1.0, 0.0])[y].view(n, 1, 1)
    img = 0.5 + 0.4 * torch.sin(fr * row + fc * col + phase) + 0.05 * torch.randn(n, 10, 10)
    return img.clamp(0, 1).unsqueeze(1), y


def init_weights(m):
    if isinstance(m, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(m.weight)
        nn.init.constant_(m.bias, -1.5)


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(1, 16, 3)
        self.conv2 = nn.Conv2d(16, 16, 3)
        self.fc1 = nn.Linear(16 * 9, 32)
        self.fc2 = nn.Linear(32, 4)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        return self.fc2(x)


net = Net()
net.apply(init_weights)
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
criterion = nn.CrossEntropyLoss()
for i in range(180):
    inputs, labels = textures(32)
    optimizer.zero_grad()
    outputs = net(inputs)
    loss = criterion(outputs, labels)
    loss.backward()
    optimizer.step()

with torch.no_grad():
    inputs, labels = textures(400)
    correct = (net(inputs).argmax(1) == labels).sum().item()
print("Accuracy", correct / 400)
