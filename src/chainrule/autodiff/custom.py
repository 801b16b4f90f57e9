"""Derivative rules of the user's own: ``Function``, as in PyTorch, and ``custom_vjp``."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any, ClassVar, NamedTuple, NoReturn

import numpy as np

from ..core.apply import user_site
from ..core.aval import Aval, Data, describe
from ..core.op import BOTH, NOTHING, Active, Cotangents, Op
from ..core.value import Node, describe_site, item, recording, stored, tape
from ..errors import ArgumentError, GradientError, SecondOrderError, ShapeError
from ..ops.draws import logged_draws, repeated_draws
from ..tensor import Tensor
from .trees import map_tensors

Site = tuple[CodeType, int]


class _Input(NamedTuple):
    """Stands for a saved tensor that is an input: the node keeps its array."""

    position: int


class _Output(NamedTuple):
    """Stands for a saved tensor that is an output: the context must not hold on to its node."""

    position: int


class Context:
    """What ``forward`` hands to ``backward``: tensors saved, and any attributes set on it."""

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self._given: tuple[Tensor | None, ...] = ()
        self._shown: tuple[Tensor | None, ...] = ()
        self._kept: list[_Input | _Output | Tensor | None] = []
        self._undifferentiable: set[int] = set()
        self._materialize = True

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep the present values of tensors for ``backward``: they are its ``saved_tensors``.

        If a tensor is neither an input nor an output of ``forward``, its dependence on the inputs
        was not recorded: differentiating through it a second time raises SecondOrderError.
        """
        strange = [x for x in tensors if not (x is None or isinstance(x, Tensor))]
        if strange:
            raise ArgumentError(
                "save_for_backward() takes tensors",
                got=type(strange[0]).__name__,
                at=describe_site(*user_site()),
                hint="set anything else as an attribute: ctx.scale = scale",
            )
        self._given = tensors
        self._shown = map_tensors(snapshot, tensors)

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """The tensors that ``forward`` saved."""
        return self._shown

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """Say that these outputs of ``forward`` carry no gradient."""
        self._undifferentiable |= {id(y) for y in outputs}

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say that ``forward`` changed these inputs: the outputs are values of their own."""

    def set_materialize_grads(self, value: bool) -> None:
        """With False, ``backward`` gets None in place of zeros for outputs that were not used."""
        self._materialize = value

    def _seal(self, inputs: Sequence[Any], arrays: Sequence[Any], outs: Sequence[Tensor]) -> None:
        """Replace saved inputs (that had these `arrays`) and outputs by what stands for them."""
        places: dict[tuple[int, int], _Input | _Output] = {
            (id(y), id(y.array)): _Output(i) for i, y in enumerate(outs)
        }
        places |= {
            (id(x), id(array)): _Input(i)
            for i, (x, array) in enumerate(zip(inputs, arrays, strict=True))
        }
        self._kept = [
            None if saved is None else places.get((id(given), id(saved.array)), saved)
            for given, saved in zip(self._given, self._shown, strict=True)
        ]
        self._given = self._shown = ()

    def _keeps(self, kind: type[_Input | _Output], position: int) -> bool:
        return any(isinstance(k, kind) and k.position == position for k in self._kept)

    def _show(self, call: _Call, xs: Sequence[Data], y: Data) -> None:
        """Make ``saved_tensors`` of this walk's residuals."""
        ys = (y,) if call.single else y
        shown: list[Tensor | None] = []
        for position, kept in enumerate(self._kept):
            if isinstance(kept, (_Input, _Output)):
                shown.append(_as_tensor((xs if isinstance(kept, _Input) else ys)[kept.position]))
            elif kept is None or kept.node is not None or kept.dtype.kind != "f":
                shown.append(kept)
            else:
                shown.append(call.severed(kept, position) if tape.recording else kept)
        self._shown = tuple(shown)

    def _hide(self) -> None:
        """Forget this walk's residuals: with their nodes they would be a cycle."""
        self._shown = ()


def snapshot(x: Tensor) -> Tensor:
    """A cell of its own with the present array and node of `x`, whatever becomes of `x`."""
    return Tensor.wrap(x.array, x.node)


def constant(x: Tensor) -> Tensor:
    """A cell of its own with the present array of `x`, cut off from the graph."""
    return Tensor.wrap(x.array)


def _as_tensor(x: Data | None) -> Any:
    """A tensor of data; None stays None."""
    return x if x is None or isinstance(x, Tensor) else Tensor.wrap(stored(x))


