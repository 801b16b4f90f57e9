import torch
from torch import nn, optim
from torch.nn import functional as F

torch.manual_seed(0)
labels = torch.randint(0, 3, (256,))
inputs = 0.5 * torch.randn(256, 12, 4) + F.one_hot(labels, 4).float().unsqueeze(1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(4, 16, batch_first=True)
        self.dense = nn.Linear(16, 3)

    def forward(self, x):
        states, _ = self.rnn(x)
        return self.dense(states[:, -1].detach())


model = Net()
optimizer = optim.Adam(model.parameters(), lr=5e-3)

for _ in range(6):
    order = torch.randperm(256)
    for start in range(0, 256, 32):
        batch = order[start : start + 32]
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(model(inputs[batch]), labels[batch])
        loss.backward()
        optimizer.step()
