"""Every loss with its reductions, weights, ignored labels and smoothing, as module and function."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as judge_functional
from torch.testing._internal.common_modules import module_db

import chainrule as cr
from chainrule import nn

from .calls import Draw, between, exactly, ints, real
from .compare import cotangents, ours, rng_for, same, same_gradient, theirs
from .tally import TALLY

REDUCTIONS = ("mean", "sum", "none")
FUNCTIONS = {
    "BCELoss": "binary_cross_entropy", "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
    "CrossEntropyLoss": "cross_entropy", "HuberLoss": "huber_loss", "KLDivLoss": "kl_div",
    "L1Loss": "l1_loss", "MSELoss": "mse_loss", "NLLLoss": "nll_loss",
    "SmoothL1Loss": "smooth_l1_loss",
}  # fmt: skip


def options(**choices: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Every combination of the choices; those of None leave the option out."""
    found = []
    for values in itertools.product(*choices.values()):
        pairs = zip(choices, values, strict=True)
        found.append({name: value for name, value in pairs if value is not None})
    return found


def loss(name: str, x: Draw, target: Draw, **choices: tuple[Any, ...]) -> list[Any]:
    """A loss of x and a target with every combination of options."""
    return [
        (name, x, target, chosen) for chosen in options(reduction=(None, *REDUCTIONS), **choices)
    ]


def weights(*shape: int) -> Draw:
    """Positive weights, which have no gradient."""
    return between(0.5, 2.0, *shape, grad=False)


