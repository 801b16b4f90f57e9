import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(24)


class Encoder(nn.Module):
    def __init__(self, vocab=16, d=32, length=8):
        super().__init__()
        self.tokens = nn.Embedding(vocab, d)
        self.positions = nn.Parameter(0.1 * torch.randn(length, d))
        self.attention = nn.MultiheadAttention(d, 4, batch_first=True)
        self.norm1 = nn.LayerNorm(d)
        self.mlp = nn.Sequential(nn.Linear(d, 64), nn.GELU(), nn.Linear(64, d))
        self.norm2 = nn.LayerNorm(d)
        self.head = nn.Linear(d, 2)

    def forward(self, ids):
        x = self.tokens(ids) + self.positions
        x = self.norm1(x + self.attention(x, x, x, need_weights=False)[0])
        x = self.norm2(x + self.mlp(x))
        return self.head(x.mean(1))


def examples(n):
    ids = torch.randint(0, 16, (n, 8))
    answer = (ids[:, 0] > ids[:, 7]).long()
    return ids, answer


model = Encoder()
for name, param in model.named_parameters():
    if not name.startswith("head"):
        param.requires_grad = False
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
for step in range(250):
    ids, answer = examples(32)
    loss = F.cross_entropy(model(ids), answer)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 50 == 0:
        print(step, loss.item())
model.eval()
ids, answer = examples(500)
with torch.no_grad():
    print("loss", F.cross_entropy(model(ids), answer).item())
