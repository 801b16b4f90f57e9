"""The doctor's rules: one small class for each code of a finding."""

from __future__ import annotations

from ..case import Rule
from .data import BadLabels, InputScale, NotShuffled
from .gradients import Exploding, NonFiniteNumbers, Vanishing
from .graph import Frozen, NoGradient, NotOptimized, TruncatedGraph
from .loop import MissingZeroGrad, ModeMixup, RateTooHigh, RateTooLow
from .losses import Broadcasting, DoubleSoftmax, LossMismatch
from .units import BadInitScale, DeadRelu, Saturated, SymmetricInit

RULES: tuple[Rule, ...] = (
    NonFiniteNumbers(), TruncatedGraph(), NoGradient(), NotOptimized(), Frozen(),
    MissingZeroGrad(), Broadcasting(), DoubleSoftmax(), LossMismatch(), ModeMixup(),
    SymmetricInit(), BadInitScale(), InputScale(), BadLabels(), NotShuffled(),
    Vanishing(), Exploding(), DeadRelu(), Saturated(), RateTooHigh(), RateTooLow(),
)  # fmt: skip
"""All rules, causes before consequences."""
