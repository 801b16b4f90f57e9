"""Policy gradient: "the trade made $100; increase the probability of the actions that led to this".

A policy π(a | s) is a network whose outputs are the logits of a distribution of actions. Its
expected return J has the gradient E[Σ_t A_t ∇ log π(a_t | s_t)] (Williams 1992; Sutton et al.
2000): what backpropagation computes for the loss -Σ_t A_t log π(a_t | s_t). Document 001, 4.2.

    result = policy.train(policy.gymnasium("CartPole-v1"), policy.PPO(), episodes=400, seed=0)
"""

from __future__ import annotations

from .advantages import advantages
from .agent import Agent
from .algorithms import ALGORITHMS, PPO, ActorCritic, Algorithm, Reinforce
from .environment import Environment, Step, gymnasium
from .experience import Collector, Experience
from .learning import Training, evaluate, moving_average, train
from .trading import Lesson, Market, Trading, Wealth, buy_and_hold, lesson, stay_out, trade
from .variance import Estimator, Noise, episode_gradient, gradient_noise

__all__ = [
    "ALGORITHMS",
    "PPO",
    "ActorCritic",
    "Agent",
    "Algorithm",
    "Collector",
    "Environment",
    "Estimator",
    "Experience",
    "Lesson",
    "Market",
    "Noise",
    "Reinforce",
    "Step",
    "Trading",
    "Training",
    "Wealth",
    "advantages",
    "buy_and_hold",
    "episode_gradient",
    "evaluate",
    "gradient_noise",
    "gymnasium",
    "lesson",
    "moving_average",
    "stay_out",
    "trade",
    "train",
]
