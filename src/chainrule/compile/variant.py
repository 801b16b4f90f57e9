"""Variants: one trace of a function, ready to run in all calls that its guards admit.

A call that finds everything as the last one left it does little in Python: compare identities of
state, count references to memory that is to be written, run, and wrap the result. What is found
changed is looked at more closely, and either put in order or reported as a miss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np

from .. import config
from ..core.aval import Aval
from ..core.value import Value, configuration, tape
from ..tensor import Tensor
from .attached import Gradient
from .effects import is_plain, maker, owner_of, resolve, writes
from .executable import Array, Build
from .guards import (
    GroupGuard,
    LeafGuard,
    NameGuard,
    PartGuard,
    Reasons,
    argument_name,
    is_same,
    shown,
    tracked,
)
from .layout import Layout
from .owned import Owned, fits
from .recording import Kind, Recording
from .trees import LEAF, Structure, paths, unflatten

MISS = object()
"""What a call of a variant returns that was traced under other circumstances."""


@final
class Variant:
    """A recording with its executable and its guards. Call it with the leaves of the arguments.

    It returns ``MISS``, with nothing changed but memory of the same contents, if a guard fails.
    """

    def __init__(
        self,
        recording: Recording,
        leaves: Sequence[Any],
        structure: Structure,
        names: list[NameGuard],
        labels: Callable[[object], str],
        build: Build,
    ) -> None:
        layout = Layout(recording)
        self.structure = structure
        self.leaves = [LeafGuard.of(k, x) for k, x in zip(recording.kinds, leaves, strict=True)]
        self._labels = labels
        self._names = names
        self._guard_circumstances(recording)
        offers = {layout.position[old]: layout.number[new] for new, old in layout.donations.items()}
        self.executable = build(layout.graph, offers, layout.results)
        self._run = self.executable.__call__
        self._prepare = self.executable.prepare
        self._place_state(layout)
        self._place_inputs(layout)
        self._place_results(layout)
        self._gradient = None if recording.backward is None else Gradient(layout, build)

    # Making ---------------------------------------------------------------------------------------

    def _guard_circumstances(self, recording: Recording) -> None:
        tracer = recording.tracer
        self._dtype = config.get_default_dtype()
        self._recording = tape.recording
        parts = [PartGuard(self._labels(p), p) for p in tracer.visited.values()]
        inner = {i for part in parts for i in part.inside()}
        self._parts = [part for part in parts if id(part.part) not in inner]
        self._dicts = [d for part in self._parts for d in part.dicts]
        self._sizes = [*map(len, self._dicts)]
        self._version = configuration.version
        self._groups = [
            GroupGuard(self._labels(group), group, readings) for group, readings in tracer.groups()
        ]

    def _place_state(self, layout: Layout) -> None:
        """Note the cells that are read, those that are written, and whose gradients matter."""
        cells, in_place = layout.recording.cells, self.executable.in_place
        self._owned = Owned(layout, self._prepare, in_place=in_place)
        self._memory = [] if in_place else [
            np.broadcast_to(np.zeros((), v.dtype), v.shape) for v in layout.buffer_inputs
        ]  # fmt: skip
        groups = layout.recording.tracer.groups()
        updated = [p for group, _ in groups for p in group.get("params", ())]
        exact = cells.gradients_matter([*layout.cells, *updated]) if cells.exact else []
        self._exact = [(owner_of(layout, c), cells.held[id(c)].before[2] is None) for c in exact]
        self._reads = [owner_of(layout, cell) for cell in layout.gradients]
        self._watched = [cell for cell in layout.cells if cells.is_watched(cell)]
        self._tracked = [tracked(cell) for cell in self._watched]
        self._writes, self._effects = writes(layout, in_place)

    def _place_inputs(self, layout: Layout) -> None:
        """Note the inputs behind the state: numbers, draws, arguments, gradients that are read."""
        first = self._first_number = len(layout.cells) + len(layout.buffers)
        self._readings = layout.readings
        self._numbers = [self._number(k) for k in range(len(self._readings))]
        self._draws = [(d.generator.reserve, blocks) for d, blocks in layout.draws]
        self._first_argument = first + len(self._numbers) + 2 * len(self._draws)
        self._first_read = self._first_argument + len(layout.arguments)
        self._read_avals = [v.aval for v in layout.gradient_inputs]
        used = {i: self._first_argument + n for n, i in enumerate(layout.arguments)}
        self._checks = [
            (g.kind, g.shape, g.dtype, g.wants, g.value, used.get(i, -1))
            for i, g in enumerate(self.leaves)
        ]

    def _place_results(self, layout: Layout) -> None:
        recording = layout.recording
        results, contents = recording.results, recording.contents
        self._makers = [maker(layout, y, x) for y, x in zip(results, contents, strict=True)]
        self._form = recording.structure
        self._is_single = (
            recording.structure is LEAF
            and recording.backward is None
            and is_plain(layout, results[0], contents[0])
        )
        alone = self._is_single and not (self._writes or self._effects or self._draws)
        self._run_alone = self.executable.run_alone if alone else None

    def _number(self, k: int) -> Array:
        value = np.asarray(self._readings[k].value(), np.float64)
        return self._prepare(self._first_number + k, value)

    # Running --------------------------------------------------------------------------------------

    def __call__(self, leaves: Sequence[Any]) -> Any:
        """The result of a call, or MISS."""
        if (
            configuration.version != self._version
            or [*map(len, self._dicts)] != self._sizes
            or tape.recording is not self._recording
            or config.get_default_dtype() is not self._dtype
        ) and self._circumstances_changed():
            return MISS
        for group in self._groups:
            if group.group != group.snapshot and self._numbers_changed(group):
                return MISS
        for _, read, value in self._names:
            now = read()
            if now is not value and not is_same(now, value):
                return MISS
        arguments = self._arguments(leaves)
        if arguments is None:
            return MISS
        if (self._exact or self._reads) and not self._read_gradients(leaves, arguments):
            return MISS
        state = self._owned.take()
        if state is None:
            return MISS
        if self._run_alone is not None:
            return _tensor(self._run_alone())
        inputs = [*state, *self._memory, *self._numbers]
        for reserve, blocks in self._draws:
            inputs += reserve(blocks)
        inputs += arguments
        outputs = self._run(inputs)
        for cell, j in self._writes:
            cell.array = outputs[j]
        for effect in self._effects:
            effect(leaves, inputs, outputs)
        if self._is_single:
            return _tensor(outputs[0])
        made = [make(leaves, inputs, outputs) for make in self._makers]
        if self._gradient is not None:
            self._gradient.attach(made, leaves, inputs, outputs)
        return unflatten(self._form, made)

    def _circumstances_changed(self) -> bool:
        """Whether settings changed; if not, later calls compare with what there is now."""
        if (
            tape.recording is not self._recording
            or config.get_default_dtype() is not self._dtype
            or [*map(tracked, self._watched)] != self._tracked
            or any(part.reasons() for part in self._parts)
        ):
            return True
        self._version = configuration.version
        self._sizes = [*map(len, self._dicts)]
        return False

    def _numbers_changed(self, group: GroupGuard) -> bool:
        """Whether a parameter group misfits; if not, its numbers are read again."""
        if group.reasons():
            return True
        for k, reading in enumerate(self._readings):
            if reading.group is group.group:
                self._numbers[k] = self._number(k)
        return False

    def _arguments(self, leaves: Sequence[Any]) -> list[Array] | None:
        """The arrays of the arguments that the graph takes, or None if an argument misfits."""
        prepare, found = self._prepare, []
        for leaf, (kind, shape, dtype, wants, value, i) in zip(leaves, self._checks, strict=True):
            if kind is _TENSOR:
                if not isinstance(leaf, Value):
                    return None
                array = leaf.array
                if wants if leaf.node is None else tracked(leaf) != wants:
                    return None
            elif kind is _STATIC:
                if leaf is not value and not is_same(leaf, value):
                    return None
                continue
            elif kind is _NUMBER:
                if not isinstance(leaf, (float, np.floating)):
                    return None
                array = np.asarray(leaf, np.float64)
            elif isinstance(leaf, np.ndarray):
                array = leaf
            else:
                return None
            if array.shape != shape or (array.dtype is not dtype and array.dtype != dtype):
                return None
            if i >= 0:
                found.append(prepare(i, array))
        return found

    def _read_gradients(self, leaves: Sequence[Any], arguments: list[Array]) -> bool:
        """Append the gradients that the graph takes; False if there are others than before."""
        for owner, was_none in self._exact:
            if (resolve(owner, leaves)._grad is None) is not was_none:
                return False
        for k, (owner, aval) in enumerate(zip(self._reads, self._read_avals, strict=True)):
            array = resolve(owner, leaves)._grad.array
            if not fits(array, aval):
                return False
            arguments.append(self._prepare(self._first_read + k, array))
        return True

    # Without running ------------------------------------------------------------------------------

    def holds(self, leaves: Sequence[Any]) -> bool:
        """Whether a call with these leaves of the arguments would find all as it was."""
        return not self._differences(leaves) and all(
            fits(resolve(owner, leaves)._grad.array, aval)
            for owner, aval in zip(self._reads, self._read_avals, strict=True)
        )

    def example(self, leaves: Sequence[Any]) -> list[Array]:
        """What the executable would be given in a call for which the trace holds."""
        arguments = self._arguments(leaves)
        assert arguments is not None
        held = self._read_gradients(leaves, arguments)
        assert held
        cells, avals = self._owned.cells, self._owned.avals
        state = [cell.array for cell in cells]
        state += [np.zeros(v.shape, v.dtype) for v in avals[len(cells) :]]
        draws = [x for reserve, _ in self._draws for x in reserve(0)]
        return [*state, *self._memory, *self._numbers, *draws, *arguments]

    # Explaining -----------------------------------------------------------------------------------

    def reasons(self, leaves: Sequence[Any]) -> Reasons:
        """Why this trace does not hold for a call with these leaves of the arguments."""
        return self._differences(leaves) or ["a gradient has another shape or dtype"]

    def _differences(self, leaves: Sequence[Any]) -> Reasons:
        found: Reasons = []
        for path, guard, leaf in zip(paths(self.structure), self.leaves, leaves, strict=True):
            said = guard.reason(leaf)
            if said is not None:
                found.append(f"{argument_name(path)}: {said}")
        if tape.recording is not self._recording:
            found.append(f"is_grad_enabled(): {self._recording} became {tape.recording}")
        if config.get_default_dtype() is not self._dtype:
            found.append(f"default dtype: {self._dtype} became {config.get_default_dtype()}")
        for part in self._parts:
            found += part.reasons()
        for group in self._groups:
            found += group.reasons()
        for name, read, value in self._names:
            if not is_same(value, read()):
                found.append(f"{name}: {shown(value)} became {shown(read())}")
        for cell, before in zip(self._watched, self._tracked, strict=True):
            if tracked(cell) != before:
                label = self._labels(cell)
                found.append(f"{label}: {before or 'no gradient'} became {tracked(cell)}")
        for cell, aval in zip(self._owned.cells, self._owned.avals, strict=False):
            if not fits(cell.array, aval):
                now = Aval(cell.shape, cell.dtype)
                found.append(f"{self._labels(cell)}: {aval!r} became {now!r}")
        for owner, was_none in self._exact:
            p = resolve(owner, leaves)
            if (p._grad is None) is not was_none:
                change = "None became a tensor" if was_none else "a tensor became None"
                found.append(f"{self._labels(p)}.grad: {change}")
        return found


def _tensor(array: Array) -> Tensor:
    result = Tensor.__new__(Tensor)
    result.array = array
    result.node = result._grad = None
    return result


_TENSOR, _NUMBER, _STATIC = Kind.TENSOR, Kind.NUMBER, Kind.STATIC
