"""Documentation is executed: every docstring example, and every Python block of the documents."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr

ROOT = Path(__file__).parent.parent
MODULES = sorted(m.name for m in pkgutil.walk_packages(cr.__path__, "chainrule."))
DOCUMENTS = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.mark.parametrize("name", ["chainrule", *MODULES])
def test_docstring_examples_give_what_they_show(name: str) -> None:
    module = importlib.import_module(name)
    public = {n: getattr(cr, n) for n in cr.__all__}
    names = {"cr": cr, "np": np, **public, **vars(module)}
    cr.manual_seed(0)
    result = doctest.testmod(module, extraglobs=names, optionflags=OPTIONS)
    assert result.failed == 0


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_blocks_of_documents_run(path: Path) -> None:
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.S):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(block, str(path), "exec"), names)


def test_the_readme_says_true_things_about_its_example() -> None:
    block, *_ = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(block, {})
    lines = printed.getvalue().splitlines()
    assert lines[1] == "tensor(30.)"
    assert float(lines[-1]) < 0.05
    assert len([line for line in block.splitlines() if line.strip()]) <= 24


def test_there_are_many_examples() -> None:
    finder = doctest.DocTestFinder()
    examples = sum(
        len(test.examples)
        for name in MODULES
        for test in finder.find(importlib.import_module(name))
    )
    assert examples >= 100
