import copy
import random

import torch
import torch.nn as nn
import torch.nn.functional as F

random.seed(127)
torch.manual_seed(127)
STATES, GAMMA = 6, 0.9


def transition(s, a):
    s2 = min(s + 1, STATES - 1) if a == 1 else max(s - 1, 0)
    return s2, float(s2 == STATES - 1 and s != STATES - 1), s2 == STATES - 1


memory = []
for _ in range(600):
    s, a = random.randrange(STATES - 1), random.randrange(2)
    memory.append((s, a, *transition(s, a)))

q_net = nn.Sequential(nn.Linear(STATES, 32), nn.ReLU(), nn.Linear(32, 2))
target_net = copy.deepcopy(q_net)
optimizer = torch.optim.Adam(q_net.parameters(), lr=5e-3)

for step in range(300):
    s, a, s2, r, done = zip(*random.sample(memory, 32))
    states = F.one_hot(torch.tensor(s), STATES).float()
    next_states = F.one_hot(torch.tensor(s2), STATES).float()
    q = q_net(states).gather(1, torch.tensor(a).unsqueeze(1)).squeeze(1)
    with torch.no_grad():
        best = target_net(next_states).max(1)[0]
        goal = torch.tensor(r) + GAMMA * best * (1 - torch.tensor(done).float())
    loss = F.smooth_l1_loss(q, goal)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 0:
        target_net.load_state_dict(q_net.state_dict())

truth = torch.tensor([GAMMA ** (STATES - 2 - s) for s in range(STATES - 1)])
with torch.no_grad():
    values = q_net(torch.eye(STATES)[: STATES - 1]).max(1)[0]
print("mean squared error of values", ((values - truth) ** 2).mean().item())
