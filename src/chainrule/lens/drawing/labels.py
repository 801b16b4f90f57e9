"""What is written in the boxes of a drawing: names, shapes, forward values, backward gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from ..record import Entry
from .groups import Group, Member

DIGITS: Final = 4
LONGEST: Final = 34
"""Characters of a line in a box."""


class Label(NamedTuple):
    """The lines of a box, by what they say; empty ones are left out."""

    title: str
    shape: str = ""
    value: str = ""
    gradient: str = ""
    details: str = ""
    """What is shown when the pointer rests on the box."""
    is_finite: bool = True

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Kind and text of each line."""
        named = [("title", self.title), ("shape", self.shape), ("value", self.value),
                 ("gradient", self.gradient)]  # fmt: skip
        return [(kind, text) for kind, text in named if text]


def label_of(member: Member) -> Label:
    """What a box says."""
    return _folded(member) if isinstance(member, Group) else _entry(member)


def _entry(entry: Entry) -> Label:
    title = entry.name
    if entry.op is not None:
        settings = ", ".join(f"{k}={v}" for k, v in entry.parameters.items())
        title = f"{entry.op}({settings})" if settings else entry.op
        if len(title) > LONGEST:
            title = entry.op
    elif entry.name == "leaf":
        title = "input"
    details = [title]
    if entry.site is not None:
        details.append(f"{entry.site}  {entry.site.source}")
    if entry.module is not None:
        details.append(f"in {entry.module}")
    return Label(
        title=_short(title),
        shape="" if not entry.shape else "×".join(map(str, entry.shape)),
        value=summary(entry.value),
        gradient=summary(entry.gradient, "∂ "),
        details="\n".join(details),
        is_finite=_is_finite(entry.value) and _is_finite(entry.gradient),
    )


def _folded(group: Group) -> Label:
    entries = list(group.entries())
    count = sum(not e.is_leaf for e in entries)
    size = sum(e.value.size for e in entries if e.is_leaf and isinstance(e.value, np.ndarray))
    parts = [f"{count} operation{'s' * (count != 1)}"]
    if size:
        parts.append(f"{size:,} parameters")
    return Label(
        title=_short(group.name),
        shape=_short(", ".join(parts)),
        value=summary(entries[-1].value),
        gradient=summary(entries[-1].gradient, "∂ "),
        details=f"{group.name}, folded",
        is_finite=all(_is_finite(e.value) and _is_finite(e.gradient) for e in entries),
    )


def summary(x: Any, sign: str = "") -> str:
    """One number as it is, of several the norm and the range; empty for what is not known."""
    if isinstance(x, (tuple, list)) or x is None:
        return ""
    array = np.asarray(x)
    if array.size == 1:
        return f"{sign}{_number(array.item())}"
    if array.size == 0 or array.dtype.kind not in "fiu":
        return ""
    if array.size <= 3:
        return f"{sign}[{', '.join(_number(v) for v in array.ravel().tolist())}]"
    wide = array.astype(np.float64)
    broken = int(wide.size - np.isfinite(wide).sum())
    if broken:
        return f"{sign}{broken} of {wide.size} not finite"
    return f"{sign}‖{_number(float(np.linalg.norm(wide)))}‖ {_range(wide)}"


def _range(x: np.ndarray[Any, Any]) -> str:
    return f"[{_number(float(x.min()))}, {_number(float(x.max()))}]"


def _number(x: float) -> str:
    return str(x) if isinstance(x, (bool, int)) else f"{x:.{DIGITS}g}"


def _is_finite(x: Any) -> bool:
    parts: Sequence[Any] = x if isinstance(x, (tuple, list)) else [x]
    arrays = [np.asarray(part) for part in parts if part is not None]
    return all(bool(np.isfinite(a).all()) for a in arrays if a.dtype.kind == "f")


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
