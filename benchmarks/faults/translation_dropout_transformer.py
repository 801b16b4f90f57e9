import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(149)
VOCAB, LENGTH, DIM, WARMUP = 12, 6, 32, 60
cipher = torch.randperm(VOCAB)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(VOCAB, DIM)
        self.pos = nn.Parameter(torch.randn(1, LENGTH, DIM) * 0.5)
        layer = nn.TransformerEncoderLayer(
            DIM, 4, 64, dropout=0.3, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Linear(DIM, VOCAB)

    def forward(self, src):
        return self.out(self.encoder(self.emb(src) + self.pos))


model = Net()
optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.1)
scheduler = torch.optim.lr_scheduler.LambdaLR(
    optimizer, lambda s: min((s + 1) / WARMUP, (WARMUP / (s + 1)) ** 0.5)
)
model.train()
for step in range(280):
    src = torch.randint(0, VOCAB, (32, LENGTH))
    tgt = cipher[torch.roll(src, 1, dims=1)]
    loss = F.cross_entropy(model(src).transpose(1, 2), tgt)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    scheduler.step()
    if step % 40 == 0:
        print(step, loss.item())
model.eval()
with torch.no_grad():
    src = torch.randint(0, VOCAB, (200, LENGTH))
    tgt = cipher[torch.roll(src, 1, dims=1)]
    print("loss", F.cross_entropy(model(src).transpose(1, 2), tgt).item())
