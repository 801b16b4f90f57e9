"""Trading time for memory: recompute a part of the network in backward instead of keeping it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..core.apply import user_site
from ..core.aval import Aval, Data, describe
from ..core.op import INPUTS, Active, Cotangents, Op
from ..core.value import Node, describe_site, item, make_leaf, moment, recording, tape
from ..engine.forward import push
from ..engine.reverse import sweep
from ..errors import GradientError
from ..ops.draws import logged_draws, repeated_draws
from ..ops.movement import identity
from ..tensor import Tensor
from .custom import constant, snapshot
from .trees import map_tensors, tensors_in


def checkpoint(fn: Callable[..., Any], *xs: Any, **kwargs: Any) -> Any:
    """``fn(*xs, **kwargs)``, keeping only its inputs: backward computes the rest again.

    Tensors may come in nested tuples, lists and dicts, as arguments and as results. Gradients also
    reach what `fn` closes over, such as the weights of a module. Random numbers (dropout) are the
    same in both runs. Chen et al. 2016, Training deep nets with sublinear memory cost. Second
    derivatives and forward mode work too: they differentiate the recomputation.

    Backward raises GradientError if something that `fn` closes over was changed in between, or if
    `fn` does not compute the same again.

    >>> x = tensor(2.0, requires_grad=True)
    >>> checkpoint(lambda x: (x * x).exp(), x).backward()
    >>> x.grad
    tensor(218.3926)
    """
    if not tape.recording:
        return fn(*xs, **kwargs)
    given = (xs, kwargs)
    inputs = [snapshot(x) for x in tensors_in(given)]
    start = moment()
    leaves = [_leaf(x) for x in inputs]
    passed = [
        x if leaf.node is None else identity(leaf)
        for x, leaf in zip(tensors_in(given), leaves, strict=True)
    ]
    with logged_draws() as draws:
        out = _run(fn, given, passed)
    outs = tensors_in(out)
    roots = [y.node for y in outs if y.node is not None]
    if not roots:
        return out
    run = _Run(
        fn, map_tensors(constant, given), inputs,
        [_Outside(node) for node in _outside(start, roots, leaves)], draws, user_site(),
    )  # fmt: skip
    parents = [*[x.node for x in inputs], *[known.node for known in run.closed_over]]
    avals = tuple(Aval(y.shape, y.dtype) for y in outs)
    op = _Recompute(outputs=avals, single=isinstance(out, Tensor))
    shape, dtype = (avals[0].shape, avals[0].dtype) if op.single else (None, None)
    residuals = [*[None] * len(parents), run]
    node = Node(op, [*parents, None], residuals, None, shape, dtype, run.site, tape.scope)
    if op.single:
        return Tensor.wrap(out.array, node)
    results = iter(
        [
            y if y.node is None else Tensor.wrap(y.array, item(node, i, y))
            for i, y in enumerate(outs)
        ]
    )
    return map_tensors(lambda _: next(results), out)


class _Outside:
    """A node that a checkpointed function closes over, with the leaf's array of that time."""

    def __init__(self, node: Node) -> None:
        self.node = node
        leaf = self.leaf
        self._array = None if leaf is None else leaf.array

    @property
    def leaf(self) -> Any:
        """The tensor of a leaf, while it is alive."""
        if self.node.op is not None or self.node.variable is None:
            return None
        return self.node.variable()

    @property
    def is_changed(self) -> bool:
        """Whether the leaf has another array by now."""
        leaf = self.leaf
        return leaf is not None and leaf.array is not self._array

    @property
    def is_gone(self) -> bool:
        """Whether nobody holds the leaf any more, so that nobody waits for its gradient."""
        return self.node.op is None and self.leaf is None


