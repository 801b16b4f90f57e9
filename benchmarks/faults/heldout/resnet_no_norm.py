import torch
import torch.nn as nn
import torch.nn.functional as F


class ResidualBlock(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.fc1 = nn.Linear(dim, dim)
        self.fc2 = nn.Linear(dim, dim)
        for fc in (self.fc1, self.fc2):
            nn.init.kaiming_normal_(fc.weight, nonlinearity="relu")
            nn.init.zeros_(fc.bias)

    def forward(self, x):
        return F.relu(x + self.fc2(F.relu(self.fc1(x))))


class ResMLP(nn.Module):
    def __init__(self, n_in, dim, n_out, blocks):
        super().__init__()
        self.inp = nn.Linear(n_in, dim)
        self.blocks = nn.Sequential(*[ResidualBlock(dim) for _ in range(blocks)])
        self.out = nn.Linear(dim, n_out)

    def forward(self, x):
        return self.out(self.blocks(self.inp(x)))


def main():
    torch.manual_seed(42)
    means = torch.randn(5, 20)
    y = torch.randint(5, (900,))
    x = means[y] + 0.8 * torch.randn(900, 20)
    xt, yt, xv, yv = x[:700], y[:700], x[700:], y[700:]

    model = ResMLP(20, 48, 5, blocks=16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for epoch in range(6):
        order = torch.randperm(700)
        for chunk in order.split(28):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(xt[chunk]), yt[chunk])
            loss.backward()
            optimizer.step()
        print(epoch, loss.item())
    with torch.no_grad():
        accuracy = (model(xv).argmax(1) == yv).float().mean()
    print("val acc", accuracy.item())


if __name__ == "__main__":
    main()
