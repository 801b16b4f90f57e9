"""What an operation does on a batch: values that stand for one example of many, and their level.

Inside ``vmap`` a cell holds a Batched in place of an array, whose shape is that of one example.
Operations on it go to a Level, which does each of them for all examples at once. What it does so
goes to whatever is outside: NumPy, a trace, or the level of an outer ``vmap``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, cast

import numpy as np

from ..core.apply import apply
from ..core.aval import SCALARS, Aval, Data, DType, Shape, describe, result_dtype
from ..core.families import Elementwise
from ..core.op import Op, shifted
from ..core.value import Configured, Symbol, Tracer, Value, tape
from ..errors import ArgumentError, TracingError
from ..methods import Methods
from ..ops import joining, movement


class Batched(Methods, Symbol):
    """One example of many: `whole` has the examples along its first axis.

    Asking for its numbers (``if x > 0``, ``float(x)``) raises TracingError with the user's line.
    """

    __slots__ = ("level", "whole")
    __hash__ = object.__hash__
    __array_ufunc__ = None  # so that ndarray * Batched asks Batched

    def __init__(self, level: Level, whole: Data) -> None:
        self.level = level
        self.whole = whole

    @property
    def shape(self) -> Shape:
        """Sizes along the axes of one example."""
        return self.whole.shape[1:]  # type: ignore[no-any-return]  # a tuple

    @property
    def dtype(self) -> DType:
        """Element type."""
        return self.whole.dtype  # type: ignore[no-any-return]  # a dtype

    @property
    def ndim(self) -> int:
        """Number of axes of one example."""
        return self.whole.ndim - 1  # type: ignore[no-any-return]  # an int

    @property
    def size(self) -> int:
        """Number of elements of one example."""
        return Aval(self.shape, self.dtype).size

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TracingError(
            "a value inside vmap() stands for many examples and is no single number",
            got=describe(self),
            hint="use where(condition, a, b) instead of if, and shapes instead of data",
        )

    __bool__ = __float__ = __int__ = __index__ = __array__ = item = tolist = numpy = _refuse

    def __repr__(self) -> str:
        return f"batched({self.level.size}, {describe(self)})"


class _Counter(Batched):
    """The number of the first block that each example draws; `first` is that of example 0."""

    __slots__ = ("first",)

    def __init__(self, level: Level, first: Data, blocks: int) -> None:
        examples = np.arange(level.size, dtype=np.uint64) * np.uint64(blocks)
        super().__init__(level, first + examples)
        self.first = first


class Level:
    """One vmap: while it is entered, the tape's operations come here.

    `randomness` is what generators do: ``"error"``, ``"same"`` or ``"different"`` numbers for the
    examples.
    """

    def __init__(self, size: int, randomness: str = "error") -> None:
        self.size = size
        self.randomness = randomness
        self._outer: Tracer | None = None

    @contextmanager
    def entered(self) -> Iterator[None]:
        """In the block, operations go to this level, and what it does to whatever is outside."""
        before, outer = self._outer, tape.graph
        self._outer, tape.graph = outer, self
        try:
            yield
        finally:
            self._outer, tape.graph = before, outer

    @contextmanager
    def _outside(self) -> Iterator[None]:
        tape.graph = self._outer
        try:
            yield
        finally:
            tape.graph = self

    def owns(self, x: Any) -> bool:
        """Whether `x` stands for the examples of this level."""
        return isinstance(x, Batched) and x.level is self

    def whole(self, x: Data) -> Data:
        """All examples of `x`, along the first axis; what is the same for all is repeated."""
        if self.owns(x):
            return x.whole
        return movement.expand(np.asarray(x) if type(x) in SCALARS else x, (self.size, *x.shape))

    # The protocol of a trace ----------------------------------------------------------------------

    def emit(self, op: Op, operands: Sequence[Any]) -> Any:
        """Do ``op(*operands)`` for all examples."""
        batched = [self.owns(x) for x in operands]
        if not any(batched):
            with self._outside():
                return apply(op, *cast(tuple[Any], tuple(operands)))
        expected = op.infer(*operands)
        ys = self._by_expansion(op, operands) if _is_indirect(op) else None
        if ys is None:
            with self._outside():
                ys = self._results(op, batched, operands)
        if ys is None:
            ys = self._by_expansion(op, operands)
        if ys is None:
            with self._outside():
                ys = self._one_by_one(op, batched, operands)
        if op.n_out is None:
            return self._checked(op, ys, cast(Aval, expected))
        avals = cast("tuple[Aval, ...]", expected)
        return tuple(self._checked(op, y, aval) for y, aval in zip(ys, avals, strict=True))

    def draw(self, generator: Any, blocks: int) -> tuple[Any, Any]:
        """The key of a generator, and the first block for each example."""
        if self.randomness == "error":
            raise TracingError(
                "vmap() over a function that draws random numbers",
                hint='say whether examples share them: vmap(f, randomness="different") or "same"',
            )
        each = self.randomness == "different"
        n = blocks * self.size if each else blocks
        with self._outside():
            outer = tape.graph
            key, first = generator.reserve(n) if outer is None else outer.draw(generator, n)
            return key, _Counter(self, first, blocks) if each else first

    def adopt(self, cell: Value, forget: Callable[[], None]) -> None:
        """Refuse: an optimizer cannot step inside vmap."""
        forget()
        raise TracingError("an optimizer cannot step inside vmap()")

    def numbers(self, group: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
        """The same values, or what an outer trace makes of them."""
        return values if self._outer is None else self._outer.numbers(group, values)

    def visit(self, part: Configured) -> None:
        """Tell an outer trace."""
        if self._outer is not None:
            self._outer.visit(part)

    # How an operation is done for all examples ----------------------------------------------------

    def _results(self, op: Op, batched: Sequence[bool], operands: Sequence[Any]) -> Any:
        """By the rule of the op's family, or by its own; None if it has none."""
        if any(isinstance(x, _Counter) for x in operands):
            return self._random(op, operands)
        xs = self._promoted(op, operands)
        if isinstance(op, Elementwise):
            return apply(op, *cast(tuple[Any], tuple(_aligned(xs, batched))))
        ys = op.batch(self.size, batched, *xs)
        if ys is not None or op.batching is None or self._names_no_axis(op, operands):
            return ys
        return apply(_for_a_batch(op, self.size), *cast(tuple[Any], self._all_whole(xs, batched)))

    def _by_expansion(self, op: Op, operands: Sequence[Any]) -> Any:
        """By the simpler ops it consists of, which come here in turn; None for a primitive."""
        if op.promotes:
            dtype = result_dtype(operands, floating=op.floating)
            operands = [x if type(x) in SCALARS else movement.cast(x, dtype) for x in operands]
        ys = op.expand(*operands)
        if ys is None:
            return None
        with self._outside():
            return self.whole(ys) if op.n_out is None else tuple(self.whole(y) for y in ys)

    def _one_by_one(self, op: Op, batched: Sequence[bool], operands: Sequence[Any]) -> Any:
        """One example after the other. It is always right."""
        xs = self._promoted(op, operands)
        rows = []
        for i in range(self.size):
            parts = [x[i] if is_one else x for x, is_one in zip(xs, batched, strict=True)]
            rows.append(apply(op, *cast(tuple[Any], tuple(parts))))
        if op.n_out is None:
            return self._stacked(rows, op.infer(*operands))
        avals = cast("tuple[Aval, ...]", op.infer(*operands))
        return tuple(self._stacked([row[k] for row in rows], aval) for k, aval in enumerate(avals))

    def _stacked(self, rows: Sequence[Data], aval: Any) -> Data:
        if not rows:
            return np.zeros((0, *aval.shape), aval.dtype)
        return joining.stack(list(rows), 0)

    def _promoted(self, op: Op, operands: Sequence[Any]) -> list[Any]:
        """The operands' contents in their common dtype, which depends on one example's axes."""
        dtype = None
        if op.promotes:
            known = [0.0 if isinstance(x, Symbol) and x.weak else x for x in operands]
            dtype = result_dtype(known, floating=op.floating)
        xs = []
        for x in operands:
            content = x.whole if self.owns(x) else x
            if dtype is not None and type(x) not in SCALARS and content.dtype != dtype:
                content = movement.cast(content, dtype)
            xs.append(content)
        return xs

    def _random(self, op: Op, operands: Sequence[Any]) -> Any:
        """All examples' numbers in one draw, if the op draws independent ones."""
        if op.batching is None:
            return None
        xs = [x.first if isinstance(x, _Counter) else x for x in operands]
        return apply(_for_a_batch(op, self.size), *cast(tuple[Any], tuple(xs)))

    def _names_no_axis(self, op: Op, operands: Sequence[Any]) -> bool:
        """Whether the op names an axis of numbers that have none: some let it pass for a vector."""
        if not any(self.owns(x) and x.ndim == 0 for x in operands):
            return False
        fields = dict(zip(op.fields, op.parameters, strict=True))
        named = [fields[f] for f, change in op.batching or () if change is shifted]
        return any(axes != () for axes in named) and not isinstance(op, joining.Stack)

    def _all_whole(self, xs: Sequence[Any], batched: Sequence[bool]) -> tuple[Any, ...]:
        shapes = [x if type(x) in SCALARS else x.shape for x in xs]
        return tuple(
            x if is_one or type(x) in SCALARS else movement.expand(x, (self.size, *shape))
            for x, is_one, shape in zip(xs, batched, shapes, strict=True)
        )

    def _checked(self, op: Op, y: Data, expected: Aval) -> Batched:
        """A result of this level, if it is what one example gives, for each."""
        if y.shape != (self.size, *expected.shape):
            raise ArgumentError(
                f"the batch rule of {op.name} does not give what the op gives",
                expected=f"{(self.size, *expected.shape)}",
                got=str(y.shape),
            )
        if y.dtype != expected.dtype:
            with self._outside():
                y = movement.cast(y, expected.dtype)
        return Batched(self, y)


def _is_indirect(op: Op) -> bool:
    """Whether an op has no rule of its own, nor does its family have one."""
    return op.batching is None and type(op).batch is Op.batch and not isinstance(op, Elementwise)


def _aligned(xs: Sequence[Any], batched: Sequence[bool]) -> list[Any]:
    """Operands that broadcast for all examples as one example's would."""
    ndims = [0 if type(x) in SCALARS else x.ndim - b for x, b in zip(xs, batched, strict=True)]
    most = max(ndims)
    return [
        movement.reshape(x, (x.shape[0], *(1,) * (most - ndim), *x.shape[1:]))
        if is_one and ndim < most
        else x
        for x, is_one, ndim in zip(xs, batched, ndims, strict=True)
    ]


def _for_a_batch(op: Op, size: int) -> Op:
    """The op that does the same along all axes but a new one in front."""
    changes = dict(op.batching or ())
    fields = [
        changes[field](value, size) if field in changes else value
        for field, value in zip(op.fields, op.parameters, strict=True)
    ]
    return type(op)(*fields)
