"""Values with operators: ``x * 2.0 + y`` writes two instructions, for all lanes at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from ...runtime.target import Target
from .text import Function, Val, constant

_FLOATS = {"half", "float", "double"}


class Lanes:
    """A scalar or vector of a function that is being written; floats, integers or truth values.

    Operators take two values of one type, or a value and a Python number. Comparisons give i1, and
    are false with NaN. ``>>`` keeps the sign. Nothing here is equal, hashed or ordered in Python.
    """

    __slots__ = ("f", "target", "val")

    def __init__(self, f: Function, target: Target, val: Val) -> None:
        self.f = f
        self.target = target
        self.val = val

    @property
    def element(self) -> str:
        """LLVM's type of one lane."""
        return self.val.element

    @property
    def is_float(self) -> bool:
        """Whether the lanes are floating-point numbers."""
        return self.element in _FLOATS

    def new(self, val: Val) -> Lanes:
        """Another value of the same function."""
        return Lanes(self.f, self.target, val)

    def like(self, number: Number) -> Lanes:
        """`number` in all lanes, in this type; a value of this type as it is."""
        if isinstance(number, Lanes):
            return number
        return self.new(constant(number, self.val.type))

    def _binary(self, floats: str, integers: str, a: Number, b: Number) -> Lanes:
        opcode = floats if self.is_float else integers
        return self.new(self.f.binary(opcode, self.like(a).val, self.like(b).val))

    def _compare(self, floats: str, integers: str, other: Number) -> Lanes:
        predicate = f"fcmp {floats}" if self.is_float else f"icmp {integers}"
        return self.new(self.f.compare(predicate, self.val, self.like(other).val))

    # Operators ------------------------------------------------------------------------------------

    def __add__(self, other: Number) -> Lanes:
        return self._binary("fadd", "add", self, other)

    def __radd__(self, other: Number) -> Lanes:
        return self._binary("fadd", "add", other, self)

    def __sub__(self, other: Number) -> Lanes:
        return self._binary("fsub", "sub", self, other)

    def __rsub__(self, other: Number) -> Lanes:
        return self._binary("fsub", "sub", other, self)

    def __mul__(self, other: Number) -> Lanes:
        return self._binary("fmul", "mul", self, other)

    def __rmul__(self, other: Number) -> Lanes:
        return self._binary("fmul", "mul", other, self)

    def __truediv__(self, other: Number) -> Lanes:
        return self._binary("fdiv", "", self, other)

    def __rtruediv__(self, other: Number) -> Lanes:
        return self._binary("fdiv", "", other, self)

    def __and__(self, other: Number) -> Lanes:
        return self._binary("", "and", self, other)

    def __or__(self, other: Number) -> Lanes:
        return self._binary("", "or", self, other)

    def __xor__(self, other: Number) -> Lanes:
        return self._binary("", "xor", self, other)

    def __lshift__(self, other: Number) -> Lanes:
        return self._binary("", "shl", self, other)

    def __rshift__(self, other: Number) -> Lanes:
        return self._binary("", "ashr", self, other)

    def __invert__(self) -> Lanes:
        return self ^ -1

    def __neg__(self) -> Lanes:
        if self.is_float:
            return self.new(self.f.emit(self.val.type, f"fneg {self.val}"))
        return 0 - self

    def __lt__(self, other: Number) -> Lanes:
        return self._compare("olt", "slt", other)

    def __le__(self, other: Number) -> Lanes:
        return self._compare("ole", "sle", other)

    def __gt__(self, other: Number) -> Lanes:
        return self._compare("ogt", "sgt", other)

    def __ge__(self, other: Number) -> Lanes:
        return self._compare("oge", "sge", other)

    def equals(self, other: Number) -> Lanes:
        """Where the two are equal."""
        return self._compare("oeq", "eq", other)

    def differs(self, other: Number) -> Lanes:
        """Where the two are not equal, or one is NaN."""
        return self._compare("une", "ne", other)

    def is_nan(self) -> Lanes:
        """Where a float is not a number."""
        return self._compare("uno", "ne", self)

    # Functions ------------------------------------------------------------------------------------

    def opcode(self, name: str, other: Number) -> Lanes:
        """The instruction `name` of two operands: ``udiv``, ``lshr``, ``icmp ult`` …"""
        other = self.like(other)
        write = self.f.compare if name[1:5] == "cmp " else self.f.binary
        return self.new(write(name, self.val, other.val))

    def to(self, opcode: str, element: str) -> Lanes:
        """Converted by ``sitofp``, ``trunc``, ``bitcast`` … to another element type."""
        return self.new(self.f.convert(opcode, self.val, element))

    def double(self) -> Lanes:
        """A float32 as a float64; a float64 as it is."""
        return self if self.element == "double" else self.to("fpext", "double")

    def single(self) -> Lanes:
        """A float64 rounded to float32."""
        return self.to("fptrunc", "float")

    def bits(self) -> Lanes:
        """The bits of a float, as an integer of its size."""
        return self.to("bitcast", {"half": "i16", "float": "i32", "double": "i64"}[self.element])

    def as_float(self) -> Lanes:
        """The float that has these bits."""
        return self.to("bitcast", {"i16": "half", "i32": "float", "i64": "double"}[self.element])

    def intrinsic(self, name: str, *others: Number) -> Lanes:
        """``llvm.<name>`` of operands of this type."""
        return self.new(self.f.intrinsic(name, self.val, *[self.like(o).val for o in others]))

    def abs(self) -> Lanes:
        """A float without its sign."""
        return self.intrinsic("fabs")

    def sqrt(self) -> Lanes:
        """The square root of a float."""
        return self.intrinsic("sqrt")

    def signed_as(self, other: Lanes) -> Lanes:
        """The size of a float with the sign of another."""
        return self.intrinsic("copysign", other)


