"""Derivative rules of the user's own: ``Function``, as in PyTorch, and ``custom_vjp``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from ..core.aval import Aval, Data, describe
from ..core.op import NOTHING, Active, Cotangents, Op
from ..core.value import Node, item, recording, stored, tape
from ..errors import ArgumentError, GradientError, ShapeError
from ..tensor import Tensor


class Context:
    """What ``forward`` hands to ``backward``: tensors saved, and any attributes set on it."""

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self._saved: tuple[Tensor | None, ...] = ()
        self._undifferentiable: set[int] = set()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for ``backward``, which finds them in ``saved_tensors``."""
        self._saved = tensors

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """The tensors that ``forward`` saved."""
        return self._saved

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """Say that these outputs of ``forward`` carry no gradient."""
        self._undifferentiable |= {id(y) for y in outputs}


class _CustomOp(Op, abstract=True):
    """One call of a user's Function on the tape. Not interned: it belongs to one call."""

    needs = NOTHING
    interned: ClassVar[bool] = False

    function: Any
    context: Any
    outputs: Any

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        several = isinstance(ct, list)
        recorded = any(isinstance(c, Tensor) for c in (ct if several else [ct]))
        cts = [
            _as_tensor(c, out) for c, out in zip(ct if several else [ct], self.outputs, strict=True)
        ]
        with recording(recorded):
            grads = self.function.backward(self.context, *cts)
        grads = list(grads) if isinstance(grads, (tuple, list)) else [grads]
        if len(grads) != len(xs):
            raise GradientError(
                f"{self.function.__name__}.backward returns one gradient per input of forward",
                expected=f"{len(xs)} gradients",
                got=str(len(grads)),
            )
        for g, x in zip(grads, xs, strict=True):
            if g is not None and isinstance(x, Aval) and g.shape != x.shape:
                raise ShapeError(
                    f"{self.function.__name__}.backward returns gradients of the inputs' shapes",
                    expected=describe(x),
                    got=describe(g),
                )
        return [g if g is None or recorded else g.array for g in grads]


def _as_tensor(ct: Data, out: Aval) -> Any:
    if ct is None:
        return Tensor.wrap(np.zeros(out.shape, out.dtype))
    return ct if isinstance(ct, Tensor) else Tensor.wrap(stored(ct))


class Function:
    """A function with a derivative of your own. Subclass it with two static methods.

    ``forward(ctx, *inputs)`` computes with tensors and is not recorded; ``backward(ctx, *grads)``
    returns one gradient, or None, per input. If ``backward`` uses tensor operations on saved
    tensors, second derivatives work as well.

    >>> class Cube(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x ** 3
    ...     @staticmethod
    ...     def backward(ctx, ct):
    ...         (x,) = ctx.saved_tensors
    ...         return ct * 3 * x ** 2
    >>> grad(Cube.apply)(2.0)
    tensor(12.)
    """

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Any:
        """Compute the outputs from the inputs."""
        raise NotImplementedError

    @staticmethod
    def backward(ctx: Any, *cts: Any) -> Any:
        """Compute the gradients of the inputs from those of the outputs."""
        raise NotImplementedError

    @classmethod
    def apply(cls, *inputs: Any) -> Any:
        """Run ``forward`` and record ``backward`` as its rule."""
        parents = [x.node if isinstance(x, Tensor) else None for x in inputs]
        ctx = Context(tuple(p is not None for p in parents))
        with recording(False):
            out = cls.forward(ctx, *inputs)
        if not tape.recording or all(p is None for p in parents):
            return out
        single = not isinstance(out, tuple)
        outs = (out,) if single else out
        if not all(isinstance(y, Tensor) for y in outs):
            raise ArgumentError(f"{cls.__name__}.forward must return tensors")
        return _recorded(cls, ctx, parents, inputs, outs, single)


def _recorded(
    function: type[Function],
    ctx: Context,
    parents: Sequence[Node | None],
    inputs: Sequence[Any],
    outs: Sequence[Tensor],
    single: bool,
) -> Any:
    """Give the outputs of a Function their nodes."""
    avals = tuple(Aval(y.shape, y.dtype) for y in outs)
    op = _CustomOp(function=function, context=ctx, outputs=avals)
    if not single:
        object.__setattr__(op, "n_out", len(outs))
    xs = [Aval(x.shape, x.dtype) if isinstance(x, Tensor) else x for x in inputs]
    first = avals[0]
    node = Node(op, parents, xs, None, *((first.shape, first.dtype) if single else (None, None)))
    made = {}
    results = []
    for i, y in enumerate(outs):
        carries = y.dtype.kind == "f" and id(y) not in ctx._undifferentiable
        own = node if single else item(node, i, y)
        result = Tensor.wrap(y.array, own if carries else None)
        made[id(y)] = result
        results.append(result)
    ctx._saved = tuple(made.get(id(s), s) for s in ctx._saved)
    return results[0] if single else tuple(results)


def custom_vjp(fn: Callable[..., Any]) -> CustomVjp:
    """Decorator: a function whose derivative is given by ``fn.defvjp(forward, backward)``.

    `forward` returns the output and residuals; `backward` takes residuals and the cotangent and
    returns one gradient per argument (JAX's form).

    >>> @custom_vjp
    ... def clipped(x):
    ...     return x
    >>> clipped.defvjp(lambda x: (x, ()), lambda res, ct: (ct.clip(-1, 1),))
    >>> grad(lambda x: 5 * clipped(x))(2.0)
    tensor(1.)
    """
    return CustomVjp(fn)


class CustomVjp:
    """A function with a derivative rule of its own; see ``custom_vjp``."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self._fn = fn
        self._function: type[Function] | None = None
        self.__doc__ = fn.__doc__
        self.__name__ = getattr(fn, "__name__", "custom")

    def defvjp(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        """Set the rule: ``forward(*args) -> (out, residuals)``, ``backward(residuals, ct)``."""

        def run_forward(ctx: Any, *args: Any) -> Any:
            out, ctx.residuals = forward(*args)
            return out.clone() if any(out is arg for arg in args) else out

        def run_backward(ctx: Any, *cts: Any) -> Any:
            return backward(ctx.residuals, cts[0] if len(cts) == 1 else cts)

        rules = {"forward": staticmethod(run_forward), "backward": staticmethod(run_backward)}
        self._function = type(self.__name__, (Function,), rules)

    def __call__(self, *args: Any) -> Any:
        if self._function is None:
            return self._fn(*args)
        return self._function.apply(*args)
