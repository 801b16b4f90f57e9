"""Operations: one class per op holds everything that is known about it.

An op is a value. ``Sum((0,), False)`` written twice is the same object, so equality is identity,
and graphs, caches and common-subexpression elimination need no comparison code. Subclasses declare
their parameters as annotated fields, like a dataclass (which costs 0.3 ms of import time a class,
too much for an import budget of 60 ms and over a hundred ops; see docs/design/001).

A rule (``vjp``, ``jvp``) is written once. It runs on plain arrays in ordinary backward, on Tensors
when derivatives are differentiated again, and on Traced values in a compiled step. So a rule uses
operators and functions of ``chainrule.ops`` only.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Iterator, Sequence
from inspect import get_annotations
from typing import Any, ClassVar, NamedTuple, Self, TypeAlias, dataclass_transform

import numpy as np

from .aval import SCALARS, Aval, Data, promote
from .sampling import Sample

Cotangents: TypeAlias = Sequence[Data | None]
Active: TypeAlias = Sequence[object]
"""One entry per input; an entry that is None means that no derivative is asked for there."""


class Needs(NamedTuple):
    """What backward keeps: which inputs, and whether the output. Everything else is dropped.

    `inputs` holds positions, or None for all. With `cross`, an input is kept only if another input
    is differentiated (a product needs each factor for the gradient of the others).
    """

    inputs: tuple[int, ...] | None = ()
    output: bool = False
    cross: bool = False


NOTHING = Needs()
INPUTS = Needs(inputs=None)
OUTPUT = Needs(output=True)
BOTH = Needs(inputs=None, output=True)
CROSS = Needs(inputs=None, cross=True)

Batching: TypeAlias = tuple[tuple[str, Callable[[Any, int], Any]], ...]
"""How the fields of an op change when its operands get an axis in front, of a given size."""


def shifted(axes: Any, size: int) -> Any:
    """An axis, or several, counted with one more in front."""
    return axes + 1 if isinstance(axes, int) else tuple([axis + 1 for axis in axes])


def in_front(entry: Any) -> Callable[[Any, int], Any]:
    """A change of a field that has an entry for each axis: `entry` is that of the new one."""
    return lambda value, size: (entry, *value)


def with_size(shape: Any, size: int) -> Any:
    """A shape with an axis of `size` in front."""
    return (size, *shape)


def permuted(axes: Any, size: int) -> Any:
    """An order of axes that leaves a new one in front where it is."""
    return (0, *shifted(axes, size))


registry: dict[str, type[Op]] = {}
"""Every concrete op by name. Tests, docs and explanations read it; nothing else lists ops."""

_interned: weakref.WeakValueDictionary[tuple[object, ...], Any] = weakref.WeakValueDictionary()
"""The one living instance of each op; an op that nobody holds is forgotten."""
_recent: dict[tuple[object, ...], Any] = {}
"""Ops by the arguments they were made with, so that a loop finds its ops at once."""
_MOST_RECENT = 4096


class _Interning(type):
    """Metaclass that returns one instance per class and arguments."""

    interned: bool

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if not cls.interned:
            return super().__call__(*args, **kwargs)
        kinds = tuple(map(type, args))
        key = (cls, args, kinds, *kwargs.items())
        if kwargs or float in kinds:  # 1 == 1.0 == True and 0.0 == -0.0, yet they are not the same
            key = (*key, repr(args), repr(kwargs))
        op = _recent.get(key)
        if op is None:
            made = super().__call__(*args, **kwargs)
            canonical = (cls, repr(made.parameters), made.parameters)
            op = _interned.setdefault(canonical, made)
            if len(_recent) >= _MOST_RECENT:
                _recent.clear()
            _recent[key] = op
        return op


@dataclass_transform(frozen_default=True, eq_default=False)
class Op(metaclass=_Interning):
    """Base of all ops; see ``core.families``. Fields are annotated class attributes, all hashable.

    Class attributes of an op: ``needs`` (residuals), ``differentiable``, ``n_out`` (None for a
    single output, else the length of the output tuple), ``once`` (True if its derivative has no
    derivative of its own: asking for one raises SecondOrderError).
    """

    fields: ClassVar[tuple[str, ...]] = ()
    name: ClassVar[str] = "op"
    abstract: ClassVar[bool] = True
    needs: ClassVar[Needs] = INPUTS
    differentiable: ClassVar[bool] = True
    n_out: ClassVar[int | None] = None
    once: ClassVar[bool] = False
    views: ClassVar[bool] = False
    """Whether results are parts or reshapes of the first input: the value class may mark them."""
    keeps_shapes: ClassVar[bool] = True
    """Whether rules get an Aval for an input that is not kept; else they get None."""
    interned: ClassVar[bool] = True  # the metaclass reads it
    promotes: ClassVar[bool] = False
    """Whether operands of different dtypes are cast to their common dtype first."""
    large: ClassVar[int] = 32768
    """On arrays of more elements than this, eager operations run on compiled kernels."""
    batching: ClassVar[Batching | None] = None
    """For ops that do the same along all axes but those that they name: what becomes of the fields
    for a batch of all operands. Empty: the op looks at the last axes only."""
    floating: ClassVar[bool] = False
    """Whether, further, integers become floats."""

    def __init_subclass__(cls, *, abstract: bool = False, name: str | None = None) -> None:
        own = [
            field
            for field, kind in get_annotations(cls).items()
            if not str(kind).startswith("ClassVar") and field not in cls.fields
        ]
        cls.fields = (*cls.fields, *own)
        cls.abstract = abstract
        cls.name = name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        if not abstract:
            if cls.name in registry:
                raise TypeError(f"two ops are named {cls.name!r}")
            registry[cls.name] = cls

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        values = dict(zip(self.fields, args, strict=False)) | kwargs
        for field in self.fields:
            value = values[field] if field in values else getattr(type(self), field)
            object.__setattr__(self, field, value)
        if len(args) > len(self.fields) or values.keys() - set(self.fields):
            raise TypeError(f"{type(self).__name__} takes {self.fields}, not {args} {kwargs}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"ops are immutable: cannot set {name}")

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        return type(self), self.parameters

    @property
    def parameters(self) -> tuple[Any, ...]:
        """The values of the fields, in order."""
        return tuple(getattr(self, field) for field in self.fields)

    def __repr__(self) -> str:
        inside = ", ".join(f"{f}={v!r}" for f, v in zip(self.fields, self.parameters, strict=True))
        return f"{self.name}({inside})" if inside else self.name

    # What a subclass says -------------------------------------------------------------------------

    def infer(self, *xs: Any) -> Aval | tuple[Aval, ...]:
        """Shape and dtype of the result, from anything with a shape and a dtype.

        Raises ShapeError, DTypeError or IndexRangeError if the operands do not fit.
        """
        raise NotImplementedError

    def forward(self, *xs: Any) -> Any:
        """Compute with NumPy arrays."""
        raise NotImplementedError

    def __call__(self, *xs: Any) -> Any:
        """``forward`` of arrays after promotion: what ``apply`` does, less the tape."""
        return self.forward(*(promote(list(xs), self.floating) if self.promotes else xs))

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        """Cotangents of the inputs from `ct`, the cotangent of the output: ctᵀ J.

        Entries of `xs` that ``needs`` does not keep are Avals (for elementwise ops, None), and an
        output that it does not keep is None. A cotangent may still have the broadcast shape: the
        engine sums it to the input's shape.
        """
        raise NotImplementedError

    def jvp(self, dxs: Sequence[Data | None], xs: Sequence[Data], y: Data) -> Data:
        """Tangent of the output from the tangents of the inputs: J dx.

        An op without a rule of its own gets it by transposing ``vjp`` (see engine.forward).
        """
        raise NotImplementedError

    def check(self, *xs: Any) -> None:
        """Raise for values that ``forward`` refuses, such as an index out of range.

        For whoever computes the op in another way on arrays; shapes and dtypes are right.
        """

    def reference(self, *xs: Data) -> Data:
        """The same function written another way, as an oracle for tests."""
        raise NotImplementedError

    def expand(self, *xs: Data) -> Data:
        """The same results made of simpler ops, for the compiler; None: this op is primitive.

        Operands are promoted, and an expansion does its arithmetic in the order of ``forward``.
        """
        return None

    def batch(self, size: int, batched: Sequence[bool], *xs: Data) -> Data:
        """The results for a batch of `size`: operands that are `batched`, and all results, have an
        axis for it in front.

        None: ``batching`` says it, or the op goes by ``expand``, or by one example after the other.
        Operands are promoted.
        """
        return None

    def lower(self, k: Any, *xs: Any) -> Any:
        """The result as nodes of the compiler, made with `k`; None: NumPy computes it.

        `k` is a ``compile.lower.builder.Lowering``. Operands are nodes, which have a shape and a
        dtype, and Python numbers; an op with ``expr`` needs nothing more.
        """
        return k.formula(self, *xs)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        """Where tests may sample this op: ops with draws of their inputs."""
        raise NotImplementedError


def is_float(x: Any) -> bool:
    """Whether `x` is of a floating-point dtype, and so can carry a derivative."""
    if type(x) in SCALARS:
        return type(x) is float
    return bool(np.issubdtype(x.dtype, np.floating))
