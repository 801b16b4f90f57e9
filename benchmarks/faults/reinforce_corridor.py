import random

import torch
import torch.nn as nn
from torch.distributions import Categorical

random.seed(107)
torch.manual_seed(107)
LENGTH, LIMIT = 6, 14


class Corridor:
    def reset(self):
        self.position, self.time = random.randrange(LENGTH - 1), 0
        return self.observe()

    def observe(self):
        state = torch.zeros(LENGTH)
        state[self.position] = 1.0
        return state

    def step(self, action):
        self.position = max(0, self.position + (1 if action == 1 else -1))
        self.time += 1
        won = self.position == LENGTH - 1
        return (
            self.observe() if not won else torch.zeros(LENGTH),
            (1.0 if won else -0.1),
            won or self.time >= LIMIT,
        )


policy = nn.Sequential(nn.Linear(LENGTH, 32), nn.ReLU(), nn.Linear(32, 2))
optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
env, history, gamma = Corridor(), [], 0.95

for episode in range(150):
    state, done, log_probs, rewards = env.reset(), False, [], []
    while not done:
        dist = Categorical(logits=policy(state.unsqueeze(0)))
        action = dist.sample()
        log_probs.append(dist.log_prob(action))
        state, reward, done = env.step(action.item())
        rewards.append(reward)
    returns, g = [], 0.0
    for r in reversed(rewards):
        g = r + gamma * g
        returns.insert(0, g)
    returns = torch.tensor(returns)
    if len(returns) > 1:
        returns = (returns - returns.mean()) / (returns.std() + 1e-6)
    loss = -(torch.cat(log_probs) * returns).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    history.append(sum(rewards))
print("loss of reward", 1 - sum(history[-30:]) / 30)
