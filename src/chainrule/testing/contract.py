"""The contract of an op: every check takes a case and yields one record per thing it compared.

Nothing here knows any op by name. What an op must satisfy follows from its family and from what it
declares, so an op added to the library, or by a user, is checked without a line of test code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..core.aval import SCALARS, Aval
from ..core.families import Bilinear, Constant, Elementwise, Linear
from ..core.op import Op
from ..core.value import Item
from ..errors import GradientError, SecondOrderError
from . import formula, numeric
from .cases import Array, Case, OpProgram
from .layouts import layouts_for
from .program import GradientOf, gradients
from .sampling import direction

RTOL = 1e-6
"""Against differences, relative to each number itself."""
EXACT = 1e-12
"""Between two exact ways of computing the same, relative to the size of the terms."""
SINGLE = 2e-4
"""float32 against float64."""
_ORACLE_POINTS = 6
_DIGITS = 30


class Record(NamedTuple):
    """One comparison: which check, of what, and what was wrong (empty: it held)."""

    check: str
    what: str
    wrong: str = ""


Check: TypeAlias = Callable[[Case], Iterator[Record]]


def close(got: Any, want: Any, rtol: float, scale: float | None = None) -> str:
    """Empty if arrays agree to `rtol` of `scale` (default: the largest element), else how not."""
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        return f"shape {got.shape} instead of {want.shape}"
    if got.size == 0:
        return ""
    a, b = got.astype(np.float64), want.astype(np.float64)
    with np.errstate(all="ignore"):
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        gap = np.where(same, 0.0, np.abs(a - b))
        bad = ~(gap <= rtol * (largest(b) if scale is None else scale))
    if not bad.any():
        return ""
    at = np.unravel_index(int(np.nanargmax(np.where(np.isnan(gap), np.inf, gap))), gap.shape)
    return f"{a[at]:.12g} instead of {b[at]:.12g} at {[int(i) for i in at]}"


def largest(x: Array) -> float:
    """The largest finite magnitude, 0 if there is none."""
    return float(np.abs(x[np.isfinite(x)]).max(initial=0.0))


def check_shape_rule(case: Case) -> Iterator[Record]:
    """``infer`` says the shape and dtype that ``forward`` returns, from arrays and from Avals."""
    avals = [Aval(x.shape, x.dtype) for x in case.inputs]
    for what, operands in (("arrays", case.inputs), ("avals", avals)):
        said = case.op.infer(*operands)
        said = (said,) if isinstance(said, Aval) else tuple(said)
        got = tuple(Aval(y.shape, y.dtype) for y in case.outs)
        wrong = "" if said == got else f"infer says {said}, forward returned {got}"
        yield Record("shape rule", what, wrong)


def check_forward_oracle(case: Case) -> Iterator[Record]:
    """``forward`` equals ``expr`` in 30 digits, or ``reference``, which shares no code with it."""
    op = case.op
    if isinstance(op, Elementwise) and op.expr:
        want, got = _scalar_oracle(case, op.expr, case.outs[0])
        for a, b in zip(got, want, strict=True):
            yield Record(
                "forward", "expr", close(a, b, EXACT, abs(b) + 1e-3 if math.isfinite(b) else 1)
            )
    if type(op).reference is not Op.reference:
        reference: Any = op.reference(*case.inputs)
        for y, want_y in zip(case.outs, reference if op.n_out else (reference,), strict=True):
            yield Record("forward", "reference", close(y, want_y, 1e-11))


def check_local_formulas(case: Case) -> Iterator[Record]:
    """Each formula in ``math`` is the local derivative that ``partial`` computes."""
    op = case.op
    if not isinstance(op, Elementwise) or not op.differentiable:
        return
    if not op.math:
        yield Record("local formula", "math", "an Elementwise op states its derivatives in `math`")
        return
    if len(op.math) not in (len(case.inputs), len(case.wrt)):
        yield Record("local formula", "math", f"{len(op.math)} formulas, {len(case.wrt)} inputs")
        return
    for k, i in enumerate(case.wrt):
        text = op.math[i if len(op.math) == len(case.inputs) else k]
        local = np.broadcast_to(op.partial(i, case.inputs, case.outs[0]), case.outs[0].shape)
        want, got = _scalar_oracle(case, text, local)
        for a, b in zip(got, want, strict=True):
            yield Record("local formula", text, close(a, b, 1e-10, abs(b) + 1e-3))


def check_jvp(case: Case) -> Iterator[Record]:
    """J dx equals the central difference, in every element of every output."""
    for i in case.wrt:
        found = _difference(case, i)
        dys = numeric.flatten(case.push(case.inputs, {i: case.dxs[i]}))
        yield Record("jvp", f"input {i}", _against(dys, found))


def check_vjp(case: Case) -> Iterator[Record]:
    """⟨Jᵀ ct, dx⟩ equals ⟨ct, central difference along dx⟩, for each input by itself."""
    ct = numeric.flatten(case.float_cts)
    weight = np.abs(ct)
    for i in case.wrt:
        found = _difference(case, i)
        comparison = numeric.compare(
            float(np.sum(case.grads[i] * case.dxs[i])),
            float(found.value @ ct),
            noise=float(found.noise @ weight),
            error=float(found.error @ weight),
            rtol=RTOL,
            scale=float(np.abs(found.value) @ weight),
        )
        yield Record("vjp", f"input {i}", comparison.wrong)


def check_adjoint(case: Case) -> Iterator[Record]:
    """⟨ct, J dx⟩ = ⟨Jᵀ ct, dx⟩ to 1e-12, for each input and for all; Jᵀ is linear in ct."""
    ct = numeric.flatten(case.float_cts)
    together = [case.wrt] if len(case.wrt) > 1 else []
    for inputs in [*([i] for i in case.wrt), *together]:
        dxs = {i: case.dxs[i] for i in inputs}
        pushed = ct * numeric.flatten(case.push(case.inputs, dxs))
        pulled = numeric.flatten([case.grads[i] * dx for i, dx in dxs.items()])
        size = float(np.abs(pushed).sum() + np.abs(pulled).sum())
        yield Record("adjoint", f"{inputs}", close(pulled.sum(), pushed.sum(), EXACT, size))
    if case.wrt:
        other = [None if ct is None else direction(ct, case.rng) for ct in case.cts]
        mixed = [
            None if a is None or b is None else 2.0 * a - 0.5 * b
            for a, b in zip(case.cts, other, strict=True)
        ]
        second = case.pull(case.inputs, other, case.wrt)
        for i, g in case.pull(case.inputs, mixed, case.wrt).items():
            want = 2.0 * case.grads[i] - 0.5 * second[i]
            size = 2.0 * (largest(case.grads[i]) + largest(second[i]))
            yield Record("linear in ct", f"input {i}", close(g, want, EXACT, size))


def check_second_order(case: Case) -> Iterator[Record]:
    """The gradient's gradient equals the gradient's difference; or SecondOrderError, if `once`."""
    if not case.wrt:
        return
    if case.op.once:
        raised = _raises(
            SecondOrderError,
            lambda: case.pull(case.inputs, case.cts, case.wrt, create_graph=True),
        )
        yield Record("second order", "refused", "" if raised else "`once`, yet no SecondOrderError")
        return
    program = GradientOf(OpProgram(case), case.float_cts)
    xs = program.arrays
    us = [direction(g, case.rng) for g in program.evaluate(xs)]
    found = program.pull(xs, us)
    dxs = [case.dxs[i] for i in case.wrt] + [direction(ct, case.rng) for ct in case.float_cts]
    u = numeric.flatten(us)
    for k, dx in enumerate(dxs):
        along: list[Array | None] = [None] * len(xs)
        along[k] = dx
        moved = numeric.directional_difference(program.evaluate, xs, along)
        g = found[k]
        comparison = numeric.compare(
            0.0 if g is None else float(np.sum(g * dx)),
            float(moved.value @ u),
            noise=float(moved.noise @ np.abs(u)),
            error=float(moved.error @ np.abs(u)),
            rtol=RTOL,
            scale=float(np.abs(moved.value) @ np.abs(u)),
        )
        yield Record("second order", program.names[k], comparison.wrong)


def check_active_subsets(case: Case) -> Iterator[Record]:
    """The gradient of one input does not depend on which others are differentiated, or how given.

    Constant operands are given as arrays; 0-dimensional ones of promoting ops also as numbers.
    """
    for size in range(1, len(case.wrt)):
        for subset in combinations(case.wrt, size):
            found = case.pull(case.inputs, case.cts, subset)
            for i in subset:
                wrong = close(found[i], case.grads[i], EXACT)
                yield Record("active subset", f"{subset}: input {i}", wrong)
    numbers = [k for k in case.wrt if case.inputs[k].ndim == 0 and case.op.promotes]
    for k in numbers if len(case.wrt) > 1 else ():
        rest = [i for i in case.wrt if i != k]
        operands: list[Any] = list(case.inputs)
        operands[k] = float(case.inputs[k])
        for i, g in case.pull(operands, case.cts, rest).items():
            wrong = close(g, case.grads[i], EXACT)
            yield Record("active subset", f"input {k} a Python number: input {i}", wrong)


def check_single_outputs(case: Case) -> Iterator[Record]:
    """With several outputs, the cotangent of one alone may be given; their effects add up."""
    differentiable = [k for k, ct in enumerate(case.cts) if ct is not None]
    if case.op.n_out is None or len(differentiable) < 2 or not case.wrt:
        return
    total = {i: np.zeros(case.inputs[i].shape) for i in case.wrt}
    for k in differentiable:
        alone = [ct if j == k else None for j, ct in enumerate(case.cts)]
        for i, g in case.pull(case.inputs, alone, case.wrt).items():
            total[i] = total[i] + g
    for i in case.wrt:
        yield Record("single outputs", f"input {i}", close(total[i], case.grads[i], EXACT))


def check_arrays_equal_tensors(case: Case) -> Iterator[Record]:
    """The rule gives the same on tensors as on arrays."""
    if case.op.once or not case.wrt:
        return
    found = case.pull(case.inputs, case.cts, case.wrt, create_graph=True)
    for i, g in found.items():
        yield Record("arrays = tensors", f"input {i}", close(g, case.grads[i], EXACT))


def check_residuals(case: Case) -> Iterator[Record]:
    """The tape keeps what ``needs`` declares and no more, and lets go of it when backward passes.

    A rule that touches an input it did not declare meets an Aval there, and fails.
    """
    if not case.wrt:
        return
    operands, outs = case.record(case.inputs, case.wrt)
    out, ct = next((y, c) for y, c in zip(outs, case.cts, strict=True) if c is not None)
    node = out.node
    if node is None:
        yield Record("residuals", "node", "a float output was not recorded")
        return
    owner = node.parents[0] if isinstance(node.op, Item) else node
    assert owner is not None
    assert owner.xs is not None
    needs = case.op.needs
    dropped: tuple[type, ...] = (Aval, type(None), *SCALARS)
    kept = [i for i, x in enumerate(owner.xs) if not isinstance(x, dropped)]
    allowed = range(len(case.inputs)) if needs.inputs is None else needs.inputs
    extra = [i for i in kept if i not in allowed]
    yield Record("residuals", "inputs", f"keeps undeclared inputs {extra}" if extra else "")
    yield Record("residuals", "output", "" if (owner.y is None) != needs.output else "output")
    leaves = [operands[i] for i in case.wrt]
    gradients([out], leaves, [ct], create_graph=False, retain_graph=False)
    held = owner.xs is not None and (needs.inputs != () or needs.output)
    yield Record("residuals", "freed", "still held after backward" if held else "")


def check_layouts(case: Case) -> Iterator[Record]:
    """Storage order, strides, alignment and read-only memory change nothing."""
    for name, arrange in layouts_for(case.sample.inputs):
        arranged = [arrange(x) if x.ndim else x for x in case.inputs]
        base = case.inputs
        if name == "zero stride":
            base = [np.array(x) for x in arranged]
        outs = case.outs if base is case.inputs else case.compute(base)
        for y, want in zip(case.compute(arranged), outs, strict=True):
            yield Record("layout", f"{name}: forward", close(y, want, EXACT))
        if not case.wrt or any(x.size == 0 for x in base):
            continue
        cts = [None if ct is None else arrange(ct) if ct.ndim else ct for ct in case.cts]
        plain = [None if ct is None else np.array(ct) for ct in cts]
        grads = case.pull(base, plain, case.wrt)
        for i, g in case.pull(arranged, cts, case.wrt).items():
            size = largest(grads[i]) + 1e-3
            yield Record("layout", f"{name}: input {i}", close(g, grads[i], EXACT, size))


def check_float32(case: Case) -> Iterator[Record]:
    """float32 operands give float32 results and gradients, near those of float64."""
    single = [x.astype(np.float32) if x.dtype.kind == "f" else x for x in case.inputs]
    said = case.op.infer(*single)
    for y, aval, want in zip(
        case.compute(single), (said,) if isinstance(said, Aval) else said, case.outs, strict=True
    ):
        wrong = "" if y.dtype == aval.dtype else f"{y.dtype} instead of {aval.dtype}"
        yield Record("float32", "dtype", wrong)
        if want.dtype.kind == "f":
            yield Record("float32", "forward", close(y, want, SINGLE))
    cts = [
        None if ct is None else ct.astype(y.dtype)
        for ct, y in zip(case.cts, case.compute(single), strict=True)
    ]
    for i, g in case.pull(single, cts, case.wrt).items() if case.wrt else ():
        wrong = "" if g.dtype == np.float32 else f"gradient of {g.dtype}"
        size = largest(case.grads[i]) + 1e-3
        wrong = wrong or close(g, case.grads[i], SINGLE, size)
        yield Record("float32", f"input {i}", wrong)


def check_linear(case: Case) -> Iterator[Record]:
    """A Linear op is linear in its first input, a Bilinear one in each: f(x + t) - f(x) = J t."""
    if not isinstance(case.op, (Linear, Bilinear)) or not case.wrt:
        return
    for i in case.wrt[:1] if isinstance(case.op, Linear) else case.wrt:
        far = [x + 3.0 * case.dxs[i] if j == i else x for j, x in enumerate(case.inputs)]
        dys = case.push(case.inputs, {i: case.dxs[i]})
        for y, moved, dy in zip(case.floats(case.inputs), case.floats(far), dys, strict=True):
            with np.errstate(invalid="ignore"):
                step = np.where(moved == y, 0.0, moved - y)
            size = 4.0 * max(largest(y), largest(3.0 * dy))
            yield Record("linear", f"input {i}", close(step, 3.0 * dy, EXACT, size))


def check_constant(case: Case) -> Iterator[Record]:
    """An op without a derivative leaves no node, and refuses a gradient."""
    if case.op.differentiable and not isinstance(case.op, Constant):
        return
    floats = [i for i, x in enumerate(case.inputs) if x.dtype.kind == "f"]
    _, outs = case.record(case.inputs, floats)
    for y in outs:
        yield Record("constant", "node", "" if y.node is None else "was recorded")
        if y.array.size == 1 and floats:
            refused = _raises(GradientError, y.backward)  # type: ignore[attr-defined]  # a Tensor
            yield Record("constant", "gradient", "" if refused else "backward() did not refuse")


CHECKS: tuple[Check, ...] = (
    check_shape_rule, check_forward_oracle, check_local_formulas, check_jvp, check_vjp,
    check_adjoint, check_second_order, check_active_subsets, check_single_outputs,
    check_arrays_equal_tensors, check_residuals, check_layouts, check_float32, check_linear,
    check_constant,
)  # fmt: skip


def unused_needs(cases: Sequence[Case]) -> str:
    """What an op declares in ``needs`` but no rule reads, in any case; empty if nothing.

    Memory is what it costs: an activation kept for nothing until backward.
    """
    op = next((case.op for case in cases if case.wrt), None)
    if op is None:
        return ""
    most = range(max(len(case.inputs) for case in cases))
    kept = most if op.needs.inputs is None else [i for i in op.needs.inputs if i in most]
    idle = {*kept, *(["output"] if op.needs.output else [])}
    for case in cases:
        if case.wrt and idle:
            idle = {part for part in idle if _idle(case, part)}
    return f"keeps {sorted(map(str, idle))} for nothing" if idle else ""


def _idle(case: Case, part: int | str) -> bool:
    """Whether the rules give the same when `part` of what the op declares is withheld."""
    several = case.op.n_out is not None
    xs: list[Any] = list(case.inputs)
    y: Any = tuple(case.outs) if several else case.outs[0]
    ct: Any = case.cts if several else case.cts[0]
    withheld, without = list(xs), y
    if part == "output":
        avals = tuple(Aval(out.shape, out.dtype) for out in case.outs)
        without = avals if several else avals[0]
    elif isinstance(part, int):
        if part >= len(xs):
            return True
        withheld[part] = Aval(xs[part].shape, xs[part].dtype)
    active = [True if i in case.wrt else None for i in range(len(xs))]
    dxs = [case.dxs.get(i) for i in range(len(xs))]
    try:
        found = [*case.op.vjp(ct, withheld, without, active)]
        want = [*case.op.vjp(ct, xs, y, active)]
        if type(case.op).jvp is not Op.jvp:
            found.append(case.op.jvp(dxs, withheld, without))
            want.append(case.op.jvp(dxs, xs, y))
    except Exception:  # noqa: BLE001  whatever it raises, it was touched
        return False
    return not any(close(a, b, 0.0) for a, b in zip(found, want, strict=True) if b is not None)


def _difference(case: Case, i: int) -> numeric.Difference:
    along: list[Array | None] = [case.dxs[i] if j == i else None for j in range(len(case.inputs))]
    return numeric.directional_difference(
        case.floats, case.inputs, along, center=numeric.flatten(case.floats(case.inputs))
    )


def _against(dys: Array, found: numeric.Difference) -> str:
    """Empty if every element of J dx agrees with its difference."""
    if found.kink.any():
        return "the sample is at a kink: choose the domain away from it"
    scale = float(np.abs(found.value).max(initial=0.0))
    excused = found.noise + np.minimum(4.0 * found.error, 1e-8 * scale)
    size = np.maximum(np.abs(dys), np.abs(found.value))
    bad = ~(np.abs(dys - found.value) <= RTOL * size + excused)
    if not bad.any():
        return ""
    k = int(np.argmax(bad))
    return f"{dys[k]:.9g} instead of {found.value[k]:.9g} in element {k}"


def _scalar_oracle(case: Case, text: str, result: Array) -> tuple[list[float], list[float]]:
    """The formula in 30 digits, and `result`, at a few elements."""
    home = _mathematics()
    number = float if home is math else home.mpf
    names = formula.names(text)
    fields = {n: getattr(case.op, n) for n in names if not n.isdigit() and n != "y"}
    xs = [np.broadcast_to(x, result.shape).reshape(-1) for x in case.inputs]
    ys = case.outs[0].reshape(-1)
    flat = np.asarray(result).reshape(-1)
    points = range(0, flat.size, max(1, flat.size // _ORACLE_POINTS))
    want: list[float] = []
    for k in points:
        values: dict[str, Any] = {
            str(i): number(float(x[k])) if x.dtype.kind == "f" else x[k].item()
            for i, x in enumerate(xs)
        }
        values["y"] = number(float(ys[k])) if ys.dtype.kind == "f" else ys[k].item()
        want.append(float(formula.evaluate(text, values | fields, home)))
    return want, [float(flat[k]) for k in points]


def _mathematics() -> Any:
    """A context of mpmath with 30 digits, or the math module without it."""
    try:
        import mpmath  # type: ignore[import-untyped]  # an optional dependency without types
    except ImportError:
        return math
    context = mpmath.mp.clone()
    context.dps = _DIGITS
    return context


def _raises(kind: type[Exception], action: Callable[[], object]) -> bool:
    try:
        action()
    except kind:
        return True
    return False
