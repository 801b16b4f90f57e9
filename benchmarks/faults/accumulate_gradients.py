import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(113)
x = torch.randn(960, 12)
y = (x[:, :3].sum(1) + 0.5 * x[:, 3] * x[:, 4] > 0).long()
loader = DataLoader(TensorDataset(x[:800], y[:800]), batch_size=10, shuffle=True)
model = nn.Sequential(nn.Linear(12, 48), nn.ReLU(), nn.Linear(48, 2))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
accumulation_steps = 4

optimizer.zero_grad()
for epoch in range(4):
    for i, (inputs, labels) in enumerate(loader):
        loss = criterion(model(inputs), labels) / accumulation_steps
        loss.backward()
        if (i + 1) % accumulation_steps == 0:
            optimizer.step()
            optimizer.zero_grad()
    print(epoch, loss.item() * accumulation_steps)

model.eval()
with torch.no_grad():
    print("accuracy", (model(x[800:]).argmax(1) == y[800:]).float().mean().item())
