"""When a loss or a gradient is not finite: where the first number went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from ..core.value import recording
from ..nn.module import Module
from ..tensor import Tensor

_IN_DATA: Final = "clean the data: no learning rate helps against numbers that are not finite"
DIVERGED: Final = (
    "lower the learning rate or clip gradients; the parameters are as before this step"
)


class Finding(NamedTuple):
    """What is not finite, in words, and what helps."""

    what: str
    hint: str


def first_non_finite(model: Module, inputs: Sequence[Any], target: Any) -> Finding:
    """The first of inputs, target, parameters and module outputs that is not finite.

    The forward pass is run once more, with the same random numbers if the caller has put the
    generator back. Buffers such as running statistics are as before afterwards.
    """
    for i, x in enumerate(inputs):
        if not is_finite(x):
            return Finding(f"input {i} of the batch holds {_worst(x)}", _IN_DATA)
    if not is_finite(target):
        return Finding(f"the target of the batch holds {_worst(target)}", _IN_DATA)
    for name, parameter in model.named_parameters():
        if not is_finite(parameter):
            what = f"parameter {name} holds {_worst(parameter)} since the last update"
            return Finding(what, DIVERGED)
    found = _first_output(model, inputs)
    return Finding(
        found or "every module's output is finite: it is the loss function itself", DIVERGED
    )


def first_bad_gradient(model: Module) -> str | None:
    """In words: the first parameter whose gradient is not finite, or None.

    A gradient's product with itself is one fast pass over it and shows nan and inf; only if that
    is not finite, which large numbers may cause too, each element is looked at.
    """
    for name, parameter in model.named_parameters():
        grad = parameter.grad
        if grad is None or np.isfinite(np.vdot(grad.array, grad.array)) or is_finite(grad):
            continue
        return f"the gradient of {name} holds {_worst(grad)}"
    return None


def is_finite(x: Any) -> bool:
    """Whether a tensor holds neither NaN nor infinity; anything else counts as finite."""
    return not isinstance(x, Tensor) or x.dtype.kind != "f" or bool(np.isfinite(x.array).all())


def _first_output(model: Module, inputs: Sequence[Any]) -> str | None:
    found: list[str] = []

    def watch(path: str, module: Module) -> Any:
        def hook(_module: Module, _args: Any, output: Any) -> None:
            outputs = output if isinstance(output, (tuple, list)) else (output,)
            for y in outputs:
                if not found and not is_finite(y):
                    where = f"{path} ({type(module).__name__})" if path else type(module).__name__
                    found.append(f"the output of {where} holds {_worst(y)}")

        return module.register_forward_hook(hook)

    handles = [watch(path, module) for path, module in model.named_modules()]
    before = [(buffer, buffer.array) for buffer in model.buffers()]
    try:
        with recording(False):
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
        for buffer, array in before:
            buffer.array = array
    return found[0] if found else None


def _worst(x: Tensor) -> str:
    """``nan at (3, 0)``: the first element that is not finite."""
    where = np.unravel_index(int(np.argmin(np.isfinite(x.array))), x.shape)
    return f"{x.array[where]} at {tuple(int(i) for i in where)}"
