"""Findings: what the doctor says, as values, as JSON and as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, final

from .places import Place

Severity = Literal["error", "warning", "note"]
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "note")


@final
@dataclass(frozen=True)
class Tried:
    """A remedy, tried: the loss of the same steps, from the same seed, without it and with it."""

    before: float
    after: float
    start: float
    steps: int
    helped: bool
    comparable: bool = True
    """Whether both are values of one loss function."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "start": self.start, "before": self.before, "after": self.after,
            "steps": self.steps, "helped": self.helped,
        }  # fmt: skip


@final
@dataclass
class Finding:
    """One thing that is wrong.

    `evidence` holds the numbers it rests on, among them how many samples or steps they are of;
    `factor`, which factor of the chain rule's product is to blame; `remedy`, a change of code.
    """

    code: str
    severity: Severity
    cause: str
    factor: str
    remedy: str
    evidence: dict[str, Any]
    place: Place = field(default_factory=Place)
    layer: str = ""
    tried: Tried | None = None
    doubtful: bool = False
    """Whether it is to be dropped unless its remedy, tried, clearly helps."""
    unless_tried: Severity | None = None
    """The severity that is left, unless its remedy, tried, clearly helps; None: its own."""
    control: Any = None
    """What makes a run that must do as well as the program, or the finding is dropped; or None."""
    cure: Any = None
    """What applies the remedy to a running program (see ``cures``), or None."""

    def to_json(self) -> dict[str, Any]:
        """As the JSON object that lens/schemas/findings.json describes."""
        return {
            "code": self.code,
            "severity": self.severity,
            "layer": self.layer,
            "file": self.place.file,
            "line": self.place.line,
            "evidence": self.evidence,
            "cause": self.cause,
            "factor": self.factor,
            "remedy": self.remedy,
            "tried": None if self.tried is None else self.tried.to_json(),
        }


@final
@dataclass
class Report:
    """What the doctor says of one program."""

    findings: list[Finding]
    samples: int
    steps: int
    losses: list[float] = field(default_factory=list)
    failure: str | None = None
    """The program's own error, if it ended with one."""
    notes: list[str] = field(default_factory=list)
    """What limits the verdict, such as too few steps."""

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is wrong: notes do not count."""
        return not any(f.severity != "note" for f in self.findings)

    @property
    def codes(self) -> set[str]:
        """The codes of errors and warnings."""
        return {f.code for f in self.findings if f.severity != "note"}

    def to_json(self) -> Mapping[str, Any]:
        """As the JSON object that lens/schemas/findings.json describes."""
        return {
            "findings": [f.to_json() for f in self.findings],
            "samples": self.samples,
            "steps": self.steps,
            "error": self.failure,
            "notes": self.notes,
        }
