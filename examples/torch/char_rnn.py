"""Read Hamlet character by character: LSTM, truncated backpropagation through time, sampling."""

import numpy as np
import torch
from common import HERE, arguments, report, reset
from torch import nn


class CharRNN(nn.Module):
    """Embedding, two layers of LSTM, a decoder that shares no weights."""

    def __init__(self, characters, embedding=24, hidden=64, layers=2):
        super().__init__()
        self.drop = nn.Dropout(0.0)
        self.encoder = nn.Embedding(characters, embedding)
        self.rnn = nn.LSTM(embedding, hidden, layers, dropout=0.0)
        self.decoder = nn.Linear(hidden, characters)
        self.layers, self.hidden = layers, hidden

    def forward(self, inputs, state):
        output, state = self.rnn(self.drop(self.encoder(inputs)), state)
        return self.decoder(output), state

    def init_hidden(self, batch):
        weight = next(self.parameters())
        return (
            weight.new_zeros(self.layers, batch, self.hidden),
            weight.new_zeros(self.layers, batch, self.hidden),
        )


def batchify(ids, batch):
    """The text in `batch` columns, time down."""
    rows = ids.size(0) // batch
    return ids.narrow(0, 0, rows * batch).view(batch, -1).t().contiguous()


def sample(model, stoi, itos, rng, length=120, temperature=0.8):
    """Let the model write."""
    model.eval()
    state = model.init_hidden(1)
    current = torch.tensor([[stoi["H"]]])
    written = []
    with torch.no_grad():
        for _ in range(length):
            logits, state = model(current, state)
            probs = torch.softmax(logits.view(-1) / temperature, dim=0)
            drawn = int(np.searchsorted(probs.cumsum(0).numpy(), rng.random()))
            drawn = min(drawn, len(itos) - 1)
            written.append(itos[drawn])
            current.fill_(drawn)
    return "".join(written)


def main():
    args = arguments(__doc__, steps=60, data=HERE / "data" / "hamlet.txt")
    rng = np.random.default_rng(args.seed)
    text = args.data.read_text(encoding="utf-8")
    itos = sorted(set(text))
    stoi = {character: i for i, character in enumerate(itos)}
    source = batchify(torch.tensor([stoi[c] for c in text], dtype=torch.long), 16)
    model = reset(CharRNN(len(itos)), rng)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    criterion = nn.CrossEntropyLoss()
    bptt, losses, state, at = 25, [], None, 0
    for _ in range(args.steps):
        if state is None or at + bptt >= len(source):
            state, at = model.init_hidden(16), 0
        state = tuple(h.detach() for h in state)
        data, targets = source[at : at + bptt], source[at + 1 : at + 1 + bptt]
        optimizer.zero_grad()
        output, state = model(data, state)
        loss = criterion(output.view(-1, len(itos)), targets.reshape(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        at += bptt
        losses.append(loss.item())
    print(sample(model, stoi, itos, rng))
    report(losses, perplexity=float(np.exp(losses[-1])))


if __name__ == "__main__":
    main()
