"""The recorder: the one observer that gathers all evidence, from the engine's seams."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import numpy as np

from ...core.observation import Observer
from ...core.op import Op
from ...core.value import Node, Scope, Value, tape
from .evidence import Call, Evidence, Misload, NonFinite, ParameterLog, Update, digest
from .examination import Examination
from .flow import Flow, LossFrame, Record
from .places import Place, here, user_frame

MOODY = frozenset({
    "AlphaDropout", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "Dropout", "Dropout1d",
    "Dropout2d", "Dropout3d",
})  # fmt: skip
"""Classes of modules that do something else in evaluation."""
DROPPING = frozenset({"GRU", "LSTM", "MultiheadAttention", "RNN"})
"""Those that do if they are given a share of numbers to drop."""
FULL = 12
"""So many steps at the start are sampled without a gap; later ones ever more sparsely."""
_MOST_NORMS = 4000


BY_HAND = object()
"""Stands for the optimizer where a program updates its parameters itself."""


class Enough(BaseException):
    """Ends a program that has shown enough. Not an Exception: programs catch those."""


class Recorder(Observer):
    """Watches a program, on the thread that made it, and gathers ``evidence``.

    With `limit`, the program is ended by ``Enough`` after so many updates.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.evidence = Evidence()
        self.limit = limit
        self.flow = Flow()
        self._thread = threading.get_ident()
        self._modules: set[int] = set()
        self._used: dict[int, Any] = {}
        self._stale: dict[int, bool] = {}
        self._before: dict[int, dict[int, Any]] = {}
        self._calls: dict[int, tuple[Scope, Call]] = {}
        self._losses: list[tuple[float, set[int]]] = []
        self._examination = Examination(self.evidence)
        self._keep: list[Any] = []
        self._busy = False
        self._suspect: NonFinite | None = None
        self._left: list[tuple[Any, str, Place]] = []
        """Arrays that left their graph since the last step, by what, and where."""
        self._hand: dict[int, Any] = {}
        """What parameters without an optimizer held at the last backward pass."""
        self._mark = 0
        self._rates: dict[int, float] = {}
        """The first rate of each optimizer."""

    # Forward --------------------------------------------------------------------------------------

    def operation(self, op: Op, operands: Sequence[Any], result: Any) -> Any:
        if self._busy or threading.get_ident() != self._thread:
            return result
        site, loss = here()
        outputs = result if isinstance(result, tuple) else (result,)
        record = Record(op, operands, outputs, site, tape.scope, tape.recording,
                        None if loss is None else _call_of(loss))  # fmt: skip
        self.flow.add(record)
        self.evidence.last_place = Place(site.code.co_filename, 0)
        if tape.scope is not None:
            outermost = _outermost(tape.scope)
            found = self._calls.get(id(outermost))
            if found is not None and len(found) == 2 and record.tracked:
                found[1].recording = True
        return result

    def module_call(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        scope = tape.scope
        if scope is None or scope.outer is not None or threading.get_ident() != self._thread:
            return None
        if not getattr(module, "_modules", None) and not getattr(module, "_parameters", None):
            return None  # a loss, or a single activation
        if id(module) not in self._modules:
            self._modules.add(id(module))
            self._keep.append(module)
            self._name(module)
        site, _ = here()
        moody = [
            f"{type(m).__name__}" for m in module.modules()
            if is_moody(m)
        ]  # fmt: skip
        call = Call(
            type(module).__name__, site.place(scope), module.training, False, moody,
            len(self.evidence.updates), root=id(module),
            asleep=[] if module.training or not moody else _asleep(module),
        )  # fmt: skip
        if moody and module.training and not tape.recording:
            call.given = b"".join(digest(x.array) for x in args if isinstance(x, Value))
        self._calls[id(scope)] = (scope, call)
        return None

    def _name(self, module: Any) -> None:
        """Note the parameters of a module, by name."""
        prefix = type(module).__name__
        for name, p in module.named_parameters():
            self.evidence.names.setdefault(id(p), f"{prefix}.{name}")
            self._log(p)

    def _log(self, p: Any) -> ParameterLog:
        """The log of a parameter, made when it is first seen."""
        known = self.evidence.parameters.get(id(p))
        if known is None:
            name = self.evidence.names.get(id(p)) or f"tensor{list(p.shape)}"
            known = ParameterLog(name, p, p.array, ndim=p.array.ndim)
            known.twin_rows = _twins(p.array)
            self.evidence.parameters[id(p)] = known
        known.frozen = p.node is None
        if known.name.startswith("tensor["):
            known.name = self.evidence.names.get(id(p), known.name)
        return known

    # Backward -------------------------------------------------------------------------------------

    def backward(self, order: Sequence[Node], roots: Sequence[Node], wanted: object) -> None:
        if threading.get_ident() != self._thread or self._busy:
            return
        evidence = self.evidence
        site, _ = here()
        evidence.backwards += 1
        evidence.backward_place = site.place()
        reached: set[int] = set()
        leaves = [p for n in order if n.op is None and n.variable is not None
                  and (p := n.variable()) is not None]  # fmt: skip
        self._note_by_hand(leaves)
        for p in leaves:
            if id(p) not in evidence.names:
                _name_in(user_frame(), p, evidence.names)
            log = self._log(p)
            log.reached += 1
            reached.add(id(p))
            self._note_stale(p)
        self._mark_calls(order, roots)
        value = self.flow.value(roots)
        self._losses.append((value, reached))
        visited = self.flow.ancestors(roots)
        self._examination.unreached(self.flow, order, visited, self._left)
        if not np.isfinite(value):
            self._suspect = self._suspect or self.flow.first_non_finite(visited, self._count)
        if wanted is None and self._is_sampled():
            self._busy = True
            try:
                self._examination.sample(self.flow, order, roots, visited, self._count)
            finally:
                self._busy = False
        self._mark = len(self.flow.records)

    def _note_by_hand(self, leaves: Sequence[Any]) -> None:
        """Note an update that no optimizer made: parameters hold other arrays than before."""
        logs, number = self.evidence.parameters, self._hand_number()
        mine = [p for p in leaves if id(p) in logs and logs[id(p)].optimizer in (None, number)]
        moved = [p for p in mine if id(p) in self._hand and p.array is not self._hand[id(p)]]
        if moved and all(o is BY_HAND for o in self.evidence.optimizers):
            number = self._number(BY_HAND)
            value = float(np.sum([v for v, _ in self._losses]))
            update = Update(number, value, math.nan)
            update.stale = float(np.mean([p._grad is not None and bool(np.any(p._grad.array))
                                          for p in moved]))  # fmt: skip
            for p in moved:
                key, log = id(p), self.evidence.parameters[id(p)]
                log.optimizer, log.changed, log.away, log.rate = number, True, True, 1.0
                log.nonzero += 1
                update.weight_norm[key] = _norm(self._hand[key])
                update.change_norm[key] = _norm(p.array - self._hand[key])
            self.evidence.updates.append(update)
            self._finish(self._mark)
            if self.limit is not None and self._count >= self.limit:
                raise Enough
        self._hand = {id(p): p.array for p in mine}

    def _hand_number(self) -> int | None:
        known = self.evidence.optimizers
        return 0 if known and known[0] is BY_HAND else None

    def cut(self, tensor: Value, how: str) -> Any:
        if how != "detach()" and threading.get_ident() == self._thread and len(self._left) < 64:
            site, _ = here()
            self._left.append((tensor.array, how, site.place(tape.scope)))

    def loaded(self, module: Any, names: Sequence[str], others: Sequence[str]) -> None:
        if others and not names:
            site, _ = here()
            self.evidence.misloads.append(Misload(
                site.place(), len(others), others[0], frozenset(map(id, module.parameters())),
            ))  # fmt: skip

    def batches(self, loader: Any) -> None:
        self.evidence.loaders += not loader.shuffle and loader.sampler is None

    def refused(self, output: Value) -> None:
        site, _ = here()
        self.evidence.refused = site.place()
        self.evidence.backwards += 1
        visited = self.flow.ancestors_of_arrays([output.array])
        self._examination.cut_off(self.flow, output, visited)

    @property
    def _count(self) -> int:
        return len(self.evidence.updates)

    def _is_sampled(self) -> bool:
        n = self._count
        return n < FULL or n % max(1, n // 24) == 0

    def _note_stale(self, p: Any) -> None:
        """Whether this pass adds to a gradient that an update has used already."""
        used = self._used.get(id(p))
        grad = p._grad
        if grad is None or used is None:
            self._stale[id(p)] = False
        elif grad.array is used:
            self._stale[id(p)] = bool(np.any(used))
        elif not np.any(grad.array):
            self._stale[id(p)] = False

    def _mark_calls(self, order: Sequence[Node], roots: Sequence[Node]) -> None:
        for record in self.flow.ancestors(roots):
            if record.scope is not None:
                found = self._calls.get(id(_outermost(record.scope)))
                if found is not None:
                    found[1].used = True

    # Updates --------------------------------------------------------------------------------------

    def update(self, optimizer: Any, step: Callable[[], None]) -> None:
        if threading.get_ident() != self._thread:
            step()
            return
        number = self._number(optimizer)
        params = [p for group in optimizer.param_groups for p in group["params"]]
        for group in optimizer.param_groups:
            for p in group["params"]:
                log = self._log(p)
                log.optimizer, log.rate = number, max(log.rate, float(group.get("lr", 1.0)))
        before = {id(p): p.array for p in params}
        grads = {id(p): p._grad.array for p in params if p._grad is not None}
        mine = set(before)
        losses = [value for value, reached in self._losses if reached & mine]
        lr = float(optimizer.param_groups[0].get("lr", 0.0))
        update = Update(number, float(np.sum(losses)) if losses else float("nan"), lr)
        if self._rates.setdefault(number, lr) != lr and number not in self.evidence.schedulers:
            self.evidence.schedulers[number] = _scheduler_in(user_frame(), optimizer)
        stale = [self._stale.get(key, False) for key in grads]
        update.stale = float(np.mean(stale)) if stale else 0.0
        for key in grads:
            self._stale.pop(key, None)
        step()
        self._measure(update, before, grads, params)
        self._before[number] = grads
        for p in params:
            if p._grad is not None:
                self._used[id(p)] = p._grad.array
        self.evidence.updates.append(update)
        self._finish()
        if self.limit is not None and self._count >= self.limit:
            raise Enough

    def _number(self, optimizer: Any) -> int:
        known = self.evidence.optimizers
        for i, other in enumerate(known):
            if other is optimizer:
                return i
        known.append(optimizer)
        site, _ = here()
        self.evidence.step_places[len(known) - 1] = site.place()
        return len(known) - 1

    def _measure(self, update: Update, before: Any, grads: Any, params: Sequence[Any]) -> None:
        """Norms, and the angle to the gradient before."""
        if self._count > _MOST_NORMS and not self._is_sampled():
            return
        last = self._before.get(update.optimizer, {})
        dot = mine = theirs = 0.0
        for p in params:
            key, log = id(p), self.evidence.parameters[id(p)]
            g = grads.get(key)
            update.weight_norm[key] = _norm(before[key])
            update.change_norm[key] = (
                0.0 if p.array is before[key] else _norm(p.array - before[key])
            )
            log.changed = log.changed or update.change_norm[key] > 0
            log.away = log.away or (
                before[key] is not log.first and not np.array_equal(before[key], log.first)
            )
            if g is None:
                continue
            norm = update.gradient_norm[key] = _norm(g)
            log.nonzero += norm != 0
            if log.twin_rows and len(log.twin_gradients) < 8:
                log.twin_gradients.append(_alike(g))
            if not np.isfinite(norm) and self.evidence.non_finite is None and not self._suspect:
                self._suspect = NonFinite(
                    self._count, f"the gradient of {log.name}", self.evidence.backward_place,
                    "backward", "", True,
                )  # fmt: skip
            other = last.get(key)
            if other is not None and other.shape == g.shape:
                dot += float(np.vdot(g, other))
                mine += norm * norm
                theirs += _norm(other) ** 2
        if mine > 0 and theirs > 0:
            update.cosine = dot / float(np.sqrt(mine * theirs))

    def _finish(self, count: int | None = None) -> None:
        """A step has ended: settle what is known of it, and forget its values (the first ones)."""
        if self._suspect is not None and self.evidence.non_finite is None:
            self.evidence.non_finite = self._suspect
        self._losses.clear()
        self.flow.forget(count)
        self._left.clear()
        self._mark = 0
        if count is None:
            self.settle_calls()

    def settle_calls(self) -> None:
        """Note the calls made since the last step, and whether anything was learnt from them."""
        self.evidence.calls += [call for _, call in self._calls.values()]
        self._calls.clear()

    def finish(self) -> None:
        """The program has ended."""
        self.settle_calls()
        if self._suspect is not None and self.evidence.non_finite is None:
            self.evidence.non_finite = self._suspect
        for log in self.evidence.parameters.values():
            log.frozen = log.tensor.node is None
            log.changed = log.changed or (
                log.tensor.array is not log.first
                and not np.array_equal(log.tensor.array, log.first, equal_nan=True)
            )


def is_moody(module: Any) -> bool:
    """Whether a module itself does something else in evaluation."""
    kind = type(module).__name__
    if kind in MOODY:
        return bool(getattr(module, "p", 1.0) != 0)
    return kind in DROPPING and bool(getattr(module, "dropout", 0.0))


def _asleep(module: Any) -> list[tuple[str, frozenset[int]]]:
    """The modules in evaluation mode that depend on it, and whose parameters they work for.

    These are their own, or else those of the module that holds them.
    """
    return [
        (type(child).__name__,
         frozenset(map(id, list(child.parameters()) or list(owner.parameters()))))
        for owner in module.modules() for child in owner._modules.values()
        if is_moody(child) and not child.training
    ]  # fmt: skip


def _outermost(scope: Scope) -> Scope:
    while scope.outer is not None:
        scope = scope.outer
    return scope


def _call_of(frame: FrameType) -> LossFrame:
    """The loss function in progress, and its operands."""
    name, given = frame.f_code.co_name, frame.f_locals
    gain = "pos_weight" if name.startswith("binary") else "weight"
    return LossFrame(name, given.get("input"), given.get("target"), id(frame), given.get(gain),
                     given.get("ignore_index"))  # fmt: skip


def _norm(a: Any) -> float:
    return float(np.sqrt(np.vdot(a, a).astype(np.float64))) if a.size else 0.0


def _twins(a: Any) -> bool:
    """Whether an array has several rows, all alike."""
    if a.ndim < 2 or len(a) < 2:
        return False
    spread = np.ptp(a.reshape(len(a), -1), axis=0).max(initial=0.0)
    return bool(spread <= 1e-6 * np.abs(a).max(initial=0.0))


def _alike(g: Any) -> float:
    """The mean cosine between the gradients of two units; 1 if all are zero."""
    rows = g.reshape(len(g), -1).astype(np.float64)
    norms = np.linalg.norm(rows, axis=1)
    kept = norms > 0
    if kept.sum() < 2:
        return 1.0
    unit = rows[kept] / norms[kept, None]
    n = len(unit)
    return float(((unit.sum(axis=0) ** 2).sum() - n) / (n * (n - 1)))


def _scheduler_in(frame: FrameType, optimizer: Any) -> str:
    """The class of what the user's code has that sets an optimizer's rate, and its name there."""
    for name, value in (*frame.f_locals.items(), *frame.f_globals.items()):
        if hasattr(type(value), "get_last_lr") and getattr(value, "optimizer", None) is optimizer:
            return f"{type(value).__name__} ({name})"
    return ""


def _name_in(frame: FrameType, p: Any, names: dict[int, str]) -> None:
    """Note under which name the user's code knows a tensor, if it does."""
    for name, value in (*frame.f_locals.items(), *frame.f_globals.items()):
        if value is p and not name.startswith("_"):
            names[id(p)] = name
            return
        if isinstance(value, (list, tuple)) and len(value) <= 256:
            for i, x in enumerate(value):
                if x is p:
                    names[id(p)] = f"{name}[{i}]"
                    return
        if isinstance(value, dict) and len(value) <= 256 and name != "__builtins__":
            for key, x in value.items():
                if x is p:
                    names[id(p)] = f"{name}[{key!r}]"
                    return
