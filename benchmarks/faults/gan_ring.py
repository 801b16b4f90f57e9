import torch
import torch.nn as nn

torch.manual_seed(109)
G = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
D = nn.Sequential(
    nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1)
)
opt_g = torch.optim.Adam(G.parameters(), lr=1e-3, betas=(0.5, 0.999))
opt_d = torch.optim.Adam(D.parameters(), lr=1e-3, betas=(0.5, 0.999))
bce = nn.BCEWithLogitsLoss()


def real_batch(n):
    return torch.tensor([2.0, -1.0]) + torch.randn(n, 2) * torch.tensor([0.3, 0.6])


for step in range(250):
    real = real_batch(64)
    fake = G(torch.randn(64, 4))
    d_loss = bce(D(real), torch.ones(64, 1)) + bce(D(fake.detach()), torch.zeros(64, 1))
    opt_d.zero_grad()
    d_loss.backward()
    opt_d.step()

    g_loss = bce(D(G(torch.randn(64, 4))), torch.ones(64, 1))
    opt_g.zero_grad()
    g_loss.backward()
    opt_g.step()
    if step % 50 == 0:
        print(f"step {step}  D {d_loss.item():.3f}  G {g_loss.item():.3f}")

with torch.no_grad():
    sample = G(torch.randn(1000, 4))
print("distance of means", (sample.mean(0) - torch.tensor([2.0, -1.0])).norm().item())
