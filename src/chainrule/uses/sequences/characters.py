"""A network that reads a text character by character, says which comes next, and so writes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, final

import numpy as np

from ... import ops
from ...core.value import recording
from ...data.text import Codes, Streams, Vocabulary
from ...errors import ArgumentError, DataError
from ...nn.functional import cross_entropy
from ...nn.layers.dropout import Dropout
from ...nn.layers.embedding import Embedding
from ...nn.layers.linear import Linear
from ...nn.module import Module
from ...ops import random
from ...optim import Adam, CosineAnnealingLR
from ...tensor import Tensor
from ...train import Callback, History, Trainer
from .recurrence import CELLS, State, check_settings, detached, run, zero_state

CLIP_NORM: Final = 1.0
_SCORED_STREAMS: Final = 16
_SCORED_STEPS: Final = 256
_MOST_SAMPLED: Final = 1_000_000


@final
class CharacterModel(Module):
    """Embedding → recurrent layers → dropout → one score for each character.

    ``advance(x, state)`` gives scores (T, N, characters) for codes (T, N), and the new state.
    Calling the model, as ``Trainer`` does with batches of ``Streams``, goes on from the state that
    the call before left: values flow through the whole text, gradients through one batch, which is
    truncated backpropagation through time. ``settings`` are the arguments that build it again.

    >>> model = CharacterModel(characters=66, hidden=16)
    >>> scores, state = model.advance(cr.zeros(5, 2, dtype=cr.int64))
    >>> scores.shape, [part.shape for part in state]
    ((5, 2, 66), [(1, 2, 16), (1, 2, 16)])
    """

    def __init__(
        self,
        characters: int,
        cell: str = "lstm",
        hidden: int = 256,
        layers: int = 1,
        embedding: int = 64,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        check_settings(
            cell, dropout, characters=characters, hidden=hidden, layers=layers, embedding=embedding
        )
        self.settings: dict[str, Any] = {
            "characters": characters, "cell": cell, "hidden": hidden, "layers": layers,
            "embedding": embedding, "dropout": dropout,
        }  # fmt: skip
        self.embedding = Embedding(characters, embedding)
        self.recurrent = CELLS[cell](embedding, hidden, num_layers=layers, dropout=dropout)
        self.dropout = Dropout(dropout)
        self.output = Linear(hidden, characters)
        self.forget(1)

    def forget(self, streams: int) -> None:
        """Begin anew, with so many texts side by side."""
        for i, part in enumerate(zero_state(self.recurrent, streams)):
            self.register_buffer(f"state_{i}", part, persistent=False)

    def advance(self, x: Any, state: State | None = None) -> tuple[Any, State]:
        """Scores for what follows each character, and the state after the last."""
        y, state = run(self.recurrent, self.embedding(x), state)
        return self.output(self.dropout(y)), state

    def forward(self, x: Any, goes_on: Any) -> Any:
        """Scores (T, N, characters); the kept state is used if `goes_on` is 1, dropped if 0."""
        kept = [self._buffers[f"state_{i}"] for i in range(self.recurrent.states)]
        scores, state = self.advance(x, tuple(part * goes_on for part in kept))
        for cell, part in zip(kept, detached(state), strict=True):
            cell.array = part.array  # type: ignore[union-attr]  # forget() has set them
        return scores


def nats(scores: Any, codes: Any) -> Any:
    """Mean negative logarithm of the probability of the characters that did come.

    Scores (…, characters), codes (…). Guessing among C characters costs log C.
    """
    return cross_entropy(ops.reshape(scores, (-1, scores.shape[-1])), ops.reshape(codes, (-1,)))


def nats_per_character(model: CharacterModel, codes: Codes) -> float:
    """``nats`` over a whole text, read with its state carried along, in evaluation mode.

    The text is read in pieces side by side, each from an empty state; every character but the first
    of the text is scored. Raises DataError for a text of less than two characters.
    """
    if len(codes) < 2:
        raise DataError("the text is too short to be scored", got=f"{len(codes)} characters")
    total, count = 0.0, 0
    was = model.training
    model.eval()
    try:
        with recording(False):
            for x, y in _pieces(codes):
                state: State | None = None
                for start in range(0, len(x), _SCORED_STEPS):
                    here = slice(start, start + _SCORED_STEPS)
                    scores, state = model.advance(Tensor.wrap(x[here]), state)
                    n = y[here].size
                    total += n * nats(scores, Tensor.wrap(y[here])).item()
                    count += n
    finally:
        model.train(was)
    return total / count


def _pieces(codes: Codes) -> list[tuple[Codes, Codes]]:
    """Inputs and targets (T, N): streams of one length, then what is left over as one more."""
    length = (len(codes) - 1) // _SCORED_STREAMS
    used = length * _SCORED_STREAMS
    pieces = []
    if used:
        (batch,) = Streams(codes[: used + 1], _SCORED_STREAMS, length)
        pieces.append((batch[0].array, batch[2].array))
    if used < len(codes) - 1:
        pieces.append((codes[used:-1, None], codes[used + 1 :, None]))
    return pieces


def sample(
    model: CharacterModel,
    vocabulary: Vocabulary,
    *,
    prompt: str = "\n",
    length: int = 500,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int | None = None,
) -> str:
    """`length` characters that the model writes after `prompt`, which is not repeated.

    Scores are divided by `temperature`: below 1 likely characters become likelier, and at 0 always
    the likeliest comes. With `top_k` only the k likeliest may come. With a `seed`, the text is a
    function of it; without, of ``manual_seed``.

    Raises ArgumentError for an empty prompt and values out of range, DataError for characters that
    the model does not know.
    """
    if not 0 <= temperature < float("inf"):
        raise ArgumentError("the temperature is a number from 0", got=f"{temperature=}")
    if top_k is not None and top_k < 1:
        raise ArgumentError("top_k is a number of characters, from 1", got=f"{top_k=}")
    if not 0 <= length <= _MOST_SAMPLED:
        raise ArgumentError(f"a sample has 0 to {_MOST_SAMPLED:,} characters", got=f"{length=}")
    if not prompt:
        raise ArgumentError("a prompt has at least one character", hint="begin with a line end")
    generator = None if seed is None else random.Generator(seed)
    codes = vocabulary.encode(prompt)[:, None]
    written: list[int] = []
    was = model.training
    model.eval()
    try:
        with recording(False):
            state: State | None = None
            for _ in range(length):
                scores, state = model.advance(Tensor.wrap(codes), state)
                code = _drawn(scores[-1, 0].numpy(), temperature, top_k, generator)
                written.append(code)
                codes = np.array([[code]], np.int64)
    finally:
        model.train(was)
    return vocabulary.decode(written)


def _drawn(scores: Any, temperature: float, top_k: int | None, generator: Any) -> int:
    """One code, drawn by its score."""
    if temperature == 0:
        return int(scores.argmax())
    kept = np.arange(len(scores))
    if top_k is not None and top_k < len(scores):
        kept = np.sort(np.argsort(-scores, kind="stable")[:top_k])
    # In float64 and less the largest: exp stays within range for any temperature.
    weights = np.exp((scores[kept] - scores[kept].max()).astype(np.float64) / temperature)
    drawn = ops.multinomial(Tensor.wrap(weights), 1, True, generator=generator)
    return int(kept[int(drawn.item())])


@final
class CharacterTraining:
    """How a CharacterModel is trained: Adam, a rate that falls as a cosine, clipped gradients.

    `codes` is the text to learn, read as `batch_size` streams side by side, `bptt` characters at a
    time. ``fit`` goes on where `trainer.history` ends, so that a loaded state continues.

    Raises DataError for a text that is too short for a single batch.
    """

    def __init__(
        self,
        codes: Codes,
        model: CharacterModel,
        *,
        epochs: int = 6,
        batch_size: int = 32,
        bptt: int = 64,
        lr: float = 4e-3,
        compile: bool = True,
    ) -> None:
        if epochs < 1 or not 0 < lr < float("inf"):
            raise ArgumentError(
                "a training has epochs and a rate",
                expected="epochs >= 1, lr > 0",
                got=f"{epochs=}, {lr=}",
            )
        self.model = model
        self.epochs = epochs
        self.data = Streams(codes, batch_size, bptt)
        self.streams = batch_size
        optimizer = Adam(model.parameters(), lr=lr)
        schedule = CosineAnnealingLR(optimizer, T_max=epochs * len(self.data))
        self.trainer = Trainer(
            model, optimizer, nats, schedule=schedule, schedule_every="step", compile=compile
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
        self.model.forget(self.streams)
        return self.trainer.fit(
            self.data, epochs=self.epochs, callbacks=callbacks, seed=seed, clip_norm=CLIP_NORM,
            history=history, quiet=quiet,
        )  # fmt: skip


def text_loss(model: CharacterModel, x: Any, y: Any, bptt: int | None) -> Tensor:
    """``nats`` of codes (T, N), with the gradients of T cut after every `bptt` steps; None: none.

    The text begins with an empty state. The value is the same for every `bptt`.
    """
    steps = len(x)
    size = steps if bptt is None else bptt
    state: State | None = None
    scores = []
    for start in range(0, steps, size):
        found, last = model.advance(x[start : start + size], state)
        state = detached(last)
        scores.append(found)
    loss: Tensor = nats(ops.concatenate(scores, 0), y)
    return loss
