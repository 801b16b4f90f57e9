"""Why a parameter has no gradient, and why the gradient that it has is what it is."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from ..core.families import Elementwise
from ..core.observation import Observer, observation
from ..core.op import Op
from ..core.value import Node, Value, tape
from ..engine.reverse import reachable
from ..errors import ArgumentError, GradientError
from ..tensor import Tensor
from .doctor.places import user_frame
from .record import Entry, Record, Site, record_of, site_of
from .values import operands

Source: TypeAlias = Tensor | Callable[[], Tensor]


@dataclass(frozen=True)
class Reason:
    """One reason, as a sentence, with the line it is about and what to write instead."""

    code: str
    """``HAS_GRADIENT FROZEN NOT_A_LEAF DETACHED NO_GRAD NO_DERIVATIVE NOT_USED NOT_BACKWARD``, or
    ``UNKNOWN``."""
    cause: str
    site: Site | None = None
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """The fields, with `file`, `line` and `source` for the site."""
        return {
            "code": self.code,
            "cause": self.cause,
            "file": None if self.site is None else self.site.file,
            "line": None if self.site is None else self.site.line,
            "source": None if self.site is None else self.site.source,
            "remedy": self.remedy,
        }

    def __str__(self) -> str:
        lines = [f"{self.code}: {self.cause}"]
        if self.site is not None:
            lines.append(f"  at {self.site}  {self.site.source}")
        if self.remedy:
            lines.append(f"  remedy: {self.remedy}")
        return "\n".join(lines)


# Why there is none --------------------------------------------------------------------------------


def why_none(parameter: Tensor, output: Source | None = None) -> Reason:
    """Why ``parameter.grad`` is None.

    `output` is the loss, or better a function of no arguments that computes it: that is run once
    more and watched, so that the line is found where the way from the parameter is cut. Random
    numbers that it draws and buffers that it updates go on as after any other run.

    Raises ArgumentError if `parameter` is no tensor, or `output` neither tensor nor function.

    >>> w = tensor(2.0, requires_grad=True)
    >>> why_none(w, lambda: w.detach() * 3).cause
    'what was computed from it is cut off from the graph by detach()'
    """
    if not isinstance(parameter, Tensor):
        raise ArgumentError("why_none needs a tensor", got=type(parameter).__name__)
    if output is not None and not isinstance(output, Tensor) and not callable(output):
        raise ArgumentError(
            "why_none needs the loss, or a function that computes it", got=type(output).__name__
        )
    own = _alone(parameter)
    if own is not None:
        return own
    if output is None:
        return Reason(
            "UNKNOWN",
            "by itself it could have a gradient: it is a leaf that requires one",
            remedy="give why_none the loss too, or a function that computes it",
        )
    if isinstance(output, Tensor):
        return _of_tape(parameter, output)
    watch = _Watch(parameter)
    with watch:
        result = output()
    if not isinstance(result, Tensor):
        raise ArgumentError("the function must return the loss", got=type(result).__name__)
    return watch.reason(result)


def _alone(x: Tensor) -> Reason | None:
    """What the parameter shows by itself."""
    if x.grad is not None:
        size = float(np.linalg.norm(x.grad.array.astype(np.float64).ravel()))
        return Reason("HAS_GRADIENT", f"it has one, of norm {size:.4g}")
    if x.dtype.kind != "f":
        return Reason(
            "NO_DERIVATIVE", f"it is of type {x.dtype.name}, and only floats have gradients",
            remedy="x = x.float()",
        )  # fmt: skip
    if not x.requires_grad:
        return Reason(
            "FROZEN", "its requires_grad is False", remedy="parameter.requires_grad_()"
        )  # fmt: skip
    if not x.is_leaf:
        assert x.node is not None
        return Reason(
            "NOT_A_LEAF",
            f"it is the result of {x.node.name}, and backward keeps the gradients of leaves only",
            site_of(x.node),
            "call retain_grad() on it before backward, or optimize the leaf it was made from",
        )
    return None


def _of_tape(parameter: Tensor, output: Tensor) -> Reason:
    """What the graph of a finished computation shows."""
    if output.node is None:
        return Reason(
            "NO_GRAD", "the output was not recorded: nothing in it requires a gradient, or it was "
            "computed under no_grad()",
            remedy="give why_none a function that computes the output, to find the line",
        )  # fmt: skip
    if parameter.node in set(reachable([output.node])):
        return _not_backward()
    return Reason(
        "NOT_USED", "no recorded way leads from it to the output: it was not used, or the way is "
        "cut, or its gradient came to another tensor after it was replaced",
        remedy="give why_none a function that computes the output, to find the line",
    )  # fmt: skip


def _not_backward() -> Reason:
    return Reason(
        "NOT_BACKWARD",
        "the output depends on it, but backward() has not been called since its gradient was "
        "last forgotten",
        remedy="loss.backward()",
    )


class _Watch(Observer):
    """Follows what is computed from a parameter, and notes where the graph loses it."""

    def __init__(self, parameter: Tensor) -> None:
        self.parameter = parameter
        self.connected: dict[int, Any] = {id(parameter.array): parameter.array}
        """Arrays with a recorded way from the parameter, by id; they are held, so ids stay."""
        self.lost: dict[int, tuple[Any, Reason]] = {}
        """Arrays computed from it without one, and where it was cut."""
        self.taken: Reason | None = None
        """Where its numbers first left the tensors."""
        self.detached: dict[int, Reason] = {}
        self.uses: list[Site] = []

    def __enter__(self) -> None:
        self.outer = observation.by
        observation.by = self

    def __exit__(self, *error: object) -> None:
        observation.by = self.outer

    def operation(self, op: Op, operands: Sequence[Any], result: Any) -> Any:
        values = [x for x in operands if isinstance(x, Value)]
        results = result if isinstance(result, tuple) else (result,)
        known = [x for x in values if id(x.array) in self.connected]
        if any(x.node is not None for x in known):
            self.uses.append(_here())
            for y in results:
                if y.node is not None:
                    self.connected[id(y.array)] = y.array
                else:
                    self._lose(y.array, self._unrecorded(op, y))
            return result
        if known:
            reason = self.detached.get(id(known[0].array)) or self._detached("detach() or data")
            for y in results:
                self._lose(y.array, reason)
            return result
        for x in values:
            if id(x.array) in self.lost:
                for y in results:
                    self._lose(y.array, self.lost[id(x.array)][1])
                break
        return result

    def cut(self, tensor: Value, how: str) -> Any:
        if id(tensor.array) in self.connected:
            reason = self._detached(how)
            if how == "detach()":
                self.detached[id(tensor.array)] = reason
            elif self.taken is None:
                self.taken = reason
        elif id(tensor.array) in self.lost and self.taken is None:
            self.taken = self.lost[id(tensor.array)][1]

    def _lose(self, array: Any, reason: Reason) -> None:
        if id(array) not in self.connected:
            self.lost.setdefault(id(array), (array, reason))

    def _detached(self, how: str) -> Reason:
        return Reason(
            "DETACHED", f"what was computed from it is cut off from the graph by {how}", _here(),
            f"leave out {how} there, and compute with the tensor itself",
        )  # fmt: skip

    def _unrecorded(self, op: Op, y: Value) -> Reason:
        if y.dtype.kind != "f":
            return Reason(
                "NO_DERIVATIVE",
                f"{op.name} makes values of type {y.dtype.name}: they go in steps, and no "
                "gradient passes",
                _here(),
                "use a function with a slope there, such as softmax for argmax, sigmoid for >",
            )
        if not tape.recording:
            return Reason(
                "NO_GRAD", "it was used under no_grad(), where nothing is recorded", _here(),
                "compute that outside no_grad()",
            )  # fmt: skip
        return Reason("NO_DERIVATIVE", f"no gradient passes {op.name}", _here())

    def reason(self, output: Tensor) -> Reason:
        """Why no gradient arrives from `output`."""
        if output.node is not None and self.parameter.node in set(reachable([output.node])):
            return _not_backward()
        if id(output.array) in self.lost:
            return self.lost[id(output.array)][1]
        if id(output.array) in self.detached:
            return self.detached[id(output.array)]
        if self.taken is not None:
            return self.taken
        if self.uses:
            return Reason(
                "NOT_USED",
                "what was computed from it is not part of the output; this line used it last",
                self.uses[-1],
            )
        return Reason(
            "NOT_USED", "nothing was computed from it",
            remedy="use it in forward, or leave it out of the model",
        )  # fmt: skip


def _here() -> Site:
    frame = user_frame()
    file, line = frame.f_code.co_filename, frame.f_lineno
    return Site(file, line, linecache.getline(file, line).strip())


# Why it is what it is -----------------------------------------------------------------------------

NEEDS: Final[Mapping[str, str]] = {
    "relu": "an input above 0",
    "leaky_relu": "an input above 0, or a larger negative slope",
    "elu": "an input nearer to 0",
    "sigmoid": "an input nearer to 0, where the curve is steep (its slope is at most 1/4)",
    "tanh": "an input nearer to 0, where the curve is steep",
    "softmax": "probabilities that are less certain",
    "clip": "an input between the bounds",
    "max_pool": "to be the largest of its window",
    "abs": "an input other than 0",
    "exp": "a larger input",
    "log": "a smaller input",
    "mul": "a larger other factor",
    "matmul": "larger entries of the other operand, or more of them",
    "linear": "larger inputs or weights",
    "convolution": "larger inputs or weights",
}
"""What makes the local derivative of an op larger."""


@dataclass(frozen=True)
class Step:
    """One operation on the way from the parameter to the output."""

    entry: Entry
    gain: float
    """Norm of the gradient behind it, towards the parameter, over that of its own."""
    zeros: tuple[int, int] | None
    """How many of its local derivatives are 0, of how many; None for ops that mix elements."""

    def __str__(self) -> str:
        place = f" ({self.entry.site})" if self.entry.site is not None else ""
        text = f"× {self.gain:.3g}  {self.entry.op}{place}"
        if self.zeros is not None and self.zeros[0]:
            text += f", {self.zeros[0]} of {self.zeros[1]} local derivatives are 0"
        return text


@dataclass(frozen=True)
class Why:
    """The factors of a gradient along its heaviest way, from the output to the parameter."""

    norm: float
    """Of the parameter's gradient."""
    steps: tuple[Step, ...]
    weakest: Step | None
    needs: str
    """What that step would need for the gradient to be larger; empty if nothing is known."""

    def to_json(self) -> dict[str, Any]:
        """The norm, and each step with `op`, `line`, `gain` and `zeros`."""
        return {
            "norm": self.norm,
            "steps": [
                {"op": s.entry.op, "gain": s.gain, "zeros": s.zeros, "module": s.entry.module,
                 "file": None if s.entry.site is None else s.entry.site.file,
                 "line": None if s.entry.site is None else s.entry.site.line}
                for s in self.steps
            ],
            "weakest": None if self.weakest is None else self.steps.index(self.weakest),
            "needs": self.needs,
        }  # fmt: skip

    def __str__(self) -> str:
        lines = [f"gradient of norm {self.norm:.4g}; along its heaviest way, from the output:"]
        lines += [f"  {step}" for step in self.steps]
        if self.weakest is not None and self.needs:
            lines.append(
                f"the smallest factor is at {self.weakest.entry.op}: it needs {self.needs}"
            )
        return "\n".join(lines)


