"""The arguments with which ``chainrule check`` calls a function: given, default or random."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, Final

import numpy as np

from ..errors import ArgumentError
from ..nn.module import Module
from ..tensor import Tensor

_MOST: Final = 10_000_000
"""Elements of a random argument: a check holds a dozen arrays of that size."""
_WHOLE: Final = re.compile(r"\s*[+-]?\d+\s*")


@dataclass(frozen=True)
class Arguments:
    """A value for every argument of a function; `notes` say what was decided about them."""

    function: Callable[..., Any]
    values: dict[str, Any]
    keyword_only: frozenset[str]
    notes: tuple[str, ...]

    @property
    def differentiable(self) -> dict[str, Tensor]:
        """Those that have a gradient, by name."""
        return {n: x for n, x in self.values.items() if _is_float(x)}

    def call(self, *xs: Any) -> Any:
        """The function's value with `xs` in place of the differentiable arguments."""
        values = {**self.values, **dict(zip(self.differentiable, xs, strict=True))}
        positional = [x for n, x in values.items() if n not in self.keyword_only]
        return self.function(*positional, **{n: values[n] for n in self.keyword_only})


def arguments_of(
    function: Callable[..., Any], at: Sequence[str], shapes: Sequence[str], seed: int
) -> Arguments:
    """A value for every argument: as given with --at or --shape, as its default, or random.

    Numbers written without a point are integers, unless nothing would be left to differentiate.

    Raises ArgumentError for options that do not fit the function.
    """
    given, sizes = _pairs("--at", at), _pairs("--shape", shapes)
    parameters = _parameters(function)
    for name in [*given, *sizes]:
        if name not in parameters:
            known = ", ".join(parameters) or "no arguments"
            raise ArgumentError(f"the function has no argument {name!r}", hint=f"it has {known}")
        if name in given and name in sizes:
            raise ArgumentError(f"both --at and --shape are given for {name}", got=given[name])
    rng = np.random.default_rng(seed)
    values: dict[str, Any] = {}
    whole: dict[str, Any] = {}
    for name, parameter in parameters.items():
        default = parameter.default
        if name in given:
            values[name] = numbers = _numbers(given[name])
            if not _is_float(numbers):
                whole[name] = numbers
        elif name in sizes:
            values[name] = Tensor(rng.normal(size=_sizes(sizes[name])))
        elif default is Parameter.empty:
            values[name] = Tensor(rng.normal(size=3))
        else:
            is_numeric = isinstance(default, (float, np.ndarray, Tensor))
            values[name] = Tensor(default) if is_numeric else default
    if not isinstance(function, Module) and not any(map(_is_float, values.values())):
        for name, numbers in whole.items():
            array = numbers.array if isinstance(numbers, Tensor) else numbers
            values[name] = Tensor(np.array(array, np.float64))
        whole = {}
    return Arguments(
        function,
        values,
        frozenset(n for n, p in parameters.items() if p.kind is Parameter.KEYWORD_ONLY),
        tuple(
            f"{n}={given[n]} was taken as {'integers' if isinstance(x, Tensor) else 'an integer'}, "
            "which have no gradient; write a point to check it"
            for n, x in whole.items()
        ),
    )


def _parameters(function: Callable[..., Any]) -> dict[str, Parameter]:
    try:
        signature = inspect.signature(
            function.forward if isinstance(function, Module) else function
        )
    except (TypeError, ValueError) as failure:
        raise ArgumentError(
            "the arguments of this function cannot be told", got=repr(function)[:80]
        ) from failure
    variadic = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    parameters = {n: p for n, p in signature.parameters.items() if p.kind not in variadic}
    if not isinstance(function, Module):
        return parameters
    # A module is checked with positional arguments; others keep their defaults.
    return {n: p for n, p in parameters.items() if p.kind is not Parameter.KEYWORD_ONLY}


def _pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise ArgumentError(f"{option} needs NAME=VALUE", got=text[:80])
        if name in found:
            raise ArgumentError(f"{option} is given twice for {name}", got=text[:80])
        found[name] = value
    return found


def _numbers(text: str) -> Any:
    """An int, a vector of ints, or a float or vector of floats, as the text is written."""
    parts = text.split(",")
    try:
        if not all(map(_WHOLE.fullmatch, parts)):
            floats = [float(part) for part in parts]
            return Tensor(np.array(floats if len(floats) > 1 else floats[0]))
        ints = np.array([int(part) for part in parts], np.int64)
    except (ValueError, OverflowError) as failure:
        raise ArgumentError("--at needs numbers", got=text[:80]) from failure
    return Tensor(ints) if len(parts) > 1 else int(ints[0])


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple([int(part) for part in text.split("x")])
    except ValueError as failure:
        raise ArgumentError("--shape needs sizes such as 3x4", got=text[:80]) from failure
    if any(n < 0 for n in sizes):
        raise ArgumentError("sizes cannot be negative", got=text[:80])
    if math.prod(sizes) > _MOST or len(sizes) > 32:
        raise ArgumentError(
            "this shape is too large to check",
            expected=f"at most {_MOST:,} elements and 32 axes",
            got=text[:80],
        )
    return sizes


def _is_float(x: Any) -> bool:
    return isinstance(x, Tensor) and x.dtype.kind == "f"
