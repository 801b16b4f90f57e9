"""What commands print: JSON that is always valid, counts, and streams that no letter can break."""

from __future__ import annotations

import io
import json
import math
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import click


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON object on one line."""
    click.echo(json.dumps(finite(document), allow_nan=False))


def finite(tree: Any) -> Any:
    """`tree` with numbers that JSON does not have as strings, as ``History`` writes them.

    >>> finite({"loss": float("nan"), "norms": [1.0, float("inf")]})
    {'loss': 'nan', 'norms': [1.0, 'inf']}
    """
    if isinstance(tree, Mapping):
        return {key: finite(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [finite(value) for value in tree]
    if isinstance(tree, float) and not math.isfinite(tree):
        return repr(float(tree))
    return tree


def count(n: int, noun: str) -> str:
    """
    >>> count(1, "image"), count(7000, "image")
    ('1 image', '7,000 images')
    """
    return f"{n:,} {noun}{'s' * (n != 1)}"


def tolerate_encodings() -> None:
    """Let standard streams replace letters that they cannot encode, such as the bars in ASCII."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def can_print() -> bool:
    """Whether standard output takes what was written so far; if not, it is closed for good.

    Python would else try once more when it ends, and complain.
    """
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
        return False
    return True
