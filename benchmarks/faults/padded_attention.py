import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(2)
VOCAB, LEN, DIM = 20, 12, 16


def sample(n):
    tokens = torch.randint(1, VOCAB, (n, LEN))
    lengths = torch.randint(0, LEN + 1, (n,))
    mask = torch.arange(LEN).unsqueeze(0) < lengths.unsqueeze(1)
    tokens = tokens * mask
    label = ((tokens > 10).sum(1) * 2 > mask.sum(1)).long()
    return tokens, mask, label


class SelfAttention(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x, mask):
        h = self.norm(x)
        scores = torch.matmul(self.q(h), self.k(h).transpose(-2, -1)) / (x.size(-1) ** 0.5)
        scores = scores.masked_fill(~mask.unsqueeze(1), float("-inf"))
        weights = F.softmax(scores, dim=-1)
        return x + torch.matmul(weights, self.v(h))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(VOCAB, DIM, padding_idx=0)
        self.attn = SelfAttention(DIM)
        self.ff = nn.Sequential(nn.Linear(DIM, 32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, tokens, mask):
        h = self.attn(self.emb(tokens), mask)
        keep = mask.unsqueeze(-1).float()
        pooled = (h * keep).sum(1) / keep.sum(1).clamp(min=1)
        return self.ff(pooled)


model = Model()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for step in range(150):
    tokens, mask, label = sample(32)
    loss = F.cross_entropy(model(tokens, mask), label)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 30 == 0:
        print(step, loss.item())

tokens, mask, label = sample(400)
with torch.no_grad():
    print("loss", F.cross_entropy(model(tokens, mask), label).item())