class _Call(Op, abstract=True, name="function"):
    """One call of a user's Function on the tape. Not interned: it belongs to one call.

    Its node's residuals are the saved inputs and, last, the context, which has no parent.
    """

    needs = BOTH
    interned: ClassVar[bool] = False

    function: Any
    inputs: Any
    """One Aval per input that is a tensor, None for the others."""
    parents: Any
    outputs: Any
    single: bool
    site: Any

    @property
    def n_out(self) -> int | None:  # type: ignore[override]  # as many outputs as forward returned
        """Number of outputs of a forward that returned a tuple."""
        return None if self.single else len(self.outputs)

    def infer(self, *xs: Any) -> Aval | tuple[Aval, ...]:
        return self.outputs[0] if self.single else self.outputs  # type: ignore[no-any-return]

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        *xs, context = xs
        cts = [
            _as_tensor(np.zeros(out.shape, out.dtype) if c is None and context._materialize else c)
            for c, out in zip([ct] if self.single else ct, self.outputs, strict=True)
        ]
        context._show(self, xs, y)
        try:
            grads = self.function.backward(context, *cts)
        finally:
            context._hide()
        return [*self._checked("backward", "gradient", grads, self.inputs), None]

    def severed(self, saved: Tensor, position: int) -> Tensor:
        """`saved`, computed in forward, so that differentiating through it raises an error."""
        op = _Severed(function=self.function, position=position, site=self.site)
        kept = [None] * len(self.parents)
        node = Node(op, self.parents, kept, None, saved.shape, saved.dtype, self.site)
        return Tensor.wrap(saved.array, node)

    def _checked(
        self, rule: str, kind: str, results: Any, wanted: Sequence[Aval | None]
    ) -> list[Data | None]:
        """What a user's rule returned, as the walk wants it: tensors if recorded, else arrays."""
        results = list(results) if isinstance(results, (tuple, list)) else [results]
        said = f"{self.function.__name__}.{rule}"
        each = "input of forward" if rule == "backward" else "output of forward"
        if len(results) != len(wanted):
            raise GradientError(
                f"{said} returns one {kind} per {each}",
                expected=f"{len(wanted)} {kind}s",
                got=str(len(results)),
                at=describe_site(*self.site),
            )
        checked: list[Data | None] = []
        for g, like in zip(results, wanted, strict=True):
            if g is None or like is None:
                checked.append(None)
                continue
            if not isinstance(g, (Tensor, np.ndarray, np.generic, numbers.Real)):
                raise GradientError(
                    f"{said} returns a tensor, or None, per {each}",
                    expected=describe(like),
                    got=type(g).__name__,
                    at=describe_site(*self.site),
                )
            result = g if isinstance(g, Tensor) else Tensor(np.asarray(g), like.dtype)
            if result.shape != like.shape:
                raise ShapeError(
                    f"{said} returns {kind}s of the shape of each {each}",
                    expected=describe(like),
                    got=describe(result),
                    at=describe_site(*self.site),
                )
            checked.append(result if tape.recording else result.array)
        return checked


class _CallBothWays(_Call, abstract=True, name="function"):
    """A call of a Function that has a rule for forward mode too."""

    def jvp(self, dxs: Sequence[Data | None], xs: Sequence[Data], y: Data) -> Data:
        *xs, context = xs
        context._show(self, xs, y)
        try:
            dys = self.function.jvp(
                context, *[None if dx is None else _as_tensor(dx) for dx in dxs[:-1]]
            )
        finally:
            context._hide()
        pushed = [
            np.zeros(out.shape, out.dtype) if dy is None else dy
            for dy, out in zip(
                self._checked("jvp", "tangent", dys, self.outputs), self.outputs, strict=True
            )
        ]
        return pushed[0] if self.single else tuple(pushed)


class _Severed(Op, abstract=True):
    """A saved tensor whose dependence on the inputs was not recorded. It has no derivative."""

    needs = NOTHING
    interned: ClassVar[bool] = False

    function: Any
    position: int
    site: Any

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> NoReturn:
        raise SecondOrderError(
            f"{self.function.__name__}.backward cannot be differentiated: saved tensor "
            f"{self.position} is neither an input nor an output of forward",
            at=describe_site(*self.site),
            hint="save an input and compute it again in backward; a constant can be an "
            "attribute: ctx.mask = mask",
        )

    def jvp(self, dxs: Sequence[Data | None], xs: Sequence[Data], y: Data) -> NoReturn:
        self.vjp(None, xs, y, ())


