"""What a study is: a question, rows of measurements, and what they say about the sources' claims.

Measuring and judging are apart: ``conclude`` is a function of the rows only, so that other numbers
give another sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, final

R = TypeVar("R")
Tell = Callable[[str], Any]
"""Told what is being measured, once for each of a study's parts."""


@final
@dataclass(frozen=True)
class Settings:
    """What decides the outcome of a study, apart from the speed of the machine."""

    data: Path | None = None
    """The folder with MNIST's files; without, as ``MNIST`` finds them."""
    quick: bool = False
    """A small version of the study, in seconds: the sentence is about less, too."""
    seed: int = 0


@final
@dataclass(frozen=True)
class Claim:
    """What a source says, and whether the numbers agree."""

    source: str
    """The document and its section."""
    text: str
    holds: bool | None
    """None: these rows do not tell, such as those of a quick study."""
    evidence: str


@final
@dataclass(frozen=True)
class Conclusion:
    """One sentence that the numbers support, and the verdict on each claim."""

    sentence: str
    claims: tuple[Claim, ...]


@final
@dataclass(frozen=True)
class Study(Generic[R]):
    """A study by its parts. Rows are frozen dataclasses of numbers."""

    name: str
    question: str
    parts: Callable[[Settings], int]
    """How often `measure` tells."""
    measure: Callable[[Settings, Tell], Iterator[R]]
    columns: tuple[tuple[str, Callable[[R], str]], ...]
    """Headers of the table, and what a row has to say under each."""
    conclude: Callable[[Sequence[R]], Conclusion]
    draw: Callable[[Sequence[R]], dict[str, str]]
    """Pictures by their names, as SVG."""

    def table(self, rows: Sequence[R]) -> list[list[str]]:
        """The cells of the table, row by row."""
        return [[cell(row) for _, cell in self.columns] for row in rows]

    def document(self, settings: Settings, rows: Sequence[R], *, finished: bool) -> dict[str, Any]:
        """Everything as what JSON can say; without a conclusion if the study was cut short."""
        conclusion = self.conclude(rows) if finished else None
        return {
            "study": self.name,
            "question": self.question,
            "status": "finished" if finished else "interrupted",
            "quick": settings.quick,
            "seed": settings.seed,
            "rows": [_figures(row) for row in rows],
            "claims": [asdict(claim) for claim in conclusion.claims] if conclusion else [],
            "sentence": conclusion.sentence if conclusion else None,
        }


def _figures(row: Any) -> dict[str, Any]:
    """The fields and the properties of a row."""
    derived = [n for n, member in vars(type(row)).items() if isinstance(member, property)]
    return {**asdict(row), **{name: getattr(row, name) for name in derived}}


def verdict(claims: Sequence[Claim]) -> str:
    """How the claims fared, in words.

    >>> verdict([Claim("001", "noisy", True, ""), Claim("001", "fast", False, "")])
    '1 of 2 claims holds'
    """
    told = [claim.holds for claim in claims if claim.holds is not None]
    held = sum(told)
    return f"{held} of {len(told)} claims {'holds' if held == 1 else 'hold'}"
