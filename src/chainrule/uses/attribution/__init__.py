"""Attribution: which parts of an input a model's output depends on, by gradients and without.

Functions of a model and a batch (N, ...) of any shape return an ``Attribution``: ``saliency``,
``gradient_x_input``, ``integrated_gradients``, ``smoothgrad``, ``grad_cam``, ``guided_backprop``
and, without gradients, ``occlusion``. ``explain_all`` compares them.
"""

from __future__ import annotations

from .all import METHODS, Comparison, explain_all
from .gradient import gradient_x_input, integrated_gradients, saliency, smoothgrad
from .layers import grad_cam, guided_backprop
from .occlusion import Drops, agreement, occlusion, occlusion_drops, rank_correlation
from .result import Attribution, Completeness
from .targets import Scores

__all__ = [
    "METHODS",
    "Attribution",
    "Comparison",
    "Completeness",
    "Drops",
    "Scores",
    "agreement",
    "explain_all",
    "grad_cam",
    "gradient_x_input",
    "guided_backprop",
    "integrated_gradients",
    "occlusion",
    "occlusion_drops",
    "rank_correlation",
    "saliency",
    "smoothgrad",
]
