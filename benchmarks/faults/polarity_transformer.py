import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(41)
POSITIVE, NEGATIVE, VOCAB, LENGTH = 5, 10, 40, 14


def reviews(n):
    y = torch.randint(0, 2, (n,))
    tokens = torch.randint(10, VOCAB, (n, LENGTH))
    hot = torch.where(
        y.bool().unsqueeze(1), torch.randint(0, 5, (n, 3)), torch.randint(5, 10, (n, 3))
    )
    tokens[:, 2:5] = hot
    flip = torch.randint(0, 10, (n,))
    tokens[:, 9] = flip
    return tokens, y


class ReviewTransformer(nn.Module):
    def __init__(self, d=32, p=0.5):
        super().__init__()
        self.emb = nn.Embedding(VOCAB, d)
        self.drop = nn.Dropout(p)
        self.attn = nn.MultiheadAttention(d, 2, dropout=p, batch_first=True)
        self.ln = nn.LayerNorm(d)
        self.ff = nn.Sequential(nn.Linear(d, 64), nn.ReLU(), nn.Dropout(p), nn.Linear(64, 2))

    def forward(self, tokens):
        x = self.drop(self.emb(tokens))
        a, _ = self.attn(x, x, x)
        x = self.ln(x + self.drop(a))
        return self.ff(x.mean(1))


model = ReviewTransformer()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
train_x, train_y = reviews(640)
val_x, val_y = reviews(320)

for epoch in range(10):
    for idx in torch.randperm(640).split(32):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(train_x[idx]), train_y[idx])
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        val_loss = F.cross_entropy(model(val_x), val_y)
    print(f"epoch {epoch} train {loss.item():.3f} val {val_loss.item():.3f}")
print("final", val_loss.item())
