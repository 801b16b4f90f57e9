import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(261)
SHARPNESS = 40.0


class SwitchRNN(nn.Module):
    def __init__(self, n_in=4, hidden=24, n_out=3):
        super().__init__()
        self.inp = nn.Linear(n_in, hidden)
        self.rec = nn.Linear(hidden, hidden, bias=False)
        self.out = nn.Linear(hidden, n_out)

    def forward(self, x):
        h = torch.zeros(x.shape[0], self.rec.in_features)
        for t in range(x.shape[1]):
            h = torch.tanh(SHARPNESS * (self.inp(x[:, t]) + self.rec(h)))
        return self.out(h)


def walks(n):
    steps = torch.randn(n, 10, 4)
    total = steps.sum(1)
    return steps, total[:, :3].argmax(1)


net = SwitchRNN()
optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
for step in range(250):
    x, y = walks(32)
    loss = F.cross_entropy(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 50 == 0:
        print(step, loss.item())
with torch.no_grad():
    x, y = walks(500)
    print("loss", F.cross_entropy(net(x), y).item())
