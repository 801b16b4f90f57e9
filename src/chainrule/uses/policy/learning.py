"""Training a policy: acting and learning in turn, with compiled updates."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np

from ...compile.step import Compiled
from ...core.value import recording
from ...errors import ArgumentError, TrainingError
from ...nn.utils.clip_grad import clip_grad_norm_
from ...ops.random import permutation
from ...optim import Adam
from ...tensor import Tensor
from .advantages import advantages
from .agent import Agent
from .algorithms import Algorithm
from .environment import Environment
from .experience import Collector, Experience, greedy, sampled, seeded

WINDOW = 100
"""Episodes that Gymnasium takes the mean return of to call an environment solved."""
_LEAST_BATCH = 64


@final
@dataclass
class Training:
    """A trained agent, and how it came about."""

    agent: Agent
    returns: list[float] = field(default_factory=list)
    """Sum of the rewards of each episode."""
    lengths: list[int] = field(default_factory=list)
    """Steps of each episode."""
    updates: int = 0
    """Gradient steps."""
    seconds: float = 0.0
    solved: int | None = None
    """After which episode training stopped because the goal was reached."""


def moving_average(returns: Sequence[float]) -> float:
    """The mean return of the last 100 episodes; NaN if there are fewer."""
    return float(np.mean(returns[-WINDOW:])) if len(returns) >= WINDOW else math.nan


def train(
    environment: Environment,
    algorithm: Algorithm,
    *,
    episodes: int,
    seed: int = 0,
    hidden: Sequence[int] = (64, 64),
    goal: float | None = None,
    after_episode: Callable[[Training], None] | None = None,
) -> Training:
    """Train a new agent for `episodes`, or until the mean return of 100 of them reaches `goal`.

    `seed` decides the weights, the actions drawn and the environment's chance: same seed, same
    bits. The default generator is afterwards where it was.
    `after_episode` is called after updates in which episodes ended.

    Raises ArgumentError if there is no episode to play; DataError for an environment whose
    observations or rewards are not finite, with the step; TrainingError for a loss that is not.
    """
    if episodes < 1:
        raise ArgumentError("a policy trains for at least one episode", got=str(episodes))
    start = time.perf_counter()
    with seeded(seed):
        agent = Agent(environment.features, environment.actions, hidden)
        learner = _Learner(agent, algorithm)
        collector = Collector(environment, sampled(agent), seed)
        result = Training(agent, collector.returns, collector.lengths)
        while len(result.returns) < episodes and result.solved is None:
            ended = len(result.returns)
            left = episodes - ended
            many = left if algorithm.steps is not None else min(algorithm.episodes, left)
            experience = collector.steps(algorithm.steps, episodes=many)
            learner.update(experience, 1.0 - ended / episodes)
            result.updates = learner.updates
            result.seconds = time.perf_counter() - start
            if after_episode is not None and len(result.returns) > ended:
                after_episode(result)
            if goal is not None and moving_average(result.returns) >= goal:
                result.solved = len(result.returns)
    return result


def evaluate(
    agent: Agent, environment: Environment, *, episodes: int = 100, seed: int, sample: bool = False
) -> list[float]:
    """Returns of `episodes` played with the likeliest action, or with `sample` a drawn one."""
    with seeded(seed):
        collector = Collector(environment, (sampled if sample else greedy)(agent), seed)
        collector.steps(None, episodes=episodes)
    return collector.returns


@final
class _Learner:
    """Updates of one agent by one algorithm. Its step is compiled once for each size of batch."""

    def __init__(self, agent: Agent, algorithm: Algorithm) -> None:
        self.agent = agent
        self.algorithm = algorithm
        self.optimizer = Adam(agent.parameters(), lr=algorithm.lr, eps=1e-5)
        self.updates = 0
        self._compiled = Compiled(self._step)

    def update(self, experience: Experience, rate: float) -> None:
        """Learn from some steps, at `rate` times the algorithm's learning rate."""
        settings = self.algorithm
        gains, targets = self._estimates(experience)
        if settings.normalize and len(gains) > 1:
            gains = (gains - gains.mean()) / (gains.std() + 1e-8)
        self.optimizer.param_groups[0]["lr"] = settings.lr * rate
        columns = (
            experience.observations, experience.actions, experience.log_probs,
            gains.astype(np.float32), targets.astype(np.float32),
        )  # fmt: skip
        n = len(experience)
        size = n if settings.batch_size is None else min(settings.batch_size, n)
        for _ in range(settings.passes):
            order = permutation(n).array if size < n else np.arange(n)
            for first in range(0, n, size):
                rows = order[first : first + size]
                self._take_step([column[rows] for column in columns])

    def _estimates(self, experience: Experience) -> tuple[Any, Any]:
        """Advantages, and the returns that V is to foretell."""
        settings = self.algorithm
        scaled = replace(experience, rewards=experience.rewards * settings.reward_scale)
        with recording(False):
            values, following = (
                self.agent.values(Tensor(x)).array.astype(np.float64)
                for x in (experience.observations, experience.next_observations)
            )
        if not settings.baseline:
            values, following = np.zeros_like(values), np.zeros_like(following)
        gains = advantages(
            scaled, values, following, discount=settings.discount, trace=settings.trace
        )
        return gains, gains + values

    def _take_step(self, columns: Sequence[Any]) -> None:
        """One gradient step. Rows of weight 0 fill the batch, so that few sizes are compiled."""
        n = len(columns[0])
        full = max(_LEAST_BATCH, 1 << (n - 1).bit_length())
        padded = [np.concatenate([c, np.zeros((full - n, *c.shape[1:]), c.dtype)]) for c in columns]
        weights = np.where(np.arange(full) < n, 1.0 / n, 0.0).astype(np.float32)
        loss = self._compiled(*padded, *[weights])
        self.updates += 1
        if not math.isfinite(loss.item()):
            raise TrainingError(
                f"the loss is {loss.item()} in update {self.updates}", hint="try a smaller lr"
            )

    def _step(
        self, observations: Any, actions: Any, acted: Any, gains: Any, targets: Any, weights: Any
    ) -> Tensor:
        settings = self.algorithm
        self.optimizer.zero_grad()
        distribution = self.agent.distribution(observations)
        objective = settings.objective(distribution.log_prob(actions), acted, gains)
        errors = (self.agent.values(observations) - targets) ** 2
        loss = settings.value_weight * errors - objective
        if settings.entropy_weight:
            loss = loss - settings.entropy_weight * distribution.entropy()
        mean: Tensor = (loss * weights).sum()
        mean.backward()
        clip_grad_norm_(self.agent.parameters(), settings.clip_norm)
        self.optimizer.step()
        return mean
