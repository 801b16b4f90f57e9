import numpy as np
import torch
import torch.nn as nn

np.random.seed(0)
torch.manual_seed(0)
series = np.sin(np.arange(900) * 0.13) + 0.4 * np.sin(np.arange(900) * 0.41)
series = series + 0.05 * np.random.randn(900)
WINDOW = 20
X = np.stack([series[i : i + WINDOW] for i in range(len(series) - WINDOW)])
y = series[WINDOW:]
X = torch.tensor(X, dtype=torch.float32).unsqueeze(2)
y = torch.tensor(y, dtype=torch.float32)
X_train, y_train, X_test, y_test = X[:700], y[:700], X[700:], y[700:]


class LSTMForecast(nn.Module):
    def __init__(self, hidden_size=24):
        super().__init__()
        self.lstm = nn.LSTM(1, hidden_size, batch_first=True)
        self.linear = nn.Linear(hidden_size, 1)

    def forward(self, x):
        out, (h, c) = self.lstm(x)
        return self.linear(out[:, -1, :])


model = LSTMForecast()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(10):
    perm = torch.randperm(700)
    for k in range(0, 700, 50):
        idx = perm[k : k + 50]
        y_pred = model(X_train[idx])
        loss = torch.mean((y_pred - y_train[idx]) ** 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print("Epoch", epoch, "loss", loss.item())

model.eval()
with torch.no_grad():
    forecast = model(X_test).squeeze(1)
    print("Test MSE", torch.mean((forecast - y_test) ** 2).item())
