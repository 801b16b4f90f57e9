"""Writing LLVM IR as text: values with types, loops with carried values, vectors of any width.

Text in SSA form, ready for LLVM's parser, is written ten times faster than through an object for
each instruction, and needs no clean-up passes behind it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ...core.aval import DType

TYPES = {
    "float16": "half", "float32": "float", "float64": "double", "bool": "i8",
    "int8": "i8", "uint8": "i8", "int16": "i16", "uint16": "i16",
    "int32": "i32", "uint32": "i32", "int64": "i64", "uint64": "i64",
}  # fmt: skip
"""LLVM's type for an element in memory. A bool is a byte; in registers comparisons give i1."""


class Val(NamedTuple):
    """A value of the function that is being written: its LLVM type, and its name or constant."""

    type: str
    ref: str

    def __str__(self) -> str:
        return f"{self.type} {self.ref}"

    @property
    def lanes(self) -> int:
        """Number of elements of a vector; 1 for a scalar."""
        return int(self.type[1:].split(" ", 1)[0]) if self.type[0] == "<" else 1

    @property
    def element(self) -> str:
        """Type of one element."""
        return self.type[1:-1].split(" x ", 1)[1] if self.type[0] == "<" else self.type


def vector(element: str, lanes: int) -> str:
    """The type of `lanes` elements; of one, the element's own."""
    return element if lanes == 1 else f"<{lanes} x {element}>"


def number(value: float | int | bool, element: str) -> str:
    """How LLVM writes a constant of an element type; floats by their bits, so exactly."""
    if element == "i1":
        return "true" if value else "false"
    if element[0] == "i":
        bits = int(element[1:])
        wrapped = int(value) & ((1 << bits) - 1)
        return str(wrapped - (1 << bits) if wrapped >> (bits - 1) else wrapped)
    if element == "half":
        return f"0xH{struct.unpack('<H', struct.pack('<e', np.float16(value)))[0]:04X}"
    if element == "float":
        value = float(np.float32(value))
    return f"0x{struct.unpack('<Q', struct.pack('<d', float(value)))[0]:016X}"


def constant(value: float | int | bool, type_: str) -> Val:
    """A constant; of a vector type, the same in all lanes."""
    if type_[0] != "<":
        return Val(type_, number(value, type_))
    element = Val(type_, "").element
    return Val(type_, f"splat ({element} {number(value, element)})")


def memory_type(dtype: DType) -> str:
    """LLVM's type for an element of `dtype` in memory."""
    return TYPES[dtype.name]