def why(parameter: Tensor, output: Tensor, *, direction: Any = None) -> Why:
    """Why the gradient of `output` by `parameter` is as small or large as it is.

    At each operation on the heaviest way between them: how much the gradient gains or loses, and
    for elementwise ones how many local derivatives are 0. The smallest factor is named, with what
    it would need to change.

    Raises GradientError if no recorded way leads to the output: ``why_none`` says why then;
    ArgumentError for what is no tensor.

    >>> w = tensor(-1.0, requires_grad=True)
    >>> print(why(w, relu(w) * 3).needs)
    an input above 0
    """
    if not isinstance(parameter, Tensor):
        raise ArgumentError("why needs a tensor", got=type(parameter).__name__)
    record = record_of(output, direction=direction)
    own = next((e for e in record.entries if e.node is parameter.node), None)
    if own is None or parameter.node is None:
        raise GradientError(
            "no recorded way leads from this tensor to the output", hint="why_none says why"
        )
    values = {e.node: e.value for e in record.entries if e.value is not None}
    steps = [_step(record, entry, to, values) for entry, to in _way(record, own)][::-1]
    weakest = min(steps, key=lambda s: s.gain, default=None)
    needs = "" if weakest is None else NEEDS.get(str(weakest.entry.op), "")
    return Why(_norm(own.gradient), tuple(steps), weakest, needs)