class _Run(NamedTuple):
    """All that is needed to run a checkpointed function again."""

    fn: Callable[..., Any]
    given: Any
    inputs: Sequence[Tensor]
    closed_over: Sequence[_Outside]
    draws: Sequence[Any]
    site: tuple[CodeType, int]

    def again(self, outputs: Sequence[Aval]) -> tuple[list[Tensor], list[Node | None]]:
        """The outputs of a new run, and its nodes for the inputs and for what is closed over.

        In a walk that is recorded, the run is connected to where its inputs came from.
        """
        for known in self.closed_over:
            if known.is_changed:
                raise self._refusal("was changed before backward", describe(known.leaf))
        leaves = [identity(x) if tape.recording else _leaf(x) for x in self.inputs]
        start = moment()
        with recording(True):
            passed = [identity(leaf) for leaf in leaves]
        with repeated_draws(self.draws):
            outs = tensors_in(_run(self.fn, self.given, passed))
        if [(y.shape, y.dtype) for y in outs] != [(y.shape, y.dtype) for y in outputs]:
            raise GradientError(
                "a checkpointed function returned something else when it ran again",
                expected="   ".join(describe(y) for y in outputs),
                got="   ".join(describe(y) for y in outs),
                at=describe_site(*self.site),
            )
        roots = [y.node for y in outs if y.node is not None]
        expected = {known.node for known in self.closed_over}
        found = {node for node in _outside(start, roots, leaves) if node.order < start}
        lost = {known.node for known in self.closed_over if not known.is_gone} - found
        if found - expected or lost:
            raise self._refusal("is not the same when it runs again", None)
        nodes = [leaf.node for leaf in leaves]
        return outs, [*nodes, *[known.node for known in self.closed_over], None]

    def _refusal(self, what: str, got: str | None) -> GradientError:
        return GradientError(
            f"what a checkpointed function closes over {what}",
            got=got,
            at=describe_site(*self.site),
            hint="call backward() before optimizer.step(); pass computed tensors as arguments",
        )


class _Recompute(Op, abstract=True, name="checkpoint"):
    """A checkpointed call on the tape; what its node keeps is a ``_Run``, which has no parent."""

    needs = INPUTS
    interned: ClassVar[bool] = False

    outputs: Any
    single: bool

    @property
    def n_out(self) -> int | None:  # type: ignore[override]  # as many as fn returned
        """Number of tensors in what the function returned, unless it returned just one."""
        return None if self.single else len(self.outputs)

    def infer(self, *xs: Any) -> Aval | tuple[Aval, ...]:
        return self.outputs[0] if self.single else self.outputs  # type: ignore[no-any-return]

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        outs, nodes = xs[-1].again(self.outputs)
        seeds = [
            (o.node, c)
            for o, c in zip(outs, [ct] if self.single else ct, strict=True)
            if o.node is not None and c is not None
        ]
        wanted = {n for n, a in zip(nodes, active, strict=True) if n is not None and a is not None}
        found = sweep(
            [node for node, _ in seeds],
            [c for _, c in seeds],
            value_class=Tensor,
            wanted=wanted,
            boundary={node for node in nodes if node is not None},
            create_graph=tape.recording,
        )
        return [None if node is None else found.get(node) for node in nodes]

    def jvp(self, dxs: Sequence[Data | None], xs: Sequence[Data], y: Data) -> Data:
        outs, nodes = xs[-1].again(self.outputs)
        roots = [o.node for o in outs if o.node is not None]
        tangents = {
            node: dx
            for node, dx in zip(nodes, dxs, strict=True)
            if node is not None and dx is not None
        }
        pushed = iter(push(roots, tangents, value_class=Tensor, create_graph=tape.recording))
        dys = [None if o.node is None else next(pushed) for o in outs]
        filled = [
            np.zeros(o.shape, o.dtype) if dy is None else dy
            for o, dy in zip(outs, dys, strict=True)
        ]
        return filled[0] if self.single else tuple(filled)


def _leaf(x: Tensor) -> Tensor:
    """A cell of its own with the array of `x`, a leaf if `x` wants a gradient."""
    leaf = constant(x)
    if x.node is not None:
        make_leaf(leaf)
    return leaf


def _run(fn: Callable[..., Any], given: Any, passed: Sequence[Tensor]) -> Any:
    """``fn``, recorded, with the tensors among its arguments replaced."""
    tensors = iter(passed)
    with recording(True):
        args, kwargs = map_tensors(lambda _: next(tensors), given)
        return fn(*args, **kwargs)


def _outside(start: int, roots: Sequence[Node], leaves: Sequence[Tensor]) -> list[Node]:
    """What the roots reach besides the `leaves` of the run, in order of creation.

    These are nodes from before `start`, and new leaves that outlive the run: parameters that a
    module makes when it first sees its input.
    """
    outside: set[Node] = set()
    seen = {leaf.node for leaf in leaves if leaf.node is not None}
    stack = [root for root in roots if root not in seen]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node.order < start or (node.op is None and not _Outside(node).is_gone):
            outside.add(node)
            continue
        stack.extend(parent for parent in node.parents if parent is not None)
    return sorted(outside, key=lambda node: node.order)
