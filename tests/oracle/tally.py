"""What the comparisons with PyTorch add up to."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts over all tests, and the largest error that float64 comparisons met."""

    ops: set[str] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)
    checks: int = 0
    worst: float = 0.0
    where: str = ""

    def note(self, error: float, where: str) -> None:
        """Keep `error` if it is the largest so far."""
        if not error <= self.worst:
            self.worst, self.where = error, where

    def __str__(self) -> str:
        return (
            f"ops compared {len(self.ops)}, modules compared {len(self.modules)}, "
            f"checks {self.checks}, worst relative error {self.worst:.1e} ({self.where})"
        )


TALLY = Tally()
