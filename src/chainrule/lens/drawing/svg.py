"""The picture itself: SVG that stands alone, in light and dark."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

from ..record import Record
from .groups import Group, Member
from .labels import Label
from .layout import Path, Placed, Plan, Size

FONT: Final = 11.0
ADVANCE: Final = 0.602 * FONT
"""Width of a character of a font with one width."""
LINE: Final = 14.0
INSET: Final = 8.0
MARGIN: Final = 16.0
LEGEND: Final = 24.0
_STYLE: Final = """
svg.chainrule { background: #ffffff; font: 11px ui-monospace, Menlo, Consolas, monospace; }
.chainrule rect { stroke: #57606a; fill: #f6f8fa; }
.chainrule .leaf rect { fill: #fff8e5; stroke: #9a6700; }
.chainrule .output rect { stroke-width: 2; }
.chainrule .folded rect { fill: #eef4ff; stroke-dasharray: 5 3; }
.chainrule .frame rect { fill: #57606a; fill-opacity: 0.06; stroke: #afb8c1; }
.chainrule .broken rect { fill: #ffebe9; stroke: #cf222e; }
.chainrule text { fill: #1f2328; } .chainrule .title { font-weight: 600; }
.chainrule .shape { fill: #656d76; } .chainrule .value { fill: #0550ae; }
.chainrule .gradient { fill: #bc4c00; }
.chainrule path { fill: none; stroke: #6e7781; } .chainrule marker path { fill: #6e7781; }
@media (prefers-color-scheme: dark) {
svg.chainrule { background: #0d1117; } .chainrule text { fill: #e6edf3; }
.chainrule rect { fill: #161b22; stroke: #8b949e; } .chainrule .leaf rect { fill: #2d2200; }
.chainrule .folded rect { fill: #121d2f; } .chainrule .broken rect { fill: #3c1014; }
.chainrule .shape { fill: #8b949e; } .chainrule .value { fill: #79c0ff; }
.chainrule .gradient { fill: #ffa657; } }
"""


def size_of(member: Member, label: Label) -> Size:
    """The size of a box with its text; for an open group, of its name."""
    lines = label.lines[:1] if isinstance(member, Group) and member.is_open else label.lines
    longest = max(len(text) for _, text in lines)
    return (round(longest * ADVANCE + 2 * INSET, 2), len(lines) * LINE + INSET)


def svg(record: Record, plan: Plan, labels: Mapping[int, Label]) -> str:
    """The picture of a plan; `labels` has what each member says, by its id."""
    width, height = plan.width + 2 * MARGIN, plan.height + 2 * MARGIN + LEGEND
    width = max(width, 44 * ADVANCE + 2 * MARGIN)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chainrule" role="img" '
        f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.2f} {height:.2f}">',
        f"<title>{escape(_title(record))}</title>",
        f"<style>{_STYLE}</style>",
        '<defs><marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0,1 L8,4 L0,7 Z"/></marker></defs>',
        _text("value", MARGIN, MARGIN + FONT, "forward: value")
        + _text("gradient", MARGIN + 18 * ADVANCE, MARGIN + FONT, "backward: ∂output/∂value"),
        f'<g transform="translate({MARGIN:g},{MARGIN + LEGEND:g})">',
    ]
    frames = [b for b in plan.boxes if isinstance(b.member, Group) and b.member.is_open]
    parts += [_frame(box, labels[id(box.member)]) for box in frames]
    parts += [_path(path) for path in plan.paths]
    parts += [_box(record, box, labels[id(box.member)]) for box in plan.boxes if box not in frames]
    return "\n".join([*parts, "</g>", "</svg>"]) + "\n"


def _title(record: Record) -> str:
    count = sum(not e.is_leaf for e in record.entries)
    return f"{record.output.name}: {count} operations, forward values and backward gradients"


def _text(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{x:.2f}" y="{y:.2f}">{escape(text)}</text>'


def _rect(box: Placed) -> str:
    return (
        f'<rect x="{box.x:.2f}" y="{box.y:.2f}" width="{box.width:.2f}" '
        f'height="{box.height:.2f}" rx="4"/>'
    )


def _frame(box: Placed, label: Label) -> str:
    name = _text("title", box.x + box.name_at + INSET, box.y + LINE, label.title)
    return f'<g class="frame">{_rect(box)}{name}</g>'


def _box(record: Record, box: Placed, label: Label) -> str:
    member = box.member
    last = list(member.entries())[-1] if isinstance(member, Group) else member
    kinds = [kind for kind, holds in (
        ("folded", isinstance(member, Group) and member.kind != "outputs"),
        ("leaf", not isinstance(member, Group) and member.is_leaf),
        ("output", last is record.output),
        ("broken", not label.is_finite),
    ) if holds]  # fmt: skip
    lines = [
        _text(kind, box.x + INSET, box.y + LINE * (k + 1), text)
        for k, (kind, text) in enumerate(label.lines)
    ]
    details = f"<title>{escape(label.details)}</title>"
    return f'<g class="{" ".join(kinds) or "op"}">{details}{_rect(box)}{"".join(lines)}</g>'


def _path(path: Path) -> str:
    (x, y), *rest = path.points
    parts = [f"M{x:.2f},{y:.2f}"]
    for k, (a, b) in enumerate(rest):
        if k % 2 == 0:
            parts.append(f"L{a:.2f},{b:.2f}")
        else:
            middle = (y + b) / 2
            parts.append(f"C{x:.2f},{middle:.2f} {a:.2f},{middle:.2f} {a:.2f},{b:.2f}")
        x, y = a, b
    end = ' marker-end="url(#end)"' if path.arrives else ""
    return f'<path d="{" ".join(parts)}"{end}/>'
