"""OpInfo's table: values and gradients of every sample, as function, method, in place, operator."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.testing._internal import common_methods_invocations
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.opinfo.core import OpInfo, SampleInput

import chainrule as cr

from ..compare import cotangents, rng_for
from .conversion import bound, converted, named
from .entry import RTOL, Entry, MismatchError, SampleSkippedError, describe, first_line, leaves

_NOT_REAL_TEXT = (
    "cdouble cfloat chalf complex fft.fft fft.fft2 fft.fftn fft.ifft fft.ifft2 "
    "fft.ifftn fft.ihfft fft.ihfft2 fft.ihfftn fft.rfft fft.rfft2 fft.rfftn imag istft linalg.eig "
    "linalg.eigvals polar stft view_as_complex view_as_real"
)
NOT_REAL = frozenset(_NOT_REAL_TEXT.split())
"""Without a sample that is real all the way: they take or give complex numbers."""
_NO_CPU_TEXT = (
    "jiterator_2inputs_2outputs jiterator_4inputs_with_extra_args jiterator_binary "
    "jiterator_binary_return_by_ref jiterator_unary torch._scaled_mm torch._scaled_mm_v2 "
    "torch.ops.aten._efficient_attention_forward torch.ops.aten._flash_attention_forward"
)
NO_CPU = frozenset(_NO_CPU_TEXT.split())
"""For graphics processors or float8 only."""
SPARSE = frozenset({"sparse.mm", "sparse.sampled_addmm", "to_sparse"})
_UNINITIALISED_TEXT = (
    "empty empty_like empty_permuted empty_strided new_empty new_empty_strided resize_ resize_as_"
)
UNINITIALISED = frozenset(_UNINITIALISED_TEXT.split())
"""What their numbers are is not defined: shape and element type count."""
DTYPES = (torch.float64, torch.int64, torch.bool, torch.float32)
"""The first that an op takes is the one it is asked in."""
DRAWN_UNLESS = {
    "nn.functional.fractional_max_pool2d": "_random_samples",
    "nn.functional.fractional_max_pool3d": "_random_samples",
}
"""Random without this argument, though so few results are possible that two calls may agree."""
TOLERANCES = {"special.bessel_j0": 1e-4, "special.bessel_y1": 1e-5}
"""Where PyTorch itself is off by more than 1e-6, next to zeros: test_tables shows it by mpmath."""
REASONS = ("complex", "bfloat16", "float8", "sparse", "quantised", "as argument", "magnifies")
"""What a sample may be left out for."""


def unseeded(op: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call `op`: two calls must be able to differ, or what is random could not be told."""
    return op(*args, **kwargs)


common_methods_invocations.wrapper_set_seed = unseeded  # PyTorch seeds each call with the same


def excluded(name: str) -> str | None:
    """Why an op is not among those counted, or None."""
    if name in NOT_REAL:
        return "not real"
    if name in NO_CPU:
        return "not for CPUs"
    if name in SPARSE:
        return "sparse"
    if name.startswith("torch.ops.") or (name.startswith("_") and not name.startswith("__")):
        return "internal"
    if name.endswith("_copy") and name != "index_copy":
        return "a view's copy: the same function twice"
    return None


def names() -> tuple[list[str], Counter[str]]:
    """The names that count, in the table's order, and how many are left out for which reason."""
    every = dict.fromkeys(op.name for op in op_db)
    reasons = Counter(reason for name in every if (reason := excluded(name)))
    return [name for name in every if not excluded(name)], reasons


@dataclass(frozen=True)
class Form:
    """One way to call an op, in both libraries."""

    label: str
    theirs: Callable[..., Any]
    ours: Callable[..., Any] | None
    in_place: bool = False


def run(name: str) -> Entry:
    """All samples of all variants of an op."""
    entry = Entry("op", name, rtol=TOLERANCES.get(name, RTOL))
    for op in op_db:
        if op.name == name:
            _run_variant(op, entry)
            if entry.status == "absent":
                break
    return entry.close()


