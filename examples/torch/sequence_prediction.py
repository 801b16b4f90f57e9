"""Predict the yearly number of sunspots: two LSTM cells, LBFGS with a closure, float64."""

import csv

import numpy as np
import torch
from common import HERE, arguments, report, reset
from torch import nn, optim


class Forecaster(nn.Module):
    """One step at a time; beyond the data it goes on from its own predictions."""

    def __init__(self, hidden=16):
        super().__init__()
        self.hidden = hidden
        self.lstm1 = nn.LSTMCell(1, hidden)
        self.lstm2 = nn.LSTMCell(hidden, hidden)
        self.linear = nn.Linear(hidden, 1)

    def forward(self, inputs, future=0):
        outputs = []
        h1 = torch.zeros(inputs.size(0), self.hidden, dtype=torch.double)
        c1 = torch.zeros_like(h1)
        h2, c2 = torch.zeros_like(h1), torch.zeros_like(h1)
        for x in inputs.split(1, dim=1):
            h1, c1 = self.lstm1(x, (h1, c1))
            h2, c2 = self.lstm2(h1, (h2, c2))
            output = self.linear(h2)
            outputs += [output]
        for _ in range(future):
            h1, c1 = self.lstm1(output, (h1, c1))
            h2, c2 = self.lstm2(h1, (h2, c2))
            output = self.linear(h2)
            outputs += [output]
        return torch.cat(outputs, dim=1)


def windows(path, length):
    """Overlapping stretches of the square root of the series, scaled to about one."""
    with open(path, newline="") as file:
        counts = np.array([float(row["SUNACTIVITY"]) for row in csv.DictReader(file)])
    series = np.sqrt(counts) / 5 - 1
    starts = range(0, len(series) - length, 12)
    return torch.from_numpy(np.stack([series[start : start + length] for start in starts]))


def main():
    args = arguments(__doc__, steps=5, data=HERE / "data" / "sunspots.csv")
    rng = np.random.default_rng(args.seed)
    data = windows(args.data, 45)
    inputs, target = data[2:, :-1], data[2:, 1:]
    test_inputs, test_target = data[:2, :-1], data[:2, 1:]
    model = reset(Forecaster().double(), rng)
    criterion = nn.MSELoss()
    optimizer = optim.LBFGS(model.parameters(), lr=0.5, max_iter=6)

    losses = []
    for _ in range(args.steps):

        def closure():
            optimizer.zero_grad()
            loss = criterion(model(inputs), target)
            loss.backward()
            return loss

        losses.append(optimizer.step(closure).item())

    with torch.no_grad():
        predicted = model(test_inputs, future=20)
        test_loss = criterion(predicted[:, :-20], test_target)
    print("to come", predicted[0, -20:].numpy().round(2).tolist())
    report(losses, test_loss=test_loss.item())


if __name__ == "__main__":
    main()
