import torch
import torch.nn as nn


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 8))

    def forward(self, x):
        return self.net(x)


def contrastive(a, b, same, margin=2.0):
    distance = ((a - b) ** 2).sum(dim=1).sqrt()
    pull = same * distance**2
    push = (1 - same) * (margin - distance).clamp(min=0) ** 2
    return (pull + push).mean()


torch.manual_seed(8)
centres = torch.randn(6, 12)
points_class = torch.arange(240) % 6
points = centres[points_class] + 0.4 * torch.randn(240, 12)


def pairs(n):
    i = torch.randint(0, 240, (n,))
    j = torch.randint(0, 240, (n,))
    same = (points_class[i] == points_class[j]).float()
    return points[i], points[j], same


encoder = Encoder()
optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-3)
for step in range(250):
    a, b, same = pairs(64)
    optimizer.zero_grad()
    loss = contrastive(encoder(a), encoder(b), same)
    loss.backward()
    optimizer.step()
    if step % 50 == 0:
        print(f"step {step} loss {loss.item():.4f}")

with torch.no_grad():
    a, b, same = pairs(1000)
    print("contrastive loss", contrastive(encoder(a), encoder(b), same).item())