def _run_variant(op: OpInfo, entry: Entry) -> None:
    dtype = next((d for d in DTYPES if d in op.dtypes), None)
    if dtype is None:
        entry.skipped["complex dtype"] += 1
        return
    grad = bool(op.supports_autograd) and dtype == torch.float64
    try:
        forms = list(_forms(op))
    except SampleSkippedError as reason:
        entry.absent(str(reason))
        return
    if forms[0].ours is None:
        entry.absent(f"no {op.name}")
        return
    torch.manual_seed(0)
    np.random.seed(0)  # PyTorch's sample functions draw from it
    for i, sample in enumerate(op.sample_inputs("cpu", dtype, requires_grad=grad)):
        _run_sample(op, forms, sample, entry, f"{op.formatted_name} {i}")


def _forms(op: OpInfo) -> Iterator[Form]:
    """The function, then what OpInfo names of method, in-place method and operator."""
    yield Form("function", op.get_op(), _function(op))
    if op.get_method() is not None:
        yield Form("method", op.get_method(), _bound_method(op.get_method(), op.name))
    if op.get_inplace() is not None:
        yield Form("in place", op.get_inplace(), _in_place(op), in_place=True)
    for label, fn in (
        ("operator", op.operator_variant),
        ("operator in place", op.inplace_operator_variant),
    ):
        if fn is not None:
            yield Form(label, fn, fn, in_place=label.endswith("place"))


def _function(op: OpInfo) -> Callable[..., Any] | None:
    fn = op.get_op()
    if _of_the_tests(fn):
        return bound(fn)
    return named(op.name) or (None if "." in op.name else _method(op.name, fn))


def _of_the_tests(fn: Any) -> bool:
    """Whether a function was written by PyTorch's tests, around those that it calls."""
    module = getattr(fn, "__module__", None) or ""
    return not hasattr(fn, "__name__") or module.startswith("torch.testing")


def _method(name: str, fn: Callable[..., Any]) -> Callable[..., Any] | None:
    found = getattr(cr.Tensor, getattr(fn, "__name__", name), None) or getattr(
        cr.Tensor, name, None
    )
    return found.__get__ if isinstance(found, property) else found


def _bound_method(fn: Any, name: str) -> Callable[..., Any] | None:
    return bound(fn) if _of_the_tests(fn) else getattr(cr.Tensor, fn.__name__, None)


def _in_place(op: OpInfo) -> Callable[..., Any] | None:
    fn = op.get_inplace()
    if _of_the_tests(fn):
        return bound(fn)
    return getattr(cr.Tensor, fn.__name__, None)


def _run_sample(
    op: OpInfo, forms: list[Form], sample: SampleInput, entry: Entry, label: str
) -> None:
    given = (sample.input, sample.args, sample.kwargs)
    if any(isinstance(x, torch.Tensor) and x.is_complex() for x in leaves(list(given))):
        entry.skipped["complex tensor"] += 1
        return
    for form in forms:
        if form.in_place and sample.broadcasts_input:
            continue
        try:
            _run_form(op, form, sample, entry, f"{label} {form.label}")
        except SampleSkippedError as reason:
            entry.skipped[str(reason)] += 1
            return
        except MismatchError as error:
            entry.fail(f"{error} [{describe(given)}]")
            return
        except Exception as error:  # noqa: BLE001  any error of ours is a wrong answer
            if _missing(error, op.name) and form.label == "function":
                entry.absent(first_line(error))
                return
            entry.fail(f"{label} {form.label}: {first_line(error)} [{describe(given)}]")
            return


def _missing(error: Exception, name: str) -> bool:
    """Whether an error says that the mirror does not have the op itself."""
    last = name.rpartition(".")[2]
    return isinstance(error, AttributeError) and f"{last}" in str(error).partition(" is not in")[0]


