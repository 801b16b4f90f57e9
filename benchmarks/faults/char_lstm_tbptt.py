import torch
import torch.nn as nn

torch.manual_seed(163)
text = (
    "she sells sea shells by the sea shore and the shells she sells are sea shells for sure. " * 30
)
chars = sorted(set(text))
ids = torch.tensor([chars.index(c) for c in text])
BATCH, CHUNK = 8, 16
columns = len(ids) // BATCH
stream = ids[: BATCH * columns].view(BATCH, columns)


class CharLSTM(nn.Module):
    def __init__(self, n, hidden=48):
        super().__init__()
        self.emb = nn.Embedding(n, 16)
        self.lstm = nn.LSTM(16, hidden, batch_first=True)
        self.out = nn.Linear(hidden, n)

    def forward(self, x, state=None):
        h, state = self.lstm(self.emb(x), state)
        return self.out(h), state


model = CharLSTM(len(chars))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
criterion = nn.CrossEntropyLoss()
for epoch in range(7):
    state = None
    for start in range(0, columns - CHUNK - 1, CHUNK):
        x = stream[:, start : start + CHUNK]
        y = stream[:, start + 1 : start + CHUNK + 1]
        if state is not None:
            state = tuple(s.detach() for s in state)
        logits, state = model(x, state)
        loss = criterion(logits.reshape(-1, len(chars)), y.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    print("epoch", epoch, "loss", loss.item())
