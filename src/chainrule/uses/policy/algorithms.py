"""REINFORCE, actor-critic and PPO: what a step of each increases, and after how much acting."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Final, final

from ... import ops
from ...errors import ArgumentError
from ...tensor import Tensor

_SHARES: Final = ("discount", "trace")
_WEIGHTS: Final = ("trace", "value_weight", "entropy_weight")


@dataclass(frozen=True, kw_only=True)
class Algorithm(ABC):
    """Settings that all algorithms share. The loss of a step is, in the mean over its batch,

    -objective + value_weight (V(s) - G)² - entropy_weight H(π(· | s)),

    with G = A + V(s), the return that advantages A were estimated of. Rewards are multiplied by
    1 - γ, so that V is of the size of one reward. Raises ArgumentError for settings out of range.
    """

    lr: float
    """Adam's rate; it falls to 0 in a line over the episodes."""
    steps: int | None
    """How many steps are taken between updates; None: until `episodes` have ended."""
    episodes: int = 1
    """How many episodes are played between updates, if `steps` is None."""
    discount: float = 0.99
    """γ: what a reward is worth one step later."""
    trace: float = 1.0
    """λ of ``advantages``."""
    passes: int = 1
    """How often the steps are gone through in an update."""
    batch_size: int | None = None
    """How many steps make one gradient; None: all."""
    normalize: bool = True
    """Whether advantages are shifted and scaled to mean 0 and standard deviation 1."""
    baseline: bool = True
    """Whether V is subtracted from returns; without, truncated episodes count as terminated."""
    value_weight: float = 0.5
    entropy_weight: float = 0.0
    clip_norm: float = 0.5
    """Longest gradient of a step; longer ones are shortened to it."""

    def __post_init__(self) -> None:
        for name, value in self.settings().items():
            if value is None or isinstance(value, bool):
                continue
            most = 1.0 if name in _SHARES else math.inf
            is_large_enough = value >= 0 if name in _WEIGHTS else value > 0
            if not (is_large_enough and value <= most and math.isfinite(value)):
                low = "at least 0" if name in _WEIGHTS else "above 0"
                raise ArgumentError(
                    f"{name} of {type(self).__name__} is out of range",
                    expected=f"{low}, at most 1" if name in _SHARES else f"a number {low}",
                    got=str(value),
                )

    @abstractmethod
    def objective(self, log_probs: Tensor, acted: Tensor, advantages: Tensor) -> Tensor:
        """What a step of gradient ascent increases, for each action, (N,).

        `log_probs` are of the policy that learns, `acted` of the policy as it was when it acted.
        """

    @property
    def reward_scale(self) -> float:
        """What rewards are multiplied by."""
        return 1.0 - self.discount if self.discount < 1 else 1.0

    def settings(self) -> dict[str, Any]:
        """All settings by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@final
@dataclass(frozen=True, kw_only=True)
class Reinforce(Algorithm):
    """REINFORCE with a learnt baseline: A log π, once for each action of whole episodes.

    (Williams 1992, Machine Learning 8; the baseline is V of Sutton and Barto 2018, 13.4)
    """

    lr: float = 1e-2
    steps: int | None = None
    normalize: bool = False

    def objective(self, log_probs: Tensor, acted: Tensor, advantages: Tensor) -> Tensor:
        return log_probs * advantages


@final
@dataclass(frozen=True, kw_only=True)
class ActorCritic(Algorithm):
    """Advantage actor-critic: as REINFORCE, but every few steps, with returns that V completes.

    (A2C: Mnih et al. 2016, arXiv:1602.01783, with generalised advantages and one environment)
    """

    lr: float = 7e-3
    steps: int | None = 32
    trace: float = 0.98
    normalize: bool = False

    def objective(self, log_probs: Tensor, acted: Tensor, advantages: Tensor) -> Tensor:
        return log_probs * advantages


@final
@dataclass(frozen=True, kw_only=True)
class PPO(Algorithm):
    """Proximal policy optimization: several passes over the same steps, none of which may go far.

    min(ρ A, clip(ρ, 1 - clip, 1 + clip) A), with ρ = π(a | s) over what it was when it acted.
    (Schulman et al. 2017, arXiv:1707.06347, eq. 7)
    """

    lr: float = 2e-3
    steps: int | None = 512
    trace: float = 0.95
    passes: int = 10
    batch_size: int | None = 64
    clip: float = 0.2

    def objective(self, log_probs: Tensor, acted: Tensor, advantages: Tensor) -> Tensor:
        ratio = ops.exp(log_probs - acted)
        near = ops.clip(ratio, 1.0 - self.clip, 1.0 + self.clip)
        return ops.minimum(ratio * advantages, near * advantages)


ALGORITHMS: Final[Mapping[str, type[Reinforce | ActorCritic | PPO]]] = MappingProxyType(
    {"reinforce": Reinforce, "a2c": ActorCritic, "ppo": PPO}
)
"""The algorithms by the name that the command line gives them."""
