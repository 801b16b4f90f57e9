"""Where the values of a traced function are found before a call, and where they go after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np

from ..core.graph import Graph, Var
from ..core.value import Symbol, Value
from .recording import Content, Recording, extract, used_in
from .trace import Draws, Reading


@final
class Layout:
    """The graph of a recording, and what each of its inputs and outputs is.

    Inputs are, in this order: the arrays of `cells`, those that outputs replace last; memory for
    the gradients of `buffers`; `readings`; a key and a counter for each of `draws`; `arguments`,
    by the number of the leaf; and the gradients from before of `gradients`.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        wanted = [*recording.contents, *[change.content for change in recording.changes]]
        variables = [x.variable for x in wanted if isinstance(x, Symbol)]
        self._residuals(variables)
        self.computed = {v for equation in recording.equations for v in equation.outputs}
        needed = used_in(recording.equations, [*variables, *self.residuals])
        leading = [x.variable for x in recording.contents if isinstance(x, Symbol)]
        self.outputs = list(dict.fromkeys(
            v for v in [*leading, *self.residuals] if v in self.computed
        ))  # fmt: skip
        self.results = len(self.outputs)
        """How many outputs are not only for the state."""
        self._kept = {*variables, *self.residuals} - self.computed
        self.donations: dict[Var, Var] = {}
        """Inputs by the outputs that may take their memory."""
        self._choose_cells(needed)
        self._choose_buffers()
        self._choose_others(needed)
        inputs = self.inputs
        self.position = {v: i for i, v in enumerate(inputs)}
        self.number = {v: j for j, v in enumerate(self.outputs)}
        self.graph: Graph = extract(recording.equations, inputs, self.outputs)

    @property
    def inputs(self) -> list[Var]:
        """All inputs, in order."""
        return [
            *self.cell_inputs, *self.buffer_inputs,
            *[r.number.variable for r in self.readings],
            *[x.variable for d, _ in self.draws for x in (d.key, d.counter)],
            *self.argument_inputs, *self.gradient_inputs,
        ]  # fmt: skip

    def _residuals(self, variables: list[Var]) -> None:
        """What the graph of the gradient needs of this one: values that it does not compute."""
        self.residuals: list[Var] = []
        backward = self.recording.backward
        if backward is None:
            return
        later = self.recording.tracer.graph.equations[backward.start :]
        inside = {v for equation in later for v in equation.outputs}
        inside |= {ct.variable for ct in backward.cotangents}
        wanted = [g.variable for g in backward.gradients if isinstance(g, Symbol)]
        used = used_in(later, wanted)
        self.residuals = sorted(used - inside, key=lambda v: v.index)

    def _choose_cells(self, needed: set[Var]) -> None:
        recording, cells = self.recording, self.recording.cells
        changed = {id(c.cell): c for c in recording.changes if c.slot == "array"}
        stand_ins = {id(cell) for cell in recording.stand_ins.values()}
        found = [
            (held.cell, held.given[0]) for key, held in cells.held.items()
            if key not in cells.owners and key not in stand_ins
        ]  # fmt: skip
        found += [(cell, symbol) for cell, _, symbol in recording.tracer.adopted]
        plain: list[tuple[Value, Var]] = []
        donated: list[tuple[Value, Var]] = []
        for cell, symbol in found:
            change = changed.get(id(cell))
            new = None if change is None else _variable(change.content)
            if new is not None and self._offer(symbol.variable, new):
                donated.append((cell, symbol.variable))
            elif symbol.variable in needed:
                plain.append((cell, symbol.variable))
        chosen = [*plain, *donated]
        self.cells = [cell for cell, _ in chosen]
        self.cell_inputs = [v for _, v in chosen]
        self.replaced = len(donated)
        """How many of the cells, the last ones, offer their memory to what replaces them."""

    def _offer(self, old: Var, new: Var) -> bool:
        """Whether an output may take an input's memory; if so, note it."""
        fits = new in self.computed and new.aval == old.aval and old not in self._kept
        if not fits or new in self.outputs:
            return False
        self.outputs.append(new)
        self.donations[new] = old
        return True

    def _choose_buffers(self) -> None:
        """New gradients take the memory of those from before, which nobody asked for."""
        recording = self.recording
        stand_ins = {id(cell) for cell in recording.stand_ins.values()}
        self.buffers: list[Value] = []
        self.buffer_inputs: list[Var] = []
        for cell, slot, _, content in recording.changes:
            if slot != "grad" or id(cell) in stand_ins:
                continue
            new = _variable(content)
            if new is None or recording.cells.gradient(cell) is not None:
                continue
            memory = recording.tracer.graph.new(new.aval)
            if self._offer(memory, new):
                self.buffers.append(cell)
                self.buffer_inputs.append(memory)

    def _choose_others(self, needed: set[Var]) -> None:
        recording = self.recording
        for change in recording.changes:
            new = _variable(change.content)
            if new is not None and new in self.computed and new not in self.outputs:
                self.outputs.append(new)
        tracer, cells = recording.tracer, recording.cells
        self.readings: list[Reading] = [
            r for _, readings in tracer.groups() for r in readings if r.number.variable in needed
        ]
        self.draws: list[tuple[Draws, int]] = list(
            zip(tracer.draws.values(), recording.blocks, strict=True)
        )
        symbols = enumerate(recording.symbols)
        chosen = [(i, s.variable) for i, s in symbols if s is not None and s.variable in needed]
        self.arguments = [i for i, _ in chosen]
        self.argument_inputs = [v for _, v in chosen]
        self.gradients: list[Value] = []
        self.gradient_inputs: list[Var] = []
        for key, owner in cells.owners.items():
            symbol = cells.held[key].given[0] if key in cells.held else None
            if symbol is not None and symbol.variable in needed:
                self.gradients.append(owner)
                self.gradient_inputs.append(symbol.variable)

    def place(self, content: Content) -> Any:
        """The number of an output, a negative one of an input counted from the end, or an array."""
        if not isinstance(content, Symbol):
            return np.asarray(content)
        return self.place_of(content.variable)

    def place_of(self, variable: Var) -> int:
        """The place of a value that is an input or an output."""
        j = self.number.get(variable)
        return self.position[variable] - len(self.position) if j is None else j

    def backward_graph(self) -> tuple[Graph, list[Content | None]]:
        """The graph from residuals and cotangents to gradients, and what the gradients are."""
        backward = self.recording.backward
        assert backward is not None
        later = self.recording.tracer.graph.equations[backward.start :]
        inputs = [*self.residuals, *[ct.variable for ct in backward.cotangents]]
        inside = {v for equation in later for v in equation.outputs}
        outputs = list(dict.fromkeys(
            g.variable for g in backward.gradients
            if isinstance(g, Symbol) and g.variable in inside
        ))  # fmt: skip
        places: list[Any] = []
        for g in backward.gradients:
            if not isinstance(g, Symbol):
                places.append(None if g is None else np.asarray(g))
            elif g.variable in inside:
                places.append(outputs.index(g.variable))
            else:
                places.append(inputs.index(g.variable) - len(inputs))
        return extract(later, inputs, outputs), places


def _variable(content: Any) -> Var | None:
    return content.variable if isinstance(content, Symbol) else None


def value_at(place: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    """The array at a place that a Layout gave; a copy, if it is the same in all calls."""
    if type(place) is int:
        return outputs[place] if place >= 0 else inputs[place]
    return np.array(place)
