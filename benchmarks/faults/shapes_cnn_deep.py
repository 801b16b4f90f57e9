import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

np.random.seed(0)
torch.manual_seed(0)


def make_images(n):
    images = np.random.normal(0, 0.3, (n, 1, 12, 12)).astype("float32")
    labels = np.random.randint(0, 3, n)
    for image, label in zip(images, labels):
        r, c = np.random.randint(2, 8, 2)
        if label == 0:
            image[0, r, c - 2 : c + 4] += 1.5
        elif label == 1:
            image[0, r - 2 : r + 4, c] += 1.5
        else:
            image[0, r : r + 3, c : c + 3] += 1.0
    return torch.from_numpy(images), torch.from_numpy(labels)


class DeepNet(nn.Module):
    def __init__(self, depth=8, width=12):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.body = nn.ModuleList([nn.Conv2d(width, width, 3, padding=1) for _ in range(depth)])
        self.fc = nn.Linear(width * 9, 3)

    def forward(self, x):
        x = torch.sigmoid(self.stem(x))
        for conv in self.body:
            x = torch.sigmoid(conv(x))
        x = F.avg_pool2d(x, 4)
        return self.fc(x.view(x.size(0), -1))


train_set = TensorDataset(*make_images(640))
loader = DataLoader(train_set, batch_size=32, shuffle=True)
model = DeepNet()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

for epoch in range(8):
    total = 0.0
    for images, labels in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch + 1}: {total / len(loader):.4f}")

model.eval()
images, labels = make_images(300)
with torch.no_grad():
    predicted = model(images).argmax(1)
print("test accuracy:", (predicted == labels).float().mean().item())
