"""``chainrule train shakespeare``: a network that reads plays character by character."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, final

import click
import numpy as np
from rich.console import Console

from ..data.text import Codes, Vocabulary, shakespeare
from ..errors import ArgumentError, DataError
from ..ops.random import manual_seed
from ..uses.sequences import (
    CELLS,
    CharacterModel,
    CharacterTraining,
    nats_per_character,
    reach_chart,
    reached,
    sample,
    text_reach,
    text_truncations,
)
from ..uses.sequences.reach import powers
from . import run_folder, sequence_runs
from .output import count, print_json
from .train_series import print_reach

TEXTS: Final[Mapping[str, Callable[..., str]]] = {"shakespeare": shakespeare}
NETWORK: Final = "characters"
HELD_BACK: Final = 0.1
"""The part of the text, at its end, that is not trained on."""
_MEASURED_STEPS: Final = 128
"""Length of the texts on which the reach of the gradient is measured."""
_SAMPLED: Final = 300


@dataclass(frozen=True)
class Options:
    """What decides the outcome of a run, bit for bit."""

    dataset: str
    data: str | None
    cell: str
    hidden: int
    layers: int
    embedding: int
    dropout: float
    bptt: int
    epochs: int
    batch_size: int
    lr: float
    seed: int
    limit: int | None
    eager: bool = False


@click.command(short_help="A model of text, character by character.")
@click.option(
    "--cell", default="lstm", show_default=True, type=click.Choice(list(CELLS)),
    help="Kind of recurrent layer.",
)  # fmt: skip
@click.option(
    "--hidden", default=256, show_default=True, type=click.IntRange(1, 4096), help="Its size."
)
@click.option(
    "--layers", default=1, show_default=True, type=click.IntRange(1, 16), help="How many of them."
)
@click.option(
    "--embedding", default=64, show_default=True, type=click.IntRange(1, 4096),
    help="Numbers that stand for a character.",
)  # fmt: skip
@click.option(
    "--dropout", default=0.2, show_default=True, type=click.FloatRange(0, 1, max_open=True),
    help="Share of a layer's outputs that is left out in training.",
)  # fmt: skip
@click.option(
    "--bptt", default=64, show_default=True, type=click.IntRange(min=1),
    help="Characters that gradients go back through; the state is carried on.",
)  # fmt: skip
@click.option(
    "--epochs", default=6, show_default=True, type=click.IntRange(min=1),
    help="Passes over the text.",
)  # fmt: skip
@click.option(
    "--batch-size", default=32, show_default=True, type=click.IntRange(min=1),
    help="Pieces of the text that are read side by side.",
)  # fmt: skip
@click.option("--lr", default=4e-3, show_default=True, help="Adam's rate; falls to 0 as a cosine.")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, 2**64 - 1), metavar="INTEGER",
    help="Same seed, same bits.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), help="Use the first so many characters only.")
@click.option(
    "--data", type=click.Path(path_type=Path, dir_okay=False),
    help="A text of yours in UTF-8, plain or gzipped, instead of the plays.",
)  # fmt: skip
@click.option(
    "--runs", default="runs", show_default=True, type=click.Path(path_type=Path),
    help="Where the run folder is made.",
)  # fmt: skip
@click.option(
    "--resume", type=click.Path(path_type=Path), metavar="RUN",
    help="Go on with a run that was interrupted, with its own options.",
)  # fmt: skip
@click.option("--eager", is_flag=True, help="Do not compile the training step.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.pass_context
def text(
    context: click.Context,
    /,
    data: Path | None,
    runs: Path,
    resume: Path | None,
    as_json: bool,
    **others: Any,
) -> int:
    """Learn to write as six plays do, character by character, with truncated backpropagation.

    The last 10 % of the text are held back. Shown: nats per held-back character, how far back in
    time the gradient reaches, what truncation makes of it, and a sample; `chainrule sample RUN`
    writes more. The run folder holds weights, run.json and a picture (SVG).

    Exit status: 0 if the training finished, 1 if it diverged, 2 for bad input and for a loss that
    is not finite, 130 after Ctrl-C.
    """
    dataset = str(context.info_name)
    if resume is not None:
        sequence_runs.refuse_options(context)
        saved = sequence_runs.saved_options(resume, NETWORK, dataset)
        work = TextWork.of(sequence_runs.rebuilt(Options, saved))
        sequence_runs.go_on(work, resume)
        folder = run_folder.Folder(resume, keep=True)
        record = sequence_runs.execute(work, folder, quiet=as_json)
    else:
        root = None if data is None else str(data)
        work = TextWork.of(Options(dataset=dataset, data=root, **others))
        with run_folder.new(runs, dataset) as folder:
            record = sequence_runs.execute(work, folder, quiet=as_json)
    if as_json:
        print_json(record)
    else:
        _print_result(record)
    return sequence_runs.EXIT_STATUS[record["status"]]


@final
@dataclass(frozen=True, eq=False)
class TextWork:
    """A training on a text: its options, the text in two parts, and how it is learnt."""

    choice: Options
    alphabet: Vocabulary
    known: Codes
    held_back: Codes
    model: CharacterModel
    training: CharacterTraining
    untrained: list[float]
    """The reach of the gradient before the first step."""
    network: str = NETWORK

    @classmethod
    def of(cls, choice: Options) -> TextWork:
        """Read and check everything. Raises DataError or ArgumentError before anything is made."""
        if not 0 < choice.lr < float("inf"):
            raise ArgumentError(
                "the learning rate must be a positive number", got=f"--lr {choice.lr}"
            )
        whole = TEXTS[choice.dataset](choice.data)[: choice.limit]
        alphabet = Vocabulary.of(whole)
        known, held_back = split(alphabet.encode(whole))
        manual_seed(choice.seed)
        model = CharacterModel(
            len(alphabet), choice.cell, choice.hidden, choice.layers, choice.embedding,
            choice.dropout,
        )  # fmt: skip
        training = CharacterTraining(
            known, model, epochs=choice.epochs, batch_size=choice.batch_size, bptt=choice.bptt,
            lr=choice.lr, compile=not choice.eager,
        )  # fmt: skip
        steps = min(_MEASURED_STEPS, len(held_back) - 1)
        untrained = text_reach(model, held_back, steps)
        return cls(choice, alphabet, known, held_back, model, training, untrained)

    @property
    def options(self) -> dict[str, Any]:
        return asdict(self.choice)

    @property
    def facts(self) -> dict[str, Any]:
        return {"settings": self.model.settings, "alphabet": self.alphabet.characters}

    def score(self) -> dict[str, Any]:
        steps = len(self.untrained)
        reach = text_reach(self.model, self.held_back, steps)
        truncated = text_truncations(self.model, self.held_back, steps, powers(steps))
        return {
            "cell": self.choice.cell,
            "test": scores(self.model, self.held_back, self.known),
            "train": {**self.training.trainer.history.last, "characters": len(self.known)},
            "sample": sample(
                self.model, self.alphabet, prompt=self.alphabet.decode(self.held_back[:1]),
                length=_SAMPLED, temperature=0.8, seed=self.choice.seed,
            ),
            "gradient_by_step_back": {"before": self.untrained, "after": reach},
            "steps_reached": {"before": reached(self.untrained), "after": reached(reach)},
            "truncation": [t._asdict() for t in truncated],
        }  # fmt: skip

    def pictures(self, figures: Mapping[str, Any]) -> dict[str, str]:
        norms = figures["gradient_by_step_back"]
        return {
            "reach.svg": reach_chart(
                f"{self.choice.dataset}: how far back the gradient reaches",
                {"untrained": norms["before"], "trained": norms["after"]},
            )
        }


def split(codes: Codes) -> tuple[Codes, Codes]:
    """What is trained on, and the end of the text, which is held back.

    Raises DataError if that leaves less than two characters for one of them.
    """
    cut = len(codes) - round(HELD_BACK * len(codes))
    if cut < 2 or len(codes) - cut < 2:
        raise DataError(
            "the text is too short to hold a part of it back", got=f"{len(codes)} characters"
        )
    return codes[:cut], codes[cut:]


def scores(model: CharacterModel, codes: Codes, known: Codes | None = None) -> dict[str, Any]:
    """How well the characters of a text are foretold; beside their plain frequencies in `known`."""
    nats = nats_per_character(model, codes)
    found = {
        "loss": nats,
        "nats_per_character": nats,
        "bits_per_character": nats / math.log(2),
        "characters": len(codes),
    }
    if known is not None:
        # One is added to each count, so that no character of the text is impossible.
        counts = np.bincount(known, minlength=int(model.settings["characters"])) + 1.0
        found["nats_of_frequencies"] = float(-np.log(counts / counts.sum())[codes].mean())
    return found


def _print_result(record: Mapping[str, Any]) -> None:
    """Show how a run ended."""
    console = Console(highlight=False, markup=False)
    test = record["test"]
    if record["status"] != run_folder.FINISHED:
        console.print(f"stopped early: {record['status']}", style="yellow", soft_wrap=True)
    console.print()
    print_reach(console, record)
    console.print("a sample", style="italic")
    console.print(record["sample"], soft_wrap=True)
    console.print()
    console.print(
        f"training   {count(record['epochs'], 'epoch')}, {count(record['steps'], 'step')}, "
        f"{record['train_seconds']:.0f} s, {record['parameters']:,} parameters"
    )
    console.print(
        f"test       {test['nats_per_character']:.3f} nats for each of "
        f"{count(test['characters'], 'held-back character')}",
        style="bold",
    )
    console.print(f"run        {record['run']}", soft_wrap=True)
