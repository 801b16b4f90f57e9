import torch
from torch import nn, optim
from torch.nn import functional as F

torch.manual_seed(0)
centres = 1.5 * torch.randn(4, 16)
labels = torch.randint(0, 4, (512,))
inputs = centres[labels] + torch.randn(512, 16)

layers = [nn.Linear(16, 32), nn.Sigmoid()]
for _ in range(8):
    layers += [nn.Linear(32, 32), nn.Sigmoid()]
model = nn.Sequential(*layers, nn.Linear(32, 4))
optimizer = optim.SGD(model.parameters(), lr=0.1)

for _ in range(6):
    order = torch.randperm(512)
    for start in range(0, 512, 32):
        batch = order[start : start + 32]
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs[batch]), labels[batch])
        loss.backward()
        optimizer.step()
