"""Wrong rules, made from right ones: each takes an op class and returns a broken subclass of it.

Subclasses are abstract, so they enter no registry. A plant that changes nothing (minus zero, a swap
of equal terms) is not wrong; ``differs`` finds those, so that they are not counted.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from chainrule.core.aval import Aval
from chainrule.core.families import Bilinear, Elementwise, Linear
from chainrule.core.op import NOTHING, Needs, Op
from chainrule.core.sampling import Sample
from chainrule.core.value import Value
from chainrule.ops import movement
from chainrule.testing.cases import Case, OpProgram
from chainrule.testing.contract import close
from chainrule.testing.program import GradientOf
from chainrule.testing.sampling import direction

Namespace = dict[str, Any]


class Plant(NamedTuple):
    """A broken op class, and what is wrong with it."""

    cls: type[Op]
    fault: str
    declared: bool
    """Whether what the op declares (not what its rules compute) is wrong."""


def plants(cls: type[Op]) -> Iterator[Plant]:
    """Every wrong version of an op that applies to its family."""
    if not cls.differentiable:
        return
    for fault, change in GRADIENT_FAULTS.items():
        yield _plant(cls, fault, {"vjp": _with_changed_gradients(cls, change)})
    for fault, change in COTANGENT_FAULTS.items():
        yield _plant(cls, fault, {"vjp": _with_changed_cotangent(cls, change)})
    yield _plant(cls, "residuals of the first call", {"vjp": _with_stale_residuals(cls)})
    yield _plant(cls, "constant derivative", {"vjp": _with_detached_residuals(cls)})
    if cls.needs != NOTHING:
        yield _plant(cls, "needs nothing", {"needs": NOTHING})
        yield _plant(cls, "needs the wrong input", {"needs": Needs(inputs=(7,))})
    if cls.jvp is not Op.jvp:
        yield _plant(cls, "tangent negated", {"jvp": _with_changed_tangent(cls, lambda dy: -dy)})
        yield _plant(
            cls, "tangent doubled", {"jvp": _with_changed_tangent(cls, lambda dy: 2.0 * dy)}
        )
    yield from _declarations(cls)
    if issubclass(cls, Elementwise):
        yield _plant(cls, "partial of the wrong input", {"partial": _with_wrong_partial(cls)})
    if issubclass(cls, Bilinear):
        yield _plant(cls, "transposes exchanged", {"transpose": _with_wrong_transpose(cls)})
    if issubclass(cls, Linear | Bilinear):
        scaled = _with_changed_forward(cls, lambda y: y * 1.001)
        yield _plant(cls, "forward scaled", {"forward": scaled})


def _plant(cls: type[Op], fault: str, namespace: Namespace, declared: bool = False) -> Plant:
    broken = type(cls)(
        cls.__name__, (cls,), {"__doc__": fault, **namespace}, abstract=True, name=cls.name
    )
    return Plant(broken, fault, declared)


def _declarations(cls: type[Op]) -> Iterator[Plant]:
    """Wrong declarations: the shape rule, the formulas."""

    def longer(self: Op, *xs: Any) -> Any:
        said = cls.infer(self, *xs)
        first = said if isinstance(said, Aval) else said[0]
        wrong = Aval((*first.shape, 1), first.dtype)
        return wrong if isinstance(said, Aval) else (wrong, *said[1:])

    def single(self: Op, *xs: Any) -> Any:
        said = cls.infer(self, *xs)
        first = said if isinstance(said, Aval) else said[0]
        wrong = Aval(first.shape, np.dtype(np.float16))
        return wrong if isinstance(said, Aval) else (wrong, *said[1:])

    yield _plant(cls, "shape rule: one axis more", {"infer": longer}, True)
    yield _plant(cls, "shape rule: wrong dtype", {"infer": single}, True)
    if issubclass(cls, Elementwise) and cls.expr:
        yield _plant(cls, "expr off by 1e-6", {"expr": f"({cls.expr}) + 0.000001"}, True)
        doubled = tuple(f"2 * ({text}) + 0.001" for text in cls.math)
        yield _plant(cls, "local formula doubled", {"math": doubled}, True)


# What can be wrong with the gradients that a rule returns -----------------------------------------


def _first(change: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    """Change the first gradient that there is."""

    def changed(grads: list[Any]) -> list[Any]:
        for i, g in enumerate(grads):
            if g is not None:
                return [*grads[:i], change(g), *grads[i + 1 :]]
        return grads

    return changed


def _last_missing(grads: list[Any]) -> list[Any]:
    last = max((i for i, g in enumerate(grads) if g is not None), default=0)
    return [None if i == last else g for i, g in enumerate(grads)]


def _swapped(grads: list[Any]) -> list[Any]:
    present = [i for i, g in enumerate(grads) if g is not None]
    if len(present) < 2 or grads[present[0]].shape != grads[present[1]].shape:
        return grads
    a, b = present[:2]
    grads[a], grads[b] = grads[b], grads[a]
    return grads


def _shifted(g: Any) -> Any:
    """Off by one along the last axis."""
    if g.ndim == 0 or g.shape[-1] < 2:
        return g
    order = [g.shape[-1] - 1, *range(g.shape[-1] - 1)]
    return movement.permute(movement.permute(g, _last_first(g.ndim))[order], _first_last(g.ndim))


def _last_first(ndim: int) -> tuple[int, ...]:
    return (ndim - 1, *range(ndim - 1))


def _first_last(ndim: int) -> tuple[int, ...]:
    return (*range(1, ndim), 0)


def _transposed(g: Any) -> Any:
    if g.ndim < 2 or g.shape[-1] != g.shape[-2]:
        return g
    return movement.transpose(g, -1, -2)


def _one_element(g: Any) -> Any:
    """One element wrong by one per cent."""
    if 0 in g.shape:
        return g
    factor = np.ones(g.shape)
    factor[(0,) * g.ndim] = 1.01
    return g * factor


def _first_of_axis(g: Any) -> Any:
    """One slice instead of all along the first axis: what a missing sum over a batch amounts to."""
    if g.ndim == 0 or g.shape[0] < 2:
        return g
    mask = np.zeros(g.shape)
    mask[0] = 1.0
    return g * mask


def _rounded(g: Any) -> Any:
    return movement.cast(movement.cast(g, np.float32), np.float64) if g.dtype == np.float64 else g


GRADIENT_FAULTS: dict[str, Callable[[list[Any]], list[Any]]] = {
    "sign flipped": _first(lambda g: -g),
    "factor two": _first(lambda g: 2.0 * g),
    "wrong by one per mille": _first(lambda g: 1.001 * g),
    "absolute value": _first(abs),
    "off by a constant": _first(lambda g: g + 0.001),
    "last gradient missing": _last_missing,
    "gradients exchanged": _swapped,
    "shifted by one": _first(_shifted),
    "transposed": _first(_transposed),
    "one element wrong": _first(_one_element),
    "one slice of a sum": _first(_first_of_axis),
    "rounded to float32": _first(_rounded),
}

COTANGENT_FAULTS: dict[str, Callable[[Any], Any]] = {
    "cotangent taken as ones": lambda ct: ct * 0.0 + 1.0,
    "cotangent squared": lambda ct: ct * abs(ct),
    "cotangent shifted by one": _shifted,
}


def _with_changed_gradients(cls: type[Op], change: Callable[[list[Any]], list[Any]]) -> Any:
    def vjp(self: Op, ct: Any, xs: Any, y: Any, active: Any) -> Any:
        grads = cls.vjp(self, ct, xs, y, active)
        return change([None if a is None else g for g, a in zip(grads, active, strict=True)])

    return vjp


def _with_changed_cotangent(cls: type[Op], change: Callable[[Any], Any]) -> Any:
    def vjp(self: Op, ct: Any, xs: Any, y: Any, active: Any) -> Any:
        ct = [None if c is None else change(c) for c in ct] if isinstance(ct, list) else change(ct)
        return cls.vjp(self, ct, xs, y, active)

    return vjp


def _with_stale_residuals(cls: type[Op]) -> Any:
    kept: dict[Any, Any] = {}

    def vjp(self: Op, ct: Any, xs: Any, y: Any, active: Any) -> Any:
        key = tuple((getattr(x, "shape", ()), getattr(x, "dtype", None)) for x in xs)
        if all(not isinstance(x, Value) for x in xs):
            xs, y = kept.setdefault((self, key), (list(xs), y))
        return cls.vjp(self, ct, xs, y, active)

    return vjp


def _with_detached_residuals(cls: type[Op]) -> Any:
    def detached(x: Any) -> Any:
        if isinstance(x, tuple):
            return tuple(detached(part) for part in x)
        return x.detach() if isinstance(x, Value) else x

    def vjp(self: Op, ct: Any, xs: Any, y: Any, active: Any) -> Any:
        return cls.vjp(self, ct, [detached(x) for x in xs], detached(y), active)

    return vjp


def _with_changed_tangent(cls: type[Op], change: Callable[[Any], Any]) -> Any:
    def jvp(self: Op, dxs: Any, xs: Any, y: Any) -> Any:
        dy = cls.jvp(self, dxs, xs, y)
        if isinstance(dy, tuple):
            return tuple(None if part is None else change(part) for part in dy)
        return None if dy is None else change(dy)

    return jvp


def _with_changed_forward(cls: type[Op], change: Callable[[Any], Any]) -> Any:
    def forward(self: Op, *xs: Any) -> Any:
        y = cls.forward(self, *xs)
        return (change(y[0]), *y[1:]) if isinstance(y, tuple) else change(y)

    return forward


def _with_wrong_partial(cls: type[Elementwise]) -> Any:
    def partial(self: Elementwise, i: int, xs: Any, y: Any) -> Any:
        return cls.partial(self, len(xs) - 1 - i, xs, y)

    return partial


def _with_wrong_transpose(cls: type[Bilinear]) -> Any:
    def transpose(self: Bilinear, i: int, ct: Any, xs: Any) -> Any:
        return cls.transpose(self, 1 - i, ct, xs)

    return transpose


# Whether a plant is wrong at all ------------------------------------------------------------------


def differs(plant: Plant, sample: Sample, seed: int) -> bool:
    """Whether the plant computes something else than the op it was made from, on this sample."""
    right = Case(sample, seed)
    if not right.wrt:
        return False
    if plant.declared:
        return True
    try:
        _ = Case(planted_sample(plant, sample), seed + 1).grads
        return _differs(right, Case(planted_sample(plant, sample), seed))
    except Exception:  # noqa: BLE001  a plant may raise anything: it differs
        return True


def _differs(right: Case, wrong: Case) -> bool:
    if any(close(a, b, 1e-9) for a, b in zip(wrong.outs, right.outs, strict=True)):
        return True
    if isinstance(right.op, Elementwise) and isinstance(wrong.op, Elementwise):
        for i in right.wrt:
            local = (c.op.partial(i, c.inputs, c.outs[0]) for c in (wrong, right))
            if close(*(np.broadcast_to(d, right.outs[0].shape) for d in local), 1e-9):
                return True
    pushed = (c.push(c.inputs, right.dxs) for c in (wrong, right))
    if any(close(a, b, 1e-9) for a, b in zip(*pushed, strict=True)):
        return True
    for i in right.wrt:
        alone = wrong.pull(wrong.inputs, wrong.cts, [i])[i]
        scale = float(np.abs(right.grads[i]).max(initial=0.0))
        if any(close(g, right.grads[i], 1e-9, scale) for g in (wrong.grads[i], alone)):
            return True
        dx = {i: right.dxs[i]}
        pushed = zip(wrong.push(wrong.inputs, dx), right.push(right.inputs, dx), strict=True)
        if any(close(a, b, 1e-9) for a, b in pushed):
            return True
    if right.op.once:
        return False
    return any(close(a, b, 1e-9) for a, b in zip(_second(wrong), _second(right), strict=True))


def _second(case: Case) -> list[Any]:
    program = GradientOf(OpProgram(case), case.float_cts)
    rng = np.random.default_rng(5)
    us = [direction(x, rng) for x in program.arrays[: len(case.wrt)]]
    found = program.pull(program.arrays, us)
    return [
        np.zeros(x.shape) if g is None else g for g, x in zip(found, program.arrays, strict=True)
    ]


def planted_sample(plant: Plant, sample: Sample) -> Sample:
    """The sample with the broken op in place of the right one."""
    return Sample(plant.cls(*sample.op.parameters), sample.inputs)


# Faults in the source of a rule -------------------------------------------------------------------


def source_plants(cls: type[Op]) -> Iterator[Plant]:
    """Broken versions of an op, each with one token of a rule's source changed."""
    for name in ("partial", "slope", "vjp", "transpose", "jvp"):
        method = cls.__dict__.get(name)
        if inspect.isfunction(method):
            yield from _mutants(cls, name, method)


