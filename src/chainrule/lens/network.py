"""``explain_layers``: a whole network in matrix notation, from the loss back to the input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.value import Node
from ..engine.reverse import seed, sweep
from ..errors import ExplanationError
from ..tensor import Tensor
from .analysis import check_finite, check_output, names_of
from .difference import slope
from .document import Document
from .explanation import Explanation
from .flow import norm
from .layers import Layer, layers_of
from .notation import rounded
from .residuals import PRODUCT_TOLERANCE, Residuals, checked, shown_residual
from .twin import Twin, make_twin
from .views import layer_json, show_layers


@dataclass(frozen=True)
class LayersExplanation(Explanation):
    """The layers of a network, the errors that pass through them, and what their parameters get."""

    value: float
    layers: tuple[Layer, ...]
    residuals: Mapping[str, Residuals]
    """For each parameter, of the derivative along its own gradient."""

    def to_json(self) -> dict[str, Any]:
        return {
            "format": 1,
            "kind": "layers",
            "value": self.value,
            "layers": [layer_json(layer) for layer in self.layers],
            "residuals": {name: r.to_json() for name, r in self.residuals.items()},
        }

    def document(self) -> Document:
        made = Document()
        made.title(f"The backward pass, layer by layer; L = {rounded(self.value)}")
        show_layers(made, self.layers)
        made.table(
            ("parameter", "‖∂L/∂θ‖", "− tape", "− finite difference"),
            [
                (name, repr(r.product), shown_residual(r.to_tape), shown_residual(r.to_difference))
                for name, r in self.residuals.items()
            ],
            f"Checked in float64, each parameter along its gradient: at most {PRODUCT_TOLERANCE:g} "
            "from the tape",
            right=(1, 2, 3),
        )
        return made


def explain_layers(
    output: Tensor, *, direction: Any = None, names: Mapping[str, Tensor] | None = None
) -> LayersExplanation:
    """Explain the backward pass of a network: δ of every layer, its gain, and what it passes on.

    Raises as ``explain`` does.

    >>> net = cr.nn.Sequential(cr.nn.Linear(2, 3), cr.nn.Tanh(), cr.nn.Linear(3, 1))
    >>> [layer.kind for layer in explain_layers(net(ones(1, 2)).sum()).layers]
    ['Linear', 'Tanh', 'Linear', 'sum']
    """
    check_output(output, direction)
    twin = make_twin(output, None if direction is None else seed(output, direction), unroll=False)
    check_finite(twin)
    named = names_of(output, twin, names or {})
    tape = sweep(
        [twin.root], [np.ones(())], value_class=Tensor, wanted=set(named), retain_graph=True
    )
    gradients = {n: tape.get(n, np.zeros(np.shape(twin.values[n]))) for n in named}
    layers = layers_of(twin, named, gradients)
    return LayersExplanation(twin.value, layers, _residuals(twin, layers, gradients, named))


def _residuals(
    twin: Twin,
    layers: tuple[Layer, ...],
    tape: Mapping[Node, Any],
    names: Mapping[Node, str],
) -> dict[str, Residuals]:
    """Raises ExplanationError if a gradient that was multiplied out is not the tape's."""
    found: dict[Node, Any] = {}
    for layer in layers:
        for p in layer.parameters:
            found[p.node] = found.get(p.node, 0.0) + p.gradient
    residuals = {}
    for node, gradient in found.items():
        size = norm(tape[node])
        if not norm(gradient - tape[node]) <= PRODUCT_TOLERANCE * (size or 1.0):
            raise ExplanationError(f"the gradient of {names[node]} does not check out")
        along = tape[node] / size if size else np.ones(np.shape(tape[node]))
        residuals[names[node]] = checked(
            names[node], float(np.vdot(gradient, along)), float(np.vdot(tape[node], along)),
            slope(twin, node, along), mass=size,
        )  # fmt: skip
    return residuals
