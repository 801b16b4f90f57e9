import torch
import torch.nn as nn
from torch.optim.lr_scheduler import CosineAnnealingLR

torch.manual_seed(131)
patterns = torch.randn(6, 3, 8, 8)
y = torch.randint(0, 6, (720,))
x = patterns[y] + 1.2 * torch.randn(720, 3, 8, 8)


def conv_block(cin, cout):
    return nn.Sequential(
        nn.Conv2d(cin, cout, 3, padding=1, bias=False),
        nn.BatchNorm2d(cout),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    )


net = nn.Sequential(
    conv_block(3, 16), conv_block(16, 24), nn.Flatten(), nn.Dropout(0.3), nn.Linear(96, 6)
)
criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
optimizer = torch.optim.SGD(
    net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True
)
scheduler = CosineAnnealingLR(optimizer, T_max=8)
for epoch in range(8):
    net.train()
    for idx in torch.randperm(600).split(40):
        optimizer.zero_grad()
        loss = criterion(net(x[idx]), y[idx])
        loss.backward()
        optimizer.step()
    scheduler.step()
    net.eval()
    with torch.no_grad():
        acc = (net(x[600:]).argmax(1) == y[600:]).float().mean().item()
    print(epoch, loss.item(), "accuracy", acc)
