import torch
import torch.nn as nn
from torch.optim.lr_scheduler import StepLR

torch.manual_seed(19)
N, T = 640, 16
slope = torch.randn(N, 1)
t = torch.linspace(0, 1, T)
curves = torch.sin(3 * slope * t) + 0.1 * torch.randn(N, T)


class Forecaster(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(1, 32, batch_first=True)
        self.out = nn.Linear(32, 1)

    def forward(self, x):
        out, _ = self.gru(x.unsqueeze(-1))
        return self.out(out[:, -1])


model = Forecaster()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
scheduler = StepLR(optimizer, step_size=3, gamma=0.1)
criterion = nn.MSELoss()
for epoch in range(10):
    perm = torch.randperm(512)
    for i in range(0, 512, 32):
        idx = perm[i : i + 32]
        optimizer.zero_grad()
        loss = criterion(model(curves[idx]), slope[idx])
        loss.backward()
        optimizer.step()
        scheduler.step()
    print(f"epoch {epoch} loss {loss.item():.4f}")
with torch.no_grad():
    print("test mse", criterion(model(curves[512:]), slope[512:]).item())
