"""Random numbers from a key and a counter, dropout, and the generator that hands counters out.

The numbers are a function of (key, counter), which are inputs of the ops. So a recorded or compiled
step draws the same numbers as an eager one, and backward can draw them again.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from .. import config
from ..core.apply import apply
from ..core.aval import Aval, DType, Shape, shape_of
from ..core.families import Constant
from ..core.op import Batching, with_size
from ..core.sampling import Draw, Sample
from ..core.value import Value, make_leaf, tape
from ..errors import ArgumentError, CheckpointError, ShapeError, TracingError
from . import arithmetic, movement, philox, selection
from .draws import Pair, handed_out

V = TypeVar("V")

__all__ = [
    "Generator", "default_generator", "dropout", "feature_dropout", "manual_seed",
    "permutation", "rand", "randint", "randn", "uniform",
]  # fmt: skip

_MASK = 2**64 - 1


class Generator:
    """A sequence of random numbers: a key, made from a seed, and the number of the next block.

    Whoever draws reserves blocks of four 32-bit words first; reserving is safe between threads.

    >>> g = Generator(1)
    >>> state = g.get_state()
    >>> first = rand(3, generator=g)
    >>> g.set_state(state)
    >>> bool((rand(3, generator=g) == first).all())
    True
    """

    __slots__ = ("_counter", "_key", "_lock")

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._key = int(seed) & _MASK
        self._counter = 0

    def manual_seed(self, seed: int) -> Generator:
        """Start the sequence of this seed; returns the generator.

        Raises TracingError in a trace: its graph continues the sequence that is there when it runs.
        """
        if tape.graph is not None:
            raise TracingError("a generator cannot be seeded in a trace")
        with self._lock:
            self._key = int(seed) & _MASK
            self._counter = 0
        return self

    def initial_seed(self) -> int:
        """The seed, modulo 2⁶⁴."""
        return self._key

    def next(self, blocks: int) -> Pair:
        """Reserve `blocks` blocks: the key and the number of the first block, both uint64.

        In a trace they are inputs of the graph, so that each run draws new numbers.
        """
        traced = tape.graph
        return handed_out(
            lambda: self.reserve(blocks) if traced is None else traced.draw(self, blocks)
        )

    def reserve(self, blocks: int) -> Pair:
        """What ``next`` returns, as arrays, in a trace too."""
        with self._lock:
            first = self._counter
            self._counter = (first + int(blocks)) & _MASK
            return np.asarray(self._key, np.uint64), np.asarray(first, np.uint64)

    def get_state(self) -> Any:
        """The key and the counter, as an array of two uint64."""
        with self._lock:
            return np.array([self._key, self._counter], np.uint64)

    def set_state(self, state: Any) -> None:
        """Go to a state that ``get_state`` returned. Raises CheckpointError for anything else."""
        array = np.asarray(state.array if isinstance(state, Value) else state)
        if array.shape != (2,) or array.dtype != np.uint64:
            raise CheckpointError(
                "this is not the state of a generator",
                expected="uint64[2]: key and counter",
                got=f"{array.dtype}{list(array.shape)}",
            )
        with self._lock:
            self._key, self._counter = (int(n) for n in array)

    def __repr__(self) -> str:
        return f"Generator(seed={self._key}, counter={self._counter})"


default_generator = Generator()
"""What random functions draw from unless told otherwise. Its seed is 0 until ``manual_seed``."""


def manual_seed(seed: int) -> Generator:
    """Start the default generator's sequence of this seed, and return that generator.

    >>> _ = manual_seed(7)
    >>> a = rand(2)
    >>> _ = manual_seed(7)
    >>> bool((rand(2) == a).all())
    True
    """
    if not isinstance(seed, (int, np.integer)):
        raise ArgumentError("a seed is an integer", got=repr(seed))
    return default_generator.manual_seed(int(seed))


# Ops ----------------------------------------------------------------------------------------------


class _Random(Constant, abstract=True):
    """Random numbers of a shape; the inputs are the key and the number of the first block."""

    batching: ClassVar[Batching | None] = (("shape", with_size),)
    shape: Shape
    dtype: DType

    def infer(self, *xs: Any) -> Aval:
        return Aval(self.shape, self.dtype)

    @property
    def blocks(self) -> int:
        """How many blocks are used: one for four elements, for two that are 64 bits wide."""
        size = math.prod(self.shape)
        return -(-size // (2 if self.is_wide else 4))

    @property
    def is_wide(self) -> bool:
        """Whether an element takes two words."""
        return self.dtype.itemsize == 8

    def numbers(self, key: int, counter: int, n: int) -> Any:
        """The random numbers, as a vector."""
        raise NotImplementedError

    def forward(self, *xs: Any) -> Any:
        size = math.prod(self.shape)
        drawn = self.numbers(int(xs[0]), int(xs[1]), size)
        return drawn.reshape(self.shape)

    def block(self, k: Any, words: Sequence[Any]) -> list[Any]:
        """The numbers that a block of four words gives, as nodes of the compiler."""
        raise NotImplementedError

    def lower(self, k: Any, *xs: Any) -> Any:
        n, each = math.prod(self.shape), 2 if self.is_wide else 4
        parts = []
        for first, size in ((0, n // each), (n // each, 1 if n % each else 0)):
            numbers = self.block(k, philox.word_nodes(k, xs[0], xs[1], first, size)) if size else []
            for i, x in enumerate(numbers[: n - first * each]):
                parts.append((x, k.box([first * each + i], [each])))
        return k.reshape(k.assemble((n,), self.dtype, 0, parts), self.shape)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        inputs = (Draw((), 0, 1000, "int"), Draw((), 0, 1000, "int"))
        for shape in _SHAPES:
            for dtype in (np.float32, np.float64):
                yield Sample(cls(shape, np.dtype(dtype)), inputs)


_SHAPES: tuple[Shape, ...] = ((), (1,), (5,), (0,), (2, 3), (2, 0, 3), (2, 1, 3, 2))


class RandomUniform(_Random):
    """Uniform on [0, 1): 24 random bits an element, 53 in float64."""

    def numbers(self, key: int, counter: int, n: int) -> Any:
        return philox.uniform(key, counter, n, self.dtype)

    def block(self, k: Any, words: Sequence[Any]) -> list[Any]:
        return philox.uniform_nodes(k, words, self.dtype)


class RandomNormal(_Random):
    """Standard normal numbers, by the transform of Box and Muller."""

    def numbers(self, key: int, counter: int, n: int) -> Any:
        return philox.normal(key, counter, n, self.dtype)

    def block(self, k: Any, words: Sequence[Any]) -> list[Any]:
        return philox.normal_nodes(k, words, self.dtype)


class RandomInteger(_Random):
    """Integers uniform on low … high-1."""

    low: int = 0
    high: int = 2

    @property
    def is_wide(self) -> bool:
        return True

    def numbers(self, key: int, counter: int, n: int) -> Any:
        drawn = philox.integers(key, counter, n, self.high - self.low).astype(np.int64)
        return (drawn + np.int64(self.low)).astype(self.dtype)

    def block(self, k: Any, words: Sequence[Any]) -> list[Any]:
        drawn = philox.integer_nodes(k, words, self.high - self.low)
        return [
            k.cast(k.scaled(k.cast(x, np.dtype(np.int64)), 1, self.low), self.dtype) for x in drawn
        ]


class RandomMask(_Random):
    """1/(1-p) with probability 1-p, else 0: what dropout multiplies by.

    The same elements are dropped in float32 and float64: 32 random bits decide on each.
    """

    p: float = 0.5

    @property
    def is_wide(self) -> bool:
        return False

    def numbers(self, key: int, counter: int, n: int) -> Any:
        kept = philox.words(key, counter, n) >= np.uint32(min(round(self.p * 2**32), 2**32 - 1))
        return np.multiply(kept, self.dtype.type(1.0 / (1.0 - self.p)), dtype=self.dtype)

    def block(self, k: Any, words: Sequence[Any]) -> list[Any]:
        threshold = k.full(min(round(self.p * 2**32), 2**32 - 1), words[0].dtype, ())
        scale = k.full(float(self.dtype.type(1.0 / (1.0 - self.p))), self.dtype, ())
        zero = k.full(0.0, self.dtype, ())
        kept = (k.apply("ge", word, threshold, dtype=k.boolean) for word in words)
        return [k.apply("where", x, scale, zero, dtype=self.dtype) for x in kept]


class RandomPermutation(_Random):
    """The numbers 0 … n-1 in random order."""

    batching = None

    @property
    def is_wide(self) -> bool:
        return True

    def numbers(self, key: int, counter: int, n: int) -> Any:
        return philox.permutation(key, counter, n).astype(self.dtype, copy=False)

    def lower(self, k: Any, *xs: Any) -> Any:
        return None

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        inputs = (Draw((), 0, 1000, "int"), Draw((), 0, 1000, "int"))
        for n in (0, 1, 2, 3, 4, 5, 7, 8, 16, 31, 100, 1000):
            yield Sample(cls((n,), np.dtype(np.int64)), inputs)


# Functions ----------------------------------------------------------------------------------------


def _draw(op: _Random, generator: Generator | None) -> Any:
    """A new value with the numbers of `op` from the next blocks of the generator."""
    key, counter = (generator or default_generator).next(op.blocks)
    new = Value.result_class.wrap
    return apply(op, new(key), new(counter))


def _leaf(value: Any, requires_grad: bool) -> Any:
    if requires_grad:
        make_leaf(value)
    return value


def _size(sizes: Sequence[Any]) -> Shape:
    shape = movement.dims(sizes)
    if any(n < 0 for n in shape):
        raise ShapeError("sizes cannot be negative", got=str(shape))
    return shape


def _float(dtype: Any) -> DType:
    chosen = np.dtype(config.get_default_dtype() if dtype is None else dtype)
    if chosen.kind != "f" or chosen.itemsize > 8:
        raise ArgumentError(
            "random floating-point numbers come in float16, float32 and float64",
            got=str(chosen),
        )
    return chosen


def rand(
    *size: movement.Sizes,
    dtype: Any = None,
    generator: Generator | None = None,
    requires_grad: bool = False,
) -> Any:
    """Numbers uniform on [0, 1), float32 unless a dtype is given.

    >>> rand(2, 3).shape
    (2, 3)
    """
    return _leaf(_draw(RandomUniform(_size(size), _float(dtype)), generator), requires_grad)


def randn(
    *size: movement.Sizes,
    dtype: Any = None,
    generator: Generator | None = None,
    requires_grad: bool = False,
) -> Any:
    """Standard normal numbers (mean 0, variance 1), float32 unless a dtype is given."""
    return _leaf(_draw(RandomNormal(_size(size), _float(dtype)), generator), requires_grad)


def uniform(
    low: float = 0.0,
    high: float = 1.0,
    size: movement.Sizes = (),
    *,
    dtype: Any = None,
    generator: Generator | None = None,
) -> Any:
    """Numbers uniform on [low, high)."""
    return rand(size, dtype=dtype, generator=generator) * (float(high) - float(low)) + float(low)


def randint(
    low: int,
    high: int | movement.Sizes | None = None,
    size: movement.Sizes | None = None,
    *,
    dtype: Any = np.int64,
    generator: Generator | None = None,
) -> Any:
    """Integers uniform on low … high-1; with one bound, on 0 … bound-1.

    Takes ``randint(high, size)`` too if `size` is a tuple or a list, as PyTorch does.
    Raises ArgumentError if there is none, or if they do not fit the dtype.

    >>> randint(10, (2, 3)).shape
    (2, 3)
    """
    if isinstance(high, (tuple, list)) and size is None:
        high, size = None, high
    low, high = (0, low) if high is None else (low, high)
    if not (isinstance(low, (int, np.integer)) and isinstance(high, (int, np.integer))):
        raise ArgumentError("randint needs integer bounds", got=f"low {low!r}, high {high!r}")
    size = () if size is None else size
    kind = np.dtype(np.int64 if np.dtype(dtype).kind == "f" else dtype)
    limits = np.iinfo(kind)
    if not limits.min <= low < high <= limits.max + 1:
        raise ArgumentError(
            "randint needs low < high within the range of its dtype",
            got=f"low {low}, high {high}, {np.dtype(dtype)}",
        )
    drawn = _draw(RandomInteger(_size((size,)), kind, int(low), int(high)), generator)
    return drawn if kind == dtype else movement.cast(drawn, dtype)


def permutation(n: int, *, generator: Generator | None = None) -> Any:
    """The numbers 0 … n-1 in random order, int64.

    >>> sorted(permutation(4).tolist())
    [0, 1, 2, 3]
    """
    return _draw(RandomPermutation(_size((n,)), np.dtype(np.int64)), generator)


# Dropout ------------------------------------------------------------------------------------------


def dropout(
    x: V, p: float = 0.5, training: bool = True, *, generator: Generator | None = None
) -> V:
    """y = x m / (1 - p), each m independently 0 with probability `p`, else 1;  ∂y/∂x = m / (1 - p).

    Dividing keeps the mean, so nothing is to be done in evaluation: without `training`, and for
    p = 0, y is x; for p = 1 it is zero. Raises ArgumentError unless 0 <= p <= 1.
    Source: Srivastava et al., "Dropout", JMLR 15 (2014), section 4 ("inverted" as in section 10).

    >>> sorted(set(dropout(tensor(np.ones(100)), 0.5).tolist()))
    [0.0, 2.0]
    """
    return _dropped(x, p, training, shape_of(x), generator)


def feature_dropout(
    x: V, p: float = 0.5, training: bool = True, *, generator: Generator | None = None
) -> V:
    """Dropout of whole channels: all of x[n, c] is dropped, or nothing (x: (N, C, …)).

    Source: Tompson et al., "Efficient object localization using convolutional networks" (2015).
    """
    shape = shape_of(x)
    if len(shape) < 2:
        raise ShapeError("feature_dropout needs (N, C, …)", got=str(shape))
    return _dropped(x, p, training, (*shape[:2], *(1,) * (len(shape) - 2)), generator)


def _dropped(x: V, p: float, training: bool, shape: Shape, generator: Generator | None) -> V:
    """x times a random mask of `shape`, which broadcasts to that of x."""
    if not 0.0 <= p <= 1.0:
        raise ArgumentError("dropout needs a probability", expected="0 <= p <= 1", got=str(p))
    if not training or p == 0.0:
        return movement.identity(x)
    source: Any = x
    if p == 1.0:
        return selection.where(np.False_, source, 0.0)  # type: ignore[no-any-return]  # as x
    dtype = source.dtype if source.dtype.kind == "f" else config.get_default_dtype()
    op = RandomMask(shape, dtype, float(p))
    key, counter = (generator or default_generator).next(op.blocks)
    if isinstance(x, Value):
        key, counter = x.result_class.wrap(key), x.result_class.wrap(counter)
    return arithmetic.mul(x, apply(op, key, counter))
