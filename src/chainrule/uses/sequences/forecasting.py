"""Forecasts of a time series by a recurrent network, held against naive forecasts.

The network reads a window of the past and says what follows. The last part of the series in time is
held back: neither the scale nor the weights have seen it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, final

import numpy as np

from ... import ops
from ...core.value import recording
from ...data.loader import DataLoader
from ...data.series import Floats, Scale, TimeSeries, Windows
from ...errors import ArgumentError, DataError
from ...nn.layers.dropout import Dropout
from ...nn.layers.linear import Linear
from ...nn.losses.regression import MSELoss
from ...nn.module import Module
from ...optim import AdamW, CosineAnnealingLR
from ...tensor import Tensor
from ...train import Callback, History, Trainer
from .recurrence import CELLS, check_settings, detached, run

CLIP_NORM: Final = 1.0
"""Gradients are scaled down to this norm: steep places of a recurrent loss throw far else
(R. Pascanu, T. Mikolov, Y. Bengio, arXiv:1211.5063)."""
WEIGHT_DECAY: Final = 1e-2


@final
class Forecaster(Module):
    """The `horizon` values that follow a window, from the last output of a recurrent layer.

    Shapes: windows (N, W, 1), forecasts (N, horizon). With `bptt`, gradients go back through the
    last `bptt` steps only; the forward pass is the same. ``settings`` are the arguments that build
    the network again.

    >>> Forecaster(horizon=3, cell="gru")(cr.zeros(5, 22, 1)).shape
    (5, 3)
    """

    def __init__(
        self,
        horizon: int = 1,
        cell: str = "lstm",
        hidden: int = 32,
        layers: int = 1,
        dropout: float = 0.1,
        bptt: int | None = None,
    ) -> None:
        super().__init__()
        check_settings(cell, dropout, horizon=horizon, hidden=hidden, layers=layers, bptt=bptt)
        self.settings: dict[str, Any] = {
            "horizon": horizon, "cell": cell, "hidden": hidden, "layers": layers,
            "dropout": dropout, "bptt": bptt,
        }  # fmt: skip
        self.bptt = bptt
        self.recurrent = CELLS[cell](1, hidden, num_layers=layers, batch_first=True)
        self.dropout = Dropout(dropout)
        self.output = Linear(hidden, horizon)

    def forward(self, x: Any) -> Any:
        state = None
        if self.bptt is not None and self.bptt < x.shape[1]:
            _, past = run(self.recurrent, x[:, : -self.bptt], None)
            state, x = detached(past), x[:, -self.bptt :]
        y, _ = run(self.recurrent, x, state)
        return self.output(self.dropout(y[:, -1]))


@final
@dataclass(frozen=True, eq=False)
class ForecastTask:
    """A series split in time and scaled, and what is to be forecast of it.

    `cut` is where the held-back part begins; `window` the length of the past that the network sees;
    `horizon` how many steps ahead it forecasts. With `iterated`, a network of horizon 1 reads its
    own forecasts; else one network gives all steps at once ("direct").
    """

    series: TimeSeries
    cut: int
    scale: Scale
    window: int
    horizon: int
    iterated: bool = False

    @classmethod
    def of(
        cls,
        series: TimeSeries,
        *,
        window: int | None = None,
        horizon: int = 1,
        iterated: bool = False,
        test_fraction: float = 0.2,
    ) -> Self:
        """Split a series and fit its scale. The window is two seasons long unless it is given.

        Raises DataError for a series that is too short, or whose training part is constant.
        """
        window = max(2 * series.season, 8) if window is None else window
        cut = series.cut(test_fraction)
        name = f"the training part of {series.name}"
        scale = Scale.fitted(series.values[:cut], root=not series.signed, name=name)
        task = cls(series, cut, scale, window, horizon, iterated)
        if len(series) - cut < horizon:
            raise DataError(
                "the horizon is longer than the part that is held back",
                expected=f"at most {len(series) - cut} steps",
                got=f"{horizon}",
            )
        task.training()
        task.origins()
        return task

    @property
    def outputs(self) -> int:
        """How many values the network gives."""
        return 1 if self.iterated else self.horizon

    def training(self) -> Windows:
        """Scaled windows with targets in the training part only."""
        name = f"the training part of {self.series.name}"
        return Windows(self.scale.forth(self.series.values[: self.cut]), self.window, self.outputs,
                       name=name)  # fmt: skip

    def origins(self) -> Any:
        """Scaled windows (N, W, 1) to forecast the held-back part from.

        The first forecast is `horizon` steps before the last of them that is held back first, so
        that each held-back value is forecast once from every distance.
        """
        first = self.cut - self.horizon + 1
        scaled = self.scale.forth(self.series.values[:-1])
        if first < self.window:
            raise DataError(
                f"the training part of {self.series.name} is too short",
                expected=f"window + horizon = {self.window + self.horizon} values or more",
                got=str(self.cut),
                hint="use a smaller window or horizon",
            )
        pieces = np.lib.stride_tricks.sliding_window_view(scaled, self.window)
        return pieces[first - self.window :, :, None].astype(np.float32)

    def forecasts(self, model: Module) -> Floats:
        """(T, horizon): forecasts of each held-back value from 1 to `horizon` steps before it."""
        ahead = self.scale.back(self.ahead(model, self.origins()))
        held_back = len(self.series) - self.cut
        return np.stack(
            [ahead[self.horizon - 1 - h :, h][:held_back] for h in range(self.horizon)], axis=1
        )

    def ahead(self, model: Module, windows: Any) -> Any:
        """Scaled forecasts (N, horizon) of what follows each scaled window (N, W, 1)."""
        was = model.training
        model.eval()
        try:
            with recording(False):
                windows = np.asarray(windows, np.float32)
                if not self.iterated:
                    return model(Tensor.wrap(windows)).numpy()
                found = []
                for _ in range(self.horizon):
                    step = model(Tensor.wrap(np.ascontiguousarray(windows))).numpy()
                    windows = np.concatenate([windows[:, 1:], step[:, :, None]], axis=1)
                    found.append(step)
                return np.concatenate(found, axis=1)
        finally:
            model.train(was)

    def future(self, model: Module) -> Floats:
        """(horizon,): what follows the series itself."""
        last = self.scale.forth(self.series.values[-self.window :])
        found: Floats = self.scale.back(self.ahead(model, last[None, :, None])[0])
        return found

    def last_value(self) -> Floats:
        """(T, horizon): the naive forecast that nothing changes."""
        return self._shifted(range(1, self.horizon + 1))

    def seasonal(self) -> Floats:
        """(T, horizon): the naive forecast that all is as one season ago, or as few as is known."""
        season = self.series.season
        return self._shifted([-(-h // season) * season for h in range(1, self.horizon + 1)])

    def _shifted(self, lags: Sequence[int]) -> Floats:
        times = np.arange(self.cut, len(self.series))
        return np.stack([self.series.values[times - lag] for lag in lags], axis=1)

    def rmse(self, forecasts: Floats) -> list[float]:
        """√ mean (forecast - truth)² over the held-back values, for each number of steps ahead."""
        truth = self.series.values[self.cut :, None]
        return [float(e) for e in np.sqrt(np.mean((forecasts - truth) ** 2, axis=0))]


@final
@dataclass(frozen=True)
class ForecastErrors:
    """Root mean square errors on the held-back part, in the unit of the series, by steps ahead."""

    model: list[float]
    last_value: list[float]
    seasonal_naive: list[float]

    @classmethod
    def of(cls, task: ForecastTask, model: Module) -> Self:
        """The errors of a network and of both naive forecasts."""
        return cls(
            task.rmse(task.forecasts(model)),
            task.rmse(task.last_value()),
            task.rmse(task.seasonal()),
        )

    @property
    def ratios(self) -> list[float]:
        """The network's error over that of the better naive forecast: below 1 it is of use."""
        return [
            m / min(a, b) if min(a, b) else float("inf")
            for m, a, b in zip(self.model, self.last_value, self.seasonal_naive, strict=True)
        ]


