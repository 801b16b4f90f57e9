"""The gradient doctor: evidence of a running program, rules, and remedies that are tried."""

from __future__ import annotations

from .examine import examine
from .findings import Finding, Report, Tried
from .rules import RULES

CODES = tuple(rule.code for rule in RULES)
"""Every code of a finding."""

__all__ = ["CODES", "RULES", "Finding", "Report", "Tried", "examine"]
