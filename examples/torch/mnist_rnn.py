"""Handwritten digits read row by row: an LSTM over 28 rows, batch normalisation, a classifier."""

import numpy as np
import torch
import torch.nn.functional as F
from common import MNIST, arguments, batches, mnist, report, reset
from torch import nn, optim


class RowReader(nn.Module):
    """The last state of an LSTM over the rows says which digit it was."""

    def __init__(self, hidden=64):
        super().__init__()
        self.rnn = nn.LSTM(input_size=28, hidden_size=hidden, batch_first=True)
        self.norm = nn.BatchNorm1d(hidden)
        self.fc1 = nn.Linear(hidden, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, images):
        rows = images.reshape(-1, 28, 28)
        outputs, _ = self.rnn(rows)
        last = self.norm(outputs[:, -1, :])
        return F.log_softmax(self.fc2(F.relu(self.fc1(last))), dim=1)


def main():
    args = arguments(__doc__, steps=60, data=MNIST)
    rng = np.random.default_rng(args.seed)
    images, labels = mnist(args.data)
    model = reset(RowReader(), rng)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    criterion = nn.NLLLoss(reduction="mean")

    losses = []
    for rows in batches(len(images), 64, args.steps, rng):
        model.zero_grad()
        loss = criterion(model(images[rows]), labels[rows])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())

    model.eval()
    test_images, test_labels = mnist(args.data, train=False)
    with torch.no_grad():
        _, predicted = torch.max(model(test_images), 1)
    report(losses, accuracy=(predicted == test_labels).float().mean().item())


if __name__ == "__main__":
    main()