LABELS = exactly([0, 2, 1, 1, 0, 2], np.int64)
NEGATIVE = exactly([0, -100, 1, -100, 0, 2], np.int64)
LOSSES = [
    *loss("MSELoss", real(3, 4), real(3, 4)), *loss("MSELoss", real(), real()),
    *loss("L1Loss", real(3, 4), real(3, 4)),
    *loss("L1Loss", exactly([1.0, 2.0, 3.0]), exactly([1.0, 1.5, 4.0])),
    *loss("SmoothL1Loss", real(3, 4), real(3, 4), beta=(None, 0.3, 2.0, 0.0)),
    *loss("SmoothL1Loss", exactly([1.0, 0.0, -1.0]), exactly([0.0, 0.0, 0.0])),
    *loss("HuberLoss", real(3, 4), real(3, 4), delta=(None, 0.3, 2.0)),
    *loss("HuberLoss", exactly([1.0, 0.0, -1.0]), exactly([0.0, 0.0, 0.0])),
    *loss("CrossEntropyLoss", real(6, 3), LABELS, weight=(None, weights(3)),
          ignore_index=(None, 1), label_smoothing=(None, 0.1, 1.0)),
    *loss("CrossEntropyLoss", real(6, 3), NEGATIVE, weight=(None, weights(3)),
          label_smoothing=(None, 0.3)),
    *loss("CrossEntropyLoss", real(2, 4, 5), ints(0, 4, 2, 5), weight=(None, weights(4)),
          ignore_index=(None, 2), label_smoothing=(None, 0.2)),
    *loss("CrossEntropyLoss", real(2, 3, 2, 3), ints(0, 3, 2, 2, 3), weight=(None, weights(3)),
          label_smoothing=(None, 0.2)),
    *loss("CrossEntropyLoss", real(4), ints(0, 4), label_smoothing=(None, 0.2)),
    *loss("CrossEntropyLoss", real(6, 3), between(0, 1, 6, 3), weight=(None, weights(3)),
          label_smoothing=(None, 0.2)),
    *loss("CrossEntropyLoss", real(2, 3, 4), between(0, 1, 2, 3, 4), weight=(None, weights(3)),
          label_smoothing=(None, 0.2)),
    *loss("CrossEntropyLoss", real(3), between(0, 1, 3)),
    *loss("CrossEntropyLoss", exactly([[1e4, -1e4, 0.0], [-1e30, 1e30, 0.0]]),
          exactly([0, 1], np.int64)),
    *loss("NLLLoss", real(6, 3), LABELS, weight=(None, weights(3)), ignore_index=(None, 1)),
    *loss("NLLLoss", real(6, 3), NEGATIVE, weight=(None, weights(3))),
    *loss("NLLLoss", real(2, 4, 5), ints(0, 4, 2, 5), weight=(None, weights(4))),
    *loss("NLLLoss", real(4), ints(0, 4), weight=(None, weights(4))),
    *loss("BCELoss", between(0.05, 0.95, 3, 4), between(0, 1, 3, 4),
          weight=(None, weights(3, 4), weights(4))),
    *loss("BCEWithLogitsLoss", real(3, 4), between(0, 1, 3, 4),
          weight=(None, weights(3, 4), weights(4)), pos_weight=(None, weights(4))),
    *loss("BCEWithLogitsLoss", exactly([1e4, -1e4, 0.0]), exactly([1.0, 1.0, 0.5])),
    *loss("KLDivLoss", between(-3, -0.1, 3, 4), between(0.05, 1, 3, 4), log_target=(None, False)),
    *loss("KLDivLoss", between(-3, -0.1, 3, 4), between(-3, -0.1, 3, 4), log_target=(True,)),
    *[(name, x, target, {"reduction": "batchmean", **more})
      for name, x, target, more in [("KLDivLoss", between(-3, 0, 3, 4), between(0.05, 1, 3, 4), {}),
                                    ("KLDivLoss", between(-3, 0, 3, 4), between(-3, 0, 3, 4),
                                     {"log_target": True})]],
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "x", "target", "chosen"), LOSSES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_losses_agree(
    name: str, x: Draw, target: Draw, chosen: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    label = request.node.callspec.id
    TALLY.modules.add(name)
    rng = rng_for(label)
    arrays = x.make(rng), target.make(rng)
    drawn = {k: v.make(rng) if isinstance(v, Draw) else v for k, v in chosen.items()}
    sides = []
    for tensor, functions, modules in (
        (ours, nn.functional, nn),
        (theirs, judge_functional, torch.nn),
    ):
        given = {k: tensor(v, False) if isinstance(v, np.ndarray) else v for k, v in drawn.items()}
        for call in (getattr(modules, name)(**given), _with(functions, FUNCTIONS[name], given)):
            operands = [tensor(a) for a in arrays]
            sides.append((operands, _called(call, operands)))
    (xs, y), (us, v), (zs, judged), _ = sides
    same(y, judged, f"{label} value")
    same(v, judged, f"{label} value of the function")
    (ct,) = cotangents([judged], rng)
    y.backward(cr.Tensor(ct))
    v.backward(cr.Tensor(ct))
    judged.backward(torch.from_numpy(np.array(ct)))
    for i, z in enumerate(zs):
        if z.requires_grad:
            same_gradient(xs[i].grad, z.grad, z, f"{label} gradient {i}")
            same_gradient(us[i].grad, z.grad, z, f"{label} gradient {i} of the function")


def _with(functions: Any, name: str, given: dict[str, Any]) -> Any:
    return lambda x, target: getattr(functions, name)(x, target, **given)


def _called(call: Any, operands: list[Any]) -> Any:
    with warnings.catch_warnings():
        # Both libraries recommend batchmean over torch's historical mean of the divergence.
        warnings.filterwarnings("ignore", message="reduction: 'mean' divides")
        return call(*operands)


def test_every_loss_of_torch_that_chainrule_has_is_compared() -> None:
    own = {n for n in dir(nn) if n.endswith("Loss") and hasattr(torch.nn, n)}
    assert {name for name, *_ in LOSSES} == set(FUNCTIONS) <= own
    judged = {info.module_cls.__name__ for info in module_db}
    elsewhere = {"TripletMarginLoss", "TripletMarginWithDistanceLoss", "AdaptiveLogSoftmaxWithLoss"}
    assert own <= judged | elsewhere | set(FUNCTIONS)
