"""Policy gradients (REINFORCE): learn to balance a pole on a cart from the returns alone."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from common import arguments, report, reset
from torch import nn, optim
from torch.distributions import Categorical


class CartPole:
    """A pole on a cart pushed left or right; an episode ends when it falls or leaves the track.

    Motion by A. Barto, R. Sutton, C. Anderson, "Neuronlike adaptive elements that can solve
    difficult learning control problems", 1983, integrated by Euler's rule with steps of 20 ms.
    """

    gravity, cart, pole, length, force, tau = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02

    def __init__(self, rng):
        self.rng = rng

    def reset(self):
        self.state = self.rng.uniform(-0.05, 0.05, 4)
        return self.state

    def step(self, action):
        _, speed, angle, turn = self.state
        push = self.force if action == 1 else -self.force
        mass = self.cart + self.pole
        sin, cos = math.sin(angle), math.cos(angle)
        pushed = (push + self.pole * self.length * turn**2 * sin) / mass
        turning = (self.gravity * sin - cos * pushed) / (
            self.length * (4 / 3 - self.pole * cos**2 / mass)
        )
        moving = pushed - self.pole * self.length * turning * cos / mass
        change = np.array([speed, moving, turn, turning])
        self.state = self.state + self.tau * change
        fallen = abs(self.state[0]) > 2.4 or abs(self.state[2]) > math.radians(12)
        return self.state, 1.0, fallen


class Policy(nn.Module):
    """Probabilities of the two pushes."""

    def __init__(self):
        super().__init__()
        self.affine1 = nn.Linear(4, 32)
        self.affine2 = nn.Linear(32, 2)
        self.saved_log_probs = []
        self.rewards = []

    def forward(self, x):
        return F.softmax(self.affine2(F.relu(self.affine1(x))), dim=1)


def select_action(policy, state, rng):
    """Draw an action and keep the logarithm of its probability."""
    probs = policy(torch.from_numpy(state).float().unsqueeze(0))
    action = torch.tensor([int(rng.random() < probs[0, 1].item())])
    policy.saved_log_probs.append(Categorical(probs).log_prob(action))
    return action.item()


def finish_episode(policy, optimizer, gamma=0.99):
    """One step along the gradient of the expected return."""
    returns, total = [], 0.0
    for reward in policy.rewards[::-1]:
        total = reward + gamma * total
        returns.insert(0, total)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + 1e-6)
    terms = [
        -log_prob * gain for log_prob, gain in zip(policy.saved_log_probs, returns, strict=True)
    ]
    optimizer.zero_grad()
    loss = torch.cat(terms).sum()
    loss.backward()
    optimizer.step()
    del policy.rewards[:]
    del policy.saved_log_probs[:]
    return loss.item()


def main():
    args = arguments(__doc__, steps=40)
    rng = np.random.default_rng(args.seed)
    world = CartPole(rng)
    policy = reset(Policy(), rng)
    optimizer = optim.Adam(policy.parameters(), lr=1e-2)
    losses, lengths = [], []
    for _ in range(args.steps):
        state = world.reset()
        for _ in range(200):
            state, reward, fallen = world.step(select_action(policy, state, rng))
            policy.rewards.append(reward)
            if fallen:
                break
        lengths.append(len(policy.rewards))
        losses.append(finish_episode(policy, optimizer))
    report(losses, episode_length=float(np.mean(lengths[-10:])))


if __name__ == "__main__":
    main()
