"""What every explanation can do: be shown in a terminal, a notebook, a document or a program."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult

from . import render, terminal
from .document import Derivation, Document


class Explanation(ABC):
    """Base of explanations. ``print`` shows one, and so does a notebook."""

    @abstractmethod
    def document(self) -> Document:
        """Its parts, to be shown."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """For programs; schemas/explanation.json describes it."""

    def __str__(self) -> str:
        return terminal.plain(self.document())

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        terminal.show(self.document(), console)
        return iter(())

    def to_markdown(self) -> str:
        """Markdown with LaTeX formulas."""
        return render.markdown(self.document())

    def to_latex(self) -> str:
        """The body of a LaTeX document that uses amsmath."""
        return render.latex(self.document())

    def to_html(self) -> str:
        """HTML with MathML, without scripts."""
        return render.html(self.document())

    def dumps(self) -> str:
        """``to_json`` as text."""
        return json.dumps(self.to_json(), allow_nan=False)

    def _repr_html_(self) -> str:
        return self.to_html()

    def _repr_latex_(self) -> str:
        derivations = [b for b in self.document().blocks if isinstance(b, Derivation)]
        shown = " \\\\[1ex]\n".join(render.latex_derivation(d) for d in derivations)
        return f"$\\displaystyle\n\\begin{{array}}{{l}}\n{shown}\n\\end{{array}}$"
