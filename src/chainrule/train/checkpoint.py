"""Checkpoints: the state of a model, of its optimizer and of a run in one safetensors file.

Parameters and buffers keep their names from ``state_dict``, so any program that reads safetensors
can use them. An optimizer's tensors are named ``optimizer/<parameter number>/<slot>``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from ..core.aval import describe
from ..errors import ChainruleError, CheckpointError
from ..nn.module import Module
from ..optim.optimizer import Optimizer
from ..tensor import Tensor
from .storage import Arrays, PathLike, Stored, load_arrays, save_arrays

_OPTIMIZER: Final = "optimizer/"
_FORMAT: Final = 1


def save(
    path: PathLike,
    model: Module,
    optimizer: Optimizer | None = None,
    *,
    state: Mapping[str, Any] | None = None,
) -> None:
    """Save a model, an optimizer if one is given, and a `state` that JSON can express.

    The file appears under its name whole or not at all. Raises CheckpointError if it cannot be
    written; an older file of that name is then still there.
    """
    arrays = {name: t.array for name, t in model.state_dict(keep_vars=True).items()}
    notes: dict[str, Any] = {"format": _FORMAT, "state": dict(state or {})}
    misnamed = [name for name in arrays if name.startswith(_OPTIMIZER)]
    if misnamed:
        raise CheckpointError("a parameter's name looks like optimizer state", got=misnamed[0])
    if optimizer is not None:
        snapshot = optimizer.state_dict()
        for number, cells in snapshot["state"].items():
            for slot, cell in cells.items():
                arrays[f"{_OPTIMIZER}{number}/{slot}"] = cell.array
        notes["optimizer"] = type(optimizer).__name__
        notes["param_groups"] = [_plain(group) for group in snapshot["param_groups"]]
    save_arrays(path, arrays, notes)


def load(
    path: PathLike,
    model: Module | None = None,
    optimizer: Optimizer | None = None,
    *,
    foreign: bool = False,
) -> dict[str, Any]:
    """Load what ``save`` wrote into a model and an optimizer; returns the saved `state`.

    Names, shapes, kinds of number and the kind of optimizer are checked before anything is changed.
    With `foreign`, any safetensors file with the model's names and shapes will do.

    Raises CheckpointError that names the keys and shapes that do not fit, or for a damaged file.
    """
    stored = load_arrays(path, foreign=foreign)
    weights, slots = _parted(stored.arrays)
    if model is not None:
        _check_fit(model, weights)
    if optimizer is not None:
        _load_optimizer(optimizer, stored, slots)
    if model is not None:
        model.load_state_dict(weights)
    state = stored.notes.get("state", {})
    return state if isinstance(state, dict) else {}


def load_weights(path: PathLike, *, foreign: bool = False) -> dict[str, Tensor]:
    """Only the tensors of the model in a checkpoint, by name."""
    weights, _ = _parted(load_arrays(path, foreign=foreign).arrays)
    return {name: Tensor(array) for name, array in weights.items()}


def _parted(arrays: Arrays) -> tuple[Arrays, Arrays]:
    """The model's arrays, and the optimizer's under what follows the prefix."""
    weights = {n: a for n, a in arrays.items() if not n.startswith(_OPTIMIZER)}
    slots = {n[len(_OPTIMIZER) :]: a for n, a in arrays.items() if n.startswith(_OPTIMIZER)}
    return weights, slots


def _check_fit(model: Module, weights: Arrays) -> None:
    wanted = model.state_dict(keep_vars=True)
    wrong = [f"missing {name}: {describe(t)}" for name, t in wanted.items() if name not in weights]
    wrong += [f"unknown {name}: {describe(a)}" for name, a in weights.items() if name not in wanted]
    wrong += [
        f"{name}: {describe(a)} for {describe(wanted[name])}"
        for name, a in weights.items()
        if name in wanted and not _is_like(a, wanted[name])
    ]
    if wrong:
        more = f" and {len(wrong) - 6} more" if len(wrong) > 6 else ""
        raise CheckpointError(
            f"the checkpoint does not fit this {type(model).__name__}",
            expected=f"the {len(wanted)} names, shapes and kinds of number of its state_dict()",
            got="; ".join(wrong[:6]) + more,
            hint="build the model with the settings it was saved with",
        )


def _is_like(array: np.ndarray[Any, Any], wanted: Tensor) -> bool:
    """Whether shapes are equal and the numbers of one kind: a float may be wider than wanted."""
    return array.shape == wanted.shape and bool(array.dtype.kind == wanted.dtype.kind)


def _load_optimizer(optimizer: Optimizer, stored: Stored, slots: Arrays) -> None:
    kind, groups = stored.notes.get("optimizer"), stored.notes.get("param_groups")
    if kind != type(optimizer).__name__:
        raise CheckpointError(
            "the checkpoint does not hold this optimizer's state",
            expected=type(optimizer).__name__,
            got=str(kind),
        )
    state: dict[int, dict[str, Any]] = {}
    for name, array in slots.items():
        number, _, slot = name.partition("/")
        if not number.isdecimal() or not slot:
            raise CheckpointError("an optimizer's tensor has no proper name", got=name[:80])
        state.setdefault(int(number), {})[slot] = array
    try:
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    except ChainruleError as failure:
        raise CheckpointError(
            f"the checkpoint does not fit: {failure.cause}",
            expected=failure.expected,
            got=failure.got,
        ) from failure


def _plain(group: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter group as JSON can express it."""
    return {
        key: value.item() if isinstance(value, (Tensor, np.generic)) else value
        for key, value in group.items()
    }
