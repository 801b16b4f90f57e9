import random

import torch
import torch.nn as nn
import torch.nn.functional as F

random.seed(0)
torch.manual_seed(0)
words = {
    "weather": ["rain", "sun", "cloud", "storm"],
    "music": ["song", "play", "album", "band"],
    "travel": ["train", "ticket", "flight", "hotel"],
    "food": ["eat", "dinner", "pizza", "cook"],
    "money": ["bank", "loan", "card", "pay"],
    "health": ["doctor", "pill", "pain", "sleep"],
    "sport": ["match", "goal", "team", "race"],
    "home": ["lamp", "heat", "door", "alarm"],
    "mail": ["send", "letter", "reply", "stamp"],
    "school": ["class", "exam", "book", "pupil"],
    "shop": ["buy", "price", "shoes", "order"],
    "work": ["boss", "desk", "job", "office"],
}
filler = ["the", "a", "please", "now", "i", "want", "to", "my", "with", "for"]
vocab = {w: i for i, w in enumerate(filler + sum(words.values(), []))}
intents = list(words)


def sentence():
    k = random.randrange(len(intents))
    tokens = [random.choice(filler) for _ in range(6)] + random.sample(words[intents[k]], 2)
    random.shuffle(tokens)
    return [vocab[t] for t in tokens], k


class IntentClassifier(nn.Module):
    def __init__(self, n_words, n_out):
        super().__init__()
        self.embed = nn.Embedding(n_words, 16)
        self.lstm = nn.LSTM(16, 24, batch_first=True)
        self.fc = nn.Linear(24, n_out)

    def forward(self, ids):
        _, (h, _) = self.lstm(self.embed(ids))
        return F.softmax(self.fc(h[-1]), dim=-1)


corpus = [sentence() for _ in range(700)]
ids = torch.tensor([c[0] for c in corpus])
target = torch.tensor([c[1] for c in corpus])
model = IntentClassifier(len(vocab), len(intents))
optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
for epoch in range(12):
    perm = torch.randperm(600)
    for start in range(0, 600, 30):
        pick = perm[start : start + 30]
        optimizer.zero_grad()
        loss = criterion(model(ids[pick]), target[pick])
        loss.backward()
        optimizer.step()
with torch.no_grad():
    probs = model(ids[600:])
    right = (probs.argmax(-1) == target[600:]).float().mean()
print("accuracy", right.item())