@final
class ForecastTraining:
    """How a Forecaster is trained: AdamW, a rate that falls as a cosine, clipped gradients.

    ``fit`` goes on where `trainer.history` ends, so that a loaded state continues.

    Raises ArgumentError for counts below 1 and a rate that is not positive.
    """

    def __init__(
        self,
        task: ForecastTask,
        model: Forecaster,
        *,
        epochs: int = 60,
        batch_size: int = 32,
        lr: float = 5e-3,
        compile: bool = True,
    ) -> None:
        if epochs < 1 or batch_size < 1 or not 0 < lr < float("inf"):
            raise ArgumentError(
                "a training has epochs, batches and a rate",
                expected="epochs >= 1, batch_size >= 1, lr > 0",
                got=f"{epochs=}, {batch_size=}, {lr=}",
            )
        windows = task.training()
        self.epochs = epochs
        # All batches of one size, so that one compiled step serves them.
        self.data = DataLoader(windows, min(batch_size, len(windows)), shuffle=True, drop_last=True)
        optimizer = AdamW(model.parameters(), lr=lr, weight_decay=WEIGHT_DECAY)
        schedule = CosineAnnealingLR(optimizer, T_max=epochs * len(self.data))
        self.trainer = Trainer(
            model, optimizer, MSELoss(), schedule=schedule, schedule_every="step", compile=compile
        )

    def fit(
        self,
        *,
        seed: int | None = 0,
        callbacks: Sequence[Callback] = (),
        history: History | None = None,
        quiet: bool = True,
    ) -> History:
        """Train to the last epoch; see ``Trainer.fit``."""
        return self.trainer.fit(
            self.data, epochs=self.epochs, callbacks=callbacks, seed=seed, clip_norm=CLIP_NORM,
            history=history, quiet=quiet,
        )  # fmt: skip


def window_loss(model: Forecaster, windows: Windows, bptt: int | None) -> Tensor:
    """The loss over all windows with gradients through the last `bptt` steps only; None: all."""
    before, model.bptt = model.bptt, bptt
    try:
        x, y = windows.tensors
        loss: Tensor = ops.mean((model(x) - y) ** 2)
        return loss
    finally:
        model.bptt = before
