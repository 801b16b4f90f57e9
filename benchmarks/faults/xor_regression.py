import torch
import torch.nn as nn
import torch.optim as optim

torch.manual_seed(51)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden1 = nn.Linear(4, 32)
        self.hidden2 = nn.Linear(32, 32)
        self.output = nn.Linear(32, 1)
        for layer in (self.hidden1, self.hidden2, self.output):
            nn.init.constant_(layer.weight, 0.1)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        x = torch.tanh(self.hidden1(x))
        x = torch.tanh(self.hidden2(x))
        return self.output(x)


inputs = torch.randn(800, 4)
targets = (inputs[:, 0] * inputs[:, 1] - inputs[:, 2] * inputs[:, 3]).tanh().unsqueeze(1)
net = Net()
optimizer = optim.Adam(net.parameters(), lr=5e-3)
criterion = nn.MSELoss()
for epoch in range(15):
    for idx in torch.randperm(640).split(40):
        optimizer.zero_grad()
        loss = criterion(net(inputs[idx]), targets[idx])
        loss.backward()
        optimizer.step()
    if epoch % 5 == 4:
        print(epoch + 1, loss.item())
with torch.no_grad():
    print("val", criterion(net(inputs[640:]), targets[640:]).item())
