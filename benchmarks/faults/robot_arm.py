import torch
import torch.nn as nn

torch.manual_seed(77)
angles = (torch.rand(1500, 2) - 0.5) * 3
x = torch.cos(angles[:, 0]) + 0.7 * torch.cos(angles[:, 0] + angles[:, 1])
y = torch.sin(angles[:, 0]) + 0.7 * torch.sin(angles[:, 0] + angles[:, 1])
tips = torch.stack((x, y), dim=1)

model = nn.Sequential(nn.Linear(2, 50), nn.Tanh(), nn.Linear(50, 50), nn.Tanh(), nn.Linear(50, 2))
learning_rate = 1e-6
optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=0.9)
loss_fn = nn.MSELoss()

for t in range(250):
    idx = torch.randint(0, 1200, (64,))
    loss = loss_fn(model(angles[idx]), tips[idx])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if t % 50 == 49:
        print(t, loss.item())

with torch.no_grad():
    print("mse", loss_fn(model(angles[1200:]), tips[1200:]).item())
