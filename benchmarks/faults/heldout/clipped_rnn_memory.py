import torch
import torch.nn as nn

torch.manual_seed(229)


class ElmanNet(nn.Module):
    def __init__(self, n_in, n_hidden, n_out):
        super().__init__()
        self.rnn = nn.RNN(n_in, n_hidden, nonlinearity="tanh")
        self.out = nn.Linear(n_hidden, n_out)
        nn.init.orthogonal_(self.rnn.weight_hh_l0)

    def forward(self, x):
        h, _ = self.rnn(x)
        return self.out(h)


def delayed(n, T=14, lag=3):
    bits = torch.randint(0, 2, (T, n, 1)).float()
    target = torch.zeros_like(bits)
    target[lag:] = bits[:-lag]
    return 2 * bits - 1, target


net = ElmanNet(1, 32, 1)
optimizer = torch.optim.RMSprop(net.parameters(), lr=3e-3)
bce = nn.BCEWithLogitsLoss()
for step in range(250):
    x, y = delayed(32)
    loss = bce(net(x)[3:], y[3:])
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()
    if step % 50 == 0:
        print(step, loss.item())
with torch.no_grad():
    x, y = delayed(300)
    print("loss", bce(net(x)[3:], y[3:]).item())
