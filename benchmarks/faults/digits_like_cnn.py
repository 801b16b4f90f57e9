import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(17)
prototypes = (torch.rand(10, 1, 8, 8) > 0.5).float()
labels = torch.randint(0, 10, (1000,))
images = prototypes[labels] + 0.5 * torch.randn(1000, 1, 8, 8)
train_set, val_set = random_split(TensorDataset(images, labels), [800, 200])
train_loader = DataLoader(train_set, batch_size=40, shuffle=True)
val_loader = DataLoader(val_set, batch_size=100)

model = nn.Sequential(
    nn.Conv2d(1, 12, kernel_size=3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(12 * 16, 40),
    nn.ReLU(),
    nn.Linear(40, 10),
    nn.Softmax(dim=1),
)
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)


def train_one_epoch():
    model.train()
    for x, y in train_loader:
        pred = model(x)
        loss = loss_fn(pred, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def validate():
    model.eval()
    hits = 0
    with torch.no_grad():
        for x, y in val_loader:
            hits += (model(x).argmax(1) == y).sum().item()
    return hits / len(val_set)


for epoch in range(10):
    print(epoch, train_one_epoch())
print("val accuracy", validate())
