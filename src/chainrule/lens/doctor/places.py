"""Where things happen: the user's file and line, and the module's path."""

from __future__ import annotations

import linecache
import os
import sys
from types import CodeType, FrameType
from typing import NamedTuple

from ...config import PACKAGE_ROOT
from ...core.value import Scope

_LOSSES = (os.path.join(PACKAGE_ROOT, "nn", "losses"), os.path.join("nn", "losses.py"))


class Place(NamedTuple):
    """A line of the user's, and the path of the module that ran it (empty: none)."""

    file: str = ""
    line: int = 0
    path: str = ""

    @property
    def text(self) -> str:
        """The line itself."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        return f"{os.path.basename(self.file)}:{self.line}" if self.file else "?"


class Site(NamedTuple):
    """A point in the user's code, cheap to note and looked up when it is asked for."""

    code: CodeType
    instruction: int

    def place(self, scope: Scope | None = None) -> Place:
        """File, line and module path."""
        line = next(
            (n for a, b, n in self.code.co_lines() if a <= self.instruction < b and n is not None),
            self.code.co_firstlineno,
        )
        return Place(self.code.co_filename, line, "" if scope is None else scope.path())


def here() -> tuple[Site, FrameType | None]:
    """The innermost line outside this package, and the loss function that it called, if it did."""
    frame, loss = sys._getframe(1), None
    while frame.f_back is not None:
        file = frame.f_code.co_filename
        if file.startswith(_LOSSES[0]) or file.endswith(_LOSSES[1]):
            if not frame.f_code.co_name.startswith("_") and frame.f_code.co_name != "forward":
                loss = frame
        elif not (file.startswith(PACKAGE_ROOT) or file == "<string>"):
            break
        frame = frame.f_back
    return Site(frame.f_code, frame.f_lasti), loss


def user_frame() -> FrameType:
    """The innermost frame outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE_ROOT):
        frame = frame.f_back
    return frame
