import torch
import torch.nn as nn
import torch.optim as optim

torch.manual_seed(12)
VOCAB, LENGTH, HIDDEN = 8, 5, 48


class EncoderRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, HIDDEN)
        self.gru = nn.GRU(HIDDEN, HIDDEN, batch_first=True)

    def forward(self, tokens):
        _, hidden = self.gru(self.embedding(tokens))
        return hidden


class DecoderRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB + 1, HIDDEN)
        self.gru = nn.GRU(HIDDEN, HIDDEN, batch_first=True)
        self.out = nn.Linear(HIDDEN, VOCAB)

    def forward(self, tokens, hidden):
        output, hidden = self.gru(self.embedding(tokens), hidden)
        return self.out(output)


def batch(n):
    source = torch.randint(0, VOCAB, (n, LENGTH))
    target = torch.flip(source, [1])
    start = torch.full((n, 1), VOCAB)
    return source, torch.cat([start, target[:, :-1]], dim=1), target


encoder, decoder = EncoderRNN(), DecoderRNN()
criterion = nn.CrossEntropyLoss()
optimizer = optim.Adam(decoder.parameters(), lr=5e-3)

for step in range(250):
    source, decoder_input, target = batch(64)
    optimizer.zero_grad()
    logits = decoder(decoder_input, encoder(source))
    loss = criterion(logits.reshape(-1, VOCAB), target.reshape(-1))
    loss.backward()
    optimizer.step()
    if step % 50 == 0:
        print(step, loss.item())

source, decoder_input, target = batch(300)
with torch.no_grad():
    logits = decoder(decoder_input, encoder(source))
    print("loss", criterion(logits.reshape(-1, VOCAB), target.reshape(-1)).item())
