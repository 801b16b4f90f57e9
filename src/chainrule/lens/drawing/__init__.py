"""``draw``: forward values and backward gradients of a computation on one picture."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path as File
from typing import Any, Final

from ...errors import ArgumentError
from ...tensor import Tensor
from ..record import Record, record_of
from . import text
from .groups import Group, Member, grouped, visible
from .labels import Label, label_of
from .layout import Path, Placed, Plan, lay_out
from .svg import size_of, svg

MOST: Final = 200
"""Boxes and entries that are visible, if nothing else is said."""
SUFFIXES: Final = (".svg", ".dot", ".mmd")

__all__ = ["Drawing", "Path", "Placed", "draw", "suffix_of"]


class Drawing:
    """A computation drawn from its inputs, at the top, down to its output.

    A notebook shows it. The same record is drawn the same way each time.
    """

    def __init__(self, record: Record, most: int, folded: Collection[str]) -> None:
        self.record = record
        self._root = grouped(record, most, folded)
        self._labels: dict[int, Label] = {}
        self._label(self._root)
        plan: Plan = lay_out(record, self._root, lambda m: size_of(m, self._labels[id(m)]))
        self.boxes = plan.boxes
        """What is drawn, frames of modules before what is in them."""
        self.paths = plan.paths
        """The lines between boxes, each from top to bottom."""
        self.svg = svg(record, plan, self._labels)
        """The picture."""

    def _label(self, group: Group) -> None:
        for member in group.members:
            self._labels[id(member)] = label_of(member)
            if isinstance(member, Group):
                self._label(member)

    @property
    def visible(self) -> list[Member]:
        """Entries and folded boxes that are drawn."""
        return visible(self._root)

    @property
    def folded(self) -> list[str]:
        """Names of the boxes that are folded."""
        return [m.name for m in self.visible if isinstance(m, Group) and m.kind != "outputs"]

    def dot(self) -> str:
        """The same in the DOT language of Graphviz."""
        return text.dot(self.record, self._root, self._labels)

    def mermaid(self) -> str:
        """The same as a flowchart of Mermaid."""
        return text.mermaid(self.record, self._root, self._labels)

    def save(self, path: str | File) -> None:
        """Write a file; its suffix says what. See ``suffix_of``."""
        kinds = {".svg": lambda: self.svg, ".dot": self.dot, ".mmd": self.mermaid}
        File(path).write_text(kinds[suffix_of(path)](), encoding="utf-8")

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"<drawing of {len(self.record.entries)} entries, {len(self.visible)} visible>"


def suffix_of(path: str | File) -> str:
    """``.svg``, ``.dot`` or ``.mmd``: what a drawing is saved as.

    Raises ArgumentError for another suffix.
    """
    suffix = File(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ArgumentError(
            "a drawing is saved as SVG, DOT or Mermaid",
            expected=", ".join(SUFFIXES),
            got=repr(str(path)),
        )
    return suffix


def draw(
    output: Tensor,
    *,
    direction: Any = None,
    names: Mapping[str, Tensor] | None = None,
    most: int = MOST,
    fold: Collection[str] = (),
) -> Drawing:
    """Draw what `output` was computed from: each operation with its value and its gradient.

    Calls of modules are frames with the module's path. Where more than `most` boxes would be
    visible, modules are folded from the inside out, and long runs of operations are put into
    boxes. `fold` names modules to fold anyway, as in ``"Net.encoder"``. `direction` is needed for
    an output of several elements, `names` names tensors.

    Raises ArgumentError for `most` below 2, and what ``record_of`` raises.

    >>> x = tensor(3.0, requires_grad=True)
    >>> draw(x * x, names={"x": x})
    <drawing of 2 entries, 2 visible>
    """
    if most < 2:
        raise ArgumentError("a drawing needs room for two boxes", expected="2", got=str(most))
    return Drawing(record_of(output, direction=direction, names=names), most, fold)
