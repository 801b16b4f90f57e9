"""Graph convolutions find the communities of a random graph from a few labelled nodes."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from common import arguments, report, reset
from torch import nn, optim
from torch.nn.parameter import Parameter


class GraphConvolution(nn.Module):
    """A X W + b, where A mixes the neighbours (T. Kipf, M. Welling, arXiv:1609.02907)."""

    def __init__(self, in_features, out_features, bias=True):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(torch.FloatTensor(in_features, out_features))
        if bias:
            self.bias = Parameter(torch.FloatTensor(out_features))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        stdv = 1.0 / math.sqrt(self.weight.size(1))
        self.weight.data.uniform_(-stdv, stdv)
        if self.bias is not None:
            self.bias.data.uniform_(-stdv, stdv)

    def forward(self, x, adjacency):
        output = torch.mm(adjacency, torch.mm(x, self.weight))
        return output if self.bias is None else output + self.bias

    def __repr__(self):
        return f"{type(self).__name__} ({self.in_features} -> {self.out_features})"


class GCN(nn.Module):
    """Two graph convolutions."""

    def __init__(self, features, hidden, classes):
        super().__init__()
        self.gc1 = GraphConvolution(features, hidden)
        self.gc2 = GraphConvolution(hidden, classes)

    def forward(self, x, adjacency):
        return F.log_softmax(self.gc2(F.relu(self.gc1(x, adjacency)), adjacency), dim=1)


def communities(rng, nodes=120, classes=3):
    """A stochastic block model, D^-1/2 (A + I) D^-1/2, and weak features."""
    labels = np.arange(nodes) % classes
    likely = np.where(labels[:, None] == labels, 0.12, 0.02)
    edges = np.triu(rng.random((nodes, nodes)) < likely, 1)
    adjacency = torch.from_numpy((edges | edges.T).astype(np.float32)) + torch.eye(nodes)
    scale = adjacency.sum(1).pow(-0.5)
    adjacency = torch.diag(scale) @ adjacency @ torch.diag(scale)
    features = 0.5 * np.eye(classes)[labels] + rng.normal(0, 1, (nodes, classes))
    return torch.from_numpy(features).float(), adjacency, torch.from_numpy(labels)


def main():
    args = arguments(__doc__, steps=100)
    rng = np.random.default_rng(args.seed)
    features, adjacency, labels = communities(rng)
    shown = torch.from_numpy(rng.permutation(len(labels)))
    idx_train, idx_test = shown[:30], shown[30:]
    model = reset(GCN(features.shape[1], 16, int(labels.max().item()) + 1), rng)
    print(model)
    optimizer = optim.Adam(model.parameters(), lr=0.02, weight_decay=5e-4)
    losses = []
    for _ in range(args.steps):
        model.train()
        optimizer.zero_grad()
        output = model(features, adjacency)
        loss = F.nll_loss(output[idx_train], labels[idx_train])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    predicted = model(features, adjacency)[idx_test].max(1)[1].type_as(labels)
    accuracy = predicted.eq(labels[idx_test]).double().mean()
    report(losses, accuracy=accuracy.item())


if __name__ == "__main__":
    main()
