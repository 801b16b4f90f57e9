import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(101)


def make_layer(n_in, n_out):
    layer = nn.Linear(n_in, n_out)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer


layers = [make_layer(10, 64), nn.ReLU()]
for _ in range(9):
    layers += [make_layer(64, 64), nn.ReLU()]
layers.append(nn.Linear(64, 4))
model = nn.Sequential(*layers)

centres = 1.3 * torch.randn(4, 10)
y = torch.randint(0, 4, (1000,))
x = centres[y] + torch.randn(1000, 10)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for epoch in range(10):
    for idx in torch.randperm(800).split(40):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[idx]), y[idx])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
with torch.no_grad():
    print("accuracy", (model(x[800:]).argmax(1) == y[800:]).float().mean().item())
