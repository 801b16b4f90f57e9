"""Machine code equals the interpreter: every op and its rule, on all targets, whatever it is given.

All samples of an op, in all dtypes, are one graph: one program of many kernels, which compile side
by side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import padding
import pytest
from closeness import ulps

import chainrule as cr
from chainrule.compile import trace
from chainrule.compile.native import NativeExecutable
from chainrule.compile.passes import optimize
from chainrule.core.graph import Graph
from chainrule.core.op import Op
from chainrule.core.sampling import Sample
from chainrule.errors import ArgumentError, ChainruleError
from chainrule.ops import all_ops
from chainrule.runtime import native
from chainrule.runtime.program import HostCall
from chainrule.runtime.target import check_host, target
from chainrule.testing.cases import Case
from chainrule.testing.layouts import LAYOUTS

pytestmark = pytest.mark.skipif(not native.available(), reason="needs llvmlite")

SAMPLES = {
    "native": {"float32": 6, "float64": 6, "float16": 2},
    "avx2": {"float32": 2, "float64": 1},
    "sse2": {"float32": 2, "float64": 1},
}
"""How many samples of each op, by target and by the type of its floats."""
MOST = 6

NAMES = sorted(name for name, op in all_ops().items() if op.__module__.startswith("chainrule."))

_WITHIN = {
    1: "acos acosh asin asinh atan atan2 atanh cos cosh div elu entr erf expm1 fmod gelu "
    "gelu_tanh hypot log log10 log1p log2 log_softmax logsumexp matmul maximum minimum "
    "mish mul ndtri prod prod_others remainder rnn_backward rsqrt sigmoid silu sin sinc sum_to tan "
    "tanh xlog1py",
    2: "binary_cross_entropy_with_logits convolution convolution_input cross_entropy einsum erfinv "
    "exp gru_backward layer_norm logaddexp logsigmoid pow sinh softplus spherical_bessel_j0 var "
    "xlogy",
    4: "batch_norm cholesky cofactors convolution_kernel eigh erfc gelu_slope gru igamma igammac "
    "lstm_backward lu qr solve svd",
    8: "lstm pinv rnn",
    12: "softmax",
}
ULPS = {name: float(ulps) for ulps, names in _WITHIN.items() for name in names.split()}
"""How far results and gradients may be from the interpreter's, in units in the last place of the
largest element; ops that are not here are equal to the bit (signs of zeros and NaN aside)."""

_ALONE = (
    "airy_ai", "arg_sort", "complement", "cummax", "cummin", "eigh", "erfcx", "erfinv", "fmod",
    "frexp", "gcd", "indefinite", "is_in", "lcm", "matrix_exp", "ndtri", "nextafter",
    "permutation", "pinv", "pivots", "polygamma", "random_permutation", "random_poisson",
    "reflectors", "scatter_reduce", "searchsorted", "signal_of_spectrum", "singular", "solve",
    "spectrum_of_signal", "spherical_bessel_j0", "svd", "triangle_above_mean", "zeta",
)  # fmt: skip
_AND_SOLVE = ("cholesky", "lu", "qr", "slog_det")
_IN_PAIRS = [
    {"bessel_j0", "bessel_j1"}, {"bessel_y0", "bessel_y1"}, {"i0", "i1"}, {"i0e", "i1e"},
    {"modified_bessel_k0", "modified_bessel_k1"},
    {"scaled_modified_bessel_k0", "scaled_modified_bessel_k1"},
]  # fmt: skip
BY_NUMPY = {
    **{name: {name} for name in _ALONE},
    **{name: pair for pair in _IN_PAIRS for name in pair},
    **{name: {name, "solve"} for name in _AND_SOLVE},
    "cofactors": {"cofactors", "det", "svd"},
    "det": {"cofactors", "det"},
    "digamma": {"digamma", "polygamma"},
    "igamma": {"igamma", "lgamma"},
    "igammac": {"igammac", "lgamma"},
    "lgamma": {"digamma", "lgamma"},
    "log_ndtr": {"erfcx", "log_ndtr"},
    "sort": {"arg_sort", "sort"},
}
"""What NumPy computes in the samples of an op and its rule; all else is machine code."""

_STATES = "infinite states: the interpreter's gates are NaN"
_PADDING = "the zeros of padding are multiplied: NaN next to infinite weights"
_REFUSED = "no decomposition of a matrix of NaN: either raises the same error"
OTHERWISE = {
    "cofactors": _REFUSED,
    "convolution": _PADDING,
    "convolution_input": _PADDING,
    "det": _REFUSED,
    "slog_det": _REFUSED,
    "cross_entropy": "the sign of the sum of weights that are all -0.0",
    "gelu": "the interpreter loses the digits of the normal distribution's tail",
    "gelu_tanh": "digits are lost in the tail, others in either",
    "gru": _STATES,
    "lstm": _STATES,
}
"""Where the two may differ for NaN, infinities and subnormal numbers, and why."""


class Member(NamedTuple):
    """A sample of an op with its floats in one dtype; its inputs are those from `first` on."""

    case: Case
    dtype: str
    inputs: list[Any]
    first: int

    def run(self, xs: Sequence[cr.Tensor]) -> list[cr.Tensor]:
        """The outputs, then the gradients that arrive at float inputs."""
        outs, grads = self.case.differentiate(xs[self.first : self.first + len(self.inputs)])
        return [*outs, *[g for g in grads.values() if g is not None]]


class Merged(NamedTuple):
    """All samples of an op as one graph, and which member each output is of."""

    graph: Graph
    optimized: Graph
    inputs: list[Any]
    owners: list[Member]

    def interpreted(self, inputs: Sequence[Any]) -> list[Any]:
        """What NumPy computes from the graph as it was traced."""
        with np.errstate(all="ignore"):
            return [np.asarray(y) for y in self.graph.run(*inputs)]


def size(sample: Sample) -> int:
    """Number of elements, 0 if one of the operands is empty."""
    sizes = [math.prod(draw.shape) for draw in sample.inputs]
    return 0 if 0 in sizes else sum(sizes)


def members(op: type[Op], counts: dict[str, int]) -> list[Member]:
    """Samples in each dtype that the op takes: the first ones; if few, of several elements."""
    found: list[Member] = []
    first, most = 0, max(counts.values())
    samples = list(enumerate(islice(op.samples(), MOST)))
    if most < MOST:
        samples.sort(key=lambda numbered: size(numbered[1]) < 2)
    for number, (seed, sample) in enumerate(samples[:most]):
        case = Case(sample, seed)
        for dtype, count in counts.items():
            has_floats = any(x.dtype.kind == "f" for x in case.inputs)
            if number >= count or (dtype != "float32" and not has_floats):
                continue
            inputs = [x.astype(dtype) if x.dtype.kind == "f" else x for x in case.inputs]
            try:
                case.op.infer(*inputs)
            except ChainruleError:
                continue  # not an op for this dtype
            found.append(Member(case, dtype, inputs, first))
            first += len(inputs)
    return found


class Programs:
    """The samples of an op in machine code, for each target once, when it is asked for."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.merged = cache(self._merge)
        self.executable = cache(self._compile)

    def _merge(self, where: str = "native") -> Merged:
        """The graph of the samples that are meant for a target."""
        parts = members(all_ops()[self.name], SAMPLES[where])
        owners: list[Member] = []

        def run(*xs: cr.Tensor) -> list[cr.Tensor]:
            owners.clear()
            results = []
            for member in parts:
                made = member.run(xs)
                owners.extend([member] * len(made))
                results += made
            return results

        inputs = [x for member in parts for x in member.inputs]
        graph = trace(run, *[cr.Tensor.wrap(x) for x in inputs])
        return Merged(graph, optimize(graph, check=True), inputs, owners)

    def _compile(self, where: str = "native") -> NativeExecutable:
        """The program for a target; skips the test if it cannot run here."""
        chosen = target(where)
        try:
            check_host(chosen)
        except ArgumentError as error:
            pytest.skip(str(error))
        return NativeExecutable(self.merged(where).optimized, {}, target=chosen)


