"""Trainer: the loop over epochs and batches, with validation, callbacks and a history.

With a seed, a fit gives the same bits each time on the same machine, if NumPy's BLAS, which sums in
an order of its own, uses the same number of threads (OPENBLAS_NUM_THREADS).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, final

import numpy as np

from .. import ops
from ..core.value import recording
from ..data.dataset import Dataset, TensorDataset
from ..data.loader import DataLoader
from ..data.samplers import fold_seed
from ..errors import ArgumentError, TrainingError
from ..nn.module import Module
from ..ops import random
from ..optim.optimizer import Optimizer
from ..optim.plateau import ReduceLROnPlateau
from ..tensor import Tensor
from .callbacks import Callback, Fit
from .diagnosis import DIVERGED, first_bad_gradient, first_non_finite
from .history import Epoch, History
from .interrupt import Interruption
from .metrics import MeanLoss, Metric, MetricLike, make_metrics
from .progress import Display, display
from .steps import Loss, TrainingStep, checked_loss
from .watching import Watch

Batches: TypeAlias = Any
"""A DataLoader, a Dataset, a tuple of arrays or tensors, or any iterable of batches."""


@final
class Trainer:
    """Trains a model: ``Trainer(model, optimizer, loss, metrics).fit(train, validation)``.

    Parameters: `loss(outputs, target)` gives a scalar, the mean over the batch; `metrics`, names
    (``"accuracy"``, ``"top5"``) or Metric objects; `schedule`, stepped after each epoch, or each
    step with ``schedule_every="step"``; ReduceLROnPlateau gets the validation loss.

    A batch is a tuple whose last entry is the target and whose others are the model's arguments; a
    batch of one entry is input and target in one, as for an autoencoder.

    Steps are compiled (``chainrule.compile``) unless the model has hooks or cannot be traced, or
    `compile` is False. What a model's ``forward`` does besides computing, such as printing, then
    happens only when it is traced.

    >>> x = np.linspace(-1, 1, 32, dtype=np.float32).reshape(-1, 1)
    >>> model = cr.nn.Linear(1, 1)
    >>> optimizer = cr.optim.SGD(model.parameters(), lr=0.3)
    >>> trainer = Trainer(model, optimizer, cr.nn.MSELoss())
    >>> history = trainer.fit((x, 2 * x), epochs=20, batch_size=8, seed=0)
    >>> history["loss"][-1] < 1e-3
    True
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        loss: Loss,
        metrics: MetricLike | Sequence[MetricLike] = (),
        *,
        schedule: Any = None,
        schedule_every: str = "epoch",
        compile: bool = True,
    ) -> None:
        if schedule_every not in ("epoch", "step"):
            raise ArgumentError(
                "a schedule steps once in an epoch or in a step",
                expected="schedule_every='epoch' or 'step'",
                got=str(schedule_every),
            )
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.metrics = make_metrics(metrics)
        self.schedule = schedule
        self.schedule_every = schedule_every
        self.compile = compile
        self._steps: TrainingStep | None = None
        self.history = History()
        """Of the last fit, also if it ended with an error."""
        self.watch: Watch | None = None
        """The health of the model, measured in every step of the last fit."""

    # Training -------------------------------------------------------------------------------------

    def fit(
        self,
        train: Batches,
        validation: Batches | None = None,
        *,
        epochs: int = 1,
        batch_size: int = 32,
        callbacks: Sequence[Callback] = (),
        seed: int | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        history: History | None = None,
        quiet: bool = False,
    ) -> History:
        """Train up to epoch number `epochs`; returns the history.

        `train` is a DataLoader, or data that are shuffled into batches of `batch_size`. With a
        `seed`, order and dropout are functions of (seed, epoch): same seed, same bits, on the same
        machine with the same number of BLAS threads (OPENBLAS_NUM_THREADS). A `history` of an
        earlier fit is continued, and with its seed, a loaded model and optimizer, the result
        is the same as if the fit had never stopped. `clip_norm` and `clip_value` limit gradients.

        Ctrl-C ends the fit after the step in progress; what was learnt is kept.

        Raises TrainingError for an empty batch and for a loss or a gradient that is not finite,
        naming step, batch and the first input, module or parameter to blame; parameters and buffers
        are then those before the step. Raises ArgumentError for a loss that is not one tensor of
        one element.
        """
        self.history = history if history is not None else History(seed=seed)
        self.history.stopped = ""
        seed = self.history.seed if seed is None else seed
        fit = Fit(self.model, self.optimizer, self.history, epochs, step=self.history.steps)
        loader = as_loader(train, batch_size, shuffle=True)
        run = _Run(self, fit, list(callbacks), clip_norm, clip_value, display(quiet))
        first = self.history.epochs[-1].number + 1 if self.history.epochs else 1
        self._watch_on()
        with Interruption() as interruption, in_mode(self.model, training=True):
            try:
                run.tell("on_fit_start")
                for number in range(first, epochs + 1):
                    fit.epoch = number
                    if seed is not None:
                        random.manual_seed(fold_seed(seed, fit.epoch))
                    run.epoch(loader, seed, validation, interruption)
                    if interruption.requested:
                        raise KeyboardInterrupt
                    if self.history.stopped:
                        break
            except KeyboardInterrupt:
                self.history.stopped = "interrupted"
            finally:
                run.display.close()
                if self.watch is not None:
                    self.watch.detach()
            run.tell("on_fit_end")
        return self.history

    def _watch_on(self) -> None:
        """Measure every step; a fit of the same model and optimizer goes on with its measures."""
        known = self.watch
        if known is None or known.model is not self.model or known.optimizer is not self.optimizer:
            self.watch = Watch(self.model, self.optimizer)
        else:
            known.attach()

    def steps(self) -> TrainingStep:
        """The halves of a training step; they stay compiled from one fit to the next."""
        known, now = self._steps, (self.model, self.optimizer, self.loss)
        if (
            known is None
            or known.is_wanted_compiled is not self.compile
            or any(a is not b for a, b in zip(known.of, now, strict=True))
        ):
            known = self._steps = TrainingStep(*now, compiled=self.compile)
        return known

    # Using the model ------------------------------------------------------------------------------

    def evaluate(self, data: Batches, *, batch_size: int = 256) -> dict[str, float]:
        """Loss and metrics over all samples of `data`, in evaluation mode, nothing recorded.

        Raises TrainingError if there are no samples.
        """
        return evaluate(self.model, self.loss, data, self.metrics, batch_size=batch_size)

    def predict(self, data: Batches, *, batch_size: int = 256) -> Tensor:
        """The model's outputs for all samples, in evaluation mode.

        `data` are inputs only: a tensor, an array, or batches of one entry; of batches with
        targets, the targets are left out.

        Raises TrainingError if there are no samples.
        """
        if isinstance(data, (Tensor, np.ndarray)):
            data = TensorDataset(data)
        outputs = []
        with recording(False), in_mode(self.model, training=False):
            for number, batch in enumerate(as_loader(data, batch_size, shuffle=False), start=1):
                inputs, _ = split_batch(batch, f"prediction, batch {number}")
                outputs.append(self.model(*inputs))
        if not outputs:
            raise TrainingError("there are no samples to predict from")
        with recording(False):
            joined: Tensor = ops.concatenate(outputs, 0)
        return joined


