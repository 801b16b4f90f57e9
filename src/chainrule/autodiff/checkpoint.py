"""Trading time for memory: recompute a part of the network in backward instead of keeping it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ..core.aval import Aval, Data
from ..core.op import NOTHING, Active, Cotangents, Op
from ..core.value import Node, item, make_leaf, recording, tape
from ..engine.reverse import sweep
from ..ops.random import default_generator
from ..tensor import Tensor


def checkpoint(fn: Callable[..., Any], *xs: Any) -> Any:
    """``fn(*xs)``, keeping only its inputs: what lies between is computed again in backward.

    Gradients also reach what `fn` closes over, such as the weights of a module. Random numbers
    (dropout) are the same in both runs. Chen et al. 2016, Training deep nets with sublinear memory
    cost. Second derivatives work too: a recorded backward pass differentiates the recomputation.

    >>> x = tensor(2.0, requires_grad=True)
    >>> checkpoint(lambda x: (x * x).exp(), x).backward()
    >>> x.grad
    tensor(218.3926)
    """
    if not tape.recording:
        return fn(*xs)
    state = default_generator.get_state()
    start = Node(None, (), (), None, None, None)
    out, _ = _run(fn, xs)
    single = isinstance(out, Tensor)
    outs: Sequence[Tensor] = [out] if single else list(out)
    roots = [y.node for y in outs if y.node is not None]
    if not roots:
        return out
    sources = [x.node if isinstance(x, Tensor) else None for x in xs]
    closed_over = _made_before(start, roots)
    avals = tuple(Aval(y.shape, y.dtype) for y in outs)
    op = _Recompute(fn=fn, xs=tuple(xs), closed_over=tuple(closed_over), state=state, outputs=avals)
    parents = [*sources, *closed_over]
    residuals = [None] * len(parents)
    if single:
        node = Node(op, parents, residuals, None, avals[0].shape, avals[0].dtype)
        return Tensor.wrap(outs[0].array, node)
    object.__setattr__(op, "n_out", len(outs))
    node = Node(op, parents, residuals, None, None, None)
    return tuple(
        Tensor.wrap(y.array, None if y.node is None else item(node, i, y))
        for i, y in enumerate(outs)
    )


class _Recompute(Op, abstract=True):
    """A checkpointed call on the tape."""

    needs = NOTHING
    interned: ClassVar[bool] = False

    fn: Any
    xs: Any
    closed_over: Any
    state: Any
    outputs: Any

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        cts = ct if isinstance(ct, list) else [ct]
        recorded = any(isinstance(c, Tensor) for c in cts)
        now = default_generator.get_state()
        default_generator.set_state(self.state)
        try:
            out, inner = _run(self.fn, self.xs, connected=recorded)
        finally:
            default_generator.set_state(now)
        outs = [out] if isinstance(out, Tensor) else list(out)
        pairs = [
            (o.node, c)
            for o, c in zip(outs, cts, strict=True)
            if o.node is not None and c is not None
        ]
        wanted = [x.node if isinstance(x, Tensor) else None for x in inner] + list(self.closed_over)
        nodes = {node for node in wanted if node is not None}
        found = sweep(
            [node for node, _ in pairs],
            [c for _, c in pairs],
            value_class=Tensor,
            wanted=nodes,
            boundary=nodes,
            create_graph=recorded,
        )
        return [None if node is None else found.get(node) for node in wanted]


def _run(fn: Callable[..., Any], xs: Sequence[Any], connected: bool = False) -> tuple[Any, Any]:
    """Run `fn`, recorded, on fresh leaves (or, `connected`, on aliases of the inputs)."""
    with recording(True):
        inner = [_fresh(x, connected) if isinstance(x, Tensor) else x for x in xs]
        return fn(*inner), inner


def _fresh(x: Tensor, connected: bool) -> Tensor:
    if x.node is None:
        return x
    if connected:
        return x.clone()
    leaf = x.detach()
    make_leaf(leaf)
    return leaf


def _made_before(start: Node, roots: Sequence[Node]) -> list[Node]:
    """The nodes older than `start` that the roots reach directly, in order of creation."""
    outside: set[Node] = set()
    seen = set(roots)
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node.order < start.order:
            outside.add(node)
            continue
        for parent in node.parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(outside, key=lambda node: node.order)
