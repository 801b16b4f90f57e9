"""Drawings as text for other programs: DOT and Mermaid, with the same boxes and folds."""

from __future__ import annotations

from collections.abc import Mapping

from ..record import Record
from .groups import Group, Member, visible
from .labels import Label

_QUOTED = str.maketrans({'"': "'", "\\": "/", "\n": " "})


def arrows(record: Record, root: Group) -> list[tuple[Member, Member]]:
    """Who of what is visible uses whom, each pair once."""
    members = visible(root)
    owner: dict[int, Member] = {}
    for member in members:
        for entry in member.entries() if isinstance(member, Group) else [member]:
            owner[entry.index] = member
    found = {}
    for entry in record.entries:
        for i in entry.inputs:
            if i is not None and owner[i] is not owner[entry.index]:
                pair = (owner[i], owner[entry.index])
                found[id(pair[0]), id(pair[1])] = pair
    return list(found.values())


def _name(member: Member) -> str:
    return f"g{member.index}" if isinstance(member, Group) else f"n{member.index}"


def dot(record: Record, root: Group, labels: Mapping[int, Label]) -> str:
    """In the DOT language of Graphviz."""
    lines = ["digraph chainrule {", '  node [shape=box, fontname="monospace"];']

    def write(group: Group, indent: str) -> None:
        for member in group.members:
            label = labels[id(member)]
            if isinstance(member, Group) and member.is_open:
                lines.append(f'{indent}subgraph "cluster_{_name(member)}" {{')
                lines.append(f'{indent}  label="{label.title.translate(_QUOTED)}";')
                write(member, indent + "  ")
                lines.append(f"{indent}}}")
            else:
                text = r"\n".join(text.translate(_QUOTED) for _, text in label.lines)
                is_folded = isinstance(member, Group) and member.kind != "outputs"
                style = ", style=dashed" if is_folded else ""
                lines.append(f'{indent}{_name(member)} [label="{text}"{style}];')

    write(root, "  ")
    lines += [f"  {_name(a)} -> {_name(b)};" for a, b in arrows(record, root)]
    return "\n".join([*lines, "}"]) + "\n"


def mermaid(record: Record, root: Group, labels: Mapping[int, Label]) -> str:
    """As a flowchart of Mermaid, for Markdown."""
    lines = ["flowchart TD"]

    def write(group: Group, indent: str) -> None:
        for member in group.members:
            label = labels[id(member)]
            if isinstance(member, Group) and member.is_open:
                title = _mermaid(label.title)
                lines.append(f'{indent}subgraph {_name(member)}["{title}"]')
                write(member, indent + "  ")
                lines.append(f"{indent}end")
            else:
                text = "<br/>".join(_mermaid(text) for _, text in label.lines)
                lines.append(f'{indent}{_name(member)}["{text}"]')

    write(root, "  ")
    lines += [f"  {_name(a)} --> {_name(b)}" for a, b in arrows(record, root)]
    return "\n".join(lines) + "\n"


def _mermaid(text: str) -> str:
    """Text with what Mermaid would read as markup written as entities."""
    return "".join(c if c.isalnum() or c in " .,=+-‖∂×" else f"#{ord(c)};" for c in text)
