"""What an entry of a table came to, and the comparison of two results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

import chainrule as cr

from ..compare import FLOOR, numbers

RTOL = 1e-6
NARROW_RTOL = 1e-5
"""For float32 results, of which a few samples are made."""
LEAST = 1e-5
"""Smaller float64 numbers are compared as if they were of this size: to 1e-11; float32: of 1."""


class MismatchError(Exception):
    """Two results that differ, with both of them."""


class SampleSkippedError(Exception):
    """A sample that is left out, with the reason."""


@dataclass
class Entry:
    """One name of a table: absent, wrong with the first failure, right, or random throughout."""

    kind: str
    name: str
    status: str = "right"
    samples: int = 0
    random: int = 0
    checks: int = 0
    worst: float = 0.0
    refused: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    failures: int = 0
    rtol: float = RTOL
    failure: str = ""

    def fail(self, what: str) -> None:
        """Keep the first failure; one is enough to be wrong."""
        self.failures += 1
        self.status = "wrong"
        self.failure = self.failure or what

    def absent(self, what: str) -> None:
        """The name is not in the surface."""
        self.status, self.failure = "absent", what

    def close(self) -> Entry:
        """Settle entries none of whose samples could be compared by value."""
        if self.status == "right" and not self.samples:
            self.absent("no sample could be compared: " + (", ".join(self.skipped) or "none given"))
        elif self.status == "right" and self.random == self.samples:
            self.status = "random"
        return self

    def same(self, mine: Any, judge: Any, what: str, *, exact_dtype: bool = True) -> None:
        """Raise MismatchError unless both trees hold the same numbers, shapes and element types."""
        ours, theirs = list(leaves(mine)), list(leaves(judge))
        if len(ours) != len(theirs):
            raise MismatchError(f"{what}: {len(ours)} results, PyTorch {len(theirs)}")
        for x, y in zip(ours, theirs, strict=True):
            self._same_leaf(x, y, what, exact_dtype)

    def _same_leaf(self, mine: Any, judge: Any, what: str, exact_dtype: bool) -> None:
        self.checks += 1
        if not isinstance(judge, torch.Tensor | float | int | bool | complex):
            if str(mine) != str(judge):
                raise MismatchError(f"{what}: {mine!r}, PyTorch {judge!r}")
            return
        if isinstance(judge, torch.Tensor) != isinstance(mine, cr.Tensor):
            raise MismatchError(f"{what}: {type(mine).__name__}, PyTorch {type(judge).__name__}")
        a, b = numbers(mine), numbers(judge)
        if a.shape != b.shape:
            raise MismatchError(f"{what}: shape {a.shape}, PyTorch {b.shape}")
        if exact_dtype and isinstance(judge, torch.Tensor) and a.dtype != b.dtype:
            raise MismatchError(f"{what}: {a.dtype}, PyTorch {b.dtype}")
        if b.dtype.kind not in "fc":
            if not np.array_equal(a, b):
                raise MismatchError(f"{what}: {shown(a)}, PyTorch {shown(b)}")
            return
        error = distance(a, b, LEAST if b.dtype.itemsize >= 8 else 1.0)
        limit = self.rtol if b.dtype.itemsize >= 8 else NARROW_RTOL
        if not error <= limit:
            raise MismatchError(f"{what}: error {error:.1e}: {shown(a)}, PyTorch {shown(b)}")
        if b.dtype.itemsize >= 8 and self.rtol == RTOL:
            self.worst = max(self.worst, error)

    def same_outline(self, mine: Any, judge: Any, what: str, *, range_too: bool = True) -> None:
        """Raise MismatchError unless both trees hold the same shapes and element types.

        With `range_too`, twenty numbers or more must be whole, not negative, or at most 1 where
        all of PyTorch's are.
        """
        ours, theirs = list(leaves(mine)), list(leaves(judge))
        if len(ours) != len(theirs):
            raise MismatchError(f"{what}: {len(ours)} results, PyTorch {len(theirs)}")
        for x, y in zip(ours, theirs, strict=True):
            self.checks += 1
            a, b = numbers(x), numbers(y)
            if (a.shape, a.dtype) != (b.shape, b.dtype):
                raise MismatchError(f"{what}: {a.dtype}{a.shape}, PyTorch {b.dtype}{b.shape}")
            if range_too and b.size >= 20 and not traits(b) <= traits(a):
                raise MismatchError(f"{what}: {shown(a)}, PyTorch {shown(b)}")


def distance(mine: np.ndarray, judge: np.ndarray, least: float) -> float:
    """The largest |mine - judge| / |judge|; infinite where NaN, infinities or signs of them differ.

    The denominator is at least 1e-4 of the largest |judge| and at least `least`: rounding leaves
    noise in small elements, of the size of the large ones and of the random cotangents, about 1.
    """
    finite = np.isfinite(judge)
    if not np.array_equal(mine[~finite], judge[~finite], equal_nan=True):
        return np.inf
    mine, judge = mine[finite].astype(np.float64), judge[finite].astype(np.float64)
    if not np.isfinite(mine).all():
        return np.inf
    if not judge.size:
        return 0.0
    sizes = np.abs(judge)
    return float((np.abs(mine - judge) / np.maximum(sizes, max(FLOOR * sizes.max(), least))).max())


def traits(array: np.ndarray) -> set[str]:
    """What holds of all numbers, of: whole, not negative, at most 1 in size."""
    holds = {
        "whole": (array == np.floor(array)).all(),
        "not negative": (array >= 0).all(),
        "at most 1": (np.abs(array) <= 1).all(),
    }
    return {name for name, true in holds.items() if true}


def leaves(value: Any) -> Iterator[Any]:
    """The parts of nested tuples, lists and dictionaries; NumPy scalars are Python's."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, tuple | list):
        for part in value:
            yield from leaves(part)
    elif isinstance(value, np.generic):
        yield value.item()
    elif value is not None:
        yield value


def shown(array: np.ndarray) -> str:
    """An array in one short line."""
    line = " ".join(np.array2string(array, precision=6, threshold=8, edgeitems=3).split())
    return f"{line[:160]} {array.dtype}{list(array.shape)}"


def describe(value: Any) -> str:
    """Arguments in one line: tensors by element type and shape."""
    if isinstance(value, torch.Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        return f"{dtype}{list(value.shape)}" if value.numel() > 4 else f"{value.tolist()}:{dtype}"
    if isinstance(value, tuple | list):
        return "(" + ", ".join(map(describe, value)) + ")"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}={describe(v)}" for k, v in value.items()) + "}"
    return repr(value)


def first_line(error: BaseException) -> str:
    """The kind of an error and its first lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {'; '.join(lines[:4])[:300]}"
