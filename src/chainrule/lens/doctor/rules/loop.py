"""The training loop: gradients that pile up, the mode, and the learning rate."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np

from .. import cures
from ..case import ENOUGH, Case, Rule, losses_of, rounded
from ..evidence import Call, median
from ..findings import Finding


class MissingZeroGrad(Rule):
    """Gradients that a step has used are still there in the next: a fact of each step."""

    code = "MISSING_ZERO_GRAD"

    def findings(self, case: Case) -> Iterator[Finding]:
        for optimizer in range(len(case.evidence.optimizers)):
            updates = case.evidence.of(optimizer)[1:]
            if len(updates) < 3:
                continue
            stale = [u.stale for u in updates]
            often = float(np.mean([s > 0.5 for s in stale]))
            if often < 0.5:
                continue
            yield Finding(
                self.code,
                "error",
                f"in {often:.0%} of {len(updates)} steps the gradients of earlier steps were still "
                "there, and were used again",
                "grad is the sum of the gradients of all batches so far, not that of this batch",
                "call optimizer.zero_grad() before loss.backward()",
                {"steps_with_old_gradients": rounded(often), "steps": len(updates)},
                case.step_place(optimizer),
                cure=lambda: cures.Clear(),
            )  # fmt: skip


class ModeMixup(Rule):
    """Training in evaluation mode, or judging in training mode, where that makes a difference.

    A part that is in evaluation mode because it is not trained is no fault, nor are many draws of
    what a network with dropout says of one input.
    """

    code = "MODE_MIXUP"
    draws = 5

    def findings(self, case: Case) -> Iterator[Finding]:
        calls = [c for c in case.evidence.calls if c.moody]
        trained = [c for c in calls if c.used and c.recording]
        asleep = [c for c in trained if not c.training and self._matters(case, c)]
        if asleep:
            roots = {c.root for c in trained if c.training}
            back = [c for c in asleep if c.root in roots]
            if back or len(asleep) == len(trained):
                harms = bool(back) and not all(case.learns(i) for i in case.optimizers)
                yield self._training_asleep(back or asleep, trained, bool(back), harms)
        steps = len(case.evidence.updates)
        optimized = {c.root for c in trained}
        awake = [
            c for c in calls
            if c.training and not c.used and not c.recording and c.was_update > 0
            and c.root in optimized
        ]  # fmt: skip
        draws = Counter((c.was_update, c.given) for c in awake)
        awake = [c for c in awake if draws[c.was_update, c.given] < self.draws]
        if awake and steps >= 2 and not case.is_game:  # a generator's samples are no judgement
            yield self._judging_awake(awake, case)

    def _matters(self, case: Case, call: Call) -> bool:
        """Whether the next update is of parameters that modules in evaluation mode work for."""
        updates = case.evidence.updates
        if call.was_update >= len(updates):
            return False
        moved = updates[call.was_update].gradient_norm
        return any(key in moved for _, keys in call.asleep for key in keys)

    def _training_asleep(
        self, asleep: list[Call], trained: list[Call], once: bool, harms: bool
    ) -> Finding:
        kinds = sorted({kind for kind, _ in asleep[0].asleep})
        return Finding(
            self.code,
            "error" if harms else "warning",
            f"{len(asleep)} of {len(trained)} training steps ran in evaluation mode"
            + (", after model.eval() and no model.train()" if once else ""),
            f"{' and '.join(kinds)} compute another function then: no noise, and statistics that "
            "no longer follow the data",
            "call model.train() at the start of every epoch",
            {"steps_in_eval": len(asleep), "steps": len(trained), "modules": kinds},
            asleep[0].place,
            asleep[0].name,
            cure=lambda: cures.TrainMode(),
        )  # fmt: skip

    def _judging_awake(self, awake: list[Call], case: Case) -> Finding:
        kinds = sorted(set(awake[0].moody))
        return Finding(
            self.code,
            "warning",
            f"the model is judged in training mode: {len(awake)} calls without gradient, from "
            f"which nothing is learnt, ran with {' and '.join(kinds)} active",
            "the numbers belong to another function than the one that will be used; batch norm "
            "also takes the data into its running statistics",
            "call model.eval() before evaluating, and model.train() after it",
            {"calls_in_training_mode": len(awake), "modules": kinds},
            awake[0].place,
            awake[0].name,
        )  # fmt: skip


class RateTooHigh(Rule):
    """Steps that overshoot: the loss jumps or rises, and smaller steps do better.

    Unless the loss grows without bound, the verdict takes a trial: the same steps from the same
    seed at lower rates.
    """

    code = "LR_TOO_HIGH"

    def findings(self, case: Case) -> Iterator[Finding]:
        if not case.is_plain or len(case.evidence.updates) < 4:
            return
        updates = case.evidence.of(0)
        losses = [u.loss for u in updates]
        known = [x for x in losses if math.isfinite(x)]
        if len(known) < 3:
            return
        ratio, cosine, found = case.ratio(0), case.cosine(0), case.course(0)
        rise = known[-1] / abs(known[0]) if known[0] else 0.0
        peak = max(known) / abs(known[0]) if known[0] else 0.0
        diverged = (len(known) < len(losses) or peak > 20 or rise > 3) and not _at_once(losses)
        jumpy = cosine < -0.2 or ratio > 0.03 or case.longest_step(0) > 0.5
        if not diverged and (len(updates) < ENOUGH or not jumpy or not self._is_bad(case)):
            return
        evidence = {
            "rate": updates[0].lr, "update_to_weight_ratio": ratio,
            "cosine_of_successive_gradients": cosine, "highest_to_first_loss": peak,
            "noise": found.noise, **losses_of(case, 0),
        }  # fmt: skip
        yield Finding(
            self.code,
            "error",
            f"steps at rate {updates[0].lr:g} overshoot: the loss went from {found.start:.4g} to "
            f"{known[-1]:.4g}, and each step moves the weights by {ratio:.1%} of their size",
            "a step follows the gradient at one point; it is so long that the factors of the "
            "product are others where it lands",
            f"lower the learning rate, for instance lr={updates[0].lr / 10:g}",
            rounded(evidence),
            case.step_place(0),
            doubtful=True,
            cure=lambda: [cures.Rate(0.1), cures.Rate(0.01)],
        )  # fmt: skip

    def _is_bad(self, case: Case) -> bool:
        """Whether there is something to gain: the loss is far from its best, or never fell."""
        found, skill = case.course(0), case.skill(0)
        if math.isfinite(skill):
            return skill < 0.6
        return not found.fell_clearly or found.fell < 0.3


class RateTooLow(Rule):
    """Steps so short that next to nothing is learnt; the verdict takes a trial of longer ones.

    A program that gets a good part of what ten or a hundred times its rate gets in as many steps
    has a small rate that works.
    """

    code = "LR_TOO_LOW"
    fallen = 1e-2
    """A schedule that spends half of the steps below this share of its rate is suspected."""

    def findings(self, case: Case) -> Iterator[Finding]:
        if not case.is_plain or case.evidence.non_finite is not None:
            return
        updates = case.evidence.of(0)
        if len(updates) < 2 * ENOUGH:
            return
        rates = [u.lr for u in updates]
        floor = self.fallen * max(rates)
        falling = rates[rates.index(max(rates)) :]
        if median(rates) < floor and min(falling) < floor:
            yield self._faded(case, rates, next(i for i, r in enumerate(falling) if r < floor))
            return
        ratio, cosine, found, skill = case.ratio(0), case.cosine(0), case.course(0), case.skill(0)
        gains = skill if math.isfinite(skill) else found.fell
        if not ratio < 3e-3 or cosine < 0.05 or gains > 0.3 or ratio == 0:
            return
        if not any(p.nonzero for p in case.evidence.parameters.values()):
            return
        yield Finding(
            self.code,
            "error",
            f"steps at rate {updates[0].lr:g} are too short: in {found.steps} steps the loss went "
            f"from {found.start:.4g} to {found.end:.4g}, and each moves the weights by "
            f"{ratio:.1e} of their size, always the same way (cosine {cosine:.2f})",
            "the gradient is right and of ordinary size; the factor in front of it is too small",
            f"raise the learning rate, for instance lr={updates[0].lr * 10:g}",
            rounded({
                "rate": updates[0].lr, "update_to_weight_ratio": ratio,
                "cosine_of_successive_gradients": cosine, **losses_of(case, 0),
            }),
            case.step_place(0),
            doubtful=True,
            cure=lambda: [cures.Rate(10.0), cures.Rate(100.0), cures.Rate(1000.0)],
        )  # fmt: skip

    def _faded(self, case: Case, rates: list[float], steps: int) -> Finding:
        """The schedule of a rate that is next to nothing after a few steps."""
        top = max(rates)
        by = case.evidence.schedulers.get(0, "")
        return Finding(
            self.code,
            "error",
            f"{by or 'the program'} lowers the rate from {top:g} to less than a hundredth within "
            f"{steps} of {len(rates)} steps, and to {rates[-1]:.3g} at the end: the rest of the "
            "steps change next to nothing",
            "the gradient is right and of ordinary size; the factor in front of it goes to zero",
            "call scheduler.step() once for each epoch and not for each batch, or choose a "
            "slower schedule",
            rounded({
                "highest_rate": top, "median_rate": median(rates), "last_rate": rates[-1],
                "steps_until_a_hundredth": steps, "scheduler": by, **losses_of(case, 0),
            }),
            case.step_place(0),
            doubtful=True,
            cure=lambda: cures.Hold(),
        )  # fmt: skip


def _at_once(losses: list[float]) -> bool:
    """Whether the very first loss is no number already: then no step is to blame."""
    return not math.isfinite(losses[0]) or median(losses[:1]) != losses[0]
