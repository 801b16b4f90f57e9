"""What explanations are made of before they are shown: texts, derivations, tables, trees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from .notation import Math

Cell: TypeAlias = str | Math


@dataclass(frozen=True)
class Title:
    """A heading."""

    text: str
    level: int = 1


@dataclass(frozen=True)
class Text:
    """A paragraph; a `note` is set apart."""

    text: str
    is_note: bool = False


@dataclass(frozen=True)
class Line:
    """One line of a derivation: a relation, and parts with a sign between them."""

    sign: str
    parts: tuple[Math, ...]
    joint: str = ""
    """Between parts, where long lines are broken: ``·``, ``+`` or nothing."""
    remark: str = ""


@dataclass(frozen=True)
class Derivation:
    """``left = … = …``, line by line."""

    left: Math
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Table:
    """Rows under headers; columns of numbers are set to the right."""

    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    right: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Tree:
    """A node and what it was computed from."""

    label: Math
    children: tuple[Tree, ...] = ()
    remark: str = ""


Block: TypeAlias = Title | Text | Derivation | Table | Tree


@dataclass
class Document:
    """Blocks in order."""

    blocks: list[Block] = field(default_factory=list)

    def title(self, text: str, level: int = 1) -> None:
        """Add a heading."""
        self.blocks.append(Title(text, level))

    def text(self, text: str, *, is_note: bool = False) -> None:
        """Add a paragraph."""
        self.blocks.append(Text(text, is_note))

    def derivation(self, left: Math, lines: Sequence[Line]) -> None:
        """Add a derivation."""
        self.blocks.append(Derivation(left, tuple(lines)))

    def table(
        self,
        headers: Sequence[str],
        rows: Sequence[Sequence[Cell]],
        caption: str = "",
        right: Sequence[int] = (),
    ) -> None:
        """Add a table, unless it has no rows."""
        if rows:
            body = tuple(tuple(row) for row in rows)
            self.blocks.append(Table(tuple(headers), body, caption, frozenset(right)))

    def tree(self, tree: Tree) -> None:
        """Add a tree."""
        self.blocks.append(tree)
