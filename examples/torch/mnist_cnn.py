"""Handwritten digits by a small convolutional network, Adadelta and a decaying step size."""

import numpy as np
import torch
import torch.nn.functional as F
from common import MNIST, arguments, batches, mnist, report, reset
from torch import nn, optim
from torch.optim.lr_scheduler import StepLR


class Net(nn.Module):
    """Two convolutions, one max-pooling, two linear layers."""

    def __init__(self):
        super(Net, self).__init__()  # noqa: UP008  as PyTorch programs write it
        self.conv1 = nn.Conv2d(1, 8, 3, 1)
        self.conv2 = nn.Conv2d(8, 16, 3, 1)
        self.fc1 = nn.Linear(16 * 12 * 12, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = F.max_pool2d(x, 2)
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        return F.log_softmax(self.fc2(x), dim=1)


def test(model, images, labels):
    """Share of correct answers."""
    model.eval()
    with torch.no_grad():
        predicted = model(images).argmax(dim=1, keepdim=True)
    return predicted.eq(labels.view_as(predicted)).sum().item() / len(images)


def main():
    args = arguments(__doc__, steps=100, data=MNIST)
    rng = np.random.default_rng(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images, labels = mnist(args.data)
    model = reset(Net(), rng).to(device)
    optimizer = optim.Adadelta(model.parameters(), lr=0.5)
    scheduler = StepLR(optimizer, step_size=30, gamma=0.7)

    losses = []
    model.train()
    for rows in batches(len(images), 64, args.steps, rng):
        data, target = images[rows].to(device), labels[rows].to(device)
        optimizer.zero_grad()
        loss = F.nll_loss(model(data), target)
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())

    test_images, test_labels = mnist(args.data, train=False)
    accuracy = test(model, test_images[:500].to(device), test_labels[:500].to(device))
    report(losses, accuracy=accuracy)


if __name__ == "__main__":
    main()
