import torch
import torch.nn as nn

torch.manual_seed(14)


class Tagger(nn.Module):
    def __init__(self, vocab, emb, hid, tags):
        super().__init__()
        self.emb = nn.Embedding(vocab, emb)
        self.lstm = nn.LSTM(emb, hid, batch_first=True)
        self.fc = nn.Linear(hid, tags)

    def forward(self, x):
        h, _ = self.lstm(self.emb(x))
        return self.fc(h)


def data(n):
    x = torch.randint(0, 10, (n, 12))
    prev = torch.cat([torch.zeros(n, 1).long(), x[:, :-1]], 1)
    return x, (x > prev).long() + (x > 6).long()


model = Tagger(10, 12, 32, 3)
loss_fn = nn.CrossEntropyLoss()
opt = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
for step in range(200):
    x, y = data(32)
    scores = model(x)
    loss = loss_fn(scores.view(-1, 3), y.view(-1))
    loss.backward()
    opt.step()
    if (step + 1) % 40 == 0:
        print("step", step + 1, "loss", round(loss.item(), 4))

with torch.no_grad():
    x, y = data(300)
    print("test loss", loss_fn(model(x).view(-1, 3), y.view(-1)).item())
