import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(227)
centres = torch.randn(5, 16)
label = torch.randint(0, 5, (800,))
data = centres[label] + 0.3 * torch.randn(800, 16)

encoder = nn.Sequential(
    nn.Linear(16, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, 16), nn.BatchNorm1d(16)
)
predictor = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 16))
params = list(encoder.parameters()) + list(predictor.parameters())
optimizer = torch.optim.SGD(params, lr=0.1, momentum=0.9)


def augment(x):
    return x * (torch.rand_like(x) > 0.2).float() + 0.2 * torch.randn_like(x)


def negative_cosine(p, z):
    return -F.cosine_similarity(p, z.detach(), dim=1).mean()


for step in range(120):
    x = data[torch.randint(0, 700, (64,))]
    z1, z2 = encoder(augment(x)), encoder(augment(x))
    p1, p2 = predictor(z1), predictor(z2)
    loss = 0.5 * negative_cosine(p1, z2) + 0.5 * negative_cosine(p2, z1)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 30 == 0:
        print(step, loss.item())

encoder.eval()
with torch.no_grad():
    bank = F.normalize(encoder(data[:700]), dim=1)
    query = F.normalize(encoder(data[700:]), dim=1)
    nearest = (query @ bank.t()).argmax(1)
print("nearest-neighbour accuracy", (label[nearest] == label[700:]).float().mean().item())
