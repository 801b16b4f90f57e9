"""A case: the evidence of one program, with the questions that several rules ask of it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, final

import numpy as np

from .evidence import (
    Course,
    Evidence,
    LayerLog,
    LossCall,
    ParameterLog,
    course,
    digest,
    finite,
    median,
)
from .findings import Finding
from .places import Place
from .skill import constant_level, level

ENOUGH = 8
"""Updates that a statement about training rests on, at least."""


@final
class Case:
    """One program under examination."""

    def __init__(self, evidence: Evidence, failure: BaseException | None = None) -> None:
        self.evidence = evidence
        self.failure = failure
        """The program's own error, if it ended with one."""

    # Training ------------------------------------------------------------------------------------

    @cached_property
    def optimizers(self) -> list[int]:
        """Optimizers that made enough updates to judge them."""
        counts = [len(self.evidence.of(i)) for i in range(len(self.evidence.optimizers))]
        return [i for i, n in enumerate(counts) if n >= ENOUGH]

    @cached_property
    def is_plain(self) -> bool:
        """Whether one optimizer minimises one loss: then its course tells whether it learns."""
        return len(self.evidence.optimizers) == 1

    def course(self, optimizer: int) -> Course:
        """How the loss of an optimizer went."""
        return course(self.evidence.series(optimizer))

    def skill(self, optimizer: int) -> float:
        """What part of the loss of the best constant output the program has got rid of.

        1 is perfect, 0 no better than a constant; nan if the loss has no such reference. Outputs
        and targets are judged themselves where the program's own loss is something more.
        """
        return self._skills.get(optimizer, math.nan)

    @cached_property
    def _skills(self) -> dict[int, float]:
        return {i: self._skill(i) for i in range(len(self.evidence.optimizers))}

    def _skill(self, optimizer: int) -> float:
        calls, end = self._calls(optimizer), self.course(optimizer).end
        reference = constant_level(calls)
        if not (reference > 0 and math.isfinite(end)):
            return math.nan
        if math.isfinite(scale := self._scale(calls)):
            return 1.0 - end / (scale * reference)
        late = calls[0].update + 0.75 * (calls[-1].update - calls[0].update)
        return 1.0 - float(np.mean([level(c) for c in calls if c.update >= late])) / reference

    def constant_loss(self, optimizer: int) -> float:
        """What the program's loss would be for the best constant output; nan if not known."""
        calls = self._calls(optimizer)
        return constant_level(calls) * self._scale(calls) if calls else math.nan

    def _calls(self, optimizer: int) -> list[LossCall]:
        """The calls of an optimizer's loss function, if it has but one."""
        calls = [c for c in self.evidence.losses if c.optimizer == optimizer]
        return calls if len({c.place for c in calls}) == 1 else []

    def _scale(self, calls: list[LossCall]) -> float:
        """The program's loss over the mean of what its loss function says; nan: it is more."""
        levels: dict[int, list[float]] = {}
        for c in calls:
            levels.setdefault(c.update, []).append(level(c))
        updates = self.evidence.updates
        ratios = finite([
            updates[n].loss / m for n, v in levels.items()
            if n < len(updates) and (m := float(np.mean(v))) > 1e-9
        ])  # fmt: skip
        if not ratios:
            return math.nan
        middle = float(np.median(ratios))
        apart = float(np.median(np.abs(np.asarray(ratios) - middle)))
        return middle if apart < 0.1 * middle else math.nan

    def is_surprised(self, optimizer: int) -> bool:
        """Whether a batch of the last quarter had a quarter of the loss of a constant output."""
        series, reference = self.evidence.series(optimizer), self.constant_loss(optimizer)
        return not max(series[3 * len(series) // 4 :], default=math.nan) < 0.25 * reference

    @cached_property
    def is_game(self) -> bool:
        """Whether optimizers take turns, as those of two networks against each other do."""
        turns = sum(a.optimizer != b.optimizer for a, b in pairwise(self.evidence.updates))
        return turns > len(self.evidence.optimizers)

    def learns(self, optimizer: int) -> bool:
        """Whether the loss has clearly fallen, far below what a constant output would reach."""
        if not self.is_plain:
            return True  # a game of two losses: neither need fall
        found, skill = self.course(optimizer), self.skill(optimizer)
        if math.isnan(found.end):
            return False
        if math.isfinite(skill):
            return skill > 0.3
        return found.fell_clearly and found.fell > 0.5

    @cached_property
    def is_good(self) -> bool:
        """Whether most of what there was to learn has been learnt, by outputs and targets."""
        last = [u.loss for u in self.evidence.updates[-3:]]
        return self.is_plain and self.skill(0) > 0.7 and all(map(math.isfinite, last))

    def is_stuck(self, optimizer: int) -> bool:
        """Whether the program is no better than a constant output, or its loss did not fall."""
        if not self.is_plain:
            return False
        found, skill = self.course(optimizer), self.skill(optimizer)
        if math.isfinite(skill):
            return skill < 0.1
        return not (found.fell_clearly and found.fell > 0.1)

    def ratio(self, optimizer: int) -> float:
        """Median update-to-weight ratio of an optimizer, over steps and all its parameters."""
        ratios = []
        for u in self.evidence.of(optimizer):
            weights = math.sqrt(sum(w * w for k, w in u.weight_norm.items() if self.is_weight(k)))
            change = math.sqrt(sum(c * c for k, c in u.change_norm.items() if self.is_weight(k)))
            if weights > 0:
                ratios.append(change / weights)
        return median(ratios)

    def longest_step(self, optimizer: int) -> float:
        """How far a step moved a weight, relative to its size, at most."""
        return max(
            (u.change_norm[k] / w for u in self.evidence.of(optimizer)
             for k, w in u.weight_norm.items()
             if w > 0 and self.is_weight(k) and math.isfinite(u.change_norm[k])),
            default=0.0,
        )  # fmt: skip

    def is_weight(self, key: int) -> bool:
        """Whether a parameter is a matrix or more, rather than a bias or a gain."""
        log = self.evidence.parameters.get(key)
        return log is None or log.ndim >= 2 or len(self.evidence.parameters) <= 2

    def cosine(self, optimizer: int) -> float:
        """Median cosine between the gradients of successive steps."""
        return median([u.cosine for u in self.evidence.of(optimizer)])

    # Layers --------------------------------------------------------------------------------------

    def chains(self, optimizer: int) -> list[tuple[int, list[LayerLog]]]:
        """By sample: the layers in forward order, without norms and tables."""
        found = []
        for number, (parameters, keys) in enumerate(self.evidence.orders):
            layers = [self.evidence.layers[k] for k in keys]
            kept = [x for x in layers if x.kind not in ("batch_norm", "layer_norm", "embedding")
                    and number in x.gradient]  # fmt: skip
            if kept and self.evidence.owner(parameters) == optimizer:
                found.append((number, kept))
        return found

    def hidden_squashing(self) -> list[tuple[Any, ...]]:
        """Where the program applies sigmoids and tanhs before other layers."""
        return [a.key for a in self.evidence.activations.values()
                if a.kind in ("sigmoid", "tanh") and not a.in_head]  # fmt: skip

    def parameters_of(self, optimizer: int) -> dict[int, ParameterLog]:
        """The parameters that an optimizer updates."""
        return {k: p for k, p in self.evidence.parameters.items() if p.optimizer == optimizer}

    def loss_calls(self, *kinds: str) -> dict[Place, list[LossCall]]:
        """The calls of loss functions of these kinds, by place."""
        found: dict[Place, list[LossCall]] = {}
        for call in self.evidence.losses:
            if not kinds or call.kind in kinds:
                found.setdefault(call.place, []).append(call)
        return found

    def samples(self, most: int = 1500) -> tuple[Any, Any] | None:
        """Inputs (n, ...) and targets (n, k), each input once; None if they have several shapes."""
        rows: dict[bytes, tuple[Any, Any]] = {}
        for _, data, target in self.evidence.batches:
            if data is not None and len(data) == len(target):
                for row, y in zip(data, target, strict=True):
                    rows.setdefault(digest(row), (row, np.ravel(y)))
        kept = list(rows.values())[:most]
        if len({(r.shape, t.shape) for r, t in kept}) != 1:
            return None
        x, y = np.stack([r for r, _ in kept]), np.stack([t for _, t in kept])
        return x, y.astype(np.float64)

    def step_place(self, optimizer: int) -> Place:
        """The line of ``optimizer.step()``."""
        return self.evidence.step_places.get(optimizer, Place())


class Rule(ABC):
    """One kind of finding: a code, and what evidence it takes."""

    code: ClassVar[str]

    @abstractmethod
    def findings(self, case: Case) -> Iterator[Finding]:
        """What is found in a case."""


def entropy(labels: Any) -> float:
    """Of the distribution of labels, in nats."""
    _, counts = np.unique(labels, return_counts=True)
    p = counts / counts.sum()
    return float(-(p * np.log(p)).sum())


def rounded(x: Any) -> Any:
    """Numbers of evidence with four digits."""
    if isinstance(x, dict):
        return {k: rounded(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [rounded(v) for v in x]
    if isinstance(x, (float, np.floating)):
        return float(f"{float(x):.4g}")
    return int(x) if isinstance(x, np.integer) else x


def losses_of(case: Case, optimizer: int) -> dict[str, Any]:
    """What a verdict on training always states."""
    found = case.course(optimizer)
    return rounded({"loss_start": found.start, "loss_end": found.end, "steps": found.steps})  # type: ignore[no-any-return]  # a dict in, a dict out
