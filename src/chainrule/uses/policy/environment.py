"""What a policy acts in: an interface, and Gymnasium's environments behind it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol, final

import numpy as np

from ...errors import ArgumentError


class Step(NamedTuple):
    """What an action led to. Names are Gymnasium's."""

    observation: Any
    """What is seen next, an array of ``features`` numbers."""
    reward: float
    terminated: bool
    """The episode is over for good: nothing can be earned from here."""
    truncated: bool
    """It was cut, by a limit of time for instance: what would have followed is worth something."""


class Environment(Protocol):
    """A world with observations of `features` numbers and actions 0 … `actions` - 1."""

    @property
    def features(self) -> int:
        """How many numbers an observation has."""

    @property
    def actions(self) -> int:
        """How many actions there are."""

    def reset(self, seed: int | None = None) -> Any:
        """Begin an episode and return its first observation; with `seed`, chance begins anew."""

    def step(self, action: int) -> Step:
        """Act."""


@final
class _Gymnasium:
    """A Gymnasium environment with discrete actions; ``gymnasium`` makes it."""

    def __init__(self, environment: Any, features: int, actions: int) -> None:
        self._environment = environment
        self.features = features
        self.actions = actions
        spec = environment.spec
        self.threshold: float | None = None if spec is None else spec.reward_threshold
        """The mean return of 100 episodes from which on Gymnasium calls it solved."""

    def reset(self, seed: int | None = None) -> Any:
        observation, _ = self._environment.reset(seed=seed)
        return np.asarray(observation).reshape(-1)

    def step(self, action: int) -> Step:
        observation, reward, terminated, truncated, _ = self._environment.step(action)
        return Step(np.asarray(observation).reshape(-1), reward, terminated, truncated)


def gymnasium(environment: Any, **options: Any) -> _Gymnasium:
    """A Gymnasium environment, by its name, or one that is made already.

    Observations are arrays of numbers and are flattened; actions are discrete. Raises
    ArgumentError if Gymnasium is not installed (the extra ``rl``), does not know the name, or if
    the spaces are others.
    """
    if isinstance(environment, str):
        try:
            import gymnasium as package
        except ImportError as missing:
            raise ArgumentError(
                "environments by name need Gymnasium, which is not installed",
                hint="pip install 'chainrule[rl]'",
            ) from missing
        try:
            made = package.make(environment, **options)
        except package.error.Error as failure:
            raise ArgumentError(
                "Gymnasium cannot make this environment",
                got=f"{environment!r}: {' '.join(str(failure).split())}"[:200],
            ) from failure
    else:
        made = environment
    actions, seen = made.action_space, made.observation_space
    count, start = getattr(actions, "n", None), getattr(actions, "start", 0)
    shape = getattr(seen, "shape", None)
    if count is None or start != 0 or not shape:
        raise ArgumentError(
            "a policy needs discrete actions, counted from 0, and observations that are numbers",
            got=f"actions {actions}, observations {seen}"[:200],
        )
    return _Gymnasium(made, math.prod(shape), int(count))
