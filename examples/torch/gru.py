"""Sequences of different lengths: a bidirectional GRU on packed sequences says which rule it is."""

import numpy as np
import torch
from common import arguments, report, reset
from torch import nn, optim
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

WORDS = 12
RULES = 3


class GRUClassifier(nn.Module):
    """Mean over time of the states of a stacked, bidirectional GRU."""

    def __init__(self, hidden=24):
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 8, padding_idx=0)
        self.gru = nn.GRU(8, hidden, num_layers=2, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(4 * hidden, RULES)

    def forward(self, tokens, lengths):
        packed = pack_padded_sequence(
            self.embedding(tokens), lengths, batch_first=True, enforce_sorted=False
        )
        outputs, last = self.gru(packed)
        padded, lengths = pad_packed_sequence(outputs, batch_first=True)
        mean = padded.sum(dim=1) / lengths.unsqueeze(1).float()
        return self.fc(torch.cat([mean, last[-2], last[-1]], dim=1))


def draw(rng, size):
    """Words 1 … 11 that rise, fall or jump, each sequence of its own length."""
    labels = rng.integers(0, RULES, size)
    sequences = []
    for label in labels:
        words = rng.integers(1, WORDS, rng.integers(3, 13))
        if label < 2:
            words = np.sort(words)[:: 1 - 2 * int(label)]
        sequences.append(torch.from_numpy(words.copy()))
    lengths = torch.tensor([len(s) for s in sequences])
    return pad_sequence(sequences, batch_first=True), lengths, torch.from_numpy(labels)


def main():
    args = arguments(__doc__, steps=60)
    rng = np.random.default_rng(args.seed)
    model = reset(GRUClassifier(), rng)
    with torch.no_grad():
        model.embedding.weight[0] = 0
    optimizer = optim.NAdam(model.parameters(), lr=1e-2)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.steps)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
    losses, accuracy = [], 0.0
    for _ in range(args.steps):
        tokens, lengths, labels = draw(rng, 32)
        optimizer.zero_grad(set_to_none=True)
        logits = model(tokens, lengths)
        loss = criterion(logits, labels)
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
        accuracy = (logits.argmax(1) == labels).double().mean().item()
    report(losses, accuracy=accuracy)


if __name__ == "__main__":
    main()