def _mutants(cls: type[Op], name: str, method: Any) -> Iterator[Plant]:
    source = textwrap.dedent(inspect.getsource(method))
    sites = sum(1 for _ in _sites(ast.parse(source)))
    for k in range(sites):
        tree = ast.parse(source)
        node, change = next(itertools.islice(_sites(tree), k, None))
        before = ast.unparse(node)
        change()
        after = ast.unparse(node)
        space: Namespace = {"__class__": cls}
        code = compile(ast.fix_missing_locations(tree), f"<planted {cls.name}>", "exec")
        exec(code, method.__globals__ | space, space)
        yield _plant(cls, f"{name}: {before} became {after}", {name: space[name]})


_OTHER_OPERATOR: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
}  # fmt: skip
_OTHER_COMPARISON: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.Gt, ast.GtE: ast.Lt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}  # fmt: skip


def _sites(tree: ast.AST) -> Iterator[tuple[ast.AST, Callable[[], None]]]:
    """The places where one token can be changed, each with the change."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and type(node.op) in _OTHER_OPERATOR:
            yield node, lambda n=node: setattr(n, "op", _OTHER_OPERATOR[type(n.op)]())
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            yield node, lambda n=node: setattr(n, "op", ast.UAdd())
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            yield node, lambda n=node: setattr(n, "value", n.value + 1)
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in _OTHER_COMPARISON:
            yield node, lambda n=node: setattr(n, "ops", [_OTHER_COMPARISON[type(n.ops[0])]()])
