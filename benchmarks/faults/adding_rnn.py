import torch
import torch.nn as nn

torch.manual_seed(3)


def make_data(n, length):
    """A symbol (one of four) comes first, then noise; the network has to name the symbol."""
    y = torch.randint(0, 4, (n,))
    x = 0.1 * torch.randn(n, length, 5)
    x[torch.arange(n), 0, y] = 1.0
    return x, y


class Recall(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.rnn = nn.RNN(5, hidden, batch_first=True)
        self.out = nn.Linear(hidden, 4)

    def forward(self, x):
        states, last = self.rnn(x)
        return self.out(last[-1])


net = Recall()
criterion = nn.CrossEntropyLoss()
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
losses = []

for step in range(200):
    x, y = make_data(64, 60)
    opt.zero_grad()
    loss = criterion(net(x), y)
    loss.backward()
    opt.step()
    losses.append(loss.item())
    if step % 50 == 0:
        print(step, losses[-1])

net.eval()
with torch.no_grad():
    x, y = make_data(500, 60)
    acc = (net(x).argmax(dim=1) == y).float().mean().item()
print("accuracy", acc)
