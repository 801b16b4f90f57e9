"""The noise of the policy gradient: how far estimates from single episodes lie from their mean."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, final

import numpy as np

from ...compile.step import Compiled
from ...core.value import recording
from ...errors import ArgumentError
from ...nn.utils.convert_parameters import parameters_to_vector
from ...tensor import Tensor
from .advantages import advantages
from .agent import Agent
from .environment import Environment
from .experience import Collector, Experience, sampled, seeded

_LEAST_LENGTH = 16


@final
class Estimator(Enum):
    """What each ∇ log π(a_t | s_t) of an episode is multiplied by. All have the same expectation.

    It is the gradient of the expected discounted return, so later actions count γ^t.
    """

    WHOLE = "whole return"
    """R = Σ_k γ^k r_k: every action is praised for everything, as document 001 says it."""
    TO_GO = "reward to go"
    """γ^t G_t, with G_t = Σ_{k ≥ t} γ^(k-t) r_k: an action cannot have caused what was before."""
    BASELINE = "reward to go - V"
    """γ^t (G_t - V(s_t)): what the state alone was worth is no merit of the action's."""


@final
@dataclass(frozen=True)
class Noise:
    """How noisy an estimator of the policy gradient is, from some episodes."""

    mean_norm: float
    """Length of the mean of the estimates."""
    variance: float
    """Mean squared distance of an estimate from that mean: the trace of their covariance."""
    episodes: int


@final
class _Gradients:
    """Gradients of Σ_t w_t log π(a_t | s_t) with respect to the actor's weights."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self._compiled = Compiled(self._gradient)

    def __call__(self, episode: Experience, weights: Any) -> Any:
        """As one vector. Steps of weight 0 fill the episode, so that few lengths are compiled."""
        n = len(episode)
        extra = max(_LEAST_LENGTH, 1 << (n - 1).bit_length()) - n
        columns = (episode.observations, episode.actions, weights.astype(np.float32))
        padded = [np.concatenate([c, np.zeros((extra, *c.shape[1:]), c.dtype)]) for c in columns]
        return np.array(self._compiled(*padded).array, np.float64)

    def _gradient(self, observations: Any, actions: Any, weights: Any) -> Tensor:
        parameters = list(self.agent.actor.parameters())
        for parameter in parameters:
            parameter.grad = None
        (self.agent.distribution(observations).log_prob(actions) * weights).sum().backward()
        with recording(False):
            vector: Tensor = parameters_to_vector(
                [p.grad for p in parameters if p.grad is not None]
            )
            for parameter in parameters:
                parameter.grad = None
            return vector


def episode_gradient(
    agent: Agent, episode: Experience, estimator: Estimator, *, discount: float
) -> Any:
    """The estimate that one whole episode gives of the policy gradient, as one vector.

    It is of the rewards as they are, over the actor's parameters in their order. An episode that
    was truncated ends there: its return is the one that was seen. V is the critic's, in units of
    1 / (1 - γ) as training leaves it.
    """
    weights = _weights(agent, episode, estimator, discount)
    return _Gradients(agent)(episode, weights)


def gradient_noise(
    agent: Agent, environment: Environment, *, episodes: int = 32, discount: float, seed: int
) -> dict[Estimator, Noise]:
    """The noise of each estimator, over the same `episodes` of the agent's policy.

    Raises ArgumentError for fewer than two.
    """
    if episodes < 2:
        raise ArgumentError("a variance takes at least two episodes", got=str(episodes))
    gradients = _Gradients(agent)
    found: dict[Estimator, list[Any]] = {estimator: [] for estimator in Estimator}
    with seeded(seed):
        collector = Collector(environment, sampled(agent), seed)
        for _ in range(episodes):
            episode = collector.steps(None, episodes=1)
            for estimator, estimates in found.items():
                estimates.append(gradients(episode, _weights(agent, episode, estimator, discount)))
    return {estimator: _noise(np.stack(estimates)) for estimator, estimates in found.items()}


def _noise(estimates: Any) -> Noise:
    mean = estimates.mean(0)
    squares = ((estimates - mean) ** 2).sum() / (len(estimates) - 1)
    return Noise(float(np.linalg.norm(mean)), float(squares), len(estimates))


def _weights(agent: Agent, episode: Experience, estimator: Estimator, discount: float) -> Any:
    n = len(episode)
    nothing = np.zeros(n)
    to_go = advantages(episode, nothing, nothing, discount=discount, trace=1.0)
    if estimator is Estimator.WHOLE:
        return np.full(n, to_go[0])
    if estimator is Estimator.BASELINE:
        with recording(False):
            values = agent.values(Tensor(episode.observations)).array
        to_go = to_go - values / (1.0 - discount if discount < 1 else 1.0)
    return to_go * discount ** np.arange(n)
