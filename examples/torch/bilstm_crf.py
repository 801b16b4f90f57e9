"""Tags for words: a bidirectional LSTM under a conditional random field, decoded by Viterbi."""

import numpy as np
import torch
from common import arguments, report, reset
from torch import autograd, nn, optim

START, STOP = "<start>", "<stop>"
TAGS = {"B": 0, "I": 1, "O": 2, START: 3, STOP: 4}
SENTENCES = [
    ("the river bank opened its doors on monday morning", "O B I O O O O B I"),
    ("ada lovelace wrote notes on the analytical engine", "B I O O O O B I"),
    ("new york lies on the hudson river", "B I O O O B I"),
    ("they met emmy noether in göttingen", "O O B I O B"),
]


def argmax(vec):
    """Index of the largest, as a Python integer."""
    _, idx = torch.max(vec, 1)
    return idx.item()


def log_sum_exp(vec):
    """log Σ exp of a row, shifted by its maximum."""
    max_score = vec[0, argmax(vec)]
    shifted = vec - max_score.view(1, -1).expand(1, vec.size()[1])
    return max_score + torch.log(torch.sum(torch.exp(shifted)))


class BiLSTMCRF(nn.Module):
    """Emissions by a bidirectional LSTM, transitions[i, j] scores the step from tag j to tag i."""

    def __init__(self, words, embedding=8, hidden=8):
        super().__init__()
        self.hidden = hidden
        self.word_embeds = nn.Embedding(words, embedding)
        self.lstm = nn.LSTM(embedding, hidden // 2, num_layers=1, bidirectional=True)
        self.hidden2tag = nn.Linear(hidden, len(TAGS))
        self.transitions = nn.Parameter(torch.randn(len(TAGS), len(TAGS)))

    def forbid(self):
        """Nothing goes to the start, nothing comes from the stop."""
        self.transitions.data[TAGS[START], :] = -10000
        self.transitions.data[:, TAGS[STOP]] = -10000

    def _features(self, sentence):
        state = (torch.zeros(2, 1, self.hidden // 2), torch.zeros(2, 1, self.hidden // 2))
        embeds = self.word_embeds(sentence).view(len(sentence), 1, -1)
        lstm_out, _ = self.lstm(embeds, state)
        return self.hidden2tag(lstm_out.view(len(sentence), self.hidden))

    def _forward_alg(self, feats):
        """Logarithm of the partition function."""
        init = torch.full((1, len(TAGS)), -10000.0)
        init[0, TAGS[START]] = 0.0
        forward_var = init
        for feat in feats:
            alphas = []
            for tag in range(len(TAGS)):
                emit = feat[tag].view(1, -1).expand(1, len(TAGS))
                step = self.transitions[tag].view(1, -1)
                alphas.append(log_sum_exp(forward_var + step + emit).view(1))
            forward_var = torch.cat(alphas).view(1, -1)
        return log_sum_exp(forward_var + self.transitions[TAGS[STOP]])

    def _score(self, feats, tags):
        """Score of the given tags."""
        score = torch.zeros(1)
        tags = torch.cat([torch.tensor([TAGS[START]], dtype=torch.long), tags])
        for i, feat in enumerate(feats):
            score = score + self.transitions[tags[i + 1], tags[i]] + feat[tags[i + 1]]
        return score + self.transitions[TAGS[STOP], tags[-1]]

    def neg_log_likelihood(self, sentence, tags):
        feats = self._features(sentence)
        return self._forward_alg(feats) - self._score(feats, tags)

    def forward(self, sentence):
        """The best tags and their score."""
        feats = self._features(sentence)
        best = torch.full((len(TAGS),), -10000.0)
        best[TAGS[START]] = 0
        pointers = []
        for feat in feats:
            best, came_from = torch.max(best + self.transitions, dim=1)
            best = best + feat
            pointers.append(came_from.tolist())
        final = best + self.transitions[TAGS[STOP]]
        tag = int(torch.argmax(final))
        path = [tag]
        for came_from in reversed(pointers):
            path.append(came_from[path[-1]])
        return final[tag].item(), path[::-1][1:]


def main():
    args = arguments(__doc__, steps=10)
    rng = np.random.default_rng(args.seed)
    data = [(words.split(), tags.split()) for words, tags in SENTENCES]
    ids = {}
    for words, _ in data:
        for word in words:
            ids.setdefault(word, len(ids))
    model = reset(BiLSTMCRF(len(ids)), rng)
    model.forbid()
    optimizer = optim.SGD(model.parameters(), lr=0.05, weight_decay=1e-4)
    losses = []
    for _ in range(args.steps):
        total = 0.0
        for words, tags in data:
            model.zero_grad()
            sentence = autograd.Variable(torch.LongTensor([ids[w] for w in words]))
            targets = torch.tensor([TAGS[t] for t in tags], dtype=torch.long)
            loss = model.neg_log_likelihood(sentence, targets)
            loss.backward()
            optimizer.step()
            total += loss.item()
        losses.append(total / len(data))
    with torch.no_grad():
        score, path = model(torch.tensor([ids[w] for w in data[0][0]]))
    print(" ".join("BIO"[t] if t < 3 else "?" for t in path))
    report(losses, score=score)


if __name__ == "__main__":
    main()
