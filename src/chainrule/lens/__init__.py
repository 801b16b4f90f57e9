"""Seeing through a program: what its gradients do, and what is wrong with them."""

from __future__ import annotations

from .capture import explain_backward, explain_step
from .derived import ExpressionExplanation, explain_expression
from .drawing import Drawing, draw
from .network import LayersExplanation, explain_layers
from .record import Entry, Record, Site, record_of
from .values import Keeper, keeping
from .views import TapeView, explain
from .why import Reason, Why, why, why_none

__all__ = [
    "Drawing", "Entry", "ExpressionExplanation", "Keeper", "LayersExplanation", "Reason", "Record",
    "Site", "TapeView", "Why", "draw", "explain", "explain_backward", "explain_expression",
    "explain_layers", "explain_step", "keeping", "record_of", "why", "why_none",
]  # fmt: skip