@pytest.fixture(scope="module", params=NAMES)
def op(request: pytest.FixtureRequest) -> Programs:
    """Each op in turn: its tests run one after the other, on the same programs."""
    return Programs(request.param)


def run(program: NativeExecutable, inputs: Sequence[Any]) -> list[Any]:
    """Its outputs, from arrays as a user may have them."""
    return program([program.prepare(i, x) for i, x in enumerate(inputs)])


# Numbers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", SAMPLES)
def test_native_op_and_rule_equal_the_interpreter(op: Programs, where: str) -> None:
    whole = op.merged(where)
    found = run(op.executable(where), whole.inputs)
    limit = ULPS.get(op.name, 0.0)
    for member, got, want in zip(whole.owners, found, whole.interpreted(whole.inputs), strict=True):
        apart = ulps(got, want)
        assert apart <= limit, f"{member.case} in {member.dtype}: {apart} ULPs\n{got}\n{want}"


def awkward(x: Any, rng: np.random.Generator, dtype: Any) -> Any:
    """Numbers that arithmetic treats in ways of their own, in the shape of `x`."""
    if x.dtype.kind != "f":
        return x
    about = np.finfo(dtype)
    least, tiny = about.smallest_subnormal, about.tiny
    pools = (
        [np.nan, np.inf, -np.inf, -0.0, 0.0, least, -3 * least, tiny, 1.0, -1.0, 2.5],
        [np.inf, -0.0, 0.0, 1.0, -2.0, 0.5],
        [np.nan, 1.0, -0.0, -3.0, 0.0],
        [-0.0, 0.0, 5 * least, -tiny / 2, about.eps, 1.0, -0.5],
    )
    pool = pools[int(rng.integers(len(pools)))]
    return rng.choice(np.array(pool, dtype), size=x.shape)


