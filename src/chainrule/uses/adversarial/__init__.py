"""Adversarial examples: inputs moved a little so that a classifier errs, and training against them.

Attacks are ``FGSM``, ``BIM``, ``PGD`` and ``DeepFool``: ``attack(x, y)`` returns an ``Attacked``.
``AdversarialExamples`` trains on them, ``robust_accuracy`` is the curve over ε, and
``check_masking`` says whether robustness is to be believed.
"""

from __future__ import annotations

from .attack import Attack, Attacked, margin
from .deepfool import DeepFool
from .gradient import BIM, FGSM, PGD, GradientAttack
from .masking import Masking, Sign, check_masking
from .robustness import ATTACKS, RobustAccuracy, examples_picture, robust_accuracy
from .training import AdversarialExamples

__all__ = [
    "ATTACKS",
    "BIM",
    "FGSM",
    "PGD",
    "AdversarialExamples",
    "Attack",
    "Attacked",
    "DeepFool",
    "GradientAttack",
    "Masking",
    "RobustAccuracy",
    "Sign",
    "check_masking",
    "examples_picture",
    "margin",
    "robust_accuracy",
]
