"""What is written in the boxes of a drawing: names, shapes, forward values, backward gradients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from ..record import Entry
from .groups import Group, Member

DIGITS: Final = 4
LONGEST: Final = 34
"""Characters of a line in a box."""
MOST_OUTPUTS: Final = 3
"""Outputs of one operation whose numbers are shown."""


class Label(NamedTuple):
    """The lines of a box, by what they say; empty ones are left out."""

    title: str
    body: tuple[tuple[str, str], ...] = ()
    """Kind (``shape``, ``value``, ``gradient``) and text of what stands below."""
    details: str = ""
    """What is shown when the pointer rests on the box."""
    is_finite: bool = True

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Kind and text of each line."""
        return [(kind, text) for kind, text in (("title", self.title), *self.body) if text]


def label_of(member: Member) -> Label:
    """What a box says."""
    if not isinstance(member, Group):
        return _entry(member)
    return _outputs(member) if member.kind == "outputs" else _folded(member)


def _entry(entry: Entry) -> Label:
    return Label(
        title=_short(_title(entry)),
        body=_numbers(entry),
        details=_details(entry),
        is_finite=_is_finite(entry.value) and _is_finite(entry.gradient),
    )


def _outputs(group: Group) -> Label:
    """An operation with several outputs: the numbers of each that is used."""
    whole, *items = list(group.entries())
    shown = [line for item in items[:MOST_OUTPUTS] for line in _numbers(item)]
    if len(items) > MOST_OUTPUTS:
        shown.append(("shape", f"and {len(items) - MOST_OUTPUTS} other outputs"))
    return Label(
        title=_short(_title(whole)),
        body=tuple(shown),
        details=_details(whole),
        is_finite=all(_is_finite(e.value) and _is_finite(e.gradient) for e in items),
    )


def _numbers(entry: Entry) -> tuple[tuple[str, str], ...]:
    """Shape, value and gradient."""
    return (
        ("shape", "×".join(map(str, entry.shape or ()))),
        ("value", summary(entry.value)),
        ("gradient", summary(entry.gradient, "∂ ")),
    )


def _title(entry: Entry) -> str:
    title = entry.name
    if entry.op is not None:
        settings = ", ".join(f"{k}={v}" for k, v in entry.parameters.items())
        title = f"{entry.op}({settings})" if settings else entry.op
        if len(title) > LONGEST:
            title = entry.op
        if entry.name != entry.node.name:
            title = f"{entry.name} = {title}"
    elif entry.name == "leaf":
        title = "input"
    return title


def _details(entry: Entry) -> str:
    details = [_title(entry)]
    if entry.site is not None:
        details.append(f"{entry.site}  {entry.site.source}")
    if entry.module is not None:
        details.append(f"in {entry.module}")
    return "\n".join(details)


def _folded(group: Group) -> Label:
    entries = list(group.entries())
    count = sum(not e.is_leaf for e in entries)
    size = sum(e.value.size for e in entries if e.is_leaf and isinstance(e.value, np.ndarray))
    parts = [f"{count} operation{'s' * (count != 1)}"]
    if group.kind == "run":
        ops = Counter(e.op for e in entries if e.op is not None and e.op != "item")
        parts = [f"{n} {op}" for op, n in ops.most_common(3)] + ["…"] * (len(ops) > 3)
    elif size:
        parts.append(f"{size:,} parameters")
    return Label(
        title=_short(_name(group)),
        body=(("shape", _short(", ".join(parts))), *_numbers(entries[-1])[1:]),
        details=f"{group.name}, folded",
        is_finite=all(_is_finite(e.value) and _is_finite(e.gradient) for e in entries),
    )


def _name(group: Group) -> str:
    """Path and class of a module; of a long path, the end."""
    path = group.name
    module = "" if path.endswith(group.module) else f"  {group.module}"
    _, dot, rest = path.partition(".")
    while dot and len(path + module) > LONGEST:
        path = f"….{rest}"
        _, dot, rest = rest.partition(".")
    return path + module


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
