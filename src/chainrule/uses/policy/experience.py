"""Acting: steps of a policy in an environment, checked as they come, in arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np

from ...compile.step import Compiled
from ...core.value import recording
from ...errors import DataError
from ...ops.random import default_generator, manual_seed
from ...tensor import Tensor
from .agent import Agent
from .environment import Environment, Step

Choice: TypeAlias = tuple[int, float]
"""An action and the logarithm of its probability."""
Chooser: TypeAlias = Callable[[Any], Choice]


@final
@dataclass(frozen=True)
class Experience:
    """N consecutive steps, of one episode or of several after each other.

    The last step may be neither terminated nor truncated: the episode then goes on after it.
    """

    observations: Any
    """What was seen before each action: float32, (N, features)."""
    actions: Any
    """int64, (N,)."""
    log_probs: Any
    """log π(a | s) of the policy that acted: float32, (N,)."""
    rewards: Any
    """float64, (N,)."""
    next_observations: Any
    """What was seen after it, at the end of an episode too: float32, (N, features)."""
    terminated: Any
    """bool, (N,)."""
    truncated: Any
    """bool, (N,)."""

    def __len__(self) -> int:
        return len(self.rewards)


def sampled(agent: Agent) -> Chooser:
    """Draws actions from the agent's policy, with the default generator. Compiled."""

    def draw(observation: Any) -> tuple[Tensor, Tensor]:
        distribution = agent.distribution(observation)
        action = distribution.sample()
        return action, distribution.log_prob(action)

    return _chooser(draw)


def greedy(agent: Agent) -> Chooser:
    """Takes the likeliest action of the agent's policy. Compiled."""

    def likeliest(observation: Any) -> tuple[Tensor, Tensor]:
        distribution = agent.distribution(observation)
        return distribution.mode, distribution.logits.amax(-1)

    return _chooser(likeliest)


def _chooser(choice: Callable[[Any], tuple[Tensor, Tensor]]) -> Chooser:
    """Plain numbers of a compiled function."""
    compiled = Compiled(choice)

    def choose(observation: Any) -> Choice:
        with recording(False):
            action, log_prob = compiled(observation)
        return int(action.array), float(log_prob.array)

    return choose


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The default generator draws from `seed` in the block, and goes on as before after it."""
    before = default_generator.get_state()
    manual_seed(seed)
    try:
        yield
    finally:
        default_generator.set_state(before)


@final
class Collector:
    """Acts in an environment, episode after episode, and keeps count of them.

    The first reset is given `seed`. Raises DataError, which names the step, for an observation or a
    reward that is not finite and for an observation of another size; the first observation is
    checked here and now.
    """

    def __init__(self, environment: Environment, choose: Chooser, seed: int) -> None:
        self._environment = environment
        self._choose = choose
        self.returns: list[float] = []
        """The sum of the rewards of each episode that has ended."""
        self.lengths: list[int] = []
        """How many steps it had."""
        self._return, self._length = 0.0, 0
        self._observation = self._seen(environment.reset(seed))

    def steps(self, count: int | None, *, episodes: int) -> Experience:
        """The next `count` steps (None: any number), or fewer if `episodes` have ended before."""
        rows: list[tuple[Any, int, float, float, Any, bool, bool]] = []
        last = len(self.returns) + episodes
        while (count is None or len(rows) < count) and len(self.returns) < last:
            before = self._observation
            action, log_prob = self._choose(before)
            step = self._environment.step(action)
            self._length += 1
            after = self._seen(step.observation)
            reward = self._earned(step)
            rows.append(
                (before, action, log_prob, reward, after, bool(step.terminated),
                 bool(step.truncated))
            )  # fmt: skip
            self._observation = after
            if step.terminated or step.truncated:
                self._end()
        kinds = (np.float32, np.int64, np.float32, np.float64, np.float32, np.bool_, np.bool_)
        columns = zip(*rows, strict=True)
        return Experience(*(np.array(c, kind) for c, kind in zip(columns, kinds, strict=True)))

    def _end(self) -> None:
        self.returns.append(self._return)
        self.lengths.append(self._length)
        self._return, self._length = 0.0, 0
        self._observation = self._seen(self._environment.reset())

    def _earned(self, step: Step) -> float:
        reward = float(step.reward)
        if not np.isfinite(reward):
            raise DataError(
                "the environment returned a reward that is not finite",
                got=f"{reward} {self._place}",
            )
        self._return += reward
        return reward

    def _seen(self, observation: Any) -> Any:
        seen = np.asarray(observation, np.float32)
        if seen.shape != (self._environment.features,):
            raise DataError(
                "the environment returned an observation of another shape",
                expected=f"({self._environment.features},)",
                got=f"{seen.shape} {self._place}",
            )
        if not np.isfinite(seen).all():
            at = int(np.argmin(np.isfinite(seen)))
            raise DataError(
                "the environment returned an observation that is not finite",
                got=f"{seen[at]} in place {at} {self._place}",
            )
        return seen

    @property
    def _place(self) -> str:
        episode = f"of episode {len(self.returns) + 1}"
        return f"at step {self._length} {episode}" if self._length else f"at the start {episode}"
