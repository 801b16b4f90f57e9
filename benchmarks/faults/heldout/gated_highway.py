import torch
import torch.nn as nn

torch.manual_seed(257)


class Highway(nn.Module):
    def __init__(self, size, layers):
        super().__init__()
        self.transform = nn.ModuleList([nn.Linear(size, size) for _ in range(layers)])
        self.gate = nn.ModuleList([nn.Linear(size, size) for _ in range(layers)])
        for g in self.gate:
            nn.init.constant_(g.bias, -4.0)

    def forward(self, x):
        for transform, gate in zip(self.transform, self.gate):
            t = torch.sigmoid(gate(x))
            x = t * torch.relu(transform(x)) + (1 - t) * x
        return x


points = 2 * torch.rand(1000, 2) - 1
inside = ((points**2).sum(1) < 0.5).float().unsqueeze(1)
model = nn.Sequential(nn.Linear(2, 24), nn.Tanh(), Highway(24, 6), nn.Linear(24, 1), nn.Sigmoid())
criterion = nn.BCELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
for epoch in range(12):
    for idx in torch.randperm(800).split(40):
        optimizer.zero_grad()
        loss = criterion(model(points[idx]), inside[idx])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
with torch.no_grad():
    print("accuracy", ((model(points[800:]) > 0.5).float() == inside[800:]).float().mean().item())
