"""Hyper-parameters: their ranges, what all algorithms do with them, and flags from PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, SupportsFloat, TypeAlias, TypedDict

from .. import ops
from ..core.aval import SCALARS, Data
from ..errors import ArgumentError

Group: TypeAlias = dict[str, Any]
"""``params``, a list of tensors, and the hyper-parameters they are updated with."""
State: TypeAlias = dict[str, Data]
Update: TypeAlias = tuple[Data, State]


class Flags(TypedDict, total=False):
    """How PyTorch is to run an optimizer: accepted here, where there is one way, and kept."""

    foreach: bool | None
    capturable: bool
    fused: bool | None
    differentiable: bool


def factor(number: Data, param: Data) -> Data:
    """`number`, a Python number or a zero-dimensional value, as a factor that keeps param's dtype.

    NumPy lets a float64 scalar widen a float32 array.
    """
    return number if type(number) in SCALARS else ops.cast(number, param.dtype)


def require(holds: bool, expected: str, got: object) -> None:
    """Raise ArgumentError unless a hyper-parameter is in its range."""
    if not holds:
        raise ArgumentError("a hyper-parameter is out of range", expected=expected, got=str(got))


def require_rates(group: Group, *names: str) -> None:
    """Raise ArgumentError unless these hyper-parameters are zero or more."""
    for name in names:
        value = group[name]
        require(is_number(value), f"{name}: a number", repr(value))
        require(float(value) >= 0.0, f"{name} >= 0", value)


def require_betas(group: Group) -> None:
    """Raise ArgumentError unless ``betas`` are two rates of running means."""
    betas = tuple(group["betas"])
    require(len(betas) == 2 and all(0 <= float(b) < 1 for b in betas), "two betas in [0, 1)", betas)


def with_decay(param: Data, grad: Data, hyper: Group) -> tuple[Data, Data]:
    """Parameter and gradient after `maximize` and `weight_decay`, decoupled if that is asked for.

    As a penalty, the decay adds a multiple of θ to the gradient; decoupled, θ ← (1 - lr λ) θ.
    """
    if hyper["maximize"]:
        grad = -grad
    if hyper["weight_decay"]:
        if hyper.get("decoupled_weight_decay"):
            param = param * factor(1.0 - hyper["lr"] * hyper["weight_decay"], param)
        else:
            grad = grad + param * hyper["weight_decay"]
    return param, grad


def accepted(name: str, flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags, if they are known and ask for nothing that is not there."""
    unknown = set(flags) - set(Flags.__annotations__)
    if unknown:
        raise ArgumentError(f"{name} has no such argument", got=", ".join(sorted(unknown)))
    if flags.get("differentiable"):
        raise ArgumentError(
            f"a step of {name} cannot be differentiated",
            hint="write the update with tensor operations, on the parameters of functional_call()",
        )
    return dict(flags)


def is_number(value: Any) -> bool:
    """Whether a setting is a number, or a tensor with one."""
    return isinstance(value, SupportsFloat)