def _run_form(op: OpInfo, form: Form, sample: SampleInput, entry: Entry, label: str) -> None:
    made: list[tuple[Any, Any]] = []
    mine = converted((sample.input, sample.args, sample.kwargs), made)
    judged = _judge(form, sample)
    if judged is None:
        if form.label == "function":
            entry.refused += 1
        return
    outputs, repeats = judged
    if any(isinstance(y, torch.Tensor) and y.is_complex() for y in leaves(outputs)):
        raise SampleSkippedError("complex result")
    if any(isinstance(y, torch.Tensor) and y.dtype == torch.bfloat16 for y in leaves(outputs)):
        raise SampleSkippedError("bfloat16 result")
    if form.label == "function":
        entry.samples += 1
    if form.ours is None:
        raise MismatchError(f"{label}: no such {form.label} form")
    ys = form.ours(_copied(mine[0]) if form.in_place else mine[0], *mine[1], **mine[2])
    drawn = DRAWN_UNLESS.get(op.name)
    if drawn and sample.kwargs.get(drawn) is None:
        repeats = False
    if op.name in UNINITIALISED or not repeats:
        entry.random += form.label == "function"
        defined = op.name not in UNINITIALISED
        entry.same_outline(ys, outputs, f"{label} outline", range_too=defined)
        return
    zs = sample.output_process_fn_grad(outputs)
    ys = bound(sample.output_process_fn_grad)(ys)
    entry.same(ys, zs, f"{label} value")
    if op.supports_autograd and made:
        _compare_gradients(ys, zs, made, entry, label)


def _judge(form: Form, sample: SampleInput) -> tuple[Any, bool] | None:
    """PyTorch's result and whether a second call repeats it; None where it refuses the sample."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results, kept = [], []
        for seed in (1, 2):
            torch.manual_seed(seed)
            first = _copied(sample.input) if form.in_place else sample.input
            try:
                results.append(form.theirs(first, *sample.args, **sample.kwargs))
            except Exception:  # noqa: BLE001  whatever it refuses, it refuses
                return None
            kept.append(
                [x.clone() if isinstance(x, torch.Tensor) else x for x in leaves(results[-1])]
            )
    return results[0], all(map(_equal, *kept))


def _copied(value: Any) -> Any:
    """A tensor that may be changed in place, of the same history."""
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, cr.Tensor):
        return value.clone() if value.dtype.kind == "b" else value * 1
    return value


def _equal(x: Any, y: Any) -> bool:
    """Whether two calls gave the same numbers: nothing random in them."""
    return not isinstance(x, torch.Tensor) or torch.equal(x.nan_to_num(), y.nan_to_num())


def _compare_gradients(
    ys: Any, zs: Any, made: list[tuple[Any, Any]], entry: Entry, label: str
) -> None:
    """Pull the same random cotangents back through both, to every input that wants a gradient."""
    pairs = [
        (y, z)
        for y, z in zip(leaves(ys), leaves(zs), strict=True)
        if isinstance(z, torch.Tensor) and z.requires_grad
    ]
    if not pairs:
        return
    cts = cotangents([z.detach() for _, z in pairs], rng_for(label))
    inputs = [z for _, z in made]
    try:
        hs = torch.autograd.grad(
            [z for _, z in pairs], inputs, [torch.from_numpy(ct) for ct in cts], allow_unused=True
        )
    except (RuntimeError, NotImplementedError):
        return
    kept = [(y, ct) for (y, _), ct in zip(pairs, cts, strict=True) if y.requires_grad]
    gs: list[Any] = [None] * len(made)
    if kept:
        gs = cr.gradients(
            [y for y, _ in kept], [x for x, _ in made], [cr.Tensor(ct) for _, ct in kept],
            allow_unused=True,
        )  # fmt: skip
    for i, (g, h, x) in enumerate(zip(gs, hs, inputs, strict=True)):
        zeros = np.zeros(tuple(x.shape), np.float64)
        mine = cr.Tensor(zeros) if g is None else g
        entry.same(mine, torch.from_numpy(zeros) if h is None else h, f"{label} gradient {i}")
