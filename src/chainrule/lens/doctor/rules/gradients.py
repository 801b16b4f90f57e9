"""Gradients that vanish, explode, or are no numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from .. import cures
from ..case import ENOUGH, Case, Rule, losses_of, rounded
from ..evidence import LayerLog, geometric, median
from ..findings import Finding

DEPTH = 4
"""Layers in a row that a gain is stated for, at least."""


class Vanishing(Rule):
    """The gradient shrinks on its way to the first layers, so far that they do not learn.

    The loss's gradient by each layer's output is compared with that at the last layer. A small
    ratio is no fault by itself: the first layers must also move far less, for their size, than the
    others, or the program must learn nothing, in four fifths of the sampled steps.
    """

    code = "VANISHING"
    ratio = 1e-3

    def findings(self, case: Case) -> Iterator[Finding]:
        for optimizer in case.optimizers:
            if case.learns(optimizer):
                continue
            yield from self._in_depth(case, optimizer)
            yield from self._in_time(case, optimizer)

    def _in_depth(self, case: Case, optimizer: int) -> Iterator[Finding]:
        chains = [(n, c) for n, c in case.chains(optimizer) if len(c) >= DEPTH]
        ratios = [ends(number, chain) for number, chain in chains]
        small = [r for r in ratios if r < self.ratio]
        if len(chains) < 4 or len(small) < 0.8 * len(ratios):
            return
        moved = _movement(case, optimizer, chains[-1][1])
        if not (moved < 1e-2 or case.is_stuck(optimizer)):
            return
        number, chain = chains[len(chains) // 2]
        gains = _gains(number, chain)
        first, last = chain[0], chain[-1]
        gain = geometric(gains)
        yield Finding(
            self.code,
            "error",
            f"{_shrinking(gain, median(ratios), len(gains))}, so the first layers do not learn",
            f"every factor W^T φ' of the product has a gain of about {gain:.2g}, "
            f"and there are {len(gains)} of them",
            _calmer(case),
            rounded({
                "gradient_first_to_last": median(ratios), "gain_per_layer": gain,
                "layers": len(chain), "samples": len(ratios),
                "persistent": len(small) / len(ratios),
                "movement_first_to_others": moved, **losses_of(case, optimizer),
            }),
            first.place,
            first.place.path or last.place.path,
            cure=lambda: cures.Rectify(case.hidden_squashing()),
        )  # fmt: skip

    def _in_time(self, case: Case, optimizer: int) -> Iterator[Finding]:
        if not case.is_stuck(optimizer):
            return
        for layer in case.evidence.layers.values():
            values = list(layer.through_time.values())
            if layer.steps < 10 or len(values) < 4 or median(values) > 1e-4:
                continue
            gain = median(values) ** (1 / (layer.steps - 1))
            yield Finding(
                self.code,
                "error",
                f"over {layer.steps} time steps the gradient shrinks to {median(values):.2g} of "
                "what it was, so the layer cannot learn from the beginning of a sequence",
                f"each step back in time multiplies by W^T φ', whose gain is about {gain:.2g}",
                "use nn.LSTM or nn.GRU, or initialise the recurrent weights orthogonally: "
                "nn.init.orthogonal_(rnn.weight_hh_l0)",
                rounded({
                    "gradient_first_to_last_step": median(values), "gain_per_step": gain,
                    "time_steps": layer.steps, "samples": len(values),
                    **losses_of(case, optimizer),
                }),
                layer.place,
                layer.place.path,
                cure=lambda: cures.Orthogonal(),
            )  # fmt: skip
            return


class Exploding(Rule):
    """The gradient grows on its way to the first layers, or from step to step, and does harm."""

    code = "EXPLODING"
    ratio = 1e3
    """Of gradients, or before the first step of activations and gradients together."""

    def findings(self, case: Case) -> Iterator[Finding]:
        for optimizer in range(len(case.evidence.optimizers)):
            updates = case.evidence.of(optimizer)
            bad = case.evidence.non_finite is not None or any(
                not math.isfinite(u.loss) for u in updates
            )
            if not bad and (len(updates) < ENOUGH or case.learns(optimizer)):
                continue
            yield from self._found(case, optimizer, bad)

    def _found(self, case: Case, optimizer: int, bad: bool) -> Iterator[Finding]:
        chains = [(n, c) for n, c in case.chains(optimizer) if len(c) >= DEPTH]
        ratios = [ends(number, chain) for number, chain in chains]
        ratios = [r for r in ratios if not math.isnan(r)]
        large = [r for r in ratios if r > self.ratio]
        times = [
            (layer, v) for layer in case.evidence.layers.values()
            for v in layer.through_time.values() if layer.steps >= 8
        ]  # fmt: skip
        times = [(layer, v) for layer, v in times if not math.isnan(v)]
        wild = [(layer, v) for layer, v in times if v > self.ratio]
        growth = _growth(*chains[0]) if chains else math.nan
        steady = bool(ratios) and len(large) >= 0.6 * len(ratios) and (len(large) > 1 or bad)
        if steady or growth > self.ratio:
            number, chain = chains[0]
            gain = geometric(_gains(number, chain))
            place, kind, count = chain[0].place, "layer", len(chain)
            value = median(large) if steady else ends(number, chain)
        elif times and len(wild) >= 0.5 * len(times):
            layer = wild[0][0]
            place, kind, count = layer.place, "step back in time", layer.steps
            value = median([v for _, v in wild])
            gain = value ** (1 / max(1, count - 1)) if math.isfinite(value) else math.inf
        else:
            return
        yield Finding(
            self.code,
            "error",
            f"the gradient grows by {gain:.1f} at each of {count} {kind}s: where it ends it is "
            f"{value:.2g} times what it was at the output",
            f"every factor W^T φ' of the product has a gain of about {gain:.2g}",
            "scale the initial weights down (nn.init.kaiming_normal_, or orthogonal_ for recurrent "
            "ones), or clip: nn.utils.clip_grad_norm_(model.parameters(), 1.0) before "
            "optimizer.step()",
            rounded({
                "gradient_first_to_last": value, f"gain_per_{kind.split()[0]}": gain,
                "count": count, "samples": len(ratios) or len(times),
                **({} if math.isnan(growth) else {"activations_times_gradients": growth}),
                **losses_of(case, optimizer),
            }),
            place,
            place.path,
            cure=lambda: cures.Clip(1.0),
        )  # fmt: skip


class NonFiniteNumbers(Rule):
    """A loss or a gradient became NaN or infinite: a fact, with the operation that began it."""

    code = "NON_FINITE"

    def findings(self, case: Case) -> Iterator[Finding]:
        found = case.evidence.non_finite
        if found is None:
            return
        losses = [u.loss for u in case.evidence.updates][: found.update]
        grew = len(losses) > 1 and losses[-1] > 10 * abs(losses[0])
        where = "backward" if found.backward else "forward"
        why = " after the loss had grown without bound" if grew else ""
        yield Finding(
            self.code,
            "error",
            f"{found.what} is not finite from step {found.update + 1} on ({where}: "
            f"{found.operation}){why}",
            f"a factor of the product is not a number; everything it multiplies is lost with it "
            f"({found.operation} of {found.operands or 'the gradients'})",
            "lower the learning rate or clip the gradients" if grew or not found.operands
            else f"keep the operand of {found.operation} inside its domain, for instance "
            "x.clamp(min=1e-7), or use the loss that works on logits",
            {"step": found.update + 1, "operation": found.operation, "pass": where,
             "operands": found.operands, "losses_before": rounded(losses[-3:])},
            found.place,
            found.place.path,
            cure=lambda: [cures.Guard(found.operation), cures.Clip(1.0), cures.Rate(0.1)],
        )  # fmt: skip


def ends(number: int, chain: Sequence[LayerLog]) -> float:
    """Norm of the gradient at the first layer over that at the last."""
    first, last = chain[0].gradient[number], chain[-1].gradient[number]
    return first / last if last > 0 else math.nan


def _growth(number: int, chain: Sequence[LayerLog]) -> float:
    """How much activations grow from the first layers to the last, times gradients backwards.

    A step changes what a layer gives in proportion to both. 1 unless each grows more than tenfold;
    a last layer has its own size, and counts for neither.
    """
    sizes = [x.outputs.get(number, math.nan) for x in chain[:-1]]
    norms = [x.gradient[number] for x in chain[:-1]]
    if len(sizes) < DEPTH or not min(sizes[0], norms[-1]) > 0:
        return 1.0
    forward, backward = max(sizes) / sizes[0], norms[0] / norms[-1]
    return forward * backward if min(forward, backward) > 10 else 1.0


def _shrinking(gain: float, ratio: float, layers: int) -> str:
    if not (gain > 0 and ratio > 0):
        return f"the gradient shrinks to exactly 0 on its way back through {layers} layers"
    return (
        f"the gradient shrinks by {1 / gain:.1f} at each of {layers} layers: at the first it is "
        f"{1 / ratio:.2g} times smaller than at the last"
    )


def _gains(number: int, chain: Sequence[LayerLog]) -> list[float]:
    """What each layer multiplies the gradient's norm by, from the last backwards."""
    norms = [layer.gradient[number] for layer in chain]
    return [a / b for a, b in itertools.pairwise(norms) if b > 0]


def _movement(case: Case, optimizer: int, chain: Sequence[LayerLog]) -> float:
    """How far the first layer moves for its size, over the farthest that a layer moves."""
    keys = [layer.parameter for layer in chain]
    ratios = []
    for u in case.evidence.of(optimizer):
        moved = [
            u.change_norm[k] / u.weight_norm[k]
            for k in keys if k in u.change_norm and u.weight_norm[k] > 0
        ]  # fmt: skip
        if len(moved) > 1 and max(moved) > 0:
            ratios.append(moved[0] / max(moved))
    return median(ratios)


def _calmer(case: Case) -> str:
    squashing = sorted({a.kind for a in case.evidence.activations.values()
                        if a.kind in ("sigmoid", "tanh") and not a.in_head})  # fmt: skip
    if squashing:
        return (f"replace {' and '.join(squashing)} by ReLU and initialise with "
                "nn.init.kaiming_normal_(layer.weight), or add residual connections or "
                "nn.BatchNorm1d")  # fmt: skip
    return ("initialise with nn.init.kaiming_normal_(layer.weight), or add residual connections "
            "or normalisation")  # fmt: skip
