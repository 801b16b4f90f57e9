"""Random programs over small whole numbers, whose results do not depend on the order of sums.

All values are whole numbers (or multiples of small powers of two) far below what float32 holds, so
any correct way to compute them gives the same bits: a wrong place, a value that is overwritten too
early and a missing barrier all show, however small.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from random_moves import MOVES

import chainrule as cr

Make: TypeAlias = Callable[[list[Any]], Any]

_MOST = 2.0**11
"""Values beyond it are clipped before they are used again."""
_MOST_ELEMENTS = 6000


class _Value(NamedTuple):
    example: cr.Tensor
    bound: float


class RandomProgram:
    """A function of tensors, made of `length` random operations: call it to run or trace it.

    It returns some of the values that it makes, and, with `gradients`, the gradients of some.
    """

    def __init__(
        self, seed: int, length: int = 12, *, dtype: Any = np.float32, large: bool = False
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.dtype = np.dtype(dtype)
        self.large = large
        self.made: list[_Value] = []
        self.instructions: list[Make] = []
        self.names: list[str] = []
        self.inputs = [self._input() for _ in range(self.integer(2, 5))]
        self.examples = self.draw(seed)
        for x in self.examples:
            self.made.append(_Value(cr.tensor(x), 3.0))
        while len(self.instructions) < length:
            self._append(MOVES[self.integer(0, len(MOVES))])
        count = min(len(self.instructions), self.integer(1, 5))
        last = self.integer(1, 3)  # the last values are often outputs, so that much is alive
        chosen = {len(self.made) - 1 - i for i in range(last)} & set(range(len(self.made)))
        while len(chosen) < count:
            chosen.add(self.integer(len(self.inputs), len(self.made)))
        self.outputs = sorted(chosen)
        self.with_gradients = bool(self.rng.random() < 0.5)
        self.cotangents = {
            k: self.whole(self.made[k].example.shape)
            for k in self.outputs
            if self.made[k].example.dtype == self.dtype
        }

    # Running --------------------------------------------------------------------------------------

    def draw(self, seed: int) -> list[Any]:
        """Arrays for the inputs."""
        rng = np.random.default_rng(seed + 1000)
        return [rng.integers(-3, 4, shape).astype(self.dtype) for shape in self.inputs]

    def __call__(self, *inputs: Any) -> list[Any]:
        values: list[Any] = list(inputs)
        if self.with_gradients:
            values = [cr.Tensor.wrap(x.array).requires_grad_() for x in values]
        leaves = list(values)
        for make in self.instructions:
            values.append(make(values))
        outs = [values[k] for k in self.outputs]
        pairs = [(values[k], ct) for k, ct in self.cotangents.items() if values[k].node is not None]
        if not self.with_gradients or not pairs:
            return outs
        cts = [cr.Tensor.wrap(ct) for _, ct in pairs]
        found = cr.gradients([y for y, _ in pairs], leaves, cts, allow_unused=True)
        return [*outs, *[g for g in found if g is not None]]

    def __repr__(self) -> str:
        shapes = ", ".join(str(list(s)) for s in self.inputs)
        lines = [
            f"{k}: {name} -> {list(self.made[k].example.shape)}"
            for k, name in enumerate(self.names, len(self.inputs))
        ]
        return f"inputs {shapes}\n" + "\n".join(lines) + f"\noutputs {self.outputs}"

    # Choosing -------------------------------------------------------------------------------------

    def integer(self, low: int, high: int) -> int:
        """A random number from low to high - 1."""
        return int(self.rng.integers(low, high))

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return bool(self.rng.random() < p)

    def whole(self, shape: Sequence[int]) -> Any:
        """An array of small whole numbers."""
        return self.rng.integers(-2, 3, tuple(shape)).astype(self.dtype)

    def size(self) -> int:
        """The length of an axis."""
        if self.large and self.chance(0.3):
            return self.integer(16, 70)
        return int(self.rng.choice([1, 2, 3, 4, 4, 5, 6, 8, 17]))

    def _input(self) -> tuple[int, ...]:
        while True:
            shape = tuple(self.size() for _ in range(self.integer(0, 5)))
            if math.prod(shape) <= _MOST_ELEMENTS:
                return shape

    def shape(self, k: int) -> tuple[int, ...]:
        """The shape of value k."""
        return tuple(self.made[k].example.shape)

    def pick(self, rank: int = 0, limit: float = _MOST, most_rank: int = 6) -> int | None:
        """The number of a value, with at least so many axes; clipped, if it may be too large."""
        fits = [
            k
            for k, v in enumerate(self.made)
            if rank <= len(v.example.shape) <= most_rank
            and v.example.dtype == self.dtype
            and v.example.array.size
        ]
        if not fits:
            return None
        k = fits[-1 - min(len(fits) - 1, int(self.rng.exponential(3.0)))]
        return self.within(k, limit)

    def within(self, k: int, limit: float) -> int:
        """Value k, or what it is when clipped to a limit."""
        if self.made[k].bound > limit:
            return self.add(lambda v: v[k].clip(-limit, limit), limit, f"clip {k}")
        return k

    def add(self, make: Make, bound: float, name: str) -> int:
        """Append an instruction; the number of its value."""
        example = make([v.example for v in self.made])
        self.made.append(_Value(example, bound))
        self.instructions.append(make)
        self.names.append(name)
        return len(self.made) - 1

    def _append(self, move: Callable[[RandomProgram], None]) -> None:
        before = len(self.made)
        move(self)
        if any(v.example.array.size > _MOST_ELEMENTS for v in self.made[before:]):
            del self.made[before:], self.instructions[before - len(self.inputs) :]
            del self.names[before - len(self.inputs) :]