class Function:
    """The text of one function, instruction by instruction."""

    def __init__(
        self, name: str, arguments: Sequence[Val], *, attributes: str = "nounwind"
    ) -> None:
        self.arguments = list(arguments)
        self._lines = [
            f"define void @{name}({', '.join(map(str, arguments))}) {attributes} {{",
            "entry:",
        ]
        self._count = 0
        self.block = "entry"
        self.declarations: dict[str, str] = {}
        self._open: dict[str, int] = {}

    def finish(self) -> str:
        """The module's text: the function and what it calls."""
        return "\n".join([*self.declarations.values(), *self._lines, "  ret void", "}", ""])

    # Instructions ---------------------------------------------------------------------------------

    def emit(self, type_: str, instruction: str) -> Val:
        """Append an instruction with a result."""
        self._count += 1
        ref = f"%v{self._count}"
        self._lines.append(f"  {ref} = {instruction}")
        return Val(type_, ref)

    def do(self, instruction: str) -> None:
        """Append an instruction without a result."""
        self._lines.append(f"  {instruction}")

    def binary(self, opcode: str, a: Val, b: Val) -> Val:
        """``fadd``, ``mul``, ``and`` …: operands and result of one type."""
        return self.emit(a.type, f"{opcode} {a}, {b.ref}")

    def compare(self, predicate: str, a: Val, b: Val) -> Val:
        """``fcmp olt`` or ``icmp eq`` …: i1, or a vector of them."""
        return self.emit(vector("i1", a.lanes), f"{predicate} {a}, {b.ref}")

    def select(self, condition: Val, a: Val, b: Val) -> Val:
        """a where the condition holds, else b."""
        return self.emit(a.type, f"select {condition}, {a}, {b}")

    def convert(self, opcode: str, a: Val, element: str) -> Val:
        """``sitofp``, ``zext``, ``bitcast`` … to elements of another type."""
        type_ = vector(element, a.lanes)
        return self.emit(type_, f"{opcode} {a} to {type_}")

    def call(self, name: str, args: Sequence[Val], type_: str) -> Val:
        """Call an external function or intrinsic, declaring it once; void if the type says so."""
        types = ", ".join(a.type for a in args)
        self.declarations.setdefault(name, f"declare {type_} @{name}({types})")
        text = f"call {type_} @{name}({', '.join(map(str, args))})"
        if type_ == "void":
            self.do(text)
            return Val("void", "")
        return self.emit(type_, text)

    def prefetch(self, pointer: Val) -> None:
        """Have a cache line come to the first level, to be read."""
        hint = [Val("i32 immarg", n) for n in ("0", "3", "1")]
        self.call("llvm.prefetch.p0", [pointer, *hint], "void")

    def intrinsic(self, name: str, *args: Val) -> Val:
        """``llvm.<name>.<type>`` with operands and result of one type: fma, sqrt, floor, fabs …"""
        a = args[0]
        codes = {"half": "f16", "float": "f32", "double": "f64"}
        suffix = codes.get(a.element, a.element)
        if a.lanes > 1:
            suffix = f"v{a.lanes}{suffix}"
        return self.call(f"llvm.{name}.{suffix}", args, a.type)

    def splat(self, a: Val, lanes: int) -> Val:
        """A scalar in all lanes."""
        if lanes == 1:
            return a
        type_ = vector(a.type, lanes)
        one = self.emit(type_, f"insertelement {type_} poison, {a}, i32 0")
        return self.emit(
            type_, f"shufflevector {one}, {type_} poison, <{lanes} x i32> zeroinitializer"
        )

    # Addresses and memory -------------------------------------------------------------------------

    def integer(self, value: int) -> Val:
        """An i64 constant."""
        return Val("i64", str(value))

    def add(self, a: Val, b: Val | int) -> Val:
        """i64 sum; nothing is written for + 0."""
        if isinstance(b, int):
            if b == 0:
                return a
            b = self.integer(b)
        if a.ref == "0":
            return b
        return self.binary("add nsw", a, b)

    def scale(self, a: Val, factor: int) -> Val:
        """i64 product with a constant."""
        if factor == 0 or a.ref == "0":
            return self.integer(0)
        return a if factor == 1 else self.binary("mul nsw", a, self.integer(factor))

    def offset(self, pointer: Val, element: str, index: Val | int) -> Val:
        """The address `index` elements behind `pointer`."""
        if isinstance(index, int):
            index = self.integer(index)
        if index.ref == "0":
            return pointer
        return self.emit("ptr", f"getelementptr inbounds {element}, {pointer}, {index}")

    def load(self, pointer: Val, type_: str, align: int) -> Val:
        """What is at `pointer`; `align` in bytes is what may be relied on."""
        return self.emit(type_, f"load {type_}, {pointer}, align {align}")

    def store(self, value: Val, pointer: Val, align: int) -> None:
        """Write to memory."""
        self.do(f"store {value}, {pointer}, align {align}")

    def masked_load(self, pointer: Val, type_: str, align: int, active: int) -> Val:
        """The first `active` lanes from memory, zero in the others; none of those are touched."""
        mask = self._mask(Val(type_, "").lanes, active)
        zero = Val(type_, "zeroinitializer")
        name = f"llvm.masked.load.{self._suffix(type_)}.p0"
        return self.call(name, [pointer, Val("i32 immarg", str(align)), mask, zero], type_)

    def masked_store(self, value: Val, pointer: Val, align: int, active: int) -> None:
        """Write the first `active` lanes."""
        name = f"llvm.masked.store.{self._suffix(value.type)}.p0"
        mask = self._mask(value.lanes, active)
        self.call(name, [value, pointer, Val("i32 immarg", str(align)), mask], "void")

    @staticmethod
    def _mask(lanes: int, active: int) -> Val:
        bits = ", ".join(f"i1 {'true' if i < active else 'false'}" for i in range(lanes))
        return Val(f"<{lanes} x i1>", f"<{bits}>")

    @staticmethod
    def _suffix(type_: str) -> str:
        v = Val(type_, "")
        return f"v{v.lanes}" + {"half": "f16", "float": "f32", "double": "f64"}.get(
            v.element, v.element
        )

    # Control flow ---------------------------------------------------------------------------------

    def label(self, hint: str) -> str:
        """A fresh block name."""
        self._count += 1
        return f"{hint}{self._count}"

    def begin(self, label: str) -> None:
        """Start a block; the one before must have ended with a branch."""
        self._lines.append(f"{label}:")
        self.block = label

    def branch(self, label: str) -> None:
        """Go on at a block."""
        self.do(f"br label %{label}")

    def branch_if(self, condition: Val, then: str, otherwise: str) -> None:
        """Go on at one block or the other."""
        self.do(f"br i1 {condition.ref}, label %{then}, label %{otherwise}")

    def loop(
        self,
        low: Val | int,
        high: Val | int,
        step: int,
        body: Callable[..., Sequence[Val] | None],
        carried: Sequence[Val] = (),
        *,
        may_be_empty: bool = True,
        hint: str = "loop",
    ) -> list[Val]:
        """``for i in range(low, high, step)``: body(i, *carried) returns the new carried values.

        Returns the carried values behind the loop. With ``may_be_empty=False`` the test comes at
        the end only. A loop of one constant turn is written straight.
        """
        if isinstance(low, int) and isinstance(high, int):
            turns = max(0, -((low - high) // step))
            if turns == 0:
                return list(carried)
            if turns == 1:
                return list(body(self.integer(low), *carried) or ())
            may_be_empty = False
        low = self.integer(low) if isinstance(low, int) else low
        high = self.integer(high) if isinstance(high, int) else high
        head, after = self.label(hint), self.label(f"{hint}_end")
        before = self.block
        if may_be_empty:
            self.branch_if(self.compare("icmp slt", low, high), head, after)
        else:
            self.branch(head)
        self.begin(head)
        i = self._phi("i64")
        slots = [self._phi(c.type) for c in carried]
        results = list(body(i, *slots) or ())
        succ = self.binary("add nsw", i, self.integer(step))
        latch = self.block
        self.branch_if(self.compare("icmp slt", succ, high), head, after)
        for phi, start, end in zip([i, *slots], [low, *carried], [succ, *results], strict=True):
            self._fill(phi, f"[{start.ref}, %{before}], [{end.ref}, %{latch}]")
        self.begin(after)
        if not carried:
            return []
        if not may_be_empty:
            return results
        out = []
        for start, end in zip(carried, results, strict=True):
            phi = self._phi(start.type)
            self._fill(phi, f"[{start.ref}, %{before}], [{end.ref}, %{latch}]")
            out.append(phi)
        return out

    def _phi(self, type_: str) -> Val:
        """A phi, to be filled when its incoming values are known."""
        phi = self.emit(type_, f"phi {type_} ")
        self._open[phi.ref] = len(self._lines) - 1
        return phi

    def _fill(self, phi: Val, incoming: str) -> None:
        self._lines[self._open.pop(phi.ref)] += incoming
