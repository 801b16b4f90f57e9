"""A network layer by layer, in matrix notation: δ, Wᵀδ ⊙ φ′, δ aᵀ, and what each layer passes on.

Sources: document 001, definition 2.2; document 003, "Backpropagation algorithm"; document 004,
sections 7 and 8. A layer is one call of a module, or outside of modules one operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..core.aval import Shape
from ..core.families import Elementwise, Linear
from ..core.op import Op
from ..core.value import Item, Node
from ..nn.module import Module
from ..ops.contract import MatMul
from ..ops.convolution import Convolution
from .flow import Edge, norm, pull, step
from .gains import Gain, diagonal_gain, gain
from .notation import SUPERSCRIPTS
from .twin import Twin

_DEEPEST: Final = 12
"""Layers without parameters that a rule leads through."""
MOST_FOR_GAIN: Final = 2_000_000
"""Layers with more inputs or outputs than this are listed without the gain of their Jacobian."""


@dataclass(frozen=True)
class ParameterGradient:
    """What a layer's parameter gets."""

    name: str
    node: Node
    shape: Shape
    gradient: Any
    formula: str
    residual: float
    """Of δ aᵀ or Σ δ, multiplied out here, against the gradient on the tape; relative."""

    @property
    def norm(self) -> float:
        """‖∂L/∂θ‖."""
        return norm(self.gradient)


@dataclass(frozen=True)
class Layer:
    """One layer, with the error that arrives at it and the one that it passes on."""

    number: int | None
    """l, counted from the input, of a layer that has parameters."""
    name: str
    kind: str
    """The class of the module, or the name of the operation."""
    nodes: tuple[Node, ...]
    formula: str
    """The error at its output, δ, from that of the layers after it."""
    rule: str
    """Of a layer with a number: δ from that of the next ones, ``(Wᵀ δ²) ⊙ φ′(u)``."""
    input_shape: Shape | None
    output_shape: Shape
    activation: float
    """‖output‖."""
    delta: float
    """‖δ‖ of the output."""
    passed: float | None
    """‖δ‖ that arrives at its input; None if nothing before it wants a gradient."""
    gain: Gain | None
    """Of ∂output/∂input; None if nothing before it wants a gradient, or if it is too large."""
    parameters: tuple[ParameterGradient, ...]

    @property
    def ratio(self) -> float | None:
        """‖δ passed on‖ / ‖δ‖."""
        return None if self.passed is None or not self.delta else self.passed / self.delta


def layers_of(twin: Twin, names: Mapping[Node, str], tape: Mapping[Node, Any]) -> tuple[Layer, ...]:
    """The layers of a twin in order.

    `names` are those of its leaves; `tape` has their gradients as ``backward`` finds them, with
    which those that are multiplied out here are compared.
    """
    return _Layers(twin, names, tape).all()


