"""The two networks that learn: the actor, which is the policy, and the critic, its baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, final

from ...distributions import Categorical
from ...nn import init
from ...nn.containers import Sequential
from ...nn.layers.activation import Tanh
from ...nn.layers.linear import Linear
from ...nn.module import Module
from ...tensor import Tensor


@final
class Agent(Module):
    """Actor and critic, each a network of tanh layers of `hidden` sizes of its own.

    Weights start orthogonal with gain √2, at the end 0.01 for the actor, so that all actions are
    about equally likely at first, and 1 for the critic; biases at zero.

    >>> agent = Agent(features=4, actions=2)
    >>> agent.distribution(zeros(3, 4)).probs.detach()
    tensor([[0.5000, 0.5000],
            [0.5000, 0.5000],
            [0.5000, 0.5000]])
    """

    def __init__(self, features: int, actions: int, hidden: Sequence[int] = (64, 64)) -> None:
        super().__init__()
        self.actor = _network([features, *hidden, actions], gain=0.01)
        self.critic = _network([features, *hidden, 1], gain=1.0)

    def distribution(self, observations: Any) -> Categorical:
        """π(· | s) for observations of shape (…, features)."""
        return Categorical(logits=self.actor(observations), validate_args=False)

    def values(self, observations: Any) -> Tensor:
        """V(s), of shape (…), in the units in which ``advantages`` expects it."""
        values: Tensor = self.critic(observations).squeeze(-1)
        return values


def _network(sizes: Sequence[int], gain: float) -> Sequential:
    layers: list[Module] = []
    for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        is_last = i == len(sizes) - 2
        layer: Any = Linear(fan_in, fan_out)
        init.orthogonal_(layer.weight, gain if is_last else math.sqrt(2))
        init.zeros_(layer.bias)
        layers += [layer] if is_last else [layer, Tanh()]
    return Sequential(*layers)
