import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset


class Squares(Dataset):
    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        self.images = 0.2 * torch.randn(n, 1, 12, 12, generator=g)
        self.boxes = torch.zeros(n, 2)
        self.kinds = torch.randint(0, 2, (n,), generator=g)
        corners = torch.randint(0, 8, (n, 2), generator=g)
        for i in range(n):
            r, c = corners[i].tolist()
            self.images[i, 0, r : r + 4, c : c + 4] += 1.0
            if self.kinds[i] == 1:
                self.images[i, 0, r + 1 : r + 3, c + 1 : c + 3] -= 1.0
            self.boxes[i] = torch.tensor([r / 8, c / 8])

    def __len__(self):
        return len(self.kinds)

    def __getitem__(self, i):
        return self.images[i], self.boxes[i], self.kinds[i]


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.box = nn.Linear(144, 2)
        self.kind = nn.Linear(144, 2)

    def forward(self, x):
        h = self.trunk(x)
        return self.box(h), self.kind(h)


torch.manual_seed(211)
model = Detector()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
train = DataLoader(Squares(480, 1), batch_size=32, shuffle=True)
for epoch in range(10):
    model.train()
    for image, box, kind in train:
        box_pred, kind_pred = model(image)
        box_loss = F.smooth_l1_loss(box_pred, box)
        kind_loss = F.cross_entropy(kind_pred, kind)
        loss = 10 * box_loss + kind_loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, box_loss.item(), kind_loss.item())

test = Squares(200, 2)
model.eval()
with torch.no_grad():
    box_pred, kind_pred = model(test.images)
    print("kind accuracy", (kind_pred.argmax(1) == test.kinds).float().mean().item())
    print("box mse", F.mse_loss(box_pred, test.boxes).item())