class Function:
    """A function with a derivative of your own. Subclass it with two static methods.

    ``forward(ctx, *inputs)`` computes with tensors and is not recorded; ``backward(ctx, *grads)``
    returns one gradient, or None, per input. If ``backward`` uses tensor operations on saved
    inputs and outputs, second derivatives and forward mode work as well. A third method,
    ``jvp(ctx, *tangents)`` with None for inputs that have no tangent, may give forward mode a rule
    of its own. With a method ``setup_context(ctx, inputs, output)``, which saves what backward
    needs, ``forward`` takes the inputs only.

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

    jvp: ClassVar[Any] = None
    setup_context: ClassVar[Any] = None

    @classmethod
    def apply(cls, *inputs: Any) -> Any:
        """Run ``forward`` and record ``backward`` as its rule."""
        parents = [x.node if isinstance(x, Tensor) else None for x in inputs]
        arrays = [x.array if isinstance(x, Tensor) else None for x in inputs]
        ctx = Context(tuple(p is not None for p in parents))
        with recording(False):
            if cls.setup_context is None:
                out = cls.forward(ctx, *inputs)
            else:
                out = cls.forward(*inputs)
                cls.setup_context(ctx, inputs, out)
        if not tape.recording or all(p is None for p in parents):
            return map_tensors(lambda y: constant(y) if any(y is x for x in inputs) else y, out)
        single = not isinstance(out, tuple)
        outs = (out,) if single else out
        if not all(isinstance(y, Tensor) for y in outs):
            raise ArgumentError(
                f"{cls.__name__}.forward returns a tensor, or a tuple of tensors",
                got=", ".join(type(y).__name__ for y in outs),
                at=describe_site(*user_site()),
            )
        ctx._seal(inputs, arrays, outs)
        op = (_Call if cls.jvp is None else _CallBothWays)(
            function=cls,
            inputs=tuple(None if a is None else Aval(a.shape, a.dtype) for a in arrays),
            parents=tuple(parents),
            outputs=tuple(Aval(y.shape, y.dtype) for y in outs),
            single=single,
            site=user_site(),
        )
        return _recorded(op, ctx, arrays, outs)


def _recorded(op: _Call, ctx: Context, arrays: Sequence[Any], outs: Sequence[Tensor]) -> Any:
    """The outputs of a Function, with a node that keeps what the context saved."""
    xs = [
        array if ctx._keeps(_Input, i) else aval
        for i, (array, aval) in enumerate(zip(arrays, op.inputs, strict=True))
    ]
    ys = tuple(
        y.array if ctx._keeps(_Output, i) else aval
        for i, (y, aval) in enumerate(zip(outs, op.outputs, strict=True))
    )
    residuals, parents = [*xs, ctx], [*op.parents, None]
    if op.single:
        node = Node(op, parents, residuals, ys[0], ys[0].shape, ys[0].dtype, op.site, tape.scope)
    else:
        node = Node(op, parents, residuals, ys, None, None, op.site, tape.scope)
    results = []
    for i, y in enumerate(outs):
        carries = y.dtype.kind == "f" and id(y) not in ctx._undifferentiable
        own = node if op.single else item(node, i, y)
        results.append(Tensor.wrap(y.array, own if carries else None))
    return results[0] if op.single else tuple(results)


def custom_vjp(fn: Callable[..., Any]) -> CustomVjp:
    """Decorator: a function whose derivative is given by ``fn.defvjp(forward, backward)``.

    `forward` returns the output and residuals; `backward` takes residuals and the cotangent and
    returns one gradient per argument (JAX's form). To differentiate `backward` itself, `forward`
    runs again, recorded, so that its residuals may be any function of the arguments.

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
            ctx.save_for_backward(*[x if isinstance(x, Tensor) else None for x in args])
            ctx.others = [None if isinstance(x, Tensor) else x for x in args]
            with logged_draws() as ctx.draws:
                out, residuals = forward(*args)
            ctx.residuals = map_tensors(constant, residuals)
            return out

        def run_backward(ctx: Any, *cts: Any) -> Any:
            residuals = ctx.residuals
            if tape.recording:
                pairs = zip(ctx.saved_tensors, ctx.others, strict=True)
                args = [other if saved is None else saved for saved, other in pairs]
                with repeated_draws(ctx.draws):
                    _, residuals = forward(*args)
            return backward(residuals, cts[0] if len(cts) == 1 else cts)

        rules = {"forward": staticmethod(run_forward), "backward": staticmethod(run_backward)}
        self._function = type(self.__name__, (Function,), rules)

    def __call__(self, *args: Any) -> Any:
        if self._function is None:
            return self._fn(*args)
        return self._function.apply(*args)
