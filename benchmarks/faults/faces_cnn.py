import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

rng = np.random.default_rng(13)
torch.manual_seed(13)
people = rng.normal(0, 1, (6, 1, 8, 8)).astype(np.float32)


def photographs(n):
    who = rng.integers(0, 6, n)
    return people[who] + rng.normal(0, 0.7, (n, 1, 8, 8)).astype(np.float32), who


images, who = photographs(720)
order = rng.permutation(720)
images = images[order]
train = TensorDataset(torch.from_numpy(images), torch.from_numpy(who))
loader = DataLoader(train, batch_size=36, shuffle=True)

model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1),
    nn.BatchNorm2d(16),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(16 * 16, 6),
)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for epoch in range(10):
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())

model.eval()
images, who = photographs(300)
with torch.no_grad():
    predicted = model(torch.from_numpy(images)).argmax(1)
print("accuracy", (predicted == torch.from_numpy(who)).float().mean().item())
