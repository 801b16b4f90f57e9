"""How much better an action was than expected: generalised advantage estimation."""

from __future__ import annotations

from typing import Any

import numpy as np

from .experience import Experience


def advantages(
    experience: Experience, values: Any, next_values: Any, *, discount: float, trace: float
) -> Any:
    """A_t = Σ_k (γλ)^k δ_{t+k}, with δ_t = r_t + γ V(s_{t+1}) - V(s_t); float64, (N,).

    γ is `discount`, λ is `trace`. `values` are V of the observations and `next_values` of the next
    ones, both of shape (N,). The sum ends with the episode. V(s_{t+1}) counts as zero where the
    episode terminated, for nothing follows; where it was truncated, or where the steps end within
    it, it stands for the rewards that were not seen (Pardo et al. 2018, arXiv:1712.00378). With
    λ = 1, A_t + V(s_t) is the return from t on. (Schulman et al. 2016, arXiv:1506.02438, eq. 16)
    """
    follows = np.where(experience.terminated, 0.0, next_values)
    deltas = experience.rewards + discount * follows - values
    decays = np.where(experience.terminated | experience.truncated, 0.0, discount * trace)
    found = np.empty(len(deltas))
    ahead = 0.0
    for t in range(len(deltas) - 1, -1, -1):
        ahead = deltas[t] + decays[t] * ahead
        found[t] = ahead
    return found
