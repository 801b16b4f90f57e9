"""Kernels as sources: what their code depends on, and how it is written if no cache has it."""

from __future__ import annotations

import hashlib
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CompilationError
from ...runtime.code import Code, Source
from ...runtime.target import Target
from ..kernels import Contraction, Kernel, Scan, Scatter
from .contraction import contraction
from .loops import loop
from .running import scan
from .scattering import scatter


def source(kernel: Kernel, target: Target, label: str) -> Source:
    """The source of a kernel, called `label` if its code cannot be written."""
    key = f"{_generator()}\n{target!r}\n{fingerprint(kernel)}"
    return Source(key, partial(generate, kernel, target, label))


def generate(kernel: Kernel, target: Target, label: str) -> Code:
    """The code of a kernel.

    Raises CompilationError, which names it, if there is a defect in the generators.
    """
    try:
        if isinstance(kernel, Contraction):
            return contraction(kernel, target)
        if isinstance(kernel, Scan):
            return scan(kernel, target)
        if isinstance(kernel, Scatter):
            return scatter(kernel, target)
        return loop(kernel, target)
    except Exception as failure:
        raise CompilationError(f"no code could be generated for {label}") from failure


def fingerprint(kernel: Kernel) -> str:
    """A kernel as text: equal for kernels that have the same code, and only for these.

    Expressions share parts, so each part is written once, on a line of its own.
    """
    lines: list[str] = []
    seen: dict[int, str] = {}
    numbers: dict[str, str] = {}

    def token(x: Any) -> str:
        if not isinstance(x, tuple):
            return x.str if isinstance(x, np.dtype) else repr(x)
        known = seen.get(id(x))
        if known is None:
            inside = ",".join([token(part) for part in x])
            if type(x) is tuple:
                known = f"({inside})"
            else:
                line = f"{type(x).__name__}({inside})"
                known = numbers.get(line)
                if known is None:
                    known = numbers[line] = f"%{len(lines)}"
                    lines.append(line)
            seen[id(x)] = known
        return known

    token(kernel)
    return "\n".join(lines)


@cache
def _generator() -> str:
    """A digest of the generators' own text: code that another version wrote is not this one's."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in (folder.parent / "kernels.py", *sorted(folder.glob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()
