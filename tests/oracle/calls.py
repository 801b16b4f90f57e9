"""One call of an op in both libraries: operands, values, gradients and second derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

import chainrule as cr
from chainrule import ops

from .compare import FLOOR, RTOL, cotangents, flat, ours, rng_for, same, same_gradient, theirs
from .tally import TALLY

Make = Callable[[np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Draw:
    """An operand, drawn anew for each case."""

    make: Make
    grad: bool = True


def real(*shape: int, grad: bool = True) -> Draw:
    """Normal numbers: no two alike, none zero."""
    return Draw(lambda rng: rng.normal(size=shape), grad)


def between(low: float, high: float, *shape: int, grad: bool = True) -> Draw:
    """Numbers spread evenly over an interval."""
    return Draw(lambda rng: rng.uniform(low, high, shape), grad)


def ints(low: int, high: int, *shape: int) -> Draw:
    """Integers from `low` up to, not including, `high`."""
    return Draw(lambda rng: rng.integers(low, high, shape))


def bools(*shape: int) -> Draw:
    """Truth values."""
    return Draw(lambda rng: rng.random(shape) < 0.5)


def exactly(values: Any, dtype: Any = np.float64) -> Draw:
    """These numbers."""
    return Draw(lambda rng: np.array(values, dtype))


def distinct(*shape: int) -> Draw:
    """Numbers at least 0.1 apart: no order can change within rounding."""
    return Draw(lambda rng: rng.permutation(int(np.prod(shape))).reshape(shape) * 0.1 - 1.0)


@dataclass(frozen=True)
class Case:
    """Arguments of a call. Draws among them, also in lists, become tensors."""

    args: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)
    floor: float = FLOOR
    second: bool = True


def case(*args: Any, **options: Any) -> Case:
    """A call with these arguments."""
    return Case(args, options)


def edge(*args: Any, **options: Any) -> Case:
    """A call at awkward numbers: elements are compared one by one, without second derivatives."""
    return Case(args, options, floor=0.0, second=False)


@dataclass(frozen=True)
class Row:
    """A function of ``chainrule.ops``, its counterpart, and the calls that compare them."""

    name: str
    counterpart: Callable[..., Any]
    cases: tuple[Case, ...]
    second: bool = True
    rtol: float = RTOL


def row(
    name: str,
    counterpart: Callable[..., Any],
    *cases: Case,
    second: bool = True,
    rtol: float = RTOL,
) -> Row:
    """A row of the table."""
    return Row(name, counterpart, cases, second, rtol)


class Arguments:
    """The arguments of a case as tensors of one library, and those that want gradients."""

    def __init__(self, wanted: Case, label: str, tensor: Callable[..., Any]) -> None:
        self.inputs: list[Any] = []
        self._rng = rng_for(label)
        self._tensor = tensor
        self.args = [self._built(arg) for arg in wanted.args]
        self.options = {name: self._built(arg) for name, arg in wanted.options.items()}

    def _built(self, arg: Any) -> Any:
        if isinstance(arg, Draw):
            built = self._tensor(arg.make(self._rng), arg.grad)
            if built.requires_grad:
                self.inputs.append(built)
            return built
        return [self._built(part) for part in arg] if isinstance(arg, list) else arg


def compare(entry: Row, wanted: Case, label: str) -> None:
    """Run a case in both libraries and compare all that comes out."""
    TALLY.ops.add(entry.name)
    how = {"rtol": entry.rtol, "floor": wanted.floor}
    mine, judge = Arguments(wanted, label, ours), Arguments(wanted, label, theirs)
    ys = flat(getattr(ops, entry.name)(*mine.args, **mine.options))
    zs = flat(entry.counterpart(*judge.args, **judge.options))
    assert len(ys) == len(zs), f"{label}: {len(ys)} outputs, PyTorch {len(zs)}"
    for i, (y, z) in enumerate(zip(ys, zs, strict=True)):
        same(y, z, f"{label} output {i}", **how)
    followed = [i for i, z in enumerate(zs) if z.requires_grad]
    for i, y in enumerate(ys):
        assert i in followed or not y.requires_grad, f"{label}: output {i} wants a gradient"
    if not followed:
        return
    cts = cotangents([zs[i] for i in followed], rng_for(label + " cotangents"))
    last = len(followed) - 1
    for chosen in [followed] if last == 0 else [followed, followed[last:]]:
        _compare_gradients(
            [ys[i] for i in chosen], [zs[i] for i in chosen], cts[-len(chosen) :], mine, judge,
            label, second=entry.second and wanted.second, **how,
        )  # fmt: skip


def _compare_gradients(
    ys: Sequence[Any], zs: Sequence[Any], cts: Sequence[np.ndarray], mine: Arguments,
    judge: Arguments, label: str, *, second: bool, **how: Any,
) -> None:  # fmt: skip
    """First derivatives in the direction `cts`, then the derivatives of a mixture of them."""
    my_cts = [ours(ct, second) for ct in cts]
    judge_cts = [theirs(ct, second) for ct in cts]
    gs = pulled(ys, mine.inputs, my_cts, create_graph=second)
    hs = torch.autograd.grad(
        list(zs), judge.inputs, judge_cts, create_graph=second, retain_graph=True, allow_unused=True
    )
    for i, (g, h, x) in enumerate(zip(gs, hs, judge.inputs, strict=True)):
        same_gradient(g, h, x, f"{label} gradient of operand {i}", **how)
    if not second or all(h is None for h in hs):
        return
    rng = rng_for(label + " second")
    mixed_mine, mixed_judge = [], []
    for g, h in zip(gs, hs, strict=True):
        if h is not None:
            w = rng.normal(size=tuple(h.shape))
            mixed_judge.append((h * torch.from_numpy(np.array(w))).sum())
            if g is not None:
                mixed_mine.append((g * cr.Tensor(w)).sum())
    mine_total, judge_total = sum(mixed_mine), sum(mixed_judge)
    gs = pulled([mine_total], [*mine.inputs, *my_cts], None)
    xs = [*judge.inputs, *judge_cts]
    hs = [None] * len(xs)
    if judge_total.requires_grad:
        hs = torch.autograd.grad(judge_total, xs, retain_graph=True, allow_unused=True)
    for i, (g, h, x) in enumerate(zip(gs, hs, xs, strict=True)):
        same_gradient(g, h, x, f"{label} second derivative {i}", **how)


def pulled(ys: Sequence[Any], xs: Sequence[Any], cts: Any, create_graph: bool = False) -> Any:
    """Gradients by chainrule; None for all if nothing was recorded."""
    tracked = [i for i, y in enumerate(ys) if isinstance(y, cr.Tensor) and y.requires_grad]
    if not tracked:
        return [None] * len(xs)
    return cr.gradients(
        [ys[i] for i in tracked],
        list(xs),
        None if cts is None else [cts[i] for i in tracked],
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
    )
