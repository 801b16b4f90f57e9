import torch
import torch.nn as nn

torch.manual_seed(55)


class MajorityModel(nn.Module):
    def __init__(self, vocab=6, d_model=32):
        super().__init__()
        self.embed = nn.Embedding(vocab, d_model)
        layer = nn.TransformerEncoderLayer(
            d_model, nhead=4, dim_feedforward=64, dropout=0.0, batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False)
        self.cls = nn.Linear(d_model, vocab)

    def forward(self, tokens):
        h = self.encoder(self.embed(tokens))
        return self.cls(h.mean(dim=1))


def get_data(n):
    winner = torch.randint(0, 6, (n,))
    tokens = torch.randint(0, 6, (n, 10))
    keep = torch.rand(n, 10) < 0.5
    return torch.where(keep, winner.unsqueeze(1), tokens), winner


model = MajorityModel()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-7)
criterion = nn.CrossEntropyLoss()
model.train()
for step in range(150):
    tokens, label = get_data(32)
    optimizer.zero_grad()
    loss = criterion(model(tokens), label)
    loss.backward()
    optimizer.step()

model.eval()
with torch.no_grad():
    tokens, label = get_data(300)
    print("loss:", criterion(model(tokens), label).item())
