import copy

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(207)
centres = 1.6 * torch.randn(3, 8)
y = torch.randint(0, 3, (900,))
x = centres[y] + torch.randn(900, 8)
labelled_x, labelled_y = x[:60], y[:60]
unlabelled = x[60:700]

student = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))
teacher = copy.deepcopy(student)
for p in teacher.parameters():
    p.requires_grad_(False)
optimizer = torch.optim.Adam(student.parameters(), lr=3e-3)


@torch.no_grad()
def update_teacher(decay=0.95):
    for slow, fast in zip(teacher.parameters(), student.parameters()):
        slow.mul_(decay).add_(fast, alpha=1 - decay)


for step in range(200):
    i = torch.randint(0, 60, (20,))
    j = torch.randint(0, 640, (40,))
    supervised = F.cross_entropy(student(labelled_x[i]), labelled_y[i])
    noisy = unlabelled[j] + 0.2 * torch.randn(40, 8)
    agreement = F.mse_loss(student(noisy).softmax(1), teacher(unlabelled[j]).softmax(1).detach())
    loss = supervised + 0.5 * min(1.0, step / 100) * agreement
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    update_teacher()
with torch.no_grad():
    print("teacher accuracy", (teacher(x[700:]).argmax(1) == y[700:]).float().mean().item())
