"""Actor and critic in one network find the way through a small maze."""

from collections import namedtuple

import numpy as np
import torch
import torch.nn.functional as F
from common import arguments, report, reset
from torch import nn, optim
from torch.distributions import Categorical

SavedAction = namedtuple("SavedAction", ["log_prob", "value"])

MAZE = ["S..#", ".#..", "...#", "#..G"]
MOVES = [(-1, 0), (0, 1), (1, 0), (0, -1)]


class Maze:
    """A step costs 0.05, the goal gives 1; walls stop."""

    def __init__(self):
        self.cells = [list(row) for row in MAZE]
        self.position = (0, 0)

    def observation(self):
        seen = np.zeros((4, 4), np.float32)
        seen[self.position] = 1
        return seen.ravel()

    def reset(self):
        self.position = (0, 0)
        return self.observation()

    def step(self, action):
        row, column = (p + d for p, d in zip(self.position, MOVES[action], strict=True))
        if 0 <= row < 4 and 0 <= column < 4 and self.cells[row][column] != "#":
            self.position = (row, column)
        done = self.cells[self.position[0]][self.position[1]] == "G"
        return self.observation(), 1.0 if done else -0.05, done


class ActorCritic(nn.Module):
    """What to do, and what the place is worth."""

    def __init__(self):
        super().__init__()
        self.affine = nn.Linear(16, 32)
        self.action_head = nn.Linear(32, 4)
        self.value_head = nn.Linear(32, 1)
        self.saved_actions = []
        self.rewards = []

    def forward(self, x):
        x = F.relu(self.affine(x))
        return F.softmax(self.action_head(x), dim=-1), self.value_head(x)


def select_action(model, state, rng):
    """Draw an action; keep its log-probability and the value of the state."""
    probs, value = model(torch.from_numpy(state))
    cumulative = probs.detach().cumsum(-1).numpy()
    action = min(int(np.searchsorted(cumulative, rng.random())), 3)
    drawn = Categorical(probs).log_prob(torch.tensor(action))
    model.saved_actions.append(SavedAction(drawn, value))
    return action


def finish_episode(model, optimizer, gamma=0.95):
    """Policy gradient with the advantage, regression of the value."""
    total, returns = 0.0, []
    for reward in reversed(model.rewards):
        total = reward + gamma * total
        returns.insert(0, total)
    policy_losses, value_losses = [], []
    for (log_prob, value), gain in zip(model.saved_actions, torch.tensor(returns), strict=True):
        advantage = gain - value.item()
        policy_losses.append(-log_prob * advantage)
        value_losses.append(F.smooth_l1_loss(value, gain.reshape(1)))
    optimizer.zero_grad()
    loss = torch.stack(policy_losses).mean() + torch.stack(value_losses).mean()
    loss.backward()
    optimizer.step()
    model.rewards.clear()
    model.saved_actions.clear()
    return loss.item()


def main():
    args = arguments(__doc__, steps=60)
    rng = np.random.default_rng(args.seed)
    world = Maze()
    model = reset(ActorCritic(), rng)
    optimizer = optim.RMSprop(model.parameters(), lr=5e-3)
    losses, lengths = [], []
    for _ in range(args.steps):
        state = world.reset()
        for _ in range(60):
            state, reward, done = world.step(select_action(model, state, rng))
            model.rewards.append(reward)
            if done:
                break
        lengths.append(len(model.rewards))
        losses.append(finish_episode(model, optimizer))
    report(losses, episode_length=float(np.mean(lengths[-10:])))


if __name__ == "__main__":
    main()
