"""Transforms, rules of the user's own, hooks and the bookkeeping of gradients, as in torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch.utils.checkpoint import checkpoint as torch_checkpoint

import chainrule as cr

from .compare import flat, numbers, ours, rng_for, same, theirs
from .tally import TALLY

# torch loads its forward mode with TorchScript, which it has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

Written = Callable[..., Any]
SCALAR: dict[str, Written] = {
    "polynomial": lambda m, x: (x**3 - 2 * x * x + x).sum(),
    "quotient": lambda m, x: (m.sin(x) / (1 + x * x)).sum() * x[0, 0],
    "logsumexp": lambda m, x: m.logsumexp(x @ x.T, 1).mean(),
    "softmax": lambda m, x: (m.softmax(x, 1) * m.log_softmax(x * 2, 0)).sum(),
    "norms": lambda m, x: x.norm() * m.tanh(x).norm(3) + x.std(),
    "products": lambda m, x: m.einsum("ij,kj->ik", x, m.exp(x)).square().mean().log1p(),
    "pieces": lambda m, x: m.where(x > 0, x * x, m.exp(x)).sum() + x.max() * x.min(),
    "indexing": lambda m, x: (x[0] * x[:, 1].sum() + x[[1, 0], [2, 2]].sum()).prod(),
    "cumulative": lambda m, x: (m.cumsum(x, 0) * m.sort(x, 1)[0]).sum().sigmoid(),
}  # fmt: skip
VECTOR: dict[str, Written] = {
    "wide": lambda m, x: m.tanh(x @ x.T).reshape(-1),
    "tall": lambda m, x: m.stack([x.sum(), (x * x).sum(), m.sin(x).prod()]),
    "matrix": lambda m, x: m.outer(x[0], m.exp(x[1])), "same": lambda m, x: m.softmax(x, 1),
    "constant rows": lambda m, x: m.concatenate([x[0] * 2, x[0].detach()]),
    "large": lambda m, x: m.tile(x * x, (3, 2)),
}  # fmt: skip


def both(label: str, *shapes: tuple[int, ...], grad: bool = False) -> tuple[Any, Any]:
    """The same random tensors in both libraries."""
    rng = rng_for(label)
    arrays = [rng.normal(size=shape) for shape in shapes]
    return [ours(a, grad) for a in arrays], [theirs(a, grad) for a in arrays]


@pytest.mark.parametrize("name", SCALAR)
def test_transforms_of_scalar_functions_agree(name: str) -> None:
    call = SCALAR[name]
    (x, v), (z, w) = both(name, (2, 3), (2, 3))
    mine, judge = lambda x: call(cr, x), lambda z: call(torch, z)
    same(cr.grad(mine)(x), torch.func.grad(judge)(z), f"grad {name}")
    value, slope = cr.value_and_grad(mine)(x)
    judged_slope, judged_value = torch.func.grad_and_value(judge)(z)
    same(value, judged_value, f"value {name}")
    same(slope, judged_slope, f"slope {name}")
    same(cr.jacobian(mine)(x), torch.func.jacrev(judge)(z), f"jacobian {name}")
    same(cr.hessian(mine)(x), torch.func.hessian(judge)(z), f"hessian {name}")
    gradient, product = cr.hvp(mine, x, v)
    judged_gradient, judged_product = torch.func.jvp(torch.func.grad(judge), (z,), (w,))
    same(gradient, judged_gradient, f"hvp gradient {name}")
    same(product, judged_product, f"hvp {name}")
    row = torch.func.grad(lambda z: torch.func.grad(judge)(z)[0, 0])
    third = torch.func.grad(lambda z: (row(z) * w).sum())(z)
    mixed = cr.grad(lambda x: (cr.hessian(mine)(x)[0, 0] * v).sum())(x)
    same(mixed, third, f"third derivative {name}")


@pytest.mark.parametrize("name", VECTOR)
def test_transforms_of_vector_functions_agree(name: str) -> None:
    call = VECTOR[name]
    (x, v), (z, w) = both(name, (2, 3), (2, 3))
    mine, judge = lambda x: call(cr, x), lambda z: call(torch, z)
    same(cr.jacobian(mine)(x), torch.func.jacrev(judge)(z), f"jacobian {name}")
    same(cr.jacobian(mine)(x), torch.func.jacfwd(judge)(z), f"forward jacobian {name}")
    ys, judged = cr.jvp(mine, (x,), (v,)), torch.func.jvp(judge, (z,), (w,))
    same(ys[0], judged[0], f"jvp value {name}")
    same(ys[1], judged[1], f"jvp {name}")
    y, pull = cr.vjp(mine, x)
    judged_y, judged_pull = torch.func.vjp(judge, z)
    ct = rng_for(name + " ct").normal(size=tuple(judged_y.shape))
    same(y, judged_y, f"vjp value {name}")
    same(pull(cr.Tensor(ct))[0], judged_pull(torch.from_numpy(np.array(ct)))[0], f"vjp {name}")


def test_transforms_of_several_arguments_agree() -> None:
    xs, zs = both("several", (3,), (2, 3), ())

    def call(m: Any, a: Any, b: Any, c: Any) -> Any:
        return (m.tanh(b @ a) * c).sum() + (a * a).sum() * c**3

    mine, judge = lambda *x: call(cr, *x), lambda *z: call(torch, *z)
    for argnums in (0, (0, 2), (2, 1), (0, 1, 2)):
        gs, hs = cr.grad(mine, argnums)(*xs), torch.func.grad(judge, argnums)(*zs)
        for g, h in zip(flat(gs), flat(hs), strict=True):
            same(g, h, f"grad of arguments {argnums}")
        gs, hs = cr.jacobian(mine, argnums)(*xs), torch.func.jacrev(judge, argnums)(*zs)
        for g, h in zip(flat(gs), flat(hs), strict=True):
            same(g, h, f"jacobian of arguments {argnums}")
    for argnum in range(3):
        same(cr.hessian(mine, argnum)(*xs), torch.func.hessian(judge, argnum)(*zs), "hessian")
    aux = cr.grad(lambda *x: (mine(*x), x[0] * 2), has_aux=True)(*xs)
    judged = torch.func.grad(lambda *z: (judge(*z), z[0] * 2), has_aux=True)(*zs)
    for g, h in zip(aux, judged, strict=True):
        same(g, h, "grad with a second result")


def test_nested_transforms_see_the_variables_they_close_over() -> None:
    (x,), (z,) = both("nested", ())

    def mine(a: Any) -> Any:
        return cr.grad(lambda b: (a * b).sin() * a**2)(a * 3) * a

    def judge(a: Any) -> Any:
        return torch.func.grad(lambda b: (a * b).sin() * a**2)(a * 3) * a

    same(cr.grad(mine)(x), torch.func.grad(judge)(z), "perturbation confusion")
    (g,), (h,) = [cr.grad(cr.grad(mine))(x)], [torch.func.grad(torch.func.grad(judge))(z)]
    same(g, h, "perturbation confusion, second derivative")


# Rules of the user's own --------------------------------------------------------------------------


def cube(base: Any) -> Any:
    """x³ by a rule that can be differentiated again; needs_input_grad is noted."""

    class Cube(base):
        seen: ClassVar[list[tuple[bool, ...]]] = []

        @staticmethod
        def forward(ctx: Any, x: Any, scale: float, other: Any) -> Any:
            ctx.save_for_backward(x, other)
            ctx.scale = scale
            Cube.seen.append(tuple(ctx.needs_input_grad))
            return x**3 * scale + other

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            x, other = ctx.saved_tensors
            return ct * 3 * x**2 * ctx.scale, None, ct * 2 if other.sum() > -1e9 else None

    return Cube


def halves(base: Any) -> Any:
    """Two outputs and a mask that carries no gradient; the gradients are wrong on purpose."""

    class Halves(base):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            mask = x > 0
            ctx.mark_non_differentiable(mask)
            ctx.save_for_backward(mask)
            return x / 2, x * 2, mask

        @staticmethod
        def backward(ctx: Any, a: Any, b: Any, unused: Any) -> Any:
            (mask,) = ctx.saved_tensors
            return a * 10 + b * 100 + mask * 1.0 + unused.sum() * 0

    return Halves


def straight_through(base: Any) -> Any:
    """Rounds, and lets gradients pass."""

    class StraightThrough(base):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x.round()

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            return ct

    return StraightThrough


BASES = (cr.Function, torch.autograd.Function)


def test_functions_with_a_rule_of_their_own_agree() -> None:
    (x, c), (z, d) = both("cube", (3,), (3,), grad=True)
    mine, judge = (cube(base) for base in BASES)
    y, judged = mine.apply(x, 0.5, c), judge.apply(z, 0.5, d)
    same(y, judged, "cube")
    assert y.requires_grad
    assert not y.is_leaf
    assert mine.seen == judge.seen
    w = rng_for("cube ct").normal(size=3)
    gs = cr.gradients(y, [x, c], cr.Tensor(w), create_graph=True)
    hs = torch.autograd.grad(judged, [z, d], torch.from_numpy(np.array(w)), create_graph=True)
    for g, h in zip(gs, hs, strict=True):
        same(g, h, "cube gradient")
    (g,) = cr.gradients((gs[0] * gs[0]).sum(), [x])
    (h,) = torch.autograd.grad((hs[0] * hs[0]).sum(), [z])
    same(g, h, "cube second derivative")
    mine.apply(x.detach(), 1.0, c)
    judge.apply(z.detach(), 1.0, d)
    assert mine.seen == judge.seen
    assert not mine.apply(x.detach(), 1.0, c.detach()).requires_grad


@pytest.mark.parametrize("used", [(0,), (1,), (0, 1)])
def test_functions_with_several_outputs_agree(used: tuple[int, ...]) -> None:
    (x,), (z,) = both("halves", (4,), grad=True)
    sides = []
    for base, leaf in zip(BASES, (x, z), strict=True):
        outs = halves(base).apply(leaf * 1.5)
        assert [o.requires_grad for o in outs] == [True, True, False]
        sum((outs[i] * outs[i]).sum() for i in used).backward()
        sides.append(outs)
    for y, judged in zip(*sides, strict=True):
        same(y, judged, "halves")
    same(x.grad, z.grad, "halves gradient")


def test_straight_through_estimators_agree() -> None:
    (x,), (z,) = both("straight", (5,), grad=True)
    for base, leaf in zip(BASES, (x, z), strict=True):
        (straight_through(base).apply(leaf * 3) ** 2).sum().backward()
    same(x.grad, z.grad, "straight through")


def test_checkpointing_agrees() -> None:
    xs, zs = both("checkpoint", (3, 4), (4, 4), grad=True)

    def part(m: Any, x: Any, w: Any) -> Any:
        return m.tanh(x @ w), (x * x).sum()

    y, s = cr.checkpoint(lambda x, w: part(cr, x, w), *xs)
    (y.sum() * s).backward()
    y, s = torch_checkpoint(lambda x, w: part(torch, x, w), *zs, use_reentrant=False)
    (y.sum() * s).backward()
    for x, z in zip(xs, zs, strict=True):
        same(x.grad, z.grad, "checkpoint")


# Hooks --------------------------------------------------------------------------------------------


def hooked(m: Any, x: Any, w: Any, retained: str) -> tuple[list[Any], list[Any]]:
    """A branching graph with hooks; what they saw, and the gradients that were kept."""
    seen: list[Any] = []

    def note(name: str, factor: float | None = None) -> Any:
        def hook(gradient: Any) -> Any:
            seen.append((name, numbers(gradient).round(9).tolist()))
            return None if factor is None else gradient * factor

        return hook

    a = x * w
    b = m.tanh(a)
    c = b * a
    d = c + b
    if retained == "before":
        a.retain_grad()
        b.retain_grad()
    x.register_hook(note("x", 2.0))
    w.register_hook(note("w"))
    a.register_hook(note("a first", 0.5))
    a.register_hook(note("a second"))
    removed = b.register_hook(note("never"))
    b.register_hook(note("b", -1.0))
    c.register_hook(note("c"))
    d.register_hook(note("d", 3.0))
    removed.remove()
    removed.remove()
    if retained == "after":
        a.retain_grad()
        b.retain_grad()
    loss = (d * d).sum()
    loss.register_hook(note("loss", 1.5))
    loss.retain_grad()
    loss.backward()
    return seen, [x.grad, w.grad, loss.grad, *([a.grad, b.grad] if retained != "never" else [])]


@pytest.mark.parametrize("retained", ["never", "before", "after"])
def test_hooks_of_tensors_see_the_same_in_the_same_order(retained: str) -> None:
    xs, zs = both("hooks", (2, 3), (3,), grad=True)
    seen, grads = hooked(cr, *xs, retained)
    judged, judged_grads = hooked(torch, *zs, retained)
    # torch reaches a leaf as soon as it can, chainrule leaves after all that was computed; hooks of
    # computed tensors, and those of one tensor, run in the same order in both.
    assert sorted(seen) == sorted(judged)
    assert [s for s in seen if s[0] not in "xw"] == [s for s in judged if s[0] not in "xw"]
    TALLY.checks += len(seen)
    for i, (g, h) in enumerate(zip(grads, judged_grads, strict=True)):
        same(g, h, f"kept gradient {i}, retained {retained}")


# Bookkeeping --------------------------------------------------------------------------------------


def test_gradients_accumulate_alike() -> None:
    xs, zs = both("accumulate", (3,), (3,), grad=True)
    for m, (x, w) in ((cr, xs), (torch, zs)):
        y = (m.sin(x) * w).sum()
        y.backward(retain_graph=True)
        y.backward()
        assert y.grad is None if m is cr else True
        (x * x).backward(w.detach())
        m.exp(x[1]).backward()
        x.grad *= 2
        (w[0] * 3).backward()
    for x, z in zip(xs, zs, strict=True):
        same(x.grad, z.grad, "accumulated")


def test_gradients_of_intermediate_and_unused_tensors_agree() -> None:
    xs, zs = both("grad", (3,), (3,), (2,), grad=True)
    found = []
    for m, grad, (x, w, unused) in (
        (cr, cr.gradients, xs),
        (torch, torch.autograd.grad, zs),
    ):
        a = x * w
        b = m.tanh(a) * x
        gs = grad([b.sum(), (a * a).sum()], [a, x, unused], allow_unused=True, retain_graph=True)
        hs = grad([b, a], [w, b], [a.detach(), b.detach()])
        assert gs[2] is None
        assert x.grad is None
        found.append([*gs[:2], *hs])
    for i, (g, h) in enumerate(zip(*found, strict=True)):
        same(g, h, f"gradient of an intermediate tensor {i}")


def test_a_tensor_asked_for_stays_usable() -> None:
    """The walk ends at what is wanted: its own residuals are neither needed nor freed."""
    (x,), (z,) = both("usable", (3,), grad=True)
    found = []
    for m, grad, leaf in ((cr, cr.gradients, x), (torch, torch.autograd.grad, z)):
        a = m.sin(leaf) * leaf
        (first,) = grad((a * a).sum(), a)
        a.sum().backward()
        (second,) = grad((a * a * a).sum(), a)
        found.append((first, second, leaf.grad))
    for g, h in zip(*found, strict=True):
        same(g, h, "gradients at a computed tensor")


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph:UserWarning")
def test_gradients_of_gradients_can_be_used_in_a_loss() -> None:
    """A gradient penalty: backward through backward into grad."""
    xs, zs = both("penalty", (4, 3), (3, 5), (5,), grad=True)
    for m, grad, (x, w, v) in ((cr, cr.gradients, xs), (torch, torch.autograd.grad, zs)):
        score = (m.tanh(x @ w) @ v).sum()
        (slope,) = grad(score, x, create_graph=True)
        ((slope.norm(2, 1) - 1) ** 2).mean().backward(retain_graph=True)
        score.backward(create_graph=True)
        w.grad.square().sum().backward()
    for i, (x, z) in enumerate(zip(xs, zs, strict=True)):
        same(x.grad, z.grad, f"gradient penalty {i}")


FLAGS: dict[str, Written] = {
    "leaf": lambda m, x: x, "computed": lambda m, x: x * 2, "detached": lambda m, x: x.detach(),
    "from detached": lambda m, x: x.detach() * 2, "clone": lambda m, x: x.clone(),
    "comparison": lambda m, x: x > 0, "index": lambda m, x: x.argmax(),
    "sorted": lambda m, x: x.sort()[0], "sorted places": lambda m, x: x.sort()[1],
    "integer": lambda m, x: x.long(), "mixed": lambda m, x: x.detach() + x,
    "again": lambda m, x: x.detach().requires_grad_(), "data": lambda m, x: x.data,
    "data used": lambda m, x: x.data * 3,
    "off and on": lambda m, x: x.clone().detach().requires_grad_() * 2,
}  # fmt: skip


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("recording", [True, False])
def test_tensors_want_gradients_alike(name: str, recording: bool) -> None:
    (x,), (z,) = both("flags", (3,), grad=True)
    with cr.set_grad_enabled(recording), torch.set_grad_enabled(recording):
        y, judged = FLAGS[name](cr, x), FLAGS[name](torch, z)
        assert cr.is_grad_enabled() == torch.is_grad_enabled()
    assert (y.requires_grad, y.is_leaf) == (judged.requires_grad, judged.is_leaf)
    assert (y.grad_fn is None) == (judged.grad_fn is None)
    TALLY.checks += 1


MISTAKES: dict[str, Written] = {
    "backward of a vector": lambda m, x: (x * 2).backward(),
    "backward of a constant": lambda m, x: x.detach().sum().backward(),
    "backward twice": lambda m, x: _twice((x * x).sum()),
    "direction of another shape": lambda m, x: (x * 2).backward(x[:2].detach()),
    "leaf changed in place": lambda m, x: x.mul_(2),
    "assignment into a leaf": lambda m, x: x.__setitem__(0, 1.0),
    "a gradient of integers": lambda m, x: x.long().requires_grad_(),
    "numpy of a recorded tensor": lambda m, x: (x * 2).numpy(),
    "retain_grad of a constant": lambda m, x: x.detach().retain_grad(),
    "a hook on a constant": lambda m, x: x.detach().register_hook(print),
    "item of several": lambda m, x: x.item(), "truth of several": lambda m, x: bool(x > 0),
}  # fmt: skip


def _twice(y: Any) -> None:
    y.backward()
    y.backward()


@pytest.mark.parametrize("name", MISTAKES)
def test_what_is_a_mistake_there_is_one_here(name: str) -> None:
    (x,), (z,) = both("mistakes", (3,), grad=True)
    with pytest.raises((RuntimeError, ValueError, TypeError)):
        MISTAKES[name](torch, z)
    with pytest.raises(cr.errors.ChainruleError):
        MISTAKES[name](cr, x)
    TALLY.checks += 1
