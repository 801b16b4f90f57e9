"""Every explanation checks itself: what was multiplied out against the tape, and both against
values of the function itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from ..errors import ExplanationError
from .difference import Slope
from .notation import rounded

PRODUCT_TOLERANCE: Final = 1e-10
"""Largest error of a product against the tape in float64, relative to the scale of its terms."""
DIFFERENCE_TOLERANCE: Final = 1e-6
"""The same against a finite difference."""


@dataclass(frozen=True)
class Residuals:
    """What an explanation says of one derivative, and how far it is from other ways to get it."""

    product: float
    """The derivative as the sum over paths of products of local derivatives."""
    tape: float
    """The derivative as ``backward`` computes it, in float64."""
    difference: float
    """The derivative by finite differences; at a kink, where it has none, the product."""
    uncertainty: float
    """How far the finite difference may be off, for its own reasons."""
    scale: float
    """The size of the terms of the sum: rounding errors are relative to it."""
    closed_form: float | None = None
    """The value of the closed form."""
    kink: tuple[float, float] | None = None
    """The slopes from the left and from the right, if the function has a kink there."""

    @property
    def to_tape(self) -> float:
        """|product - tape|, relative to the scale."""
        return abs(self.product - self.tape) / self.scale

    @property
    def to_difference(self) -> float:
        """|product - finite difference|, relative to the scale."""
        return abs(self.product - self.difference) / self.scale

    @property
    def to_closed_form(self) -> float | None:
        """|product - closed form|, relative to the scale."""
        if self.closed_form is None:
            return None
        return abs(self.product - self.closed_form) / self.scale

    def to_json(self) -> dict[str, Any]:
        """As the schemas have it."""
        return {
            "tape": self.to_tape,
            "finite_difference": self.to_difference,
            "finite_difference_uncertainty": self.uncertainty / self.scale,
            "closed_form": self.to_closed_form,
            "kink": None if self.kink is None else list(self.kink),
        }


def checked(
    what: str,
    product: float,
    tape: float,
    slope: Slope,
    *,
    mass: float,
    closed_form: float | None = None,
) -> Residuals:
    """The residuals of one derivative; `mass` is the sum of the absolute values of its terms.

    Raises ExplanationError if one of them is too large: then nothing is explained.
    """
    scale = max(abs(product), abs(tape), mass) or 1.0
    if slope.is_kink and not closed_form_differs(closed_form, product, scale):
        low, high = sorted((slope.left, slope.right))
        margin = DIFFERENCE_TOLERANCE * max(scale, abs(low), abs(high)) + 1e-4 * (high - low)
        inside = low - margin <= product <= high + margin
        found = Residuals(
            product, tape, product if inside else slope.value, 0.0, scale, closed_form,
            (slope.left, slope.right),
        )  # fmt: skip
    else:
        found = Residuals(product, tape, slope.value, slope.error, scale, closed_form)
    allowed = max(DIFFERENCE_TOLERANCE, 4 * found.uncertainty / scale)
    wrong = []
    if not found.to_tape <= PRODUCT_TOLERANCE:
        wrong.append(f"the tape says {tape!r}")
    if closed_form_differs(closed_form, product, scale):
        wrong.append(f"the closed form says {closed_form!r}")
    if not found.to_difference <= allowed:
        wrong.append(f"a finite difference says {slope.value!r}")
    if wrong:
        raise ExplanationError(
            f"the explanation of {what} does not check out: its product is {product!r}",
            got=", and ".join(wrong),
            hint="a hook that changes gradients, a rule of your own, or a defect of this package",
        )
    return found


def closed_form_differs(closed_form: float | None, product: float, scale: float) -> bool:
    """Whether there is a closed form, and it has another value."""
    if closed_form is None:
        return False
    return not abs(closed_form - product) <= PRODUCT_TOLERANCE * scale


def shown_residual(x: float) -> str:
    """A residual rounded up: what is shown is not less than what was found.

    >>> shown_residual(0.0), shown_residual(3.1e-16)
    ('0', '4e-16')
    """
    if not x or not math.isfinite(x):
        return rounded(x)
    power = math.floor(math.log10(x))
    digit = math.ceil(x / 10.0**power - 1e-9)
    return f"{digit}e{power:03d}" if digit < 10 else f"1e{power + 1:03d}"