@final
class _Run:
    """One call of ``fit``: its settings and what it tells its callbacks and its display."""

    def __init__(
        self,
        trainer: Trainer,
        fit: Fit,
        callbacks: list[Callback],
        clip_norm: float | None,
        clip_value: float | None,
        shown: Display,
    ) -> None:
        self.trainer = trainer
        self.fit = fit
        self.callbacks = callbacks
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.display = shown
        self.steps = trainer.steps()
        self.buffers = list(trainer.model.buffers())

    def tell(self, moment: str) -> None:
        """Call all callbacks, in order."""
        for callback in self.callbacks:
            getattr(callback, moment)(self.fit)

    def epoch(
        self, loader: Any, seed: int | None, validation: Any, interruption: Interruption
    ) -> None:
        """One pass over the data, then validation; an interrupted one leaves no record."""
        fit, trainer = self.fit, self.trainer
        start, first_step = time.perf_counter(), fit.step
        mean, metrics = MeanLoss(), trainer.metrics
        for metric in metrics:
            metric.reset()
        self.steps.begin_epoch()
        self.display.start_epoch(fit.epoch, fit.epochs, _length(loader))
        self.tell("on_epoch_start")
        fit.batch = 0
        for batch in _epoch_of(loader, fit.epoch, seed):
            fit.batch += 1
            self._step(batch, mean, metrics)
            if interruption.requested or fit.history.stopped:
                break
        if interruption.requested:
            return
        if fit.step == first_step:
            raise TrainingError(
                "there is nothing to train on: the data gave no batches", got=f"epoch {fit.epoch}"
            )
        found = {"loss": mean.compute(), **{m.name: m.compute() for m in metrics}}
        if validation is not None:
            judged = trainer.evaluate(validation)
            found |= {f"val_{name}": value for name, value in judged.items()}
        seconds = time.perf_counter() - start
        fit.metrics = found
        fit.history.epochs.append(Epoch(fit.epoch, fit.step - first_step, seconds, found))
        self._adapt_rate("epoch")
        self.display.end_epoch(seconds, found)
        self.tell("on_epoch_end")

    def _step(self, batch: Any, mean: MeanLoss, metrics: list[Metric]) -> None:
        fit = self.fit
        place = f"step {fit.step + 1}, batch {fit.batch} of epoch {fit.epoch}"
        inputs, target = split_batch(batch, place)
        # Arrays are never written to, so holding the old ones is a snapshot.
        buffers = [(buffer, buffer.array) for buffer in self.buffers]
        try:
            outputs = self._gradients(inputs, target, place)
        except TrainingError:
            for buffer, array in buffers:
                buffer.array = array
            raise
        self.steps.update(self.clip_norm, self.clip_value)
        fit.step += 1
        if self.trainer.watch is not None:
            self.trainer.watch.advance(fit.loss)
        self._adapt_rate("step")
        mean.add(fit.loss, _samples(target))
        for metric in metrics:
            metric.update(outputs, target)
        self.display.advance(fit.loss)
        self.tell("on_step_end")

    def _gradients(self, inputs: tuple[Any, ...], target: Any, place: str) -> Any:
        """Forward and backward; returns the outputs. Raises TrainingError unless all is finite."""
        fit, trainer = self.fit, self.trainer
        numbers = random.default_generator.get_state()
        outputs, loss, squares = self.steps.gradients(inputs, target)
        fit.loss = float(loss.item())
        if not math.isfinite(fit.loss):
            random.default_generator.set_state(numbers)
            found = first_non_finite(trainer.model, inputs, target)
            raise TrainingError(
                f"the loss is {fit.loss}",
                expected="a finite loss",
                got=found.what,
                at=place,
                hint=found.hint,
            )
        self.tell("on_gradients")
        is_known_finite = (
            squares is not None and not self.callbacks and math.isfinite(squares.item())
        )
        bad = None if is_known_finite else first_bad_gradient(trainer.model)
        if bad is not None:
            raise TrainingError(
                "a gradient is not finite",
                expected="finite gradients",
                got=bad,
                at=place,
                hint=DIVERGED,
            )
        return outputs

    def _adapt_rate(self, moment: str) -> None:
        schedule = self.trainer.schedule
        if schedule is None or moment != self.trainer.schedule_every:
            return
        if isinstance(schedule, ReduceLROnPlateau):
            known = self.fit.metrics if moment == "epoch" else {"loss": self.fit.loss}
            schedule.step(known.get("val_loss", known["loss"]))
        else:
            schedule.step()


