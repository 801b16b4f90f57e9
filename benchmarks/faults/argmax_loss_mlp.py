import torch
import torch.nn as nn

torch.manual_seed(4)
W = torch.randn(10, 3)
X = torch.randn(600, 10)
y = (X @ W).argmax(dim=1)

model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

for epoch in range(10):
    for i in range(0, 500, 50):
        logits = model(X[i : i + 50])
        predicted = torch.argmax(logits, dim=1).float()
        loss = nn.functional.mse_loss(predicted, y[i : i + 50].float())
        loss.requires_grad_(True)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch} loss {loss.item():.4f}")

with torch.no_grad():
    acc = (model(X[500:]).argmax(1) == y[500:]).float().mean().item()
print("accuracy:", acc)
