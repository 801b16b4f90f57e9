import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(29)
features = torch.randn(800, 9)
logit = 1.5 * features[:, 0] - 2.0 * features[:, 1] + features[:, 2] * features[:, 3]
churned = (logit + 0.3 * torch.randn(800) > 0).float().unsqueeze(1)


class ChurnModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(9, 32),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(32, 16),
            nn.ReLU(),
            nn.Linear(16, 1),
        )

    def forward(self, x):
        return self.layers(x)


model = ChurnModel()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
loader = DataLoader(TensorDataset(features[:640], churned[:640]), batch_size=32, shuffle=True)
for epoch in range(10):
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
    print(epoch, float(loss))

model.eval()
with torch.no_grad():
    predicted = (model(features[640:]) > 0).float()
    print("accuracy", (predicted == churned[640:]).float().mean().item())
