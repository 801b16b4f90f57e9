"""Documents on the terminal: colour, trees, tables, and long products broken at their factors."""

from __future__ import annotations

import io
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text as RichText
from rich.tree import Tree as RichTree

from .document import Block, Cell, Derivation, Document, Line, Table, Text, Title, Tree
from .notation import Math
from .render import joints, parts_of

PLAIN_WIDTH: Final = 100
"""Columns of an explanation that is turned into text."""


def plain(document: Document, width: int = PLAIN_WIDTH) -> str:
    """The text of a document, without colour."""
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False, markup=False, no_color=True)
    show(document, console)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).strip("\n")


def show(document: Document, console: Console) -> None:
    """Print a document."""
    for i, block in enumerate(document.blocks):
        if i:
            console.print()
        _show_block(block, console)


def _show_block(block: Block, console: Console) -> None:
    match block:
        case Title(text, level):
            console.print(text, style="bold" if level == 1 else "bold cyan", soft_wrap=True)
        case Text(text, is_note):
            console.print(text, style="yellow" if is_note else None)
        case Derivation():
            for row in _derivation(block, console.width):
                console.print(row, soft_wrap=True)
        case Table(headers, rows, caption, right):
            if caption:
                console.print(caption, style="italic")
            table = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
            for i, header in enumerate(headers):
                table.add_column(header, justify="right" if i in right else "left")
            for cells in rows:
                table.add_row(*[_cell(cell) for cell in cells])
            console.print(table)
        case Tree():
            console.print(_tree(block))


def _cell(cell: Cell) -> RichText:
    return RichText(cell.text, style="green") if isinstance(cell, Math) else RichText(cell)


def _derivation(block: Derivation, width: int) -> list[RichText]:
    """Lines with the relations under each other."""
    indent = len(block.left.text)
    rows: list[RichText] = []
    for number, line in enumerate(block.lines):
        for i, body in enumerate(_broken(line, max(20, width - indent - 4))):
            left = block.left.text if number == 0 and i == 0 else " " * indent
            sign = line.sign if i == 0 else " "
            row = RichText(f"  {left} {sign:1} ")
            row.append(body, style="green")
            rows.append(row)
        if line.remark:
            rows[-1].append(f"   {line.remark}", style="dim")
    return rows


def _broken(line: Line, width: int) -> list[str]:
    """The parts of a line joined; a new line begins, with the joint, where they do not fit."""
    rows = [""]
    for i, (sign, part) in enumerate(joints(line, parts_of(line))):
        joint = f" {sign} " if sign else "   "
        piece = part.text if i == 0 else f"{joint}{part.text}"
        if rows[-1] and len(rows[-1]) + len(piece) > width:
            rows.append(piece.lstrip())
        else:
            rows[-1] += piece
    return rows


def _tree(tree: Tree) -> RichTree:
    def label(node: Tree) -> RichText:
        text = RichText(node.label.text, style="green")
        return text.append(f"   {node.remark}", style="dim") if node.remark else text

    root = RichTree(label(tree))
    stack = [(root, child) for child in reversed(tree.children)]
    while stack:
        parent, node = stack.pop()
        branch = parent.add(label(node))
        stack.extend((branch, child) for child in reversed(node.children))
    return root