def _way(record: Record, start: Entry) -> list[tuple[Entry, Entry]]:
    """Pairs of an operation and the operand it is reached from, from `start` to the output.

    At each fork the user with the largest gradient is taken.
    """
    users, reached = record.users(), _reaching(record)
    found, at = [], start
    while at is not record.output:
        options = [record.entries[u] for u, _ in users[at.index] if reached[u]]
        following = max(options, key=lambda e: (_norm(e.gradient), -e.index))
        found.append((following, at))
        at = following
    return found


def _reaching(record: Record) -> list[bool]:
    """For each entry whether the output depends on it."""
    reached = [False] * len(record.entries)
    reached[-1] = True
    for entry in reversed(record.entries):
        if reached[entry.index]:
            for i in entry.inputs:
                if i is not None:
                    reached[i] = True
    return reached


def _step(record: Record, entry: Entry, to: Entry, values: Mapping[Node, Any]) -> Step:
    own = _norm(entry.gradient)
    gain = _norm(to.gradient) / own if own else 0.0
    zeros = None
    op = entry.node.op
    if isinstance(op, Elementwise) and entry.value is not None:
        xs = operands(entry.node, values)
        if all(x is not None for x in xs):
            position = entry.inputs.index(to.index)
            slope = np.broadcast_to(op.partial(position, xs, entry.value), entry.value.shape)
            zeros = (int(slope.size - np.count_nonzero(slope)), int(slope.size))
    return Step(entry, gain, zeros)


def _norm(x: Any) -> float:
    if x is None:
        return 0.0
    parts = x if isinstance(x, (tuple, list)) else [x]
    arrays = [np.asarray(p, np.float64) for p in parts if p is not None]
    return float(np.sqrt(sum(float((a * a).sum()) for a in arrays)))
