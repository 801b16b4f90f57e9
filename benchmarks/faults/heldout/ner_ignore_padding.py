import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(233)
VOCAB, TAGS, MAXLEN = 24, 3, 10


def sentences(n):
    tokens = torch.randint(1, VOCAB, (n, MAXLEN))
    lengths = torch.randint(3, MAXLEN + 1, (n,))
    pad = torch.arange(MAXLEN) >= lengths.unsqueeze(1)
    after_title = torch.cat([torch.zeros(n, 1, dtype=torch.bool), tokens[:, :-1] <= 4], dim=1)
    tags = torch.where(tokens >= 16, 1, 0)
    tags = torch.where(after_title, 2, tags)
    return tokens.masked_fill(pad, 0), tags.masked_fill(pad, -100)


class BiLSTMTagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, 16, padding_idx=0)
        self.lstm = nn.LSTM(16, 24, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(48, TAGS)

    def forward(self, tokens):
        h, _ = self.lstm(self.embedding(tokens))
        return self.fc(self.dropout(h))


model = BiLSTMTagger()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
for step in range(150):
    model.train()
    tokens, tags = sentences(24)
    logits = model(tokens)
    loss = F.cross_entropy(logits.reshape(-1, TAGS), tags.reshape(-1), ignore_index=-100)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

model.eval()
tokens, tags = sentences(200)
with torch.no_grad():
    logits = model(tokens)
    print(
        "loss",
        F.cross_entropy(logits.reshape(-1, TAGS), tags.reshape(-1), ignore_index=-100).item(),
    )
