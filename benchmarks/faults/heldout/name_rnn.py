import torch
import torch.nn as nn

torch.manual_seed(37)
ALPHABET, LENGTH = 12, 9


class CharRNN(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super(CharRNN, self).__init__()
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(input_size + hidden_size, hidden_size)
        self.h2o = nn.Linear(hidden_size, output_size)
        self.softmax = nn.Softmax(dim=1)

    def forward(self, line):
        hidden = torch.zeros(line.size(0), self.hidden_size)
        for t in range(line.size(1)):
            hidden = torch.tanh(self.i2h(torch.cat((line[:, t], hidden), 1)))
        return self.softmax(self.h2o(hidden))


transition = torch.softmax(3 * torch.randn(10, ALPHABET, ALPHABET), dim=-1)


def names(n):
    category = torch.randint(0, 10, (n,))
    letters = [torch.randint(0, ALPHABET, (n,))]
    for _ in range(LENGTH - 1):
        rows = transition[category, letters[-1]]
        letters.append(torch.multinomial(rows, 1).squeeze(1))
    ids = torch.stack(letters, 1)
    return nn.functional.one_hot(ids, ALPHABET).float(), category


rnn = CharRNN(ALPHABET, 48, 10)
criterion = nn.NLLLoss()
optimizer = torch.optim.SGD(rnn.parameters(), lr=0.05, momentum=0.9)
for step in range(250):
    line, category = names(32)
    output = rnn(line)
    loss = criterion(output, category)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 50 == 0:
        print(step, loss.item())

line, category = names(500)
with torch.no_grad():
    print("accuracy", (rnn(line).argmax(1) == category).float().mean().item())
