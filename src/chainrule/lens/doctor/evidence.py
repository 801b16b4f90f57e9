"""Evidence: what was seen of a program, step by step, and plain statistics of it."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, final

import numpy as np

from .places import Place


@final
@dataclass
class ParameterLog:
    """What happened to one parameter."""

    name: str
    tensor: Any
    first: np.ndarray[Any, Any]
    """Its value when it was first seen."""
    optimizer: int | None = None
    rate: float = 0.0
    """The highest learning rate of its group."""
    frozen: bool = False
    """Whether it wants no gradient."""
    reached: int = 0
    """Backward passes that led to it."""
    missed: int = 0
    """Backward passes whose loss was computed from it, and that did not lead to it."""
    nonzero: int = 0
    """Updates at which its gradient was not zero."""
    cut: tuple[Place, str] | None = None
    """Where its way to the loss is cut, and by what."""
    changed: bool = False
    away: bool = False
    """Whether an update found it at another value than its first."""
    order: int = 1 << 60
    """When in the forward pass it was first used."""
    ndim: int = 0
    twin_rows: bool = False
    """Whether its units were all alike at the start."""
    twin_gradients: list[float] = field(default_factory=list)


@final
@dataclass
class Update:
    """One step of an optimizer."""

    optimizer: int
    loss: float
    lr: float
    weight_norm: dict[int, float] = field(default_factory=dict)
    gradient_norm: dict[int, float] = field(default_factory=dict)
    change_norm: dict[int, float] = field(default_factory=dict)
    cosine: float = math.nan
    """Between this step's gradient and the last one's."""
    stale: float = 0.0
    """Share of the parameters whose gradient still held what the last step had used."""


@final
@dataclass
class LayerLog:
    """A layer: one call of an operation with parameters, the same place in every step."""

    key: tuple[Any, ...]
    place: Place
    kind: str
    parameter: int | None
    """The id of its weight."""
    gradient: dict[int, float] = field(default_factory=dict)
    """Norm of the loss's gradient by its output, by sample."""
    inputs: dict[int, float] = field(default_factory=dict)
    outputs: dict[int, float] = field(default_factory=dict)
    """Root mean squares, by sample."""
    through_time: dict[int, float] = field(default_factory=dict)
    """For a recurrent layer: gradient at the first step over that at the last."""
    steps: int = 0
    """For a recurrent layer: length of the sequence."""


@final
@dataclass
class ActivationLog:
    """An activation function at one place of the program."""

    key: tuple[Any, ...]
    place: Place
    kind: str
    in_head: bool
    """Whether no layer follows: it shapes the output."""
    fired: list[np.ndarray[Any, Any]] = field(default_factory=list)
    """For relu: by sample, which units gave anything for any input."""
    counts: list[int] = field(default_factory=list)
    """How many inputs each sample had."""
    flat: list[float] = field(default_factory=list)
    """For sigmoid and tanh: share of outputs where the slope is below 5 % of its greatest."""
    slope: list[float] = field(default_factory=list)
    """Mean slope, relative to its greatest."""
    when: list[int] = field(default_factory=list)


class LossCall(NamedTuple):
    """One call of a loss function, or a comparison of outputs and data that stands for one."""

    kind: str
    place: Place
    update: int
    optimizer: int
    prediction: Any
    target: Any
    feeds: str
    """The activation that the prediction comes from directly, or an empty string."""
    feed_place: Place
    feed_key: tuple[Any, ...] = ()
    made: bool = False
    """Whether a model computed the target, as in learning from one's own estimates."""
    weight: Any = None
    """What the loss weighs classes by, or positive labels; None: nothing."""
    ignored: Any = None
    """The label that does not count."""
    axis: int | None = None
    """The axis that a softmax in front of the loss is taken along."""


@final
@dataclass
class Inputs:
    """What the program feeds its first layer."""

    place: Place
    key: tuple[Any, ...]
    rms: list[float] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)
    spread: list[float] = field(default_factory=list)
    """Largest over smallest standard deviation of a feature."""
    shape: tuple[int, ...] = ()
    then: str = ""
    rows: int = 0


@final
@dataclass
class Call:
    """A call of an outermost module."""

    name: str
    place: Place
    training: bool
    recording: bool
    moody: list[str]
    """Modules in it that depend on the mode."""
    was_update: int
    used: bool = False
    root: int = 0
    asleep: list[tuple[str, frozenset[int]]] = field(default_factory=list)
    """Those in evaluation mode, each with the parameters that it works for."""
    given: bytes = b""
    """A digest of what a call in training mode, of which nothing is learnt, was given."""


class Misload(NamedTuple):
    """A state was loaded of which nothing had a place in the module."""

    place: Place
    entries: int
    """How many it had."""
    example: str
    parameters: frozenset[int]
    """The ids of the module's parameters, which stayed as they were."""