class _Layers:
    def __init__(self, twin: Twin, names: Mapping[Node, str], tape: Mapping[Node, Any]) -> None:
        self.twin = twin
        self.names = names
        self.tape = tape
        self.cotangents, self.over = pull(twin.root, np.ones(()), twin.order)
        self.users: dict[Node, list[Node]] = {}
        for node in twin.order:
            for parent in node.parents:
                if parent is not None:
                    self.users.setdefault(parent, []).append(node)
        self.units = self._units()
        self.numbers: dict[int, int] = {}
        """Numbers of the units that have parameters."""
        self.unit_of = {node: i for i, unit in enumerate(self.units) for node in unit}

    def _units(self) -> list[list[Node]]:
        """Nodes of one call of a module together; elsewhere a bias with the product before it."""
        found: dict[object, list[Node]] = {}
        key_of: dict[Node, object] = {}
        for node in self.twin.order:
            if node.op is None:
                continue
            key: object = node.scope if _is_leaf_module(node) else node
            if key is node:
                before = [p for p in node.parents if p is not None and p.op is not None]
                others = [p for p in node.parents if p is not None and p.op is None]
                joins = type(node.op) is Item or (
                    len(before) == 1
                    and len(self.users[before[0]]) == 1
                    and isinstance(before[0].op, (MatMul, Convolution))
                    and isinstance(node.op, Elementwise)
                    and len(others) == 1
                )
                if joins and before[0].scope is node.scope:
                    key = key_of[before[0]]
            key_of[node] = key
            found.setdefault(key, []).append(node)
        return list(found.values())

    def all(self) -> tuple[Layer, ...]:
        """In the order in which their outputs were computed."""
        found = [self._parameters(unit) for unit in self.units]
        for i, parameters in enumerate(found):
            if parameters:
                self.numbers[i] = len(self.numbers) + 1
        return tuple(
            self._layer(i, unit, parameters)
            for i, (unit, parameters) in enumerate(zip(self.units, found, strict=True))
        )

    def _layer(
        self,
        index: int,
        unit: Sequence[Node],
        parameters: tuple[ParameterGradient, ...],
    ) -> Layer:
        output = self._output(unit)
        inputs = self._inputs(unit)
        first = unit[0]
        arriving = [self._arriving(unit, node) for node in inputs]
        kind = type(first.scope.module).__name__ if _is_leaf_module(first) else first.name  # type: ignore[union-attr]  # it has a scope
        shapes = [np.shape(self.twin.values[node]) for node in inputs]
        return Layer(
            number=self.numbers.get(index),
            name=self._short(index),
            kind=kind,
            nodes=tuple(unit),
            formula=self._formula(index),
            rule=self._rule(index) if index in self.numbers else "",
            input_shape=shapes[0] if shapes else self._constant_input(unit),
            output_shape=np.shape(self.twin.values[output]),
            activation=norm(self.twin.values[output]),
            delta=norm(self.cotangents.get(output, 0.0)),
            passed=norm(tuple(arriving)) if arriving else None,
            gain=self._gain(unit, inputs[0], output) if inputs else None,
            parameters=parameters,
        )

    def _output(self, unit: Sequence[Node]) -> Node:
        """The node of a unit that the rest uses; of several, the last."""
        inside = set(unit)
        used = [
            node for node in unit
            if node is self.twin.root or any(u not in inside for u in self.users.get(node, ()))
        ]  # fmt: skip
        return [n for n in used if n.shape is not None][-1]

    def _inputs(self, unit: Sequence[Node]) -> list[Node]:
        """Computed nodes that a unit reads."""
        inside = set(unit)
        found: dict[Node, None] = {}
        for node in unit:
            for parent in node.parents:
                if parent is not None and parent not in inside and not self._is_parameter(parent):
                    found.setdefault(parent)
        return list(found)

    def _is_parameter(self, node: Node) -> bool:
        return node.op is None and node in self.names

    def _constant_input(self, unit: Sequence[Node]) -> Shape | None:
        """The shape of a first layer's input, which wants no gradient."""
        for node in unit:
            for parent, x in zip(node.parents, self.twin.operands(node), strict=True):
                if parent is None and isinstance(x, np.ndarray):
                    return tuple(x.shape)
        return None

    def _arriving(self, unit: Sequence[Node], source: Node) -> Any:
        """The error that a unit passes on to one of its inputs."""
        total: Any = np.zeros(np.shape(self.twin.values[source]))
        for node in unit:
            for slot, parent in enumerate(node.parents):
                if parent is source and Edge(node, slot) in self.over:
                    total = total + self.over[Edge(node, slot)]
        return total

    # Parameters -----------------------------------------------------------------------------------

    def _parameters(self, unit: Sequence[Node]) -> tuple[ParameterGradient, ...]:
        found: dict[Node, tuple[str, Any]] = {}
        for node in unit:
            for slot, parent in enumerate(node.parents):
                if parent is None or not self._is_parameter(parent):
                    continue
                formula, product = self._product(node, slot)
                known = found.get(parent)
                total = product if known is None else known[1] + product
                found[parent] = (formula if known is None else f"Σ_t {formula}", total)
        made = []
        for leaf, (formula, product) in found.items():
            shared = len({self.unit_of[u] for u in self.users[leaf]}) > 1
            gradient = product
            scale = max(norm(self.tape[leaf]), norm(product)) or 1.0
            residual = 0.0 if shared else norm(product - self.tape[leaf]) / scale
            made.append(
                ParameterGradient(
                    self.names[leaf], leaf, np.shape(product), gradient, formula, residual
                )
            )
        return tuple(made)

    def _product(self, node: Node, slot: int) -> tuple[str, Any]:
        """The gradient that one use of a parameter gives it, as a formula and multiplied out."""
        op, delta = node.op, self.cotangents.get(node)
        over = self.over.get(Edge(node, slot))
        parent = node.parents[slot]
        assert parent is not None
        if over is None or delta is None:
            return "0", np.zeros(np.shape(self.twin.values[parent]))
        xs = self.twin.operands(node)
        if isinstance(op, MatMul) and slot == 1 and not op.ta and min(map(np.ndim, xs)) == 2:
            a = np.reshape(xs[0], (-1, xs[0].shape[-1]))
            d = np.reshape(delta, (-1, delta.shape[-1]))
            return ("δ aᵀ", d.T @ a) if op.tb else ("aᵀ δ", a.T @ d)
        if isinstance(op, MatMul) and slot == 0 and np.ndim(xs[1]) == 1 and not op.ta:
            return "δ aᵀ", np.outer(delta, xs[1])
        if isinstance(op, Convolution):
            return "δ ⋆ a", over
        if isinstance(op, Elementwise) and op.name == "add":
            extra = np.ndim(delta) - np.ndim(over)
            axes = tuple(range(extra)) + tuple(
                i + extra for i, n in enumerate(np.shape(over)) if n == 1
            )
            total = np.sum(delta, axis=axes, keepdims=True)
            return "Σ δ" if np.size(delta) > np.size(over) else "δ", total.reshape(np.shape(over))
        if isinstance(op, Linear) and op.name == "reshape":  # of a bias, before it is added
            return "Σ δ", over
        return "Jᵀ δ", over

    # The Jacobian ---------------------------------------------------------------------------------

    def _gain(self, unit: Sequence[Node], source: Node, output: Node) -> Gain | None:
        value, result = self.twin.values[source], self.twin.values[output]
        if isinstance(value, tuple) or max(np.size(value), np.size(result)) > MOST_FOR_GAIN:
            return None
        if len(unit) == 1 and isinstance(unit[0].op, Elementwise) and unit[0].shape == value.shape:
            op, node = unit[0].op, unit[0]
            slot = node.parents.index(source)
            if node.parents.count(source) == 1:
                slope = op.partial(slot, self.twin.operands(node), self.twin.values[node])
                return diagonal_gain(np.broadcast_to(slope, value.shape))
        on_path, cone = {source}, [source]
        for node in unit:
            if any(p in on_path for p in node.parents):
                on_path.add(node)
                cone.append(node)

        def forward(v: Any) -> Any:
            known = {source: v.reshape(value.shape)}
            for node in cone[1:]:
                dxs = [None if p is None else known.get(p) for p in node.parents]
                known[node] = step(node, dxs)
            return np.ravel(known[output])

        def backward(u: Any) -> Any:
            found, over = pull(output, u.reshape(result.shape), cone)
            del over
            ct = found.get(source)
            return np.zeros(value.size) if ct is None else np.ravel(ct)

        return gain(forward, backward, int(result.size), int(value.size))

    # Formulas -------------------------------------------------------------------------------------

    def _formula(self, index: int) -> str:
        """δ of a unit's output: what each unit that uses it makes of its own δ, added up."""
        return self._pulled_back(index, lambda i: f"δ[{self._short(i)}]", slopes=True)

    def _rule(self, index: int) -> str:
        """δ from that of the next units with numbers, through a few of those without."""

        def error(i: int, depth: int) -> str:
            number = self.numbers.get(i)
            if number is not None:
                return f"δ{str(number).translate(SUPERSCRIPTS)}"
            if depth == _DEEPEST or len(self._users_of(i)) > 1:
                return f"δ[{self._short(i)}]"
            text = self._pulled_back(i, lambda k: error(k, depth + 1), slopes=False)
            return text if " " not in text or text.endswith(")") else f"({text})"

        return shortened(self._pulled_back(index, lambda i: error(i, 1), slopes=False))

    def _users_of(self, index: int) -> list[int]:
        """The units that use the output of one."""
        users = self.users.get(self._output(self.units[index]), ())
        return [i for i in dict.fromkeys(self.unit_of[user] for user in users) if i != index]

    def _pulled_back(self, index: int, error: Callable[[int], str], *, slopes: bool) -> str:
        output = self._output(self.units[index])
        if output is self.twin.root:
            return "1"
        return " + ".join(
            self._transposed(i, output, error(i), slopes) for i in self._users_of(index)
        )

    def _short(self, i: int) -> str:
        """``block.fc1``; an operation of a module with parts is ``block.add``."""
        first = self.units[i][0]
        if first.scope is None:
            return first.name
        inner = first.scope.path().partition(".")[2]
        if _is_leaf_module(first):
            return inner or type(first.scope.module).__name__
        return f"{inner}.{first.name}" if inner else first.name

    def _transposed(self, index: int, source: Node, delta: str, slopes: bool) -> str:
        """Jᵀ δ of a unit in the notation of its kind."""
        unit = self.units[index]
        ops = [node.op for node in unit if node.op is not None and type(node.op) is not Item]
        product = next((op for op in ops if isinstance(op, (MatMul, Convolution))), None)
        if product is not None and all(_is_of_bias(op) for op in ops if op is not product):
            number = self.numbers.get(index)
            w = "W" + ("" if number is None else str(number).translate(SUPERSCRIPTS))
            return f"{w}ᵀ {delta}" if isinstance(product, MatMul) else f"{w} ⋆ᵀ {delta}"
        if len(ops) > 1:
            return f"Jᵀ {delta}"
        op = ops[0]
        if isinstance(op, Elementwise):
            return self._elementwise(unit[0], source, delta, slopes)
        if op.name == "max_pool":
            return f"winners({_without_brackets(delta)})"
        if op.name == "cross_entropy":
            shape = np.shape(self.twin.values[source])
            return "(softmax(u) − y)" + (f" / {shape[0]}" if len(shape) > 1 < shape[0] else "")
        if op.name in ("identity", "item"):
            return delta
        return (
            f"{op.name}ᵀ({_without_brackets(delta)})" if isinstance(op, Linear) else f"Jᵀ {delta}"
        )

    def _elementwise(self, node: Node, source: Node, delta: str, slopes: bool) -> str:
        op = node.op
        assert isinstance(op, Elementwise)
        slot = node.parents.index(source)
        slope = op.math[slot] if op.math else "φ′"
        if slope in ("1", "-1"):
            return delta if slope == "1" else f"−{delta}"
        if len(node.parents) > 1 and any(f"{{{i}}}" in slope for i in range(len(node.parents))):
            others = {i: "m" if p is None else f"x{i}" for i, p in enumerate(node.parents)}
            for i, name in others.items():
                slope = slope.replace(f"{{{i}}}", "u" if i == slot else name)
            return f"{delta} ⊙ {slope}"
        if not slopes:
            return f"{delta} ⊙ φ′(u)"
        slope = slope.replace("{y}", "a").replace("{0}", "u")
        for field in op.fields:
            slope = slope.replace(f"{{{field}}}", f"{getattr(op, field)!r}")
        return f"{delta} ⊙ φ′(u), φ′ = {slope}"


def _is_leaf_module(node: Node) -> bool:
    """Whether a node belongs to a call of a module without parts of its own."""
    module = None if node.scope is None else node.scope.module
    return isinstance(module, Module) and next(iter(module.children()), None) is None


def _without_brackets(text: str) -> str:
    """``(a)`` as ``a``, if the brackets belong together."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for i, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and i < len(text) - 1:
            return text
    return text[1:-1]


def _is_of_bias(op: Op) -> bool:
    """Whether an op next to a product only adds a bias."""
    return op.name in ("add", "reshape", "permute", "expand")


def shortened(text: str, most: int = 120) -> str:
    """A formula, or its beginning if it is very long."""
    return text if len(text) <= most else f"{text[: most - 2]} …"
