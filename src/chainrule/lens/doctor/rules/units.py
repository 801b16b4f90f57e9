"""Units: dead, saturated, all alike, or of the wrong scale."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from .. import cures
from ..case import Case, Rule, losses_of, rounded
from ..evidence import ActivationLog, ParameterLog, digest, geometric, median
from ..findings import Finding, Severity


class DeadRelu(Rule):
    """Units that fired for none of many inputs, to the end of the run: their gradient is zero.

    Zeros alone are no fault: in a healthy network each unit is off for about half the inputs, and
    another half each time. Units die on the way, so what counts is the last quarter of the run; of
    a program that learns, the last half. Of such a program, and where half of the units are dead
    from the start, a trial decides: others may do their work.
    """

    code = "DEAD_RELU"
    inputs = 100

    def findings(self, case: Case) -> Iterator[Finding]:
        learns = all(case.learns(i) for i in case.optimizers)
        worst: tuple[float, ActivationLog, int] | None = None
        for log in case.evidence.activations.values():
            if log.kind != "relu" or not log.fired:
                continue
            late = len(log.fired) // 2 if learns else 3 * len(log.fired) // 4
            fired = [f for f in log.fired[late:] if f.shape == log.fired[-1].shape]
            count = sum(log.counts[late:])
            units = len(fired[-1]) if fired else 0
            if len(log.fired) < 4 or count < self.inputs or units < 4:
                continue
            dead = 1.0 - float(np.any(fired, axis=0).mean())
            if worst is None or dead > worst[0]:
                worst = (dead, log, count)
        if worst is None:
            return
        dead, log, count = worst
        if dead < (0.9 if learns else 0.5):
            return
        severity: Severity = "warning" if learns else "error"
        early = [f for f in log.fired[:4] if f.shape == log.fired[-1].shape]
        born = 1.0 - float(np.any(early, axis=0).mean())
        certain = not learns and (dead >= 0.9 or dead - born > 0.25)
        yield Finding(
            self.code,
            severity,
            f"{dead:.0%} of the units of a ReLU gave 0 for every one of {count} inputs",
            "relu' is 0 for all of them, and with it the product for every weight before them",
            "lower the learning rate, initialise with nn.init.kaiming_normal_ and biases of 0, or "
            "use nn.LeakyReLU(0.01)",
            rounded({
                "dead_units": dead, "dead_at_first": born, "units": len(log.fired[-1]),
                "inputs": count, "samples": len(log.fired), **losses_of(case, 0),
            }),
            log.place,
            log.place.path,
            unless_tried=None if certain else "note",
            cure=lambda: [cures.Leaky(), cures.Revive(), cures.Rate(0.1)],
        )  # fmt: skip


class Saturated(Rule):
    """Hidden sigmoids or tanhs that work at the ends of their range, where the slope is zero."""

    code = "SATURATED"

    def findings(self, case: Case) -> Iterator[Finding]:
        if not case.optimizers:
            return
        worst: tuple[float, ActivationLog] | None = None
        for log in case.evidence.activations.values():
            if log.kind not in ("sigmoid", "tanh") or log.in_head or len(log.flat) < 4:
                continue
            flat = median(log.flat[len(log.flat) // 2 :])
            steady = float(np.mean([f > 0.4 for f in log.flat]))
            if flat > 0.6 and steady >= 0.6 and (worst is None or flat > worst[0]):
                worst = (flat, log)
        if worst is None:
            return
        flat, log = worst
        yield Finding(
            self.code,
            "error",
            f"{flat:.0%} of the outputs of a hidden {log.kind} lie where its slope is below 5 % of "
            "its greatest",
            f"{log.kind}' is nearly 0 there, and so is every product through it",
            "initialise with nn.init.xavier_normal_, scale the inputs to unit variance, put "
            "nn.BatchNorm1d before it, or use ReLU",
            rounded({
                "flat_outputs": flat, "mean_slope": median(log.slope), "samples": len(log.flat),
                **losses_of(case, case.optimizers[0]),
            }),
            log.place,
            log.place.path,
            doubtful=any(case.learns(i) or math.isnan(case.skill(i)) for i in case.optimizers),
            cure=lambda: [cures.Standardise(), cures.Revive(),
                          cures.Rectify(case.hidden_squashing())],
        )  # fmt: skip


class SymmetricInit(Rule):
    """Units of a layer that start alike and get the same gradient: they stay one unit.

    Rows of a table are no units, and units of a last layer or of a branch that starts at zero get
    gradients of their own: these grow apart with the first steps.
    """

    code = "SYMMETRIC_INIT"
    apart = 0.3

    def findings(self, case: Case) -> Iterator[Finding]:
        alike = [
            p for p in case.evidence.parameters.values()
            if p.twin_rows and p.reached and len(p.twin_gradients) >= 2 and self._stays(case, p)
        ]  # fmt: skip
        if not alike:
            yield from self._copies(case)
            return
        p = alike[0]
        place = next((x.place for x in case.evidence.layers.values()
                      if x.parameter == id(p.tensor)), case.step_place(0))  # fmt: skip
        yield Finding(
            self.code,
            "error",
            f"all {len(p.first)} units of {p.name} start with the same weights and get the same "
            "gradient, so they stay one unit",
            "the products for all units have the same factors",
            "draw the weights at random: nn.init.kaiming_uniform_(layer.weight)",
            {"parameters": [q.name for q in alike], "units": len(p.first),
             "cosine_between_gradients_of_units": rounded(median(p.twin_gradients)),
             "steps": len(p.twin_gradients)},
            place,
            p.name,
            cure=lambda: cures.Revive(),
        )  # fmt: skip

    def _copies(self, case: Case) -> Iterator[Finding]:
        """Whole branches that started alike, and are still alike after all updates."""
        found = copies(case)
        if not found:
            return
        p, steps = found[0][0], max(q.nonzero for q in found[0])
        yield Finding(
            self.code,
            "warning" if case.is_good else "error",
            f"{', '.join(q.name for q in found[0])} started with the same weights and still hold "
            f"the same after {steps} updates: they stay one branch",
            "the products along the branches have the same factors",
            "make each branch anew instead of copying one, so that each draws weights of its own",
            {"parameters": [q.name for group in found for q in group], "branches": len(found[0]),
             "steps": steps},
            case.step_place(0),
            p.name,
            cure=lambda: cures.Revive(),
        )  # fmt: skip

    def _stays(self, case: Case, p: ParameterLog) -> bool:
        if min(p.twin_gradients[:2]) < 0.7 or not self._is_layer(case, p):
            return False
        if _spread(p) > (self.apart if np.any(p.first) else 1e-3):
            return False
        zero_start = not np.any(p.first)
        if zero_start and not p.nonzero:  # no gradient at all: stuck only if others are as well
            others = [q for q in case.evidence.parameters.values() if q.ndim >= 2 and q.reached]
            return len(others) > 1 and all(not q.nonzero or q is p for q in others[:-1])
        return len(p.first) > 1

    def _is_layer(self, case: Case, p: ParameterLog) -> bool:
        """Whether a layer multiplies by the parameter, and another layer follows."""
        layers = case.evidence.layers
        kinds = {x.kind for x in layers.values() if x.parameter == id(p.tensor)}
        last = {layers[keys[-1]].parameter for _, keys in case.evidence.orders if keys}
        return bool(kinds - {"embedding"}) and id(p.tensor) not in last


class BadInitScale(Rule):
    """Initial weights so large or small that signals grow or fade from layer to layer.

    The reference for a layer of n inputs is 1/√n, which keeps the size of a signal. What counts is
    whether the program does clearly better from that scale, so the verdict takes a trial.
    """

    code = "BAD_INIT_SCALE"

    def findings(self, case: Case) -> Iterator[Finding]:
        if any(case.learns(i) and case.course(i).fell > 0.9 for i in case.optimizers):
            return
        if not case.is_plain or len(case.evidence.updates) < 4:
            return
        off: list[tuple[float, ParameterLog]] = []
        scales = []
        for layer in case.evidence.layers.values():
            p = case.evidence.parameters.get(layer.parameter or 0)
            if p is None or p.ndim < 2 or p.twin_rows or layer.kind in ("embedding", "layer_norm"):
                continue
            fan_in = cures.fan_in(p.first.shape)
            scale = float(p.first.std()) * math.sqrt(fan_in)
            scales.append(scale)
            if scale > 4 or scale < 0.15:
                off.append((abs(math.log(max(scale, 1e-30))), p))
        total = geometric(scales)
        if not off or 0.3 < total < 3:
            return
        p = max(off, key=lambda pair: pair[0])[1]
        layer = next(x for x in case.evidence.layers.values() if x.parameter == id(p.tensor))
        word = "large" if total > 1 else "small"
        yield Finding(
            self.code,
            "error",
            f"the initial weights are too {word}: times √fan_in their standard deviation is "
            f"{total:.3g} in the mean of {len(scales)} layers, where about 1 keeps a signal's size",
            f"each factor W^T of the product has a gain of about {total:.2g}",
            "nn.init.kaiming_normal_(layer.weight) for ReLU, nn.init.xavier_normal_ for tanh",
            rounded({
                "std_times_sqrt_fan_in": total, "layers": len(scales), "layers_off": len(off),
                **losses_of(case, 0),
            }),
            layer.place,
            p.name,
            doubtful=True,
            cure=lambda: cures.Revive(),
        )  # fmt: skip


def copies(case: Case) -> list[list[ParameterLog]]:
    """Weights that are trained, were alike at the start, and are alike to the last bit now."""
    found: dict[tuple[bytes, bytes], list[ParameterLog]] = {}
    for p in case.evidence.parameters.values():
        now = p.tensor.array
        trained = p.optimizer is not None and p.changed and p.nonzero >= 3
        if trained and p.ndim >= 2 and np.isfinite(now).all() and np.ptp(now) > 0:
            found.setdefault((digest(p.first), digest(now)), []).append(p)
    return [group for group in found.values() if len(group) > 1]


def _spread(p: ParameterLog) -> float:
    """How far the rows of a parameter went their own ways, of all the way they went; 0: nowhere."""
    moved = (p.tensor.array - p.first).reshape(len(p.first), -1).astype(np.float64)
    length = float(np.linalg.norm(moved))
    own = float(np.linalg.norm(moved - moved.mean(axis=0)))
    return own / length if length > 0 and math.isfinite(length) else 0.0
