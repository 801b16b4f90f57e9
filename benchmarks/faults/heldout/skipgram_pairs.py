import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(241)
WORDS, GROUPS, DIM = 120, 6, 16


def pairs(n):
    centre = torch.randint(0, WORDS, (n,))
    shift = GROUPS * torch.randint(1, WORDS // GROUPS, (n,))
    return centre, (centre + shift) % WORDS, torch.randint(0, WORDS, (n, 4))


class SkipGram(nn.Module):
    def __init__(self):
        super().__init__()
        self.centre = nn.Embedding(WORDS, DIM)
        self.context = nn.Embedding(WORDS, DIM)
        self.centre.weight.data.uniform_(-0.5, 0.5)
        self.context.weight.data.uniform_(-0.5, 0.5)

    def forward(self, c, o, negatives):
        v = self.centre(c)
        positive = (v * self.context(o)).sum(1)
        negative = torch.bmm(self.context(negatives), v.unsqueeze(2)).squeeze(2)
        return -(F.logsigmoid(positive) + F.logsigmoid(-negative).sum(1)).mean()


model = SkipGram()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-2)
for step in range(300):
    loss = model(*pairs(64))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 60 == 0:
        print(step, loss.item())
with torch.no_grad():
    v = F.normalize(model.centre.weight, dim=1)
    similar = v @ v.t() - 2 * torch.eye(WORDS)
    found = similar.argmax(1)
print("group accuracy", (found % GROUPS == torch.arange(WORDS) % GROUPS).float().mean().item())
