"""``explain``: the gradient of any tape as a sum over paths of products of local derivatives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..autodiff.gradients import gradients
from ..core.aval import describe
from ..core.value import Node
from ..engine.reverse import reachable, seed, sweep
from ..errors import ArgumentError, ExplanationError, GradientError, IndexRangeError, ShapeError
from ..tensor import Tensor
from .branches import (
    Branch,
    Junction,
    Labels,
    Route,
    joins_of,
    modules_of,
    routes_of,
    uses_of,
)
from .difference import slope
from .elements import ElementPaths, element_paths
from .flow import Flow, norm
from .layers import Layer, layers_of
from .record import leaf_names
from .residuals import PRODUCT_TOLERANCE, Residuals, checked
from .twin import Twin, make_twin

HEAVIEST: Final = 8
"""Paths through single elements that are listed."""


@dataclass(frozen=True)
class TapeExplanation:
    """What ``explain`` finds of one derivative of one scalar; see ``views.TapeView`` for output."""

    name: str
    """Of the parameter."""
    index: tuple[int, ...] | None
    """The element of the parameter, or None: then it is moved along its whole gradient."""
    output: float
    parameter: float | None
    """The value of the element."""
    gradient: float
    """Of the element; without an index, the norm of the whole gradient."""
    path_count: int
    """Paths through operations."""
    routes: tuple[Route, ...]
    """All of them if they are few, the heaviest first; else empty."""
    uses: Junction | None
    """Where the paths part first: the uses of a shared weight, or the time steps of a layer."""
    joins: tuple[Junction, ...]
    """Where branches meet again, such as a skip connection and the main path, if not too many."""
    modules: tuple[Branch, ...]
    """For each module what goes through it; modules within modules have their own entry."""
    elements: ElementPaths | None
    """Paths through single elements; None without an index, and if they are too many."""
    element_links: tuple[tuple[str, ...], ...]
    """For each of the heaviest of them the names of its links."""
    layers: tuple[Layer, ...]
    residuals: Residuals
    notes: tuple[str, ...]


def analyse(
    output: Tensor,
    wrt: Tensor,
    *,
    index: Any = None,
    direction: Any = None,
    names: Mapping[str, Tensor] | None = None,
    heaviest: int = HEAVIEST,
    layers: bool = True,
) -> TapeExplanation:
    """Explain d output / d wrt; ``chainrule.explain`` shows what this finds.

    Raises what ``explain`` says.
    """
    check_output(output, direction)
    _check_parameter(wrt)
    assert output.node is not None
    assert wrt.node is not None
    place = _place(wrt, index)
    twin = make_twin(output, None if direction is None else seed(output, direction))
    check_finite(twin)
    leaf = _leaf_of(twin, wrt)
    named = names_of(output, twin, names or {})
    tape = _tape_gradients(twin, named, leaf)
    moved = _direction(tape[leaf], place)
    flow = Flow(twin, leaf, moved)
    found = None if place is None else element_paths(flow, heaviest)
    label = Labels(twin, named)
    made = layers_of(twin, named, tape) if layers else ()
    if any(not p.residual <= PRODUCT_TOLERANCE for layer in made for p in layer.parameters):
        raise ExplanationError("a gradient that was multiplied out by layers is not the tape's")
    notes: list[str] = []
    return TapeExplanation(
        name=named.get(leaf, "parameter"),
        index=place,
        output=twin.value,
        parameter=None if place is None else float(np.asarray(twin.values[leaf])[place]),
        gradient=float(flow.tangents.get(twin.root, 0.0)),
        path_count=flow.total,
        routes=routes_of(flow, label),
        uses=uses_of(flow, label),
        joins=joins_of(flow, label),
        modules=modules_of(flow),
        elements=found,
        element_links=() if found is None else tuple(
            tuple(label.link(link) for link in path.links) for path in found.heaviest
        ),
        layers=made,
        residuals=_checked(flow, wrt, output, direction, place, tape[leaf], found, notes),
        notes=tuple(notes),
    )  # fmt: skip


def check_output(output: Any, direction: Any) -> None:
    """Raise unless the output is a scalar that was recorded, or comes with a direction."""
    if not isinstance(output, Tensor):
        raise ArgumentError("explain() needs a tensor as output", got=type(output).__name__)
    if output.node is None:
        raise GradientError(
            "this output was not recorded",
            got=describe(output),
            hint="no input has requires_grad=True, or it was computed under no_grad()",
        )
    if direction is None and math.prod(output.shape) != 1:
        raise GradientError(
            "an output of many elements needs a direction",
            expected="a scalar, or direction= of the same shape",
            got=describe(output),
            hint="pick one, as in explain(y[0], x), or reduce it, as in explain(y.sum(), x)",
        )


def _check_parameter(wrt: Any) -> None:
    if not isinstance(wrt, Tensor):
        raise ArgumentError("explain() needs a tensor to differentiate by", got=type(wrt).__name__)
    if wrt.node is None:
        raise GradientError(
            "no gradient is wanted with respect to this tensor",
            got=describe(wrt),
            hint="call x.requires_grad_() before computing with it",
        )


def _place(wrt: Tensor, index: Any) -> tuple[int, ...] | None:
    """The element that is asked about; of a parameter of one element, that one."""
    if index is None:
        return (0,) * wrt.ndim if math.prod(wrt.shape) == 1 else None
    place = tuple(index) if isinstance(index, (tuple, list)) else (index,)
    if len(place) != wrt.ndim or not all(isinstance(i, (int, np.integer)) for i in place):
        raise ShapeError(
            "an index of one element has an integer for each axis",
            expected=f"{wrt.ndim} integers below {wrt.shape}",
            got=str(list(place)),
        )
    for axis, (i, n) in enumerate(zip(place, wrt.shape, strict=True)):
        if not -n <= i < n:
            raise IndexRangeError(
                f"index {i} is out of range on axis {axis}",
                expected=f"at most {n - 1}",
                got=f"{list(map(int, place))} of {describe(wrt)}",
            )
    return tuple(int(i) % n for i, n in zip(place, wrt.shape, strict=True))


def _leaf_of(twin: Twin, wrt: Tensor) -> Node:
    assert wrt.node is not None
    leaf = twin.of.get(wrt.node)
    if leaf is None or leaf not in set(twin.order):
        raise GradientError(
            "the output does not depend on this tensor",
            got=describe(wrt),
            hint="it was not used, or something between them has no derivative (detach, no_grad, "
            "argmax, a comparison)",
        )
    return leaf


def check_finite(twin: Twin) -> None:
    """Raise ExplanationError for an output that is not finite."""
    if not math.isfinite(twin.value):
        raise ExplanationError(
            "the output is not finite", got=repr(twin.value), hint=_first_bad(twin)
        )


def _first_bad(twin: Twin) -> str | None:
    """The first operation whose value is not finite."""
    for node in twin.order:
        value = twin.values[node]
        if not isinstance(value, tuple) and not np.all(np.isfinite(value)):
            return f"the first value that is not finite is that of {node.name} at {node.location}"
    return None


def names_of(output: Tensor, twin: Twin, names: Mapping[str, Tensor]) -> dict[Node, str]:
    """Names of the twin's leaves; a leaf without one is called by its number."""
    assert output.node is not None
    order = reachable([output.node])[::-1]
    called = leaf_names(order, names)
    found: dict[Node, str] = {}
    for i, node in enumerate(n for n in order if n.op is None):
        found[twin.of[node]] = called.get(node, f"leaf {i + 1}")
    return found


