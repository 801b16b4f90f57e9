"""Small kernels written by hand, for the tests of what loads and runs them."""

from __future__ import annotations

from chainrule.runtime.code import Code

_HEAD = """define void @kernel(ptr %table, ptr %slots, i64 %lo, i64 %hi) nounwind {
entry:
"""
_LOOP = """  %some = icmp slt i64 %lo, %hi
  br i1 %some, label %loop, label %end
loop:
  %t = phi i64 [%lo, %entry], [%next, %loop]
"""
_TAIL = """
  %next = add i64 %t, 1
  %more = icmp slt i64 %next, %hi
  br i1 %more, label %loop, label %end
end:
  ret void
}
"""


def pointer(name: str, slot: int) -> str:
    """Text that finds the pointer of a slot."""
    return f"""  %{name}_at = getelementptr i32, ptr %slots, i64 {slot}
  %{name}_i = load i32, ptr %{name}_at
  %{name}_p = getelementptr ptr, ptr %table, i32 %{name}_i
  %{name} = load ptr, ptr %{name}_p
"""


def add_index(tiles: int, constant: int = 0) -> Code:
    """y[t] += t + constant, in doubles; slot 0 is y."""
    body = f"""  %at = getelementptr double, ptr %y, i64 %t
  %old = load double, ptr %at
  %n = add i64 %t, {constant}
  %d = sitofp i64 %n to double
  %new = fadd double %old, %d
  store double %new, ptr %at"""
    return Code(_HEAD + pointer("y", 0) + _LOOP + body + _TAIL, tiles)


def reverse_add(tiles: int) -> Code:
    """y[t] = x[tiles - 1 - t] + 1: every tile reads what another tile's thread wrote."""
    body = f"""  %back = sub i64 {tiles - 1}, %t
  %from = getelementptr double, ptr %x, i64 %back
  %to = getelementptr double, ptr %y, i64 %t
  %old = load double, ptr %from
  %new = fadd double %old, 1.0
  store double %new, ptr %to"""
    return Code(_HEAD + pointer("x", 0) + pointer("y", 1) + _LOOP + body + _TAIL, tiles)


def call(function: str, tiles: int) -> Code:
    """y[t] = function(y[t]) with a function of C's library."""
    body = f"""  %at = getelementptr double, ptr %y, i64 %t
  %old = load double, ptr %at
  %new = call double @{function}(double %old)
  store double %new, ptr %at"""
    text = f"declare double @{function}(double)\n{_HEAD}{pointer('y', 0)}{_LOOP}{body}{_TAIL}"
    return Code(text, tiles)


def halves() -> Code:
    """y[t] = x[t] ** 3 for float16, through float32."""
    body = """  %from = getelementptr half, ptr %x, i64 %t
  %to = getelementptr half, ptr %y, i64 %t
  %h = load half, ptr %from
  %f = fpext half %h to float
  %g = fmul float %f, %f
  %k = fmul float %g, %f
  %r = fptrunc float %k to half
  store half %r, ptr %to"""
    return Code(_HEAD + pointer("x", 0) + pointer("y", 1) + _LOOP + body + _TAIL, 1000)


EMPTY = Code(_HEAD + "  ret void\n}\n", 8)
"""Does nothing, on any number of threads."""
