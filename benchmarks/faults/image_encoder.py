import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(26)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.fc = nn.Linear(8 * 16, 4)

    def forward(self, x):
        return self.fc(F.relu(self.conv(x)).flatten(1))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(4, 64)
        self.fc2 = nn.Linear(64, 64)

    def forward(self, z):
        return self.fc2(F.relu(self.fc1(z))).view(-1, 1, 8, 8)


latent = torch.randn(800, 4)
mixing = torch.randn(4, 64)
pictures = torch.tanh(latent @ mixing / 2).view(-1, 1, 8, 8) + 0.05 * torch.randn(800, 1, 8, 8)
encoder, decoder = Encoder(), Decoder()
optimizer = torch.optim.Adam(list(encoder.parameters()) + list(decoder.parameters()), lr=3e-3)
loader = DataLoader(TensorDataset(pictures[:640]), batch_size=32, shuffle=True)

for epoch in range(12):
    for (batch,) in loader:
        with torch.no_grad():
            code = encoder(batch)
        reconstruction = decoder(code)
        loss = F.mse_loss(reconstruction, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print("epoch %d: %.4f" % (epoch, loss.item()))

with torch.no_grad():
    held = pictures[640:]
    print("reconstruction mse", F.mse_loss(decoder(encoder(held)), held).item())
