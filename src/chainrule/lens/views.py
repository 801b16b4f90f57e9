"""Explanations of tapes, shown: paths, branches, modules, layers and checks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..tensor import Tensor
from .analysis import HEAVIEST, TapeExplanation, analyse
from .branches import Branch, Junction, is_routing, shape_text
from .document import Document, Line
from .elements import ElementPath
from .explanation import Explanation
from .layers import Layer
from .notation import derivative, number, relation, rounded, symbol, words
from .residuals import DIFFERENCE_TOLERANCE, PRODUCT_TOLERANCE, shown_residual

MOST_ROWS: Final = 64
"""Rows of a table of branches; the rest is one row."""


def explain(
    output: Tensor,
    wrt: Tensor,
    *,
    index: Any = None,
    direction: Any = None,
    names: Mapping[str, Tensor] | None = None,
    heaviest: int = HEAVIEST,
    layers: bool = True,
) -> TapeView:
    """Explain the gradient of `output` by `wrt` as the chain-rule product that made it.

    `index` picks one element of `wrt`; without it, `wrt` is moved along its whole gradient, whose
    norm is then what is explained. An `output` of many elements needs a `direction`. Tensors are
    called by `names`, or as their modules call them. The `heaviest` paths through single elements
    are listed. The result is shown by ``print`` and by notebooks; no ``grad`` is touched, and the
    graph can be walked again.

    Paths are summed exactly, by dynamic programs over the graph. What was found is compared with
    the tape (1e-10 in float64) and with a finite difference, in float64 on a copy of the tape.

    Raises GradientError if there is no such gradient, IndexRangeError and ShapeError for a wrong
    index, ExplanationError for a tape that did not keep enough (record it in ``lens.keeping``),
    for an output that is not finite, and if the explanation does not check out.

    >>> x = tensor(2.0, dtype=np.float64, requires_grad=True)
    >>> found = explain(cr.sin(x) * x, x)
    >>> f"{found.gradient:.6f}", found.path_count
    ('0.077004', 2)
    """
    found = analyse(
        output, wrt, index=index, direction=direction, names=names, heaviest=heaviest,
        layers=layers,
    )  # fmt: skip
    return TapeView(found)


@dataclass(frozen=True)
class TapeView(Explanation):
    """The explanation of one derivative of a tape."""

    found: TapeExplanation

    @property
    def gradient(self) -> float:
        """Of the element; without an index, the norm of the whole gradient."""
        return self.found.gradient

    @property
    def path_count(self) -> int:
        """How many paths through operations there are."""
        return self.found.path_count

    @property
    def target(self) -> str:
        """``conv2.weight[3,0,1,1]``."""
        f = self.found
        return f.name + (f"[{','.join(map(str, f.index))}]" if f.index else "")

    def to_json(self) -> dict[str, Any]:
        f = self.found
        return {
            "format": 1,
            "kind": "parameter",
            "parameter": f.name,
            "index": None if f.index is None else list(f.index),
            "parameter_value": f.parameter,
            "value": f.output,
            "gradient": f.gradient,
            "paths": {
                "count": f.path_count,
                "listed": [
                    {"nodes": list(r.nodes), "factors": list(r.factors), "product": r.value}
                    for r in f.routes
                ],
            },
            "element_paths": self._elements_json(),
            "uses": None if f.uses is None else _junction_json(f.uses),
            "joins": [_junction_json(j) for j in f.joins],
            "modules": [_branch_json(b) for b in f.modules],
            "layers": [layer_json(layer) for layer in f.layers],
            "residuals": f.residuals.to_json(),
            "notes": list(f.notes),
        }

    def _elements_json(self) -> dict[str, Any] | None:
        found = self.found.elements
        if found is None:
            return None
        return {
            "count": found.count,
            "sum": found.total,
            "absolute_sum": found.mass,
            "heaviest": [
                {"links": list(names), "factors": [link.derivative for link in path.links],
                 "product": path.value}
                for path, names in zip(found.heaviest, self.found.element_links, strict=True)
            ],
        }  # fmt: skip

    # Shown ----------------------------------------------------------------------------------------

    def document(self) -> Document:
        f, made = self.found, Document()
        made.title(f"The gradient of {self.target}")
        by = self.target if f.index is not None else f"{f.name} along its own gradient"
        held = "" if f.parameter is None else f" (it is {rounded(f.parameter)})"
        made.derivation(
            derivative(symbol("L"), words(by), partial=True),
            [Line(relation(f.gradient), (number(f.gradient),))],
        )
        verb = "is" if f.path_count == 1 else "are"
        made.text(
            f"L {relation(f.output)} {rounded(f.output)}. From {f.name}{held} to L there {verb} "
            f"{_count(f.path_count, 'path')} through operations."
        )
        self._routes(made)
        self._elements(made)
        if f.uses is not None:
            self._junctions(made, [f.uses], "Uses: the paths by the way they leave {}")
        self._junctions(made, f.joins, "Branches that meet in {}")
        self._modules(made)
        if f.layers:
            show_layers(made, f.layers)
        show_checks(made, self)
        return made

    def _routes(self, made: Document) -> None:
        routes = self.found.routes
        if not routes:
            if self.found.path_count:
                made.text("They are too many to list: they are summed exactly, by use, branch "
                          "and module.")  # fmt: skip
            return
        rows = []
        for route in routes:
            steps = [
                f"{node} ×{rounded(factor, 4)}"
                for node, factor in zip(route.nodes, route.factors, strict=True)
            ]
            rows.append((" → ".join([self.target, *steps]), rounded(route.value),
                         _share(route.value, self.found.gradient)))  # fmt: skip
        made.table(
            ("path, with what each step makes of the size of a change", "product", "share"), rows,
            "Paths through operations: the products add up to the gradient", right=(1, 2),
        )  # fmt: skip

    def _elements(self, made: Document) -> None:
        found = self.found.elements
        if found is None:
            return
        made.text(
            f"Through single elements there are {_count(found.count, 'path')} whose product is "
            f"not zero: {rounded(found.positive)} from those that are positive, "
            f"{rounded(found.total - found.positive)} from the others."
        )
        rows = [
            (self._path(path, names), rounded(path.value), _share(path.value, found.mass))
            for path, names in zip(found.heaviest, self.found.element_links, strict=True)
        ]
        made.table(
            ("path, with its local derivatives", "product", "of all sizes"), rows,
            f"The heaviest {len(rows)}" if found.count > len(rows) else "All of them",
            right=(1, 2),
        )  # fmt: skip

    def _path(self, path: ElementPath, names: Sequence[str]) -> str:
        steps = [
            f"{name} ×{rounded(link.derivative, 4)}"
            for link, name in zip(path.links, names, strict=True)
            if not (is_routing(link.node) and link.derivative == 1)
        ]
        return " → ".join([self.target, *steps])

    def _junctions(self, made: Document, junctions: Sequence[Junction], caption: str) -> None:
        for junction in junctions:
            rows = _branch_rows(junction.branches, self.found.gradient)
            made.table(("branch", "paths", "sum", "share"), rows,
                       caption.format(junction.label), right=(1, 2, 3))  # fmt: skip

    def _modules(self, made: Document) -> None:
        rows = _branch_rows(self.found.modules, self.found.gradient)
        made.table(
            ("module", "paths", "sum", "share"), rows,
            "By module: the sum over the paths that go through it", right=(1, 2, 3),
        )  # fmt: skip


def show_layers(made: Document, layers: Sequence[Layer]) -> None:
    """The layers, from the loss back to the input."""
    rows = []
    for layer in reversed(layers):
        gain = layer.gain
        typical = "—"
        if gain is not None:
            typical = rounded(gain.typical, 3)
            if gain.uncertainty:
                typical += f"±{rounded(gain.uncertainty, 1)}"
        rows.append((
            layer.name, shape_text(layer.output_shape), layer.formula, rounded(layer.delta, 4),
            "—" if gain is None else rounded(gain.largest, 4), typical,
            "—" if layer.ratio is None else rounded(layer.ratio, 4),
        ))  # fmt: skip
    made.table(
        ("layer", "output", "δ = ∂L/∂output", "‖δ‖", "σ max", "σ rms", "passes on"), rows,
        "Layer by layer, from the loss back. σ: singular values of ∂output/∂input, the largest and "
        "the root mean square; passes on: ‖δ at the input‖ / ‖δ‖",
        right=(3, 4, 5, 6),
    )  # fmt: skip
    given = []
    for layer in reversed(layers):
        for i, p in enumerate(layer.parameters):
            rule = f"δ{_raised(layer.number)} = {layer.rule}" if i == 0 else ""
            given.append((rule, p.name, shape_text(p.shape), f"∂L/∂θ = {p.formula}",
                         rounded(p.norm, 4), shown_residual(p.residual)))  # fmt: skip
    made.table(
        ("error", "parameter", "shape", "gradient", "norm", "− tape"), given,
        "Parameters: δ is the error at the layer's output, a its input", right=(4, 5),
    )  # fmt: skip


def _raised(n: int | None) -> str:
    return "" if n is None else str(n).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def show_checks(made: Document, view: TapeView) -> None:
    """The residuals, and what has to be known about them."""
    r = view.found.residuals
    made.table(
        ("derivative", "product", "− tape", "− finite difference"),
        [(f"∂L/∂{view.target}", repr(r.product), shown_residual(r.to_tape),
          shown_residual(r.to_difference))],
        f"Checked in float64: each difference, relative to the terms, is at most "
        f"{PRODUCT_TOLERANCE:g}; of the finite difference {DIFFERENCE_TOLERANCE:g}, or its own "
        "uncertainty",
        right=(1, 2, 3),
    )  # fmt: skip
    if r.kink is not None:
        made.text(f"L has a kink here: its slope is {rounded(r.kink[0])} from the left and "
                  f"{rounded(r.kink[1])} from the right.", is_note=True)  # fmt: skip
    for note in view.found.notes:
        made.text(f"Note: {note}.", is_note=True)


def _branch_rows(branches: Sequence[Branch], total: float) -> list[tuple[str, ...]]:
    shown = list(branches)
    rest: list[Branch] = []
    if len(shown) > MOST_ROWS:
        kept = set(sorted(range(len(shown)), key=lambda i: -abs(shown[i].value))[: MOST_ROWS - 1])
        rest = [b for i, b in enumerate(shown) if i not in kept]
        shown = [b for i, b in enumerate(shown) if i in kept]
    rows: list[tuple[str, ...]] = [
        (b.label, f"{b.paths:,}", rounded(b.value), _share(b.value, total)) for b in shown
    ]
    if rest:
        value = math.fsum(b.value for b in rest)
        rows.append((f"{len(rest)} others", f"{sum(b.paths for b in rest):,}", rounded(value),
                     _share(value, total)))  # fmt: skip
    return rows


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "—"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' * (n != 1)}"


def _branch_json(branch: Branch) -> dict[str, Any]:
    return {"name": branch.label, "paths": branch.paths, "sum": branch.value}


def _junction_json(junction: Junction) -> dict[str, Any]:
    return {"at": junction.label, "branches": [_branch_json(b) for b in junction.branches]}


def layer_json(layer: Layer) -> dict[str, Any]:
    """A layer, as schemas/explanation.json has it."""
    gain = layer.gain
    return {
        "number": layer.number,
        "name": layer.name,
        "kind": layer.kind,
        "delta_formula": layer.formula,
        "rule": layer.rule,
        "input_shape": None if layer.input_shape is None else list(layer.input_shape),
        "output_shape": list(layer.output_shape),
        "output_norm": layer.activation,
        "delta_norm": layer.delta,
        "passed_norm": layer.passed,
        "gain": None if gain is None else {
            "largest": gain.largest, "typical": gain.typical, "uncertainty": gain.uncertainty,
            "rows": gain.rows, "columns": gain.columns,
        },
        "parameters": [
            {"name": p.name, "shape": list(p.shape), "formula": p.formula, "norm": p.norm,
             "residual": p.residual}
            for p in layer.parameters
        ],
    }  # fmt: skip
