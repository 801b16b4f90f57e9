"""Documents as Markdown, LaTeX and HTML with MathML."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Final

from .document import Block, Cell, Derivation, Document, Line, Table, Text, Title, Tree
from .notation import Math, bracketed, needs_brackets, words

PARTS_IN_LINE: Final = 5
"""A line of a derivation with more factors or terms than this is broken."""
_LATEX_SIGNS: Final = {"=": "&=", "≈": r"&\approx", "": "&"}
_LATEX_JOINTS: Final = {"·": r" \cdot ", "+": " + ", "-": " - ", "⊙": r" \odot ", "": r" \quad "}
_ESCAPED: Final = str.maketrans({c: "\\" + c for c in "\\`*_{}[]<>#|"})


def parts_of(line: Line) -> list[Math]:
    """The parts of a line, in brackets where they are sums between factors."""
    if line.joint == "·" and len(line.parts) > 1:
        return [bracketed(p) if needs_brackets(p.text, i) else p for i, p in enumerate(line.parts)]
    return list(line.parts)


def joints(line: Line, parts: Sequence[Math]) -> list[tuple[str, Math]]:
    """Each part with the sign before it: a term that begins with a minus is subtracted."""
    found = []
    for i, part in enumerate(parts):
        minus = line.joint == "+" and i > 0 and part.text.startswith("-")
        found.append(("-", without_minus(part)) if minus else (line.joint, part))
    return found


def without_minus(x: Math) -> Math:
    """A formula that begins with a minus, less that minus."""
    mathml = re.sub(r"<mo>[-−]</mo>", "", x.mathml, count=1)
    return Math(x.text[1:].lstrip(), x.latex.replace("-", "", 1).lstrip(), mathml)


def groups(line: Line) -> list[list[tuple[str, Math]]]:
    """The parts of a line with their signs, cut where it is long."""
    parts = joints(line, parts_of(line))
    return [parts[i : i + PARTS_IN_LINE] for i in range(0, len(parts), PARTS_IN_LINE)] or [[]]


# LaTeX --------------------------------------------------------------------------------------------


def latex(document: Document) -> str:
    """For the body of a LaTeX document with amsmath."""
    return "\n\n".join(_latex_block(block) for block in document.blocks) + "\n"


def _latex_block(block: Block) -> str:
    match block:
        case Title(text, level):
            command = ("section*", "subsection*", "subsubsection*")[min(level, 3) - 1]
            return rf"\{command}{{{_latex_text(text)}}}"
        case Text(text):
            return _latex_text(text)
        case Derivation():
            return f"\\[\n{latex_derivation(block)}\n\\]"
        case Table(headers, rows, caption, right):
            columns = "".join("r" if i in right else "l" for i in range(len(headers)))
            lines = [" & ".join(map(_latex_text, headers)) + r" \\ \hline"]
            lines += [" & ".join(map(_latex_cell, row)) + r" \\" for row in rows]
            title = f"\\noindent {_latex_text(caption)}\n\n" if caption else ""
            body = "\n".join(lines)
            return f"{title}\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}"
        case Tree():
            lines = [
                rf"\hspace*{{{depth}em}}${node.label.latex}$ \\" for depth, node in rows_of(block)
            ]
            return "\\noindent\n" + "\n".join(lines)


def latex_derivation(block: Derivation) -> str:
    """An ``aligned`` environment."""
    lines = []
    left = block.left.latex
    for line in block.lines:
        for i, group in enumerate(groups(line)):
            body = "".join(f"{_LATEX_JOINTS[sign]}{p.latex}" for sign, p in group)
            if i == 0:
                body = body.removeprefix(_LATEX_JOINTS[line.joint])
            sign = _LATEX_SIGNS[line.sign] if i == 0 else r"&\quad"
            lines.append(f"{left} {sign} {body}")
            left = ""
    body = " \\\\\n".join(lines)
    return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"


def _latex_cell(cell: Cell) -> str:
    return f"${cell.latex}$" if isinstance(cell, Math) else _latex_text(cell)


def _latex_text(text: str) -> str:
    escaped = words(text).latex.removeprefix(r"\text{").removesuffix("}")
    for letter, command in (("∂", r"$\partial$"), ("≈", r"$\approx$"), ("→", r"$\to$"),
                            ("·", r"$\cdot$"), ("×", r"$\times$"), ("δ", r"$\delta$"),
                            ("σ", r"$\sigma$"), ("Σ", r"$\Sigma$"), ("≤", r"$\le$")):  # fmt: skip
        escaped = escaped.replace(letter, command)
    return escaped


# Markdown -----------------------------------------------------------------------------------------


def markdown(document: Document) -> str:
    """With formulas between dollars, as GitHub and notebooks show them."""
    return "\n\n".join(_markdown_block(block) for block in document.blocks) + "\n"


def _markdown_block(block: Block) -> str:
    match block:
        case Title(text, level):
            return f"{'#' * (level + 1)} {text.translate(_ESCAPED)}"
        case Text(text, is_note):
            return ("> " if is_note else "") + text.translate(_ESCAPED)
        case Derivation():
            return f"$$\n{latex_derivation(block)}\n$$"
        case Table(headers, rows, caption, right):
            lines = [f"| {' | '.join(headers)} |"]
            lines.append(
                "|" + "|".join("--:" if i in right else "---" for i in range(len(headers))) + "|"
            )
            lines += [f"| {' | '.join(_markdown_cell(c) for c in row)} |" for row in rows]
            return "\n".join([*([f"{caption.translate(_ESCAPED)}", ""] if caption else []), *lines])
        case Tree():
            return "\n".join(
                f"{'  ' * depth}- ${node.label.latex}$ {node.remark}".rstrip()
                for depth, node in rows_of(block)
            )


def _markdown_cell(cell: Cell) -> str:
    if isinstance(cell, Math):
        return f"${cell.latex}$".replace("|", r"\vert ")
    return cell.translate(_ESCAPED)


# HTML ---------------------------------------------------------------------------------------------


def html(document: Document) -> str:
    """A fragment without scripts or outside resources; formulas are MathML."""
    body = "\n".join(_html_block(block) for block in document.blocks)
    return f'<div class="chainrule-explanation">\n{body}\n</div>\n'


def _html_block(block: Block) -> str:
    match block:
        case Title(text, level):
            tag = f"h{min(level + 2, 6)}"
            return f"<{tag}>{escape(text)}</{tag}>"
        case Text(text, is_note):
            return f"<p><em>{escape(text)}</em></p>" if is_note else f"<p>{escape(text)}</p>"
        case Derivation():
            return _html_derivation(block)
        case Table(headers, rows, caption, right):
            style = [' style="text-align:right"' if i in right else ' style="text-align:left"'
                     for i in range(len(headers))]  # fmt: skip
            head = "".join(f"<th{s}>{escape(h)}</th>" for s, h in zip(style, headers, strict=True))
            lines = [
                "<tr>"
                + "".join(f"<td{s}>{_html_cell(c)}</td>" for s, c in zip(style, row, strict=True))
                + "</tr>"
                for row in rows
            ]
            title = f"<caption>{escape(caption)}</caption>" if caption else ""
            body = "\n".join(lines)
            return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"
        case Tree():
            return _html_tree(block)


def _html_derivation(block: Derivation) -> str:
    table = []
    left = block.left.mathml
    for line in block.lines:
        sign = f"<mo>{line.sign}</mo>" if line.sign else ""
        for i, group in enumerate(groups(line)):
            body = "".join(
                f"{_mathml_joint(joint) if i or n else ''}{p.mathml}"
                for n, (joint, p) in enumerate(group)
            )
            before = sign if i == 0 else ""
            table.append(
                f"<mtr><mtd>{left}</mtd><mtd>{before}</mtd><mtd><mrow>{body}</mrow></mtd></mtr>"
            )
            left = ""
    return (
        '<math display="block"><mtable columnalign="right center left">'
        f"{''.join(table)}</mtable></math>"
    )


def _mathml_joint(joint: str) -> str:
    return f"<mo>{joint}</mo>" if joint else '<mspace width="1em"/>'


def _html_cell(cell: Cell) -> str:
    return f"<math>{cell.mathml}</math>" if isinstance(cell, Math) else escape(cell)


def _html_tree(tree: Tree) -> str:
    remark = f" <small>{escape(tree.remark)}</small>" if tree.remark else ""
    label = f"<math>{tree.label.mathml}</math>{remark}"
    if not tree.children:
        return f"<ul><li>{label}</li></ul>"
    inner = "".join(_html_tree(child) for child in tree.children)
    return f"<ul><li><details open=''><summary>{label}</summary>{inner}</details></li></ul>"


def rows_of(tree: Tree, depth: int = 0) -> list[tuple[int, Tree]]:
    """A tree as lines: depth and node."""
    found, stack = [], [(depth, tree)]
    while stack:
        level, node = stack.pop()
        found.append((level, node))
        stack.extend((level + 1, child) for child in reversed(node.children))
    return found


RENDERERS: Final[dict[str, Callable[[Document], str]]] = {
    "markdown": markdown, "latex": latex, "html": html,
}  # fmt: skip
"""Besides the terminal."""
