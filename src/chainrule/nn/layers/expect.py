"""What layers expect of their arguments and inputs, and the errors that say so."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from ...core.aval import Shape, describe
from ...core.value import Value
from ...errors import ArgumentError, DTypeError, ShapeError


def sizes(layer: str, minimum: int = 1, **given: Any) -> None:
    """Raise ArgumentError unless all are integers, or pairs of them, of at least `minimum`."""
    for name, value in given.items():
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, bool) or not isinstance(number, Integral) or number < minimum:
                raise ArgumentError(
                    f"{layer} cannot be built with {name}={value!r}",
                    expected=f"{name}: an integer of at least {minimum}",
                )


def tensor(layer: object, x: Any) -> Shape:
    """The shape of a tensor or array; DTypeError for anything else."""
    try:
        return x.shape  # type: ignore[no-any-return]  # a tuple
    except AttributeError:
        raise DTypeError(
            f"{type(layer).__name__} takes a tensor",
            got=type(x).__name__,
            hint="make it a tensor first: chainrule.tensor(x)",
        ) from None


def features(layer: object, x: Any, size: int, argument: str) -> None:
    """Raise ShapeError unless the last axis of `x` has `size` entries, as `argument` asked for."""
    shape = tensor(layer, x)
    if shape and shape[-1] == size:
        return
    name = type(layer).__name__
    if not shape:
        raise ShapeError(
            f"{name} takes a tensor whose last axis holds {size} features", got=describe(x)
        )
    raise ShapeError(
        f"{name} built for {size} features got {shape[-1]}",
        expected=f"[…,{size}]",
        got=describe(x),
        hint=_origin(x, shape[-1], "features", argument),
    )


def channels(layer: object, x: Any, size: int, axes: Sequence[str], argument: str) -> None:
    """Raise ShapeError unless `x` has the `axes`, such as N C H W, and `size` channels.

    The first axis may be missing: an input without a batch.
    """
    shape = tensor(layer, x)
    name = type(layer).__name__
    missing = len(axes) - len(shape)
    if missing not in (0, 1):
        raise ShapeError(
            f"{name} takes a tensor of {len(axes)} axes ({', '.join(axes)}), or one without "
            f"{axes[0]}",
            got=describe(x),
            hint=f"add the channel axis: x.unsqueeze({len(shape) - len(axes) + 2})"
            if missing == 2 or (missing == 1 and size == 1)
            else None,
        )
    found = shape[1 - missing]
    if found != size:
        raise ShapeError(
            f"{name} built for {size} channels got {found}",
            expected="[" + ",".join(str(size) if a == "C" else a for a in axes[missing:]) + "]",
            got=describe(x),
            hint=_origin(x, found, "channels", argument),
        )


def _origin(x: Any, found: int, what: str, argument: str) -> str:
    """``reshape gave 784 features; in_features=784 would take them``."""
    node = x.node if isinstance(x, Value) else None
    source = f"{node.name} gave {found} {what}; " if node is not None and node.op else ""
    return f"{source}{argument}={found} would take them"
