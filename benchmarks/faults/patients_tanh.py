import torch
import torch.nn as nn

torch.manual_seed(9)


def patients(n):
    x = torch.randn(n, 10)
    risk = x[:, 0] + x[:, 1] - x[:, 2] + x[:, 3] * x[:, 4]
    return x, (risk > 0).float().unsqueeze(1)


class Classifier(nn.Module):
    def __init__(self, h=64):
        super().__init__()
        self.l1 = nn.Linear(10, h)
        self.l2 = nn.Linear(h, h)
        self.l3 = nn.Linear(h, h)
        self.l4 = nn.Linear(h, h)
        self.l5 = nn.Linear(h, 1)
        for p in self.parameters():
            nn.init.normal_(p)

    def forward(self, x):
        x = torch.tanh(self.l1(x))
        x = torch.tanh(self.l2(x))
        x = torch.tanh(self.l3(x))
        x = torch.tanh(self.l4(x))
        return self.l5(x)


X, Y = patients(800)
model = Classifier()
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for epoch in range(8):
    for idx in torch.randperm(800).split(40):
        optimizer.zero_grad()
        loss = criterion(model(X[idx]), Y[idx])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())

Xt, Yt = patients(400)
with torch.no_grad():
    print("test loss", criterion(model(Xt), Yt).item())