@final
@dataclass
class Broadcast:
    """Two operands of as many elements each that were broadcast against one another."""

    place: Place
    shapes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    key: tuple[Any, ...]
    count: int = 0


@final
@dataclass
class Severed:
    """A recurrence whose state loses its graph at every step within one loss."""

    name: str
    place: Place
    links: int
    count: int = 0


@final
@dataclass
class NonFinite:
    """The first number that is not finite."""

    update: int
    what: str
    place: Place
    operation: str
    operands: str
    backward: bool


@final
@dataclass
class Evidence:
    """All that was seen."""

    parameters: dict[int, ParameterLog] = field(default_factory=dict)
    updates: list[Update] = field(default_factory=list)
    layers: dict[tuple[Any, ...], LayerLog] = field(default_factory=dict)
    orders: list[tuple[list[int], list[tuple[Any, ...]]]] = field(default_factory=list)
    """By sample: the parameters that backward led to, and the layers in forward order."""
    activations: dict[tuple[Any, ...], ActivationLog] = field(default_factory=dict)
    losses: list[LossCall] = field(default_factory=list)
    inputs: dict[tuple[Any, ...], Inputs] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    misloads: list[Misload] = field(default_factory=list)
    broadcasts: dict[tuple[Any, ...], Broadcast] = field(default_factory=dict)
    severed: dict[Place, Severed] = field(default_factory=dict)
    """By the place where the state is cut off."""
    non_finite: NonFinite | None = None
    backwards: int = 0
    loaders: int = 0
    """Epochs that a loader began without shuffling."""
    batches: list[tuple[int, Any, Any]] = field(default_factory=list)
    """Inputs and targets of steps: the update, a digest of each row and the targets."""
    optimizers: list[Any] = field(default_factory=list)
    schedulers: dict[int, str] = field(default_factory=dict)
    """By optimizer: the class of what sets its rate, as far as the program's names tell."""
    step_places: dict[int, Place] = field(default_factory=dict)
    backward_place: Place = field(default_factory=Place)
    names: dict[int, str] = field(default_factory=dict)
    refused: Place | None = None
    samples: int = 0
    last_place: Place = field(default_factory=Place)

    def owner(self, parameters: Sequence[int]) -> int:
        """The optimizer that holds most of these parameters; -1: none does."""
        votes: Counter[int] = Counter()
        for key in parameters:
            log = self.parameters.get(key)
            if log is not None and log.optimizer is not None:
                votes[log.optimizer] += 1
        return votes.most_common(1)[0][0] if votes else -1

    def of(self, optimizer: int) -> list[Update]:
        """The updates by one optimizer."""
        return [u for u in self.updates if u.optimizer == optimizer]

    def series(self, optimizer: int) -> list[float]:
        """The loss before each update by one optimizer."""
        return [u.loss for u in self.of(optimizer)]


def digest(row: Any) -> bytes:
    """What tells one sample from another."""
    return hashlib.blake2b(np.ascontiguousarray(row).tobytes(), digest_size=8).digest()


def finite(values: Sequence[float]) -> list[float]:
    """Those that are finite."""
    return [v for v in values if math.isfinite(v)]


def median(values: Sequence[float]) -> float:
    """The median of the finite values; nan if there are none."""
    kept = finite(values)
    return float(np.median(kept)) if kept else math.nan


def geometric(values: Sequence[float]) -> float:
    """The geometric mean of the positive values; 0 if there are none."""
    kept = [v for v in values if v > 0 and math.isfinite(v)]
    return float(np.exp(np.mean(np.log(kept)))) if kept else 0.0


class Course(NamedTuple):
    """How a loss went: its level at the start and at the end, and how much it jumps about."""

    start: float
    end: float
    least: float
    noise: float
    steps: int

    @property
    def fell(self) -> float:
        """The share of the starting level that is gone (negative: it rose)."""
        scale = max(abs(self.start), 1e-30)
        return (self.start - self.end) / scale

    @property
    def fell_clearly(self) -> bool:
        """Whether the fall is more than chance: several times the uncertainty of both levels."""
        window = max(1, self.steps // 8)
        return self.start - self.end > 3 * self.noise / math.sqrt(window)


def course(losses: Sequence[float]) -> Course:
    """The course of a series of losses; levels are means over the first and last eighth."""
    kept = finite(losses)
    if not kept:
        return Course(math.nan, math.nan, math.nan, math.nan, 0)
    window = max(1, len(kept) // 8)
    smooth = np.convolve(kept, np.ones(window) / window, mode="valid")
    differences = np.abs(np.diff(kept))
    # the median, so that a few jumps do not hide all else: 1.05 = 1 / (0.6745 sqrt 2)
    noise = 1.05 * float(np.median(differences)) if len(differences) > 1 else 0.0
    start = kept[0] if len(kept) < 24 else float(np.mean(kept[: max(1, window // 4)]))
    return Course(start, float(np.mean(kept[-window:])), float(smooth.min()), noise, len(kept))
