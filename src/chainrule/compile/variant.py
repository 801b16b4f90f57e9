"""Variants: one trace of a function, ready to run in all calls that its guards admit.

A call that finds everything as the last one left it does little in Python: compare identities of
state, count references to memory that is to be written, run, and wrap the result. What is found
changed is looked at more closely, and either put in order or reported as a miss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sys import getrefcount
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
from .identity import Known
from .layout import Layout
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
        self._cells = layout.cells
        self._buffers = layout.buffers if in_place else []
        self._memory = [] if in_place else [
            np.broadcast_to(np.zeros((), v.dtype), v.shape) for v in layout.buffer_inputs
        ]  # fmt: skip
        count = len(self._cells) + len(self._buffers)
        self._avals = [v.aval for v in layout.inputs[:count]]
        self._arrays, self._buffer_arrays = Known(len(self._cells)), Known(len(self._buffers))
        self._first = len(self._cells) - layout.replaced if in_place else count
        self._counts = [_ALONE_IN_SLICE] * (count - self._first)
        self._buffer_counts = [_ALONE] * len(self._buffers)
        groups = layout.recording.tracer.groups()
        updated = [p for group, _ in groups for p in group.get("params", ())]
        exact = cells.gradients_matter([*layout.cells, *updated]) if cells.exact else []
        self._exact = [(owner_of(layout, c), cells.held[id(c)].before[2] is None) for c in exact]
        self._reads = [owner_of(layout, cell) for cell in layout.gradients]
        self._watched = [cell for cell in self._cells if cells.is_watched(cell)]
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
        state = [cell.array for cell in self._cells]
        if not self._arrays.are(tuple(state)) and not self._settle(state):
            return MISS
        if self._buffers:
            gradients = [p._grad for p in self._buffers]
            if [*map(getrefcount, gradients)] != self._buffer_counts:
                self._renew(gradients)
            memory = [g.array for g in gradients]
            if not self._buffer_arrays.are(tuple(memory)):
                self._settle_memory(memory, gradients)
            state += memory
            del memory, gradients  # references that must not be counted
        if self._counts and [*map(getrefcount, state[self._first :])] != self._counts:
            self._unshare(state)
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
            result = Tensor.__new__(Tensor)
            result.array = outputs[0]
            result.node = result._grad = None
            return result
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
            if not _fits(array, aval):
                return False
            arguments.append(self._prepare(self._first_read + k, array))
        return True

    # State that is not as the last call left it ---------------------------------------------------

    def _settle(self, state: list[Array]) -> bool:
        """Take the arrays in the cells as they are now; False if one has another shape or dtype.

        Memory that is to be written must belong to nobody else.
        """
        if not all(map(_fits, state, self._avals)):
            return False
        alone = [count == _ALONE for count in map(getrefcount, state)]
        for i, cell in enumerate(self._cells):
            if not self._arrays.is_at(i, state[i]):
                state[i] = cell.array = self._own(i, state[i], self._arrays, i, alone[i])
        return True

    def _settle_memory(self, memory: list[Array], gradients: Sequence[Value]) -> None:
        """Take the gradients' arrays for memory, or new ones."""
        alone = [count == _ALONE for count in map(getrefcount, memory)]
        first = len(self._cells)
        for k, gradient in enumerate(gradients):
            if not self._buffer_arrays.is_at(k, memory[k]):
                aval, array = self._avals[first + k], memory[k]
                if not _fits(array, aval):
                    array = np.zeros(aval.shape, aval.dtype)
                own = self._own(first + k, array, self._buffer_arrays, k, alone[k])
                memory[k] = gradient.array = own

    def _own(self, i: int, array: Array, known: Known, k: int, alone: bool) -> Array:
        """The array for input i, prepared, and noted at place k."""
        ready = self._prepare(i, array)
        is_ours = alone and array.base is None and array.flags.writeable
        if ready is array and i >= self._first and not is_ours:
            ready = self._prepare(i, array.copy(order="K"))
        known.note(k, ready)
        return ready

    def _renew(self, gradients: list[Any]) -> None:
        """Give tensors new gradients where there are none, or where somebody holds the old one."""
        first = len(self._cells)
        for k, p in enumerate(self._buffers):
            if gradients[k] is None or getrefcount(gradients[k]) != _ALONE:
                aval = self._avals[first + k]
                gradients[k] = p._grad = Tensor.wrap(np.zeros(aval.shape, aval.dtype))

    def _unshare(self, state: list[Array]) -> None:
        """Copy memory that somebody else holds: arrays are values, and these will be written."""
        counts = [*map(getrefcount, state)]
        for i in range(self._first, len(state)):
            if counts[i] != _ALONE:
                n = i - len(self._cells)
                holder: Any = self._cells[i] if n < 0 else self._buffers[n]._grad
                known, k = (self._arrays, i) if n < 0 else (self._buffer_arrays, n)
                state[i] = holder.array = self._own(i, state[i], known, k, False)

    # Without running ------------------------------------------------------------------------------

    def holds(self, leaves: Sequence[Any]) -> bool:
        """Whether a call with these leaves of the arguments would find all as it was."""
        return not self._differences(leaves) and all(
            _fits(resolve(owner, leaves)._grad.array, aval)
            for owner, aval in zip(self._reads, self._read_avals, strict=True)
        )

    def example(self, leaves: Sequence[Any]) -> list[Array]:
        """What the executable would be given in a call for which the trace holds."""
        arguments = self._arguments(leaves)
        assert arguments is not None
        held = self._read_gradients(leaves, arguments)
        assert held
        state = [cell.array for cell in self._cells]
        state += [np.zeros(v.shape, v.dtype) for v in self._avals[len(self._cells) :]]
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
        for cell, aval in zip(self._cells, self._avals, strict=False):
            if not _fits(cell.array, aval):
                now = Aval(cell.shape, cell.dtype)
                found.append(f"{self._labels(cell)}: {aval!r} became {now!r}")
        for owner, was_none in self._exact:
            p = resolve(owner, leaves)
            if (p._grad is None) is not was_none:
                change = "None became a tensor" if was_none else "a tensor became None"
                found.append(f"{self._labels(p)}.grad: {change}")
        return found


def _fits(array: Array, aval: Aval) -> bool:
    return bool(array.shape == aval.shape and array.dtype == aval.dtype)


def _references() -> tuple[int, int]:
    """What getrefcount says of an array that one cell holds, in a list, and in a slice of it."""
    cells = [Value.wrap(np.zeros(1))]
    state = [cell.array for cell in cells]
    (whole,) = [*map(getrefcount, state)]
    (sliced,) = [*map(getrefcount, state[0:])]
    return whole, sliced


_ALONE, _ALONE_IN_SLICE = _references()
_TENSOR, _NUMBER, _STATIC = Kind.TENSOR, Kind.NUMBER, Kind.STATIC