Number: TypeAlias = Lanes | float


def fma(a: Lanes, b: Number, c: Number) -> Lanes:
    """a b + c, rounded once where that is an instruction of the target, else twice."""
    return a.intrinsic("fma", b, c) if a.target.fma else a * b + c


def horner(x: Lanes, coefficients: Sequence[float]) -> Lanes:
    """The polynomial Σ cₖ xᵏ; coefficients from the lowest power up."""
    y = x.like(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        y = fma(y, x, c)
    return y


def where(condition: Lanes, a: Number, b: Number) -> Lanes:
    """a where the condition holds, else b; one of them at least is a value."""
    kind = a if isinstance(a, Lanes) else b
    assert isinstance(kind, Lanes), "where of two numbers has no type"
    a, b = kind.like(a), kind.like(b)
    return kind.new(a.f.select(condition.val, a.val, b.val))


def at_most(x: Lanes, bound: float) -> Lanes:
    """x, or `bound` where x is greater; NaN stays. One instruction on x86."""
    return where(x > bound, bound, x)


def at_least(x: Lanes, bound: float) -> Lanes:
    """x, or `bound` where x is less; NaN stays. One instruction on x86."""
    return where(x < bound, bound, x)


class Format(NamedTuple):
    """How a float is made of bits."""

    mantissa: int
    bias: int

    @property
    def shifter(self) -> float:
        """A float of which adding rounds to whole numbers, which its low bits then hold."""
        return 1.5 * 2.0**self.mantissa

    @property
    def smallest(self) -> float:
        """The least normal number."""
        return 2.0 ** (1 - self.bias)


FORMATS = {"float": Format(23, 127), "double": Format(52, 1023)}
"""The formats of float32 and float64, by LLVM's names."""


def power_of_two(k: Lanes, like: Lanes) -> Lanes:
    """2ᵏ as a float of the type of `like`, for whole k of a normal power."""
    format_ = FORMATS[like.element]
    return ((k + format_.bias) << format_.mantissa).as_float()


def nearest(x: Lanes) -> Lanes:
    """The nearest whole number, the even one of two, for sizes below 2 to the mantissa's bits."""
    shifter = FORMATS[x.element].shifter
    return x + shifter - shifter


def lane_by_lane(name: str, xs: Sequence[Lanes]) -> Lanes:
    """The C library's function `name` of each lane, which takes and returns doubles."""
    x = xs[0]
    f = x.f
    columns = [[_extracted(v, i) for i in range(v.val.lanes)] for v in xs]
    results = []
    for operands in zip(*columns, strict=True):
        y = x.new(f.call(name, [v.double().val for v in operands], "double"))
        results.append((y.single() if x.element == "float" else y).val)
    if x.val.lanes == 1:
        return x.new(results[0])
    out = Val(x.val.type, "poison")
    for i, result in enumerate(results):
        out = f.emit(x.val.type, f"insertelement {out}, {result}, i32 {i}")
    return x.new(out)


def _extracted(x: Lanes, i: int) -> Lanes:
    if x.val.lanes == 1:
        return x
    return x.new(x.f.emit(x.element, f"extractelement {x.val}, i32 {i}"))


def rarely(condition: Lanes, usual: Lanes, instead: Callable[[], Lanes]) -> Lanes:
    """`usual`, but `instead` where the condition holds: computed only if it does in some lane."""
    f, lanes = usual.f, condition.val.lanes
    some = condition.val
    if lanes > 1:
        some = f.call(f"llvm.vector.reduce.or.v{lanes}i1", [condition.val], "i1")
    start, slow, after = f.block, f.label("rare"), f.label("usual")
    f.branch_if(some, slow, after)
    f.begin(slow)
    replaced = where(condition, instead(), usual).val
    end = f.block
    f.branch(after)
    f.begin(after)
    arms = f"[{usual.val.ref}, %{start}], [{replaced.ref}, %{end}]"
    return usual.new(f.emit(usual.val.type, f"phi {usual.val.type} {arms}"))