def evaluate(
    model: Module,
    loss: Loss,
    data: Batches,
    metrics: MetricLike | Sequence[MetricLike] = (),
    *,
    batch_size: int = 256,
) -> dict[str, float]:
    """Loss and metrics of a model over all samples of `data`, in evaluation mode.

    Nothing is recorded, and every module is left in the mode it was in.

    Raises TrainingError if there are no samples.
    """
    mean, made = MeanLoss(), make_metrics(metrics)
    for metric in made:
        metric.reset()
    with recording(False), in_mode(model, training=False):
        for number, batch in enumerate(as_loader(data, batch_size, shuffle=False), start=1):
            inputs, target = split_batch(batch, f"evaluation, batch {number}")
            outputs = model(*inputs)
            mean.add(float(checked_loss(loss(outputs, target)).item()), _samples(target))
            for metric in made:
                metric.update(outputs, target)
    if not mean.count:
        raise TrainingError("there are no samples to evaluate")
    return {"loss": mean.compute(), **{m.name: m.compute() for m in made}}


def as_loader(data: Batches, batch_size: int, *, shuffle: bool) -> Iterable[Any]:
    """Batches from whatever `fit` accepts. Raises ArgumentError for what gives none."""
    if isinstance(data, DataLoader):
        return data
    if isinstance(data, tuple):
        data = TensorDataset(*data)
    if isinstance(data, Dataset):
        return DataLoader(data, batch_size, shuffle=shuffle)
    if isinstance(data, Iterable) and not isinstance(data, (Tensor, np.ndarray)):
        return data
    raise ArgumentError(
        "these are not data to train on or to evaluate",
        expected="a DataLoader, a Dataset, a tuple (x, y) of arrays, or an iterable of batches",
        got=type(data).__name__,
    )


def split_batch(batch: Any, place: str) -> tuple[tuple[Any, ...], Any]:
    """The model's arguments and the target. Raises TrainingError for an empty batch."""
    entries = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
    fields = tuple([Tensor.wrap(e) if isinstance(e, np.ndarray) else e for e in entries])
    if not fields or any(isinstance(f, Tensor) and (not f.ndim or not len(f)) for f in fields):
        raise TrainingError(
            "a batch is empty",
            expected="at least one sample",
            got="   ".join(str(getattr(f, "shape", f)) for f in fields) or "no entries",
            at=place,
        )
    return (fields, fields[0]) if len(fields) == 1 else (fields[:-1], fields[-1])


def _samples(target: Any) -> int:
    return len(target) if isinstance(target, (Tensor, Sequence)) else 1


def _epoch_of(loader: Any, number: int, seed: int | None) -> Iterator[Any]:
    if isinstance(loader, DataLoader):
        return loader.epoch(number, seed=seed)
    return iter(loader)


def _length(loader: Any) -> int | None:
    try:
        return len(loader)
    except TypeError:  # a generator, or a sampler without a length
        return None


@contextmanager
def in_mode(model: Module, *, training: bool) -> Iterator[None]:
    """In the block, the model is in training or evaluation; then every module is as it was."""
    before = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, was in before:
            module.training = was
