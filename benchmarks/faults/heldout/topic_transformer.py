import numpy as np
import torch
import torch.nn as nn

rng = np.random.RandomState(2)
torch.manual_seed(2)
TOPICS, VOCAB, LENGTH = 4, 32, 12
profile = rng.dirichlet(np.full(VOCAB, 0.15), TOPICS)


def documents(n):
    topic = rng.randint(0, TOPICS, (n, 1))
    words = np.stack([rng.choice(VOCAB, LENGTH, p=profile[t]) for t in topic[:, 0]])
    return words, topic


def to_tensors(words, topic):
    return torch.from_numpy(words), torch.from_numpy(np.argmax(topic, axis=1))


class TopicModel(nn.Module):
    def __init__(self, d=24):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, d)
        self.layer = nn.TransformerEncoderLayer(d, 2, 48, dropout=0.1, batch_first=True)
        self.head = nn.Linear(d, TOPICS)

    def forward(self, words):
        return self.head(self.layer(self.embed(words)).mean(dim=1))


x, y = to_tensors(*documents(600))
model = TopicModel()
opt = torch.optim.Adam(model.parameters(), lr=2e-3)
loss_fn = nn.CrossEntropyLoss()
for epoch in range(6):
    model.train()
    for rows in torch.randperm(600).split(30):
        opt.zero_grad()
        loss = loss_fn(model(x[rows]), y[rows])
        loss.backward()
        opt.step()
    print(f"epoch {epoch + 1} loss {loss.item():.5f}")

model.eval()
words, topic = documents(200)
with torch.no_grad():
    guess = model(torch.from_numpy(words)).argmax(dim=1).numpy()
print("accuracy", float((guess == topic[:, 0]).mean()))