@pytest.mark.parametrize("op", [name for name in NAMES if name not in OTHERWISE], indirect=True)
def test_nan_infinities_and_subnormals_go_where_the_interpreter_says(
    op: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, program = op.merged(), op.executable()
    rng = np.random.default_rng(0)
    limit = 2 * ULPS.get(op.name, 0.0)
    for _ in range(4):
        inputs = [awkward(x, rng, x.dtype) for x in whole.inputs]
        try:
            wanted = whole.interpreted(inputs)
        except ChainruleError as refusal:
            if op.name in BY_NUMPY:
                with pytest.raises(type(refusal)):
                    run(program, inputs)
            continue  # machine code does not look at the numbers
        found = run(program, inputs)
        if op.name.startswith("convolution"):
            with monkeypatch.context() as patch:
                padding.leave_out(patch)
                without = whole.interpreted(inputs)
            wanted = [
                np.where(np.isnan(want) & ~np.isnan(got), other, want)
                for got, want, other in zip(found, wanted, without, strict=True)
            ]
        for member, got, want in zip(whole.owners, found, wanted, strict=True):
            small = np.finfo(want.dtype).tiny / np.finfo(want.dtype).eps if limit else 0.0
            apart = ulps(got, want, small)
            assert apart <= limit, f"{member.case} in {member.dtype}: {apart}\n{got}\n{want}"


def test_the_comparison_sees_one_bit() -> None:
    x = np.array([1.0, 0.5], np.float32)
    assert ulps(np.nextafter(x, np.float32(2)), x) == 1.0
    assert ulps(x.astype(np.float64), x) == np.inf
    assert ulps(np.array([np.nan, 1]), np.array([1.0, 1])) == np.inf
    assert ulps(np.array([-np.inf]), np.array([np.inf])) == np.inf
    assert ulps(np.array([True]), np.array([False])) == np.inf
    assert ulps(np.array([np.nan, np.inf]), np.array([np.nan, np.inf])) == 0.0


# What runs where ----------------------------------------------------------------------------------


def test_only_known_ops_are_computed_by_numpy(op: Programs) -> None:
    steps = op.executable().program.steps
    found = {s.label.removeprefix("numpy ") for s in steps if isinstance(s, HostCall)}
    assert found == BY_NUMPY.get(op.name, set())


def test_the_tables_name_ops_that_exist() -> None:
    assert {*ULPS, *BY_NUMPY, *OTHERWISE} <= set(NAMES)
    print("computed by NumPy:", ", ".join(sorted(set().union(*BY_NUMPY.values()))))


# Memory -------------------------------------------------------------------------------------------


def huge_strides(x: Any) -> Any:
    """x with a mebibyte between its elements, in memory that mostly is never touched."""
    step = 2**20 // x.itemsize
    if x.size * 2**20 > 2**30:
        return x
    view = np.zeros(max(1, x.size) * step, x.dtype)[::step][: x.size].reshape(x.shape)
    view[...] = x
    return view


def locked(x: Any) -> Any:
    """x in memory that must not be written to."""
    x = x.copy()
    x.flags.writeable = False
    return x


def swapped(x: Any) -> Any:
    """x in the other byte order."""
    return x.astype(x.dtype.newbyteorder())


AWAY = LAYOUTS | {"huge strides": huge_strides, "read-only": locked, "byte order": swapped}


def test_the_layout_of_arguments_changes_no_bit(op: Programs) -> None:
    whole, program = op.merged(), op.executable()
    plain = [np.array(y) for y in run(program, whole.inputs)]
    for layout, moved in AWAY.items():
        arrays = [moved(x) if x.ndim else x for x in whole.inputs]
        if layout == "zero stride":
            indices = [x for x in whole.inputs if x.dtype.kind in "iu"]
            if indices:
                continue  # other rows: not what the op was sampled for
            try:
                plain_here = [np.array(y) for y in run(program, [np.array(x) for x in arrays])]
            except ChainruleError as refusal:
                with pytest.raises(type(refusal)):
                    run(program, arrays)
                continue
        else:
            plain_here = plain
        before = [x.copy() for x in arrays]
        found = run(program, arrays)
        for got, want in zip(found, plain_here, strict=True):
            np.testing.assert_array_equal(got, want, err_msg=layout, strict=True)
        for x, old in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(x, old, err_msg=f"{layout}: an argument was written to")


SHAPES = [(0,), (0, 3), (3, 0), (2, 0, 4), (1, 0, 1)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("optimized", [False, True], ids=["as traced", "optimized"])
def test_nothing_is_computed_of_nothing(shape: tuple[int, ...], optimized: bool) -> None:
    def several(x: cr.Tensor) -> list[cr.Tensor]:
        x = cr.Tensor.wrap(x.array).requires_grad_()
        total = (x.tanh() * 2).sum()
        (g,) = cr.gradients([total], [x])
        parts = cr.ops.concatenate([x, g], 0)
        padded = cr.ops.pad(x, [(1, 1)] * x.ndim)
        return [total, g, x.sum(0), x.sum(-1, True), parts, padded, x.reshape(-1), x.flip(0)]

    x = np.zeros(shape, np.float32)
    graph = trace(several, x)
    program = NativeExecutable(optimize(graph) if optimized else graph, {})
    for got, want in zip(run(program, [x]), graph.run(x), strict=True):
        np.testing.assert_array_equal(got, np.asarray(want), strict=True)


def test_products_over_nothing_are_zero() -> None:
    a, b = np.zeros((3, 0), np.float32), np.zeros((0, 5), np.float32)
    graph = trace(lambda a, b: a @ b + 1, a, b)
    for made in (graph, optimize(graph)):
        (found,) = run(NativeExecutable(made, {}), [a, b])
        np.testing.assert_array_equal(found, np.ones((3, 5), np.float32), strict=True)


def test_numbers_are_arrays_without_axes() -> None:
    graph = trace(lambda x, y: (x * y, x + 1), np.float32(0), np.zeros(3, np.float32))
    program = NativeExecutable(optimize(graph), {})
    for x in (np.array(2.0, np.float32), np.full((1,), 2.0, np.float32)[0:1].reshape(())):
        product, total = run(program, [x, np.arange(3, dtype=np.float32)])
        np.testing.assert_array_equal(product, np.array([0, 2, 4], np.float32), strict=True)
        np.testing.assert_array_equal(total, np.array(3.0, np.float32), strict=True)


def test_results_that_somebody_holds_are_not_written_again() -> None:
    graph = trace(lambda x: (x * 2, (x + 1).transpose(0, 1)), np.zeros((3, 4), np.float32))
    program = NativeExecutable(optimize(graph), {})
    xs = [np.full((3, 4), n, np.float32) for n in range(4)]
    kept = []
    for x in xs:
        double, turned = run(program, [x])
        kept.append((double[1:, ::2], turned.T[0], memoryview(double)))
        del double, turned
    for n, (part, row, view) in enumerate(kept):
        assert (part == 2 * n).all()
        assert (row == n + 1).all()
        assert (np.asarray(view) == 2 * n).all()
