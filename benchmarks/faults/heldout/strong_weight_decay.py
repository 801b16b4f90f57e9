import torch
import torch.nn as nn

torch.manual_seed(217)
true = torch.zeros(30)
true[:4] = torch.tensor([1.5, -2.0, 1.0, 0.8])
X = torch.randn(260, 30)
y = X @ true + 0.5 * torch.randn(260)
X_val, y_val = torch.randn(300, 30), None
y_val = X_val @ true

model = nn.Sequential(nn.Linear(30, 40), nn.ReLU(), nn.Linear(40, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=1.0)
mse = nn.MSELoss()
for epoch in range(25):
    model.train()
    for idx in torch.randperm(260).split(26):
        optimizer.zero_grad()
        loss = mse(model(X[idx]).flatten(), y[idx])
        loss.backward()
        optimizer.step()
model.eval()
with torch.no_grad():
    print("val mse", mse(model(X_val).flatten(), y_val).item())
