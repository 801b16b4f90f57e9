import torch
import torch.nn as nn
import torch.optim as optim

torch.manual_seed(11)
SEQ, HID = 30, 24


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.RNNCell(2, HID, nonlinearity="relu")
        self.readout = nn.Linear(HID, 1)
        nn.init.orthogonal_(self.cell.weight_hh, gain=2.0)

    def forward(self, seq):
        h = torch.zeros(seq.size(1), HID)
        for t in range(seq.size(0)):
            h = self.cell(seq[t], h)
        return self.readout(h)


def batch(n=32):
    values = torch.randn(SEQ, n, 1)
    marks = (torch.rand(SEQ, n, 1) < 0.2).float()
    target = (values * marks).sum(0) / 3
    return torch.cat([values, marks], dim=2), target


model = Counter()
optimizer = optim.SGD(model.parameters(), lr=0.01)
criterion = nn.MSELoss()

for it in range(150):
    seq, target = batch()
    optimizer.zero_grad()
    loss = criterion(model(seq), target)
    loss.backward()
    optimizer.step()
    if it % 25 == 0:
        print("iter %d loss %.4g" % (it, loss.item()))

seq, target = batch(256)
with torch.no_grad():
    print("final mse", criterion(model(seq), target).item())
