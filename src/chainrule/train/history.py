"""The record of a training run: metrics by epoch, and series sampled along the way."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self, final

from ..errors import ArgumentError, CheckpointError

FORMAT: Final = 1
"""Version of the JSON form. Files of older versions stay readable."""

Mode = Literal["min", "max"]


@final
@dataclass(frozen=True)
class Epoch:
    """One pass over the training data: its number from 1, steps, seconds and metrics.

    `metrics` holds ``loss`` and the trainer's metrics, means over the samples; those of the
    validation data have ``val_`` before their names.
    """

    number: int
    steps: int
    seconds: float
    metrics: Mapping[str, float]


@final
@dataclass
class Series:
    """Numbers sampled at some steps, such as a gradient norm."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, step: int, value: float) -> None:
        """Append a sample."""
        self.steps.append(step)
        self.values.append(value)


@final
@dataclass
class History:
    """What happened in ``Trainer.fit``; ``history["val_loss"]`` is a metric over the epochs.

    >>> history = History(seed=0)
    >>> history.epochs.append(Epoch(1, 10, 0.5, {"loss": 2.0}))
    >>> history.epochs.append(Epoch(2, 10, 0.5, {"loss": 1.0}))
    >>> history["loss"], history.best("loss").number
    ([2.0, 1.0], 2)
    >>> History.from_json(history.to_json()) == history
    True
    """

    seed: int | None = None
    epochs: list[Epoch] = field(default_factory=list)
    series: dict[str, Series] = field(default_factory=dict)
    stopped: str = ""
    """Why the fit ended before the last epoch; empty if it did not."""

    def __getitem__(self, metric: str) -> list[float]:
        if self.epochs and not any(metric in epoch.metrics for epoch in self.epochs):
            raise ArgumentError(
                "no such metric in this history",
                expected=", ".join(self.epochs[-1].metrics),
                got=metric,
            )
        return [epoch.metrics[metric] for epoch in self.epochs if metric in epoch.metrics]

    @property
    def steps(self) -> int:
        """Number of steps in all epochs."""
        return sum(epoch.steps for epoch in self.epochs)

    @property
    def last(self) -> Mapping[str, float]:
        """Metrics of the last epoch; empty before the first one has ended."""
        return self.epochs[-1].metrics if self.epochs else {}

    def best(self, metric: str, mode: Mode = "min") -> Epoch:
        """The epoch with the least (or ``"max"``: largest) value of a metric, NaN being worst.

        Of equal ones, the first. Raises ArgumentError if there is none.
        """
        self[metric]
        candidates = [epoch for epoch in self.epochs if metric in epoch.metrics]
        if not candidates:
            raise ArgumentError("no epoch has ended yet")
        sign = 1.0 if mode == "min" else -1.0

        def badness(epoch: Epoch) -> float:
            value = sign * epoch.metrics[metric]
            return math.inf if math.isnan(value) else value

        return min(candidates, key=badness)

    def sample(self, name: str, step: int, value: float) -> None:
        """Append to a series, which is made when it is first used."""
        self.series.setdefault(name, Series()).add(step, value)

    def to_json(self) -> str:
        """The history as a JSON object; numbers that are not finite as strings."""
        return json.dumps(self.to_record(), allow_nan=False)

    def to_record(self) -> dict[str, Any]:
        """The history as plain dictionaries, lists, strings and finite numbers."""
        return {
            "format": FORMAT,
            "seed": self.seed,
            "stopped": self.stopped,
            "epochs": [
                {
                    "number": e.number,
                    "steps": e.steps,
                    "seconds": _packed(e.seconds),
                    "metrics": {name: _packed(value) for name, value in e.metrics.items()},
                }
                for e in self.epochs
            ],
            "series": {
                name: {"steps": s.steps, "values": [_packed(v) for v in s.values]}
                for name, s in self.series.items()
            },
        }

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The history that ``to_json`` wrote. Raises CheckpointError for anything else."""
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as failure:
            raise CheckpointError(f"this history is not JSON: {failure}") from failure
        return cls.from_record(record)

    @classmethod
    def from_record(cls, record: Any) -> Self:
        """The history that ``to_record`` made. Raises CheckpointError for anything else."""
        top = _typed(record, dict, "the record")
        if top.get("format") != FORMAT:
            raise CheckpointError(
                "this history is of another format",
                expected=str(FORMAT),
                got=repr(top.get("format")),
            )
        seed = top.get("seed")
        return cls(
            seed=None if seed is None else _typed(seed, int, "seed"),
            epochs=[_epoch(e) for e in _typed(top.get("epochs"), list, "epochs")],
            series={
                name: _series(s) for name, s in _typed(top.get("series"), dict, "series").items()
            },
            stopped=_typed(top.get("stopped"), str, "stopped"),
        )


def _epoch(record: Any) -> Epoch:
    e = _typed(record, dict, "epoch")
    metrics = _typed(e.get("metrics"), dict, "metrics")
    return Epoch(
        number=_typed(e.get("number"), int, "number"),
        steps=_typed(e.get("steps"), int, "steps"),
        seconds=_unpacked(e.get("seconds"), "seconds"),
        metrics={name: _unpacked(value, name) for name, value in metrics.items()},
    )


def _series(record: Any) -> Series:
    s = _typed(record, dict, "series")
    steps = [_typed(n, int, "step") for n in _typed(s.get("steps"), list, "steps")]
    values = [_unpacked(v, "value") for v in _typed(s.get("values"), list, "values")]
    if len(steps) != len(values):
        raise CheckpointError(
            "a series has one value for each step",
            got=f"{len(steps)} steps and {len(values)} values",
        )
    return Series(steps, values)


def _packed(value: float) -> float | str:
    """JSON has no numbers for nan and inf: they are written as strings."""
    return value if math.isfinite(value) else repr(float(value))


def _unpacked(value: Any, name: str) -> float:
    if isinstance(value, str) and value in ("nan", "inf", "-inf"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise CheckpointError(f"{name} in a history is not a number", got=repr(value)[:60])
    return float(value)


def _typed(value: Any, kind: type, name: str) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise CheckpointError(
            f"{name} in a history is not what it should be",
            expected=kind.__name__,
            got=repr(value)[:60],
        )
    return value
