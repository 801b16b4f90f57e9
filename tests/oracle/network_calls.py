"""Calls that compare the ops of networks: probabilities, normalisation, losses, recurrence."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .calls import Case, Row, between, case, edge, exactly, ints, real, row

INF = np.inf


def _softmax(x: Any, dim: int = -1) -> Any:
    return F.softmax(x, dim)


def _log_softmax(x: Any, dim: int = -1) -> Any:
    return F.log_softmax(x, dim)


ALONG = (case(real(4)), case(real(3, 4), 0), case(real(3, 4), -1), case(real(2, 3, 4), 1),
         case(real(2, 3, 2, 2), -3), case(real(3, 1), 1), case(real()),
         case(real(0, 3), 1))  # fmt: skip
PROBABILITIES = (
    row("softmax", _softmax, *ALONG, edge(exactly([1e30, -1e30, 0.0])),
        edge(exactly([-INF, 0.0, 1.0])), edge(exactly([-INF, -INF])), edge(exactly([1e4, 1e4]))),
    row("log_softmax", _log_softmax, *ALONG, edge(exactly([0.0, 1e4, -1e4])),
        edge(exactly([0.0, -INF, 1.0]))),
)  # fmt: skip


def once(*args: Any, **options: Any) -> Case:
    """A call that torch cannot differentiate twice."""
    return Case(args, options, second=False)


def _layer_norm(x: Any, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    return F.layer_norm(x, (shape,) if isinstance(shape, int) else shape, weight, bias, eps)


def _batch_norm(x: Any, mean: Any = None, var: Any = None, *rest: Any, **options: Any) -> Any:
    """torch writes into the running statistics that it is given; it gets copies."""
    copies = [None if s is None else s.detach().clone() for s in (mean, var)]
    return F.batch_norm(x, *copies, *rest, **options)


def _batch_norm_stats(
    x: Any, mean: Any = None, var: Any = None, weight: Any = None, bias: Any = None,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    copies = [s.detach().clone() for s in (mean, var)]
    y = F.batch_norm(x, *copies, weight, bias, True, momentum, eps)
    return (y, *copies)


def stats(n: int) -> tuple[Any, Any]:
    """A running mean and variance."""
    return real(n, grad=False), between(0.5, 2.0, n, grad=False)


BATCHES = ((4, 3), (2, 3, 5), (2, 3, 4, 5), (2, 1, 3))
NORMALIZATION = (
    row("layer_norm", _layer_norm, case(real(2, 5), 5), case(real(2, 5), (5,), real(5), real(5)),
        case(real(2, 3, 4), (3, 4), real(3, 4), real(3, 4)), case(real(2, 3, 4), (4,), real(4)),
        case(real(5), 5, real(5), real(5), eps=0.1), case(real(2, 3, 4), (2, 3, 4)),
        case(real(0, 4), 4, real(4), real(4)), once(real(2, 2, 3), (3,), None, real(3)),
        edge(exactly([[2.0, 2.0, 2.0], [1.0, 2.0, 4.0]]), 3)),
    row("batch_norm", _batch_norm,
        *[case(real(*s), None, None, real(s[1]), real(s[1]), True) for s in BATCHES],
        *[case(real(*s), *stats(s[1]), real(s[1]), real(s[1]), False) for s in BATCHES],
        *[case(real(*s), *stats(s[1]), real(s[1]), real(s[1]), True) for s in BATCHES],
        case(real(4, 3), training=True), case(real(4, 3), *stats(3)),
        case(real(4, 3), *stats(3), real(3), None, True, eps=0.1),
        once(real(4, 3), *stats(3), None, real(3), False, eps=0.1)),
    row("batch_norm_stats", _batch_norm_stats,
        *[case(real(*s), *stats(s[1]), real(s[1]), real(s[1])) for s in BATCHES],
        case(real(4, 3), *stats(3), momentum=0.7, eps=0.1),
        case(real(4, 3), *stats(3), real(3), None, momentum=1.0)),
)  # fmt: skip


def _cross_entropy(
    x: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:  # fmt: skip
    return F.cross_entropy(
        x, target, weight, ignore_index=ignore_index, reduction=reduction,
        label_smoothing=label_smoothing,
    )  # fmt: skip


def _nll(
    x: Any, t: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    return F.nll_loss(x, t, weight, ignore_index=ignore_index, reduction=reduction)


def _bce(
    x: Any, t: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    return F.binary_cross_entropy_with_logits(
        x, t, weight, reduction=reduction, pos_weight=pos_weight
    )


def positive(*shape: int) -> Any:
    """Weights, which carry no gradient."""
    return between(0.5, 2.0, *shape, grad=False)


LABELLED = (((4, 3), (4,)), ((3,), ()), ((2, 3, 5), (2, 5)), ((2, 3, 2, 2), (2, 2, 2)))
LOSSES = (
    row("cross_entropy", _cross_entropy,
        *[case(real(*x), ints(0, x[min(1, len(x) - 1)], *t), reduction=r, label_smoothing=s)
          for x, t in LABELLED for r in ("mean", "sum", "none") for s in (0.0, 0.2)],
        *[case(real(*x), ints(0, x[min(1, len(x) - 1)], *t), positive(3), 1, r, s)
          for x,
          t in LABELLED[:1] + LABELLED[2:] for r in ("mean", "sum", "none") for s in (0.0, 0.2)],
        *[case(real(4, 3), between(0, 1, 4, 3), reduction=r, label_smoothing=s)
          for r in ("mean", "sum", "none") for s in (0.0, 0.2)],
        case(real(4, 3), between(0, 1, 4, 3), positive(3)),
        case(real(2, 3, 5), between(0, 1, 2, 3, 5), positive(3), label_smoothing=0.1),
        edge(exactly([[1e38, -1e38, 0.0], [1e4, 0.0, 0.0]]), exactly([0, 1], np.int64))),
    row("nll_loss", _nll,
        *[case(real(*x), ints(0, x[min(1, len(x) - 1)], *t), reduction=r)
          for x, t in LABELLED for r in ("mean", "sum", "none")],
        *[case(real(*x), ints(0, x[1], *t), positive(3), 2, r)
          for x, t in (((6, 3), (6,)), ((2, 3, 5), (2, 5))) for r in ("mean", "sum", "none")]),
    row("binary_cross_entropy_with_logits", _bce,
        *[case(real(*s), between(0, 1, *s), None, r, p)
          for s in ((), (4,), (2, 3)) for r in ("mean", "sum", "none")
          for p in (None, positive(*s[-1:]))],
        case(real(2, 3), between(0, 1, 2, 3), positive(2, 3), "sum"),
        case(real(2, 3), between(0, 1, 2, 3), positive(3)),
        edge(exactly([1e4, -1e4, 0.0, -0.0]), exactly([0.0, 1.0, 0.5, 1.0]), reduction="none")),
)  # fmt: skip


def _sequence(kind: str, states: int) -> Any:
    """A layer of torch.nn over (T, N, I), called with its weights as arguments."""
    vf = getattr(torch._VF, kind)

    def called(x: Any, *rest: Any, nonlinearity: str = "tanh") -> Any:
        initial = [s.unsqueeze(0) for s in rest[:states]]
        weights = [w for w in rest[states:] if w is not None]
        run = torch._VF.rnn_relu if nonlinearity == "relu" else vf
        hx = initial if states > 1 else initial[0]
        y, *ends = run(x, hx, weights, len(weights) == 4, 1, 0.0, False, False, False)
        return (y, *[end[0] for end in ends])

    return called


def recurrent(name: str, kind: str, gates: int, states: int, *more: Case) -> Row:
    """A recurrent layer: one step and several, with and without biases."""
    calls = []
    for t, n, i, h in ((4, 2, 3, 5), (1, 1, 1, 1), (3, 3, 2, 1), (6, 1, 3, 2)):
        start = [real(n, h)] * states
        weights = [real(gates * h, i), real(gates * h, h)]
        calls += [
            case(real(t, n, i), *start, *weights, real(gates * h), real(gates * h)),
            case(real(t, n, i), *start, *weights),
        ]
    return row(name, _sequence(kind, states), *calls, *more)


RECURRENT = (
    recurrent("lstm", "lstm", 4, 2), recurrent("gru", "gru", 3, 1),
    recurrent("rnn", "rnn_tanh", 1, 1,
              case(real(4, 2, 3), real(2, 4), real(4, 3), real(4, 4), real(4), real(4),
                   nonlinearity="relu")),
)  # fmt: skip

ROWS = (*PROBABILITIES, *NORMALIZATION, *LOSSES, *RECURRENT)
