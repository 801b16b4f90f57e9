"""A siamese network: two images through one network, and whether they show the same digit."""

import numpy as np
import torch
import torch.nn.functional as F
from common import MNIST, arguments, mnist, report, reset
from torch import nn, optim
from torch.utils.data import DataLoader, Dataset


class Pairs(Dataset):
    """Pairs of images; 1 where the two digits are the same, else 0."""

    def __init__(self, images, labels, count, rng):
        self.images, self.labels = images, labels
        by_digit = [np.flatnonzero(labels.numpy() == digit) for digit in range(10)]
        self.pairs = []
        for i in range(count):
            first = int(rng.integers(len(images)))
            digit = int(labels[first])
            other = digit if i % 2 else (digit + int(rng.integers(1, 10))) % 10
            self.pairs.append((first, int(rng.choice(by_digit[other])), float(i % 2)))

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        first, second, same = self.pairs[index]
        return self.images[first], self.images[second], torch.tensor(same, dtype=torch.float)


class SiameseNetwork(nn.Module):
    """The same convolutions for both; a linear layer compares."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 5, stride=2), nn.PReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3), nn.PReLU(), nn.Flatten(), nn.Linear(16 * 4 * 4, 32),
        )  # fmt: skip
        self.fc = nn.Sequential(nn.Linear(64, 32), nn.ReLU(inplace=True), nn.Linear(32, 1))

    def forward_once(self, x):
        return F.normalize(self.features(x), p=2, dim=1)

    def forward(self, first, second):
        a, b = self.forward_once(first), self.forward_once(second)
        return self.fc(torch.cat((a * b, torch.abs(a - b)), 1)).squeeze(1), a, b


def main():
    args = arguments(__doc__, steps=60, data=MNIST)
    rng = np.random.default_rng(args.seed)
    pairs = Pairs(*mnist(args.data), args.steps * 32, rng)
    loader = DataLoader(pairs, batch_size=32, shuffle=False, drop_last=True)
    model = reset(SiameseNetwork(), rng)
    optimizer = optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
    classify, contrast = nn.BCEWithLogitsLoss(), nn.CosineEmbeddingLoss(margin=0.3)
    losses, right = [], []
    for first, second, same in loader:
        optimizer.zero_grad()
        logits, a, b = model(first, second)
        loss = classify(logits, same) + 0.5 * contrast(a, b, 2 * same - 1)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        right.append(((logits > 0) == (same > 0.5)).float().mean().item())
    report(losses, accuracy=float(np.mean(right[-10:])))


if __name__ == "__main__":
    main()