def _tape_gradients(twin: Twin, names: Mapping[Node, str], leaf: Node) -> dict[Node, Any]:
    """The gradients that ``backward`` finds on the twin."""
    wanted = {*names, leaf}
    found = sweep([twin.root], [np.ones(())], value_class=Tensor, wanted=wanted, retain_graph=True)
    return {n: found.get(n, np.zeros(np.shape(twin.values[n]))) for n in wanted}


def _direction(gradient: Any, place: tuple[int, ...] | None) -> Any:
    """One element, or without a place the whole parameter along its gradient."""
    direction = np.zeros(np.shape(gradient))
    if place is not None:
        direction[place] = 1.0
        return direction
    size = norm(gradient)
    return gradient / size if size else direction + 1.0


def _checked(
    flow: Flow,
    wrt: Tensor,
    output: Tensor,
    direction: Any,
    place: tuple[int, ...] | None,
    tape: Any,
    found: ElementPaths | None,
    notes: list[str],
) -> Residuals:
    """The product against the twin's tape, a finite difference, and the tape as it was recorded."""
    product = float(flow.tangents.get(flow.twin.root, 0.0))
    if found is not None:
        product = found.total
    expected = float(np.vdot(tape, flow.direction))
    mass = abs(expected) if found is None else found.mass
    what = "the derivative" if place is None else f"the derivative by element {list(place)}"
    result = checked(
        what, product, expected, slope(flow.twin, flow.leaf, flow.direction), mass=mass
    )
    back = float(np.vdot(flow.gradient, flow.direction))
    if not abs(back - expected) <= 1e-10 * result.scale:
        raise ExplanationError(
            f"the cotangents multiplied back give {back!r}, and the tape {expected!r}"
        )
    _check_recorded(output, wrt, direction, flow, expected, result.scale, notes)
    return result


def _check_recorded(
    output: Tensor,
    wrt: Tensor,
    direction: Any,
    flow: Flow,
    expected: float,
    scale: float,
    notes: list[str],
) -> None:
    """Compare with the gradient of the tape as it was recorded, in its own precision."""
    try:
        (own,) = gradients(output, wrt, direction, retain_graph=True, allow_unused=True)
    except GradientError:  # a backward pass freed it, and the values were kept for the twin only
        notes.append("the tape was freed: it was recorded again from the values that were kept")
        return
    if own is None:
        return
    found = float(np.vdot(own.numpy().astype(np.float64), flow.direction))
    epsilon = float(np.finfo(own.dtype).eps)
    allowed = 1e-10 if own.dtype == np.float64 else 2000 * epsilon
    if not abs(found - expected) <= allowed * max(scale, norm(own.numpy()) * norm(flow.direction)):
        raise ExplanationError(
            "the recorded tape has another gradient than the same operations done again",
            expected=repr(expected),
            got=repr(found),
            hint="a hook that changes gradients, or a leaf that was changed after it was used",
        )
    if own.dtype != np.float64:
        notes.append(
            f"the tape is in {own.dtype.name} and gives {found!r}; it was recorded again in "
            "float64 to be explained"
        )
