"""Seeing through a program: what its gradients do, and what is wrong with them."""

from __future__ import annotations

from .capture import explain_backward, explain_step
from .derived import ExpressionExplanation, explain_expression
from .network import LayersExplanation, explain_layers
from .record import Entry, Record, Site, record_of
from .values import Keeper, keeping
from .views import TapeView, explain

__all__ = [
    "Entry", "ExpressionExplanation", "Keeper", "LayersExplanation", "Record", "Site", "TapeView",
    "explain", "explain_backward", "explain_expression", "explain_layers", "explain_step",
    "keeping", "record_of",
]  # fmt: skip
