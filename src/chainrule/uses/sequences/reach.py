"""How far back in time the gradient reaches, and what truncation makes of it.

The gradient with respect to a state t steps back is a product of t Jacobians: its norm says how
much of the past the weights can learn from (Y. Bengio, P. Simard, P. Frasconi, IEEE Transactions on
Neural Networks 5(2), 1994; document 001, section 4.1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import numpy as np

from ... import ops
from ...core.value import recording
from ...data.series import Windows
from ...data.text import Streams
from ...errors import DataError
from ...nn.layers.recurrent import RNNBase
from ...nn.module import Module
from ...tensor import Tensor
from ..studies.chart import Axis, Curve, line_chart
from .characters import CharacterModel, nats, text_loss
from .forecasting import Forecaster, window_loss
from .recurrence import State, detached, run, zero_state

REACHED: Final = 0.01
"""A step back in time is reached while the norm is at least this share of the first."""
_SAMPLES: Final = 64
"""Texts or windows that a measurement is a mean over."""


class Truncation(NamedTuple):
    """The gradient of all weights with the time cut after `bptt` steps, beside the full one."""

    bptt: int
    norm: float
    cosine: float
    """Of the angle between the two: 1 if truncation leaves the direction as it is."""


def gradient_reach(
    layer: RNNBase, inputs: Any, loss: Callable[[Any], Any], *, bptt: int | None = None
) -> list[float]:
    """The norm of the gradient of a loss at the end with respect to the states before it.

    `inputs` (T, N, I) go through `layer` step by step; ``loss(h)`` gets the last output (N, H) and
    returns the sum of N losses. Entry k of the result belongs to the state k steps back, k from 0
    to T-1: √ Σ (∂loss/∂state)² over all layers, and over h and c of an LSTM; the mean of the N
    samples. With `bptt`, gradients go through so many steps only, and norms further back are 0.

    >>> layer = cr.nn.LSTM(1, 8)
    >>> norms = gradient_reach(layer, cr.ones(5, 2, 1), lambda h: h.sum(), bptt=3)
    >>> [norm > 0 for norm in norms]
    [True, True, True, False, False]
    """
    steps, batch, _ = inputs.shape
    axis = 1 if layer.batch_first else 0
    states: list[State] = []
    with recording(True):
        state = zero_state(layer, batch)
        for t in range(steps):
            x = inputs[t : t + 1]
            before = detached(state) if bptt is not None and t == steps - bptt else state
            _, state = run(layer, ops.transpose(x, 0, 1) if axis else x, before)
            for part in state:
                part.retain_grad()
            states.append(state)
        loss(state[0][-1]).backward()
    layer.zero_grad()
    return [_mean_norm(state) for state in reversed(states)]


def _mean_norm(state: State) -> float:
    """The mean over samples of the norm of the gradients (layers, N, H) of a state's parts."""
    squares = [
        (part.grad.array.astype(np.float64) ** 2).sum(axis=(0, 2))
        for part in state
        if part.grad is not None
    ]
    return float(np.sqrt(sum(squares)).mean()) if squares else 0.0


def reached(norms: Sequence[float], share: float = REACHED) -> int:
    """How many steps back the gradient stays at or above a share of its norm at the last step.

    >>> reached([1.0, 0.5, 0.005, 0.02])
    1
    """
    below = [k for k, norm in enumerate(norms) if not norm >= share * norms[0]]
    return (below[0] if below else len(norms)) - 1


def forecast_reach(model: Forecaster, windows: Windows) -> list[float]:
    """``gradient_reach`` of the squared error of a Forecaster over the last windows."""
    x, y = (field[-_SAMPLES:] for field in windows.tensors)

    def loss(h: Any) -> Any:
        return ops.sum((model.output(h) - y) ** 2)

    with _judging(model):
        return gradient_reach(model.recurrent, ops.transpose(x, 0, 1), loss, bptt=model.bptt)


def text_reach(model: CharacterModel, codes: Any, steps: int) -> list[float]:
    """``gradient_reach`` of the last of `steps` characters, over texts from all of `codes`."""
    x, y = _texts(codes, steps)

    def loss(h: Any) -> Any:
        return nats(model.output(h), y[-1]) * y.shape[1]

    with _judging(model):
        with recording(False):
            inputs = model.embedding(x)
        return gradient_reach(model.recurrent, inputs, loss)


def forecast_truncations(
    model: Forecaster, windows: Windows, lengths: Iterable[int]
) -> list[Truncation]:
    """What cutting time after each of `lengths` makes of the gradient of a Forecaster's loss."""
    with _judging(model):
        return truncations(model, lambda bptt: window_loss(model, windows, bptt), lengths)


def text_truncations(
    model: CharacterModel, codes: Any, steps: int, lengths: Iterable[int]
) -> list[Truncation]:
    """What cutting time after each of `lengths` makes of the gradient over texts of `steps`."""
    x, y = _texts(codes, steps)
    with _judging(model):
        return truncations(model, lambda bptt: text_loss(model, x, y, bptt), lengths)


def truncations(
    model: Module, loss: Callable[[int | None], Tensor], lengths: Iterable[int]
) -> list[Truncation]:
    """Gradients of ``loss(bptt)`` beside that of ``loss(None)``, which is not cut."""
    full = _gradient(model, loss(None))
    found = []
    for bptt in lengths:
        cut = _gradient(model, loss(bptt))
        norm = float(np.linalg.norm(cut))
        scale = norm * float(np.linalg.norm(full))
        found.append(Truncation(bptt, norm, float(cut @ full) / scale if scale else math.nan))
    return found


def _gradient(model: Module, loss: Tensor) -> Any:
    """All gradients as one vector, float64; the model is left without."""
    model.zero_grad()
    loss.backward()
    flat = [
        np.zeros(p.array.size) if p.grad is None else p.grad.array.astype(np.float64).ravel()
        for p in model.parameters()
    ]
    model.zero_grad()
    return np.concatenate(flat)


def powers(most: int) -> list[int]:
    """1, 2, 4, … up to `most`, which is the last.

    >>> powers(22)
    [1, 2, 4, 8, 16, 22]
    """
    return [2**k for k in range(most.bit_length()) if 2**k < most] + [most]


def reach_chart(title: str, norms: Mapping[str, Sequence[float]]) -> str:
    """Gradient norms over the steps back in time, as a picture in SVG."""
    curves = [Curve(name, list(range(len(ys))), list(ys)) for name, ys in norms.items()]
    last = list(norms.values())[-1]
    return line_chart(
        title, Axis("steps back in time"), Axis("gradient norm", log=True), curves,
        levels=[(REACHED * last[0], f"{REACHED:.0%} of the last step")],
    )  # fmt: skip


def _texts(codes: Any, steps: int) -> tuple[Tensor, Tensor]:
    """Texts (T, N) of `steps` characters, evenly from all of `codes`, and what follows each."""
    count = min(_SAMPLES, (len(codes) - 1) // steps)
    if count < 1:
        raise DataError(
            "the text is too short", expected=f"more than {steps} characters", got=str(len(codes))
        )
    x, _, y = next(iter(Streams(codes, count, steps)))
    return x, y


@contextmanager
def _judging(model: Module) -> Iterator[None]:
    """Evaluation mode, so that dropout does not blur what is compared."""
    was = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was)
