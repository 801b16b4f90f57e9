"""Environments of a few states, whose best policies are known."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.uses.policy import Collector, Experience, Step


class Corridor:
    """Five places in a row, begun in the middle: the right end pays 1, each other step costs 0.1.

    The best policy goes right (action 1) and has a return of 0.8: two steps more, one pays.
    """

    features, actions = 5, 2
    best = 0.9

    def __init__(self) -> None:
        self.place, self.time = 2, 0

    def reset(self, seed: int | None = None) -> Any:
        self.place, self.time = 2, 0
        return self._seen()

    def step(self, action: int) -> Step:
        self.place += 2 * action - 1
        self.time += 1
        is_over = self.place in (0, 4)
        reward = 1.0 if self.place == 4 else -0.1
        return Step(self._seen(), reward, is_over, not is_over and self.time == 20)

    def _seen(self) -> Any:
        return np.eye(5, dtype=np.float32)[self.place]


class Spring:
    """One state: action 0 pays 1 and goes on, action 1 pays 3 and ends. Episodes have 2 steps.

    For γ = 0.9, going on for ever is worth 10, so that action 0 is best if the limit only cuts the
    episode (`cut`). If the episode is over then, action 0 twice is worth 1.9.
    """

    features, actions = 1, 2

    def __init__(self, *, cut: bool) -> None:
        self.cut = cut
        self.time = 0

    def reset(self, seed: int | None = None) -> Any:
        self.time = 0
        return np.ones(1, np.float32)

    def step(self, action: int) -> Step:
        self.time += 1
        limit = self.time == 2
        seen = np.ones(1, np.float32)
        if action == 1:
            return Step(seen, 3.0, True, False)
        return Step(seen, 1.0, limit and not self.cut, limit and self.cut)


class Branches:
    """Three decisions between two; what each pays depends on the ones before, and on the time."""

    features, actions = 7, 2
    pays = (0.0, 1.0, 3.0, -2.0, 0.5, 4.0, -1.0, 2.0, 1.5, -3.0, 0.0, 1.0, 2.0, -0.5)

    def __init__(self) -> None:
        self.node = 0

    def reset(self, seed: int | None = None) -> Any:
        self.node = 0
        return self._seen()

    def step(self, action: int) -> Step:
        reward = self.pays[2 * self.node + action]
        self.node = 2 * self.node + 1 + action
        is_over = self.node >= 7
        return Step(self._seen(), reward, is_over, False)

    def _seen(self) -> Any:
        return np.eye(7, dtype=np.float32)[min(self.node, 6)]


class Broken:
    """Returns something that is no number, or not as many numbers as it says, at a step."""

    features, actions = 2, 2

    def __init__(self, what: str, at: int) -> None:
        self.what, self.at = what, at
        self.time = 0

    def reset(self, seed: int | None = None) -> Any:
        return self._seen()

    def step(self, action: int) -> Step:
        self.time += 1
        is_now = self.what == "reward" and self.time == self.at
        return Step(self._seen(), float("nan") if is_now else 1.0, self.time % 2 == 0, False)

    def _seen(self) -> Any:
        if self.time == self.at and self.what == "observation":
            return np.array([0.0, np.inf])
        if self.time == self.at and self.what == "shape":
            return np.zeros(3)
        return np.zeros(2)


def played(environment: Any, actions: tuple[int, ...]) -> Experience:
    """One episode with these actions."""
    script = iter(actions)
    collector = Collector(environment, lambda seen: (next(script), 0.0), seed=0)
    return collector.steps(len(actions), episodes=len(actions))
