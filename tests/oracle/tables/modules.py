"""ModuleInfo's table: constructor, forward, gradients of inputs and parameters, buffers."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import numpy as np
import torch
from torch.testing._internal.common_modules import ModuleInfo, ModuleInput, module_db

import chainrule as cr

from ..compare import cotangents, rng_for
from .conversion import converted, named
from .entry import Entry, MismatchError, SampleSkippedError, describe, first_line, leaves

DRAWN_UNLESS = {
    "nn.FractionalMaxPool2d": "_random_samples",
    "nn.FractionalMaxPool3d": "_random_samples",
}
"""Random without this argument, though so few results are possible that two calls may agree."""
LAZY = "lazy: its shape comes with the first batch"


def excluded(info: ModuleInfo) -> str | None:
    """Why a module is not among those counted, or None."""
    return LAZY if info.is_lazy else None


def names() -> tuple[list[str], Counter[str]]:
    """The names that count, in the table's order, and how many are left out for which reason."""
    reasons = Counter(reason for info in module_db if (reason := excluded(info)))
    return [info.name for info in module_db if not excluded(info)], reasons


def run(name: str) -> Entry:
    """All samples of a module, in training and in evaluation."""
    entry = Entry("module", name)
    info = next(info for info in module_db if info.name == name)
    if named(name) is None:
        entry.absent(f"no {name}")
        return entry
    for training in (True, False):
        torch.manual_seed(0)
        samples = info.module_inputs_func(
            info, device="cpu", dtype=torch.float64, requires_grad=True, training=training
        )
        for i, sample in enumerate(samples):
            label = f"{name} {'train' if training else 'eval'} {i}"
            _run_sample(info, sample, training, entry, label)
    return entry.close()


def _run_sample(
    info: ModuleInfo, sample: ModuleInput, training: bool, entry: Entry, label: str
) -> None:
    made, given = sample.constructor_input, sample.forward_input
    said = f"[{describe((made.args, made.kwargs))} on {describe((given.args, given.kwargs))}]"
    try:
        _compare(info, sample, training, entry, label)
    except SampleSkippedError as reason:
        entry.skipped[str(reason)] += 1
    except MismatchError as error:
        entry.fail(f"{error} {said}")
    except Exception as error:  # noqa: BLE001  any error of ours is a wrong answer
        entry.fail(f"{label}: {first_line(error)} {said}")


def _compare(
    info: ModuleInfo, sample: ModuleInput, training: bool, entry: Entry, label: str
) -> None:
    made, given = sample.constructor_input, sample.forward_input
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(1)
        judge = info.module_cls(*made.args, **made.kwargs).double().train(training)
        state = {key: value.clone() for key, value in judge.state_dict().items()}
        outputs = []
        for seed in (2, 3):
            judge.load_state_dict(state)
            torch.manual_seed(seed)
            outputs.append(judge(*given.args, **given.kwargs))
    if any(isinstance(z, torch.Tensor) and z.is_complex() for z in leaves(list(outputs))):
        raise SampleSkippedError("complex result")
    mine = named(info.name)(*converted(made.args), **converted(made.kwargs))
    mine = mine.double().train(training)
    mine.load_state_dict(converted(state))
    if list(mine.state_dict()) != list(state):
        raise MismatchError(f"{label}: state {list(mine.state_dict())}, PyTorch {list(state)}")
    inputs: list[tuple[Any, Any]] = []
    args, kwargs = converted(given.args, inputs), converted(given.kwargs, inputs)
    ys = mine(*args, **kwargs)
    entry.samples += 1
    first, second = (list(leaves(output)) for output in outputs)
    drawn = DRAWN_UNLESS.get(info.name)
    repeats = not drawn or made.kwargs.get(drawn) is not None
    if not repeats or not all(
        torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(first, second, strict=True)
    ):
        entry.random += 1
        entry.same_outline(ys, outputs[1], f"{label} outline")
        return
    entry.same(ys, outputs[1], f"{label} value")
    _compare_gradients(mine, judge, ys, outputs[1], inputs, entry, label)
    buffers = dict(mine.named_buffers())
    for key, buffer in judge.named_buffers():
        entry.same(buffers[key], buffer, f"{label} buffer {key}")


def _compare_gradients(
    mine: Any, judge: Any, ys: Any, zs: Any, inputs: list[tuple[Any, Any]], entry: Entry, label: str
) -> None:
    """Pull random cotangents back to the inputs and to the parameters, matched by name."""
    theirs = dict(judge.named_parameters())
    ours = dict(mine.named_parameters())
    if list(ours) != list(theirs):
        raise MismatchError(f"{label}: parameters {list(ours)}, PyTorch {list(theirs)}")
    pairs = [(f"input {i}", x, z) for i, (x, z) in enumerate(inputs)]
    pairs += [(key, ours[key], theirs[key]) for key in theirs]
    results = [(y, z) for y, z in zip(leaves(ys), leaves(zs), strict=True) if z.requires_grad]
    if not results or not pairs:
        return
    cts = cotangents([z.detach() for _, z in results], rng_for(label))
    hs = torch.autograd.grad(
        [z for _, z in results], [z for _, _, z in pairs],
        [torch.from_numpy(ct) for ct in cts], allow_unused=True,
    )  # fmt: skip
    gs = cr.gradients(
        [y for y, _ in results], [x for _, x, _ in pairs], [cr.Tensor(ct) for ct in cts],
        allow_unused=True,
    )  # fmt: skip
    for (key, _, z), g, h in zip(pairs, gs, hs, strict=True):
        zeros = np.zeros(tuple(z.shape))
        entry.same(
            cr.Tensor(zeros) if g is None else g, torch.from_numpy(zeros) if h is None else h,
            f"{label} gradient of {key}",
        )  # fmt: skip
