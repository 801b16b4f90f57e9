"""Trials: a program run again for some dozens of steps, without and with a remedy."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from ...core.observation import Observer, observation
from ...ops.random import manual_seed
from .cures import Trial
from .findings import Finding, Tried
from .recorder import Enough

Program: TypeAlias = Callable[[], None]
"""Runs the user's program from its beginning, anew each time."""

SEED = 20
STEPS = 120
"""Updates of a trial, at most."""


def observed(program: Program, observer: Observer) -> BaseException | None:
    """Run a program from fixed seeds with an observer; returns its error, if it ended with one."""
    random.seed(SEED)
    np.random.seed(SEED)
    manual_seed(SEED)
    before, observation.by = observation.by, observer
    try:
        program()
    except Enough:
        return None
    except SystemExit as end:
        return None if end.code in (None, 0) else end
    except Exception as failure:  # noqa: BLE001  whatever the user's program raises is reported
        return failure
    finally:
        observation.by = before
    return None


class Trials:
    """Tries remedies on one program; the run without a remedy is made once."""

    def __init__(self, program: Program, steps: int) -> None:
        self.program = program
        self.steps = min(steps, STEPS)
        self._plain: list[float] | None = None

    def __call__(self, finding: Finding) -> Tried | None:
        """Try the remedy of a finding, or the best of several; None if there is none to try."""
        if finding.cure is None or self.steps < 2:
            return None
        made = finding.cure()
        results = [self._one(trial) for trial in (made if isinstance(made, list) else [made])]
        kept = [r for r in results if r is not None]
        if not kept:
            return None
        return min(kept, key=lambda r: r.after if math.isfinite(r.after) else math.inf)

    def losses(self, trial: Trial, steps: int) -> list[float]:
        """The losses of a run of at most so many steps."""
        trial.limit = steps
        observed(self.program, trial)
        return trial.losses

    def _one(self, trial: Trial) -> Tried | None:
        if self._plain is None:
            self._plain = self.losses(Trial(), self.steps)
        with_cure = self.losses(trial, self.steps)
        return compared(self._plain, with_cure, trial.comparable)


def compared(
    before: Sequence[float], after: Sequence[float], comparable: bool = True
) -> Tried | None:
    """Two runs of as many steps: whether the second ends clearly lower than the first.

    The difference must be more than twice the uncertainty of the levels, and 3 % of the first. A
    run that ends in NaN is worse than any other. Of losses that cannot be compared, because the
    remedy changes what is computed, the second must fall by a tenth.
    """
    count = min(len(before), len(after))
    if count < 2:
        return None
    (a, spread_a), (b, spread_b) = _level(before[:count]), _level(after[:count])
    if not all(map(math.isfinite, after[:count])):
        return Tried(a, math.nan, before[0], count, False)
    if not all(map(math.isfinite, before[:count])):
        return Tried(math.nan, b, before[0], count, b <= 2 * abs(after[0]))
    if not comparable:
        return Tried(a, b, before[0], count, b < 0.9 * after[0], False)
    noise = 2 * math.hypot(spread_a, spread_b)
    helped = a - b > max(noise, 0.03 * abs(a))
    return Tried(a, b, before[0], count, helped)


def _level(losses: Sequence[float]) -> tuple[float, float]:
    """The median of the last quarter, and its uncertainty."""
    last = np.asarray(losses[-max(2, len(losses) // 4) :])
    level = float(np.median(last))
    spread = 1.48 * float(np.median(np.abs(last - level)))
    return level, 1.25 * spread / math.sqrt(len(last))
