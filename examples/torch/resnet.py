"""A small residual network on digits: batch normalisation, shortcuts, Nesterov momentum, float64.

Float64, because forty steps of this network make 0.01 of a rounding error in float32.
"""

import numpy as np
import torch
import torch.nn as nn  # noqa: PLR0402  as PyTorch programs write it
import torch.nn.functional as F
from common import MNIST, arguments, batches, mnist, report, reset


def conv3x3(inputs, outputs, stride=1):
    """A 3×3 convolution with padding and without bias."""
    return nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)


class BasicBlock(nn.Module):
    """Two convolutions around a shortcut (K. He et al., arXiv:1512.03385)."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv1, self.bn1 = conv3x3(inputs, outputs, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = conv3x3(outputs, outputs), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return F.relu(out)


class ResNet(nn.Module):
    """Three stages of one block each."""

    def __init__(self, classes=10):
        super().__init__()
        self.conv1, self.bn1 = conv3x3(1, 8), nn.BatchNorm2d(8)
        self.layer1 = BasicBlock(8, 8)
        self.layer2 = BasicBlock(8, 16, stride=2)
        self.layer3 = BasicBlock(16, 32, stride=2)
        self.linear = nn.Linear(32, classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, nn.BatchNorm2d):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.layer3(self.layer2(self.layer1(out)))
        out = F.adaptive_avg_pool2d(out, 1)
        return self.linear(torch.flatten(out, 1))


def main():
    args = arguments(__doc__, steps=40, data=MNIST)
    rng = np.random.default_rng(args.seed)
    images, labels = mnist(args.data)
    images = (images.double() - 0.1307) / 0.3081
    model = reset(ResNet().double(), rng)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[25, 35], gamma=0.2)
    losses = []
    for rows in batches(len(images), 32, args.steps, rng):
        optimizer.zero_grad()
        loss = criterion(model(images[rows]), labels[rows])
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        predicted = model(images[:200]).max(1)[1]
    report(losses, accuracy=(predicted == labels[:200]).sum().item() / 200)


if __name__ == "__main__":
    main()
