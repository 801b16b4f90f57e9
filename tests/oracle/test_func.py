"""Function transforms against torch.func: per-sample gradients, nested maps, Jacobians."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import chainrule as cr
from chainrule import func

from .compare import rng_for, same

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")

Program = Callable[[Any, Any, Any, Any], Any]


def net(lib: Any, p: Any, x: Any) -> Any:
    """A small network on one example."""
    return lib.tanh(x @ p["w1"] + p["b"]) @ p["w2"]


def loss(lib: Any) -> Any:
    return lambda p, x, y: ((net(lib, p, x) - y) ** 2).sum()


def clipped(lib: Any, g: Any) -> Any:
    """A gradient of norm one at most."""
    return g / lib.clamp((g**2).sum() ** 0.5, min=1.0)


PROGRAMS: dict[str, Program] = {
    "per-sample gradients": lambda f, lib, p, x: f.vmap(f.grad(loss(lib)), in_dims=(None, 0, 0))(
        p, x, x[:, :2]),
    "gradients and values": lambda f, lib, p, x: f.vmap(
        f.grad_and_value(loss(lib)), in_dims=(None, 0, None))(p, x, x[0, :2]),
    "Jacobians of examples": lambda f, lib, p, x: f.vmap(
        f.jacrev(lambda r: net(lib, p, r)), out_dims=1)(x),
    "forward Jacobians": lambda f, lib, p, x: f.vmap(f.jacfwd(lambda r: net(lib, p, r)))(x),
    "Jacobians of parameters": lambda f, lib, p, x: f.jacrev(lambda p: net(lib, p, x))(p),
    "Hessians of examples": lambda f, lib, p, x: f.vmap(
        f.hessian(lambda r: net(lib, p, r).sum()))(x),
    "Hessian of parameters": lambda f, lib, p, x: f.hessian(
        lambda w: net(lib, {**p, "w2": w}, x[0]).prod())(p["w2"]),
    "nested maps": lambda f, lib, p, x: f.vmap(
        f.vmap(lambda a, b: lib.exp(a) * b, in_dims=(0, None)), in_dims=(None, 1), out_dims=2)(
        x[0], x),
    "tangents": lambda f, lib, p, x: f.jvp(
        lambda x: f.vmap(lambda r: net(lib, p, r))(x), (x,), (x * 2,)),
    "gradient through a map": lambda f, lib, p, x: f.grad(
        lambda p: f.vmap(lambda r: net(lib, p, r).prod())(x).sum())(p),
    "products by vjp": lambda f, lib, p, x: f.vmap(
        f.vjp(lambda r: net(lib, p, r), x[0])[1])(x[:, :2] * 1.0),
    "aux": lambda f, lib, p, x: f.vmap(
        f.grad(lambda r: (lib.sin(r).sum(), r * 2), has_aux=True))(x),
    "per-sample clipping": lambda f, lib, p, x: f.vmap(
        lambda r: clipped(lib, f.grad(lambda r: net(lib, p, r).sum())(r)))(x),
}  # fmt: skip


def leaves(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [x for key in sorted(tree) for x in leaves(tree[key])]
    return [x for part in tree for x in leaves(part)] if isinstance(tree, (tuple, list)) else [tree]


class Ours:
    """chainrule with the one of torch's names that differs."""

    def __getattr__(self, name: str) -> Any:
        return getattr(cr, {"clamp": "clip"}.get(name, name))


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_of_transforms_agree(name: str, compiled: bool) -> None:
    rng = rng_for(name)
    arrays = {"w1": rng.normal(size=(3, 4)), "b": rng.normal(size=4), "w2": rng.normal(size=(4, 2))}
    x = rng.normal(size=(5, 3))
    wanted = PROGRAMS[name](
        torch.func, torch, {k: torch.tensor(v) for k, v in arrays.items()}, torch.tensor(x)
    )

    def run(p: Any, x: Any) -> Any:
        return PROGRAMS[name](func, Ours(), p, x)

    mine = cr.compile(run) if compiled else run
    found = mine({k: cr.Tensor(v) for k, v in arrays.items()}, cr.Tensor(x))
    for a, b in zip(leaves(found), leaves(wanted), strict=True):
        same(a, b, name)


def test_ensembles_agree() -> None:
    nets = [torch.nn.Linear(3, 2).double() for _ in range(4)]
    mine = [cr.nn.Linear(3, 2).double() for _ in range(4)]
    for ours, theirs in zip(mine, nets, strict=True):
        ours.load_state_dict({k: cr.Tensor(v.numpy(force=True)) for k, v in
                              theirs.state_dict().items()})  # fmt: skip
    x = np.linspace(-1, 1, 15).reshape(5, 3)
    outs = []
    for f, models, tensor in ((func, mine, cr.Tensor), (torch.func, nets, torch.tensor)):
        params, buffers = f.stack_module_state(models)
        base = models[0]

        def one(p: Any, b: Any, x: Any, f: Any = f, base: Any = base) -> Any:
            return f.functional_call(base, (p, b), (x,))

        outs.append(f.vmap(one, in_dims=(0, 0, None))(params, buffers, tensor(x)))
    same(outs[0], outs[1], "ensemble")
