"""Parameters that get no gradient, and parameters that nobody updates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .. import cures
from ..case import ENOUGH, Case, Rule, losses_of
from ..evidence import Misload, ParameterLog
from ..findings import Finding, Severity
from ..places import Place
from .units import copies


class TruncatedGraph(Rule):
    """The loss is computed from a parameter, but the way back is cut: a fact of the graph."""

    code = "TRUNCATED_GRAPH"

    def findings(self, case: Case) -> Iterator[Finding]:
        by_cut: dict[tuple[Place, str], list[ParameterLog]] = {}
        for log in case.evidence.parameters.values():
            wanted = log.optimizer is not None or case.evidence.refused is not None
            if wanted and log.missed and not log.reached and not log.frozen and log.cut is not None:
                by_cut.setdefault(log.cut, []).append(log)
        for (place, how), logs in by_cut.items():
            if _is_undifferentiable(how):
                continue
            names = _named(logs)
            yield Finding(
                self.code,
                "error",
                f"{how} cuts the graph at {place}: the loss depends on {names}, but no gradient "
                "gets there",
                f"the product of local derivatives is broken off at {how}; every factor before it "
                "is lost",
                f"leave out {how} on the way from these parameters to the loss",
                {"parameters": [log.name for log in logs], "cut_by": how,
                 "passes": max(log.missed for log in logs)},
                place,
                logs[0].name,
                cure=(lambda: cures.Uncut()) if how in ("detach()", "no_grad()") else None,
            )  # fmt: skip
        if not by_cut:
            yield from self._severed(case)

    def _severed(self, case: Case) -> Iterator[Finding]:
        """A state that is cut off at every step of a recurrence, in a program that learns little.

        That it could have been followed is shown by a trial, unless nothing at all is learnt.
        """
        if not case.is_plain or case.is_good:
            return
        for found in case.evidence.severed.values():
            yield Finding(
                self.code,
                "warning" if case.learns(0) else "error",
                f"the state of a recurrence is cut off from the graph at each of its "
                f"{found.links} steps at {found.place}: the loss cannot reach what came before "
                "the last one",
                "the product over the steps of time is broken off after one factor",
                "pass the state on as it is; detach it only between two calls of backward()",
                {"parameter": found.name, "links": found.links, "samples": found.count,
                 **losses_of(case, 0)},
                found.place,
                found.name,
                doubtful=not case.skill(0) < 0.1,
                cure=lambda: cures.Uncut(),
            )  # fmt: skip
            return


class NoGradient(Rule):
    """Parameters that no gradient ever reaches, or only zeros."""

    code = "NO_GRADIENT"

    def findings(self, case: Case) -> Iterator[Finding]:
        evidence = case.evidence
        if not evidence.backwards:
            if case.failure is None and (evidence.parameters or evidence.last_place.file):
                yield Finding(
                    self.code, "error", "the program never calls backward()",
                    "no derivative is ever computed", "call loss.backward() before "
                    "optimizer.step()", {"backward_calls": 0, "updates": len(evidence.updates)},
                    evidence.last_place,
                )  # fmt: skip
            return
        yield from self._blocked(case)
        if len(evidence.updates) < 2:
            return
        unused = [
            p for p in evidence.parameters.values()
            if not p.reached and not p.missed and not p.frozen and not p.changed
        ]  # fmt: skip
        if unused:
            yield Finding(
                self.code,
                "warning",
                f"{_named(unused)} never takes part in the loss, so it gets no gradient",
                "no path of the graph leads from the parameter to the loss: the sum over paths is "
                "empty",
                "use the layer in forward(), or remove it",
                {"parameters": [p.name for p in unused], "backward_calls": evidence.backwards},
                evidence.backward_place,
                unused[0].name,
            )
        yield from self._zeros(case)

    def _blocked(self, case: Case) -> Iterator[Finding]:
        """An operation without a derivative stands in the way."""
        for log in case.evidence.parameters.values():
            wanted = log.optimizer is not None or case.evidence.refused is not None
            if wanted and log.missed and not log.reached and not log.frozen and log.cut is not None:
                place, how = log.cut
                if not _is_undifferentiable(how):
                    continue
                yield Finding(
                    self.code,
                    "error",
                    f"{how} at {place} has no derivative: {log.name} and what comes before get no "
                    "gradient",
                    f"the local derivative of {how} is zero almost everywhere, so every product "
                    "through it is",
                    f"replace {how} by something smooth, such as softmax for argmax, or a "
                    "straight-through estimate x + (f(x) - x).detach()",
                    {"operation": how, "passes": log.missed},
                    place,
                    log.name,
                )
                return

    def _zeros(self, case: Case) -> Iterator[Finding]:
        zeros = []
        for key, p in case.evidence.parameters.items():
            seen = [u for u in case.evidence.updates if key in u.gradient_norm]
            if len(seen) >= ENOUGH and not p.nonzero and p.tensor.array.size > 1:
                zeros.append(p)
        quiet = [p for p in zeros if not p.twin_rows and not self._is_offset(case, p)]
        if quiet and not _has_dead(case) and not copies(case):
            yield Finding(
                self.code,
                "error",
                f"the gradient of {_named(quiet)} is exactly zero in all steps",
                "a factor between the parameter and the loss is zero for every sample: a step "
                "function, a mask or a multiplication by zero",
                "find the factor with chainrule explain; a rounding, sign or comparison has "
                "derivative zero",
                {"parameters": [p.name for p in quiet], "steps": len(case.evidence.updates)},
                case.evidence.backward_place,
                quiet[0].name,
            )

    def _is_offset(self, case: Case, p: ParameterLog) -> bool:
        """Whether it is a bias whose layer learns: a loss of differences does not see a shift."""
        layer = p.name.rpartition(".")[0]
        return p.ndim < 2 and any(
            q.nonzero and q.ndim >= 2 and q.name.rpartition(".")[0] == layer
            for q in case.evidence.parameters.values()
        )


class NotOptimized(Rule):
    """Parameters that get gradients and are in no optimizer."""

    code = "NOT_OPTIMIZED"

    def findings(self, case: Case) -> Iterator[Finding]:
        evidence = case.evidence
        if len(evidence.updates) < 3:
            return
        left = [
            p for p in evidence.parameters.values()
            if p.optimizer is None and p.reached >= 3 and not p.changed and not p.frozen
        ]  # fmt: skip
        if not left:
            return
        held = [p for p in evidence.parameters.values() if p.optimizer is not None]
        working = [p for p in held if p.reached]
        is_prefix = bool(working) and max(p.order for p in left if p.order < 1 << 60) < min(
            (p.order for p in working if p.order < 1 << 60), default=0
        ) if any(p.order < 1 << 60 for p in left) else False  # fmt: skip
        severity: Severity = "warning" if is_prefix else "error"
        yield Finding(
            self.code,
            severity,
            f"{_named(left)} gets gradients, but no optimizer updates it"
            + ("" if working else "; the optimizer holds parameters that the loss does not use"),
            "the derivative is computed and never used",
            "give the optimizer all parameters: optim.SGD(model.parameters(), lr=...); to freeze a "
            "layer on purpose, say layer.requires_grad_(False)",
            {"parameters": [p.name for p in left], "passes": max(p.reached for p in left),
             "updates": len(evidence.updates)},
            case.step_place(0),
            left[0].name,
            cure=lambda: cures.AddParameters(),
        )  # fmt: skip


class Frozen(Rule):
    """Parameters that are meant to be trained, and stay as they are."""

    code = "FROZEN"

    def findings(self, case: Case) -> Iterator[Finding]:
        evidence = case.evidence
        held = [p for p in evidence.parameters.values() if p.optimizer is not None]
        moving = [p for p in held if p.nonzero >= 3 and not p.frozen]
        still = [p for p in moving if not self._moves(case, p)]
        if still and len(evidence.updates) >= 3:
            rates = sorted({u.lr for u in evidence.updates})
            yield Finding(
                self.code,
                "error",
                f"{_named(still)} gets gradients and updates, and does not change",
                "the gradient is multiplied by a rate of zero, or the value is put back after each "
                "step",
                "give its parameter group a learning rate above zero, and do not assign the "
                "weights anew in the loop",
                {"parameters": [p.name for p in still], "rates": rates,
                 "updates": len(evidence.updates)},
                case.step_place(still[0].optimizer or 0),
                still[0].name,
                cure=lambda: cures.Wake() if not still[0].rate else cures.Keep(),
            )  # fmt: skip
        yield from self._erased(case, held)
        yield from self._switched_off(case)
        if evidence.backwards >= 3 and not evidence.updates and not self._by_hand(case):
            yield Finding(
                self.code,
                "error",
                "gradients are computed, but no optimizer.step() follows and no parameter changes",
                "the derivative is never used",
                "call optimizer.step() after loss.backward()",
                {"backward_calls": evidence.backwards, "updates": 0},
                evidence.backward_place,
            )

    def _erased(self, case: Case, held: Sequence[ParameterLog]) -> Iterator[Finding]:
        """Backward leads to the parameters, and no update finds a gradient."""
        updates = case.evidence.updates
        if len(updates) < 3 or not held or not all(p.reached >= 3 for p in held):
            return
        if any(any(u.gradient_norm.values()) for u in updates) or any(p.changed for p in held):
            return
        yield Finding(
            self.code,
            "error",
            f"backward() computes gradients, and none of {len(updates)} updates finds any",
            "the derivative is forgotten before it is used",
            "call optimizer.zero_grad() before loss.backward(), not between it and "
            "optimizer.step()",
            {"backward_calls": case.evidence.backwards, "updates": len(updates)},
            case.step_place(held[0].optimizer or 0),
        )

    def _moves(self, case: Case, p: ParameterLog) -> bool:
        key = id(p.tensor)
        changes = [u.change_norm[key] > 0 for u in case.evidence.updates if key in u.change_norm]
        return (p.away or not any(changes)) and p.rate > 0

    def _by_hand(self, case: Case) -> bool:
        return any(p.changed for p in case.evidence.parameters.values())

    def _switched_off(self, case: Case) -> Iterator[Finding]:
        """Parameters that want no gradient, though they come after some that do."""
        evidence = case.evidence
        off = [p for p in evidence.parameters.values() if p.frozen and not p.changed]
        on = [p for p in evidence.parameters.values() if not p.frozen and p.reached]
        if not off or len(evidence.updates) < 3:
            return
        share = sum(p.tensor.array.size for p in off) / max(
            1, sum(p.tensor.array.size for p in [*off, *on])
        )
        positions = [p.order for p in on if p.order < 1 << 60]
        last_on = max(positions, default=0)
        misload = next((m for m in evidence.misloads for p in off if id(p.tensor) in m.parameters),
                       None)  # fmt: skip
        if misload is not None:
            yield self._unloaded(case, off, misload)
            return
        names = [p.name.rpartition(".")[0] for p in off]
        listed = list(evidence.names.values())
        after = [p for p in off if _index(listed, p.name) > max(
            (_index(listed, q.name) for q in on), default=len(listed))]  # fmt: skip
        misplaced = bool(after) or not last_on
        starved = share > 0.5 and len(case.optimizers) == 1 and not case.learns(case.optimizers[0])
        severity: Severity = "warning" if misplaced or starved else "note"
        yield Finding(
            self.code,
            severity,
            f"{_named(off)} wants no gradient and stays at its first value"
            + (", though it comes after layers that are trained" if after else "")
            + (f"; that is {share:.0%} of the network, and the rest learns little" if starved
               else ""),
            "requires_grad is False: no derivative by it is computed",
            "call requires_grad_(True) on the layers that are to be trained, unless they hold "
            "weights that were trained before",
            {"parameters": [p.name for p in off], "layers": sorted(set(names)),
             "share": round(share, 4), "updates": len(evidence.updates),
             **(losses_of(case, case.optimizers[0]) if starved else {})},
            case.step_place(0),
            off[0].name,
            unless_tried="note" if starved and not misplaced and not self._is_stuck(case) else None,
            cure=lambda: cures.Wake(),
        )  # fmt: skip

    def _unloaded(self, case: Case, off: Sequence[ParameterLog], misload: Misload) -> Finding:
        return Finding(
            self.code,
            "warning" if case.is_good else "error",
            f"{_named(off)} wants no gradient and holds its first, random values: none of the "
            f"{misload.entries} entries of the state loaded at {misload.place} has a place in the "
            "module",
            "requires_grad is False: no derivative by it is computed",
            f"rename the entries, such as {misload.example}, to the names that state_dict() of the "
            "module has; strict=True says which do not fit",
            {"parameters": [p.name for p in off], "entries": misload.entries, "taken": 0,
             "updates": len(case.evidence.updates)},
            misload.place,
            off[0].name,
            cure=lambda: cures.Wake(),
        )  # fmt: skip

    def _is_stuck(self, case: Case) -> bool:
        """Whether outputs are no better than a constant, by targets that no network made."""
        skill = case.skill(case.optimizers[0])
        return skill < 0.1 and not any(call.made for call in case.evidence.losses)


def _index(names: Sequence[str], name: str) -> int:
    return names.index(name) if name in names else -1


def _is_undifferentiable(how: str) -> bool:
    return "(" not in how and how != "a tensor that was cut off"


def _has_dead(case: Case) -> bool:
    return any(a.kind == "relu" and a.fired and not any(f.any() for f in a.fired)
               for a in case.evidence.activations.values())  # fmt: skip


def _named(logs: Sequence[ParameterLog]) -> str:
    names = [log.name for log in logs]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
