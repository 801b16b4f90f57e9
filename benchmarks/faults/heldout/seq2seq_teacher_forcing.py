import random

import torch
import torch.nn as nn

random.seed(203)
torch.manual_seed(203)
VOCAB, LENGTH, HIDDEN, SOS = 6, 4, 64, 6


class Seq2Seq(nn.Module):
    def __init__(self):
        super().__init__()
        self.src = nn.Embedding(VOCAB, 24)
        self.tgt = nn.Embedding(VOCAB + 1, 24)
        self.encoder = nn.GRU(24, HIDDEN, batch_first=True)
        self.cell = nn.GRUCell(24, HIDDEN)
        self.out = nn.Linear(HIDDEN, VOCAB)

    def forward(self, source, target, forcing):
        _, h = self.encoder(self.src(source))
        h, token, scores = h[0], torch.full((len(source),), SOS), []
        for t in range(LENGTH):
            h = self.cell(self.tgt(token), h)
            scores.append(self.out(h))
            token = target[:, t] if random.random() < forcing else scores[-1].argmax(1).detach()
        return torch.stack(scores, dim=1)


model = Seq2Seq()
optimizer = torch.optim.Adam(model.parameters(), lr=8e-3)
criterion = nn.CrossEntropyLoss()
for step in range(250):
    source = torch.randint(0, VOCAB, (48, LENGTH))
    target = source.sort(dim=1)[0]
    scores = model(source, target, forcing=0.7)
    loss = criterion(scores.reshape(-1, VOCAB), target.reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()

model.eval()
with torch.no_grad():
    source = torch.randint(0, VOCAB, (200, LENGTH))
    target = source.sort(dim=1)[0]
    guess = model(source, target, forcing=0.0).argmax(-1)
print("token accuracy", (guess == target).float().mean().item())
