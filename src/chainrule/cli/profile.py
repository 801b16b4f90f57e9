"""``chainrule profile``: where the time of a compiled training step goes, kernel by kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
from rich import box
from rich.console import Console
from rich.table import Table

from ..compile.profile import Profile, cells
from ..compile.step import Compiled
from ..data.mnist import ImageDataset
from ..errors import ArgumentError
from ..nn import LSTM, Flatten, Linear, Module, ReLU, Sequential
from ..nn.functional import cross_entropy
from ..nn.networks import mnist_cnn
from ..ops.random import manual_seed
from ..optim import Adam
from ..runtime.threads import get_num_threads, set_num_threads
from . import run_folder
from .output import count, print_json
from .train import DATASETS

_SHAPE: Final = (1, 28, 28)


class Rows(Module):
    """A recurrent layer that reads an image row by row, and a dense layer."""

    def __init__(self, hidden: int = 128) -> None:
        super().__init__()
        self.lstm = LSTM(28, hidden, batch_first=True)
        self.dense = Linear(hidden, 10)

    def forward(self, x: Any) -> Any:
        """Logits of (N, 1, 28, 28)."""
        outputs, _ = self.lstm(x.reshape(len(x), 28, 28))
        return self.dense(outputs[:, -1])


def mlp() -> Module:
    """784 → 256 → ReLU → 10."""
    return Sequential(Flatten(), Linear(784, 256), ReLU(), Linear(256, 10))


MODELS: Final[dict[str, Callable[[], Module]]] = {"cnn": mnist_cnn, "lstm": Rows, "mlp": mlp}


@click.command(short_help="Time each kernel of a compiled training step.")
@click.argument(
    "dataset", metavar="[DATASET]", default="mnist", type=click.Choice(sorted(DATASETS))
)
@click.option(
    "--model", default="cnn", show_default=True, type=click.Choice(sorted(MODELS)),
    help="cnn is the network of `chainrule train`.",
)  # fmt: skip
@click.option(
    "--batch", default=64, show_default=True, type=click.IntRange(min=1), help="Images in a step."
)
@click.option(
    "--threads", type=click.IntRange(1, 64), help="How many threads run it; default: all cores."
)
@click.option(
    "--top", default=20, show_default=True, type=click.IntRange(min=1),
    help="Show so many kernels, the slowest.",
)  # fmt: skip
@click.option(
    "--repeats", default=30, show_default=True, type=click.IntRange(min=1),
    help="Runs, of which the fastest counts.",
)  # fmt: skip
@click.option(
    "--data", type=click.Path(path_type=Path), help="Folder with the data set's four IDX files."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def profile(
    dataset: str,
    model: str,
    batch: int,
    threads: int | None,
    top: int,
    repeats: int,
    data: Path | None,
    as_json: bool,
) -> int:
    """Time each kernel of a compiled training step on DATASET: mnist (default) or fashion-mnist.

    The step is forward, cross-entropy, backward and Adam. Each kernel's time stands beside what
    this machine could do: `limit` is the least time for its products or its bytes, whichever is
    longer, as a share of the time it takes. The bounds are measured, with a loop of products and
    with copies of the same size, so a kernel whose data stays in a cache may pass them.
    """
    images, _ = DATASETS[dataset](root=data)
    run_folder.check_images(images, _SHAPE, "the training images")
    with _threads(threads):
        found = _profiled(model, images, batch, repeats)
    if as_json:
        print_json({"dataset": dataset, "model": model, "batch": batch, **found.document()})
    else:
        _print(found, top)
    return 0


def _profiled(name: str, images: ImageDataset, batch: int, repeats: int) -> Profile:
    """Profile a step on the first images. Raises ArgumentError if there are too few."""
    if batch > len(images):
        raise ArgumentError(
            "there are not so many images",
            expected=f"at most {len(images)}",
            got=f"--batch {batch}",
        )
    manual_seed(0)
    model = MODELS[name]()
    optimizer = Adam(model.parameters())

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    step.__qualname__ = f"{name}, batch {batch}"
    x, y = images.images[:batch], images.labels[:batch]
    found = Compiled(step).profile(x, y, repeats=repeats)
    # The lines are those of the step above, not the user's.
    return replace(found, rows=tuple([row._replace(line="") for row in found.rows]))


@contextmanager
def _threads(n: int | None) -> Iterator[None]:
    """Use so many threads in the block, if a number is given."""
    before = get_num_threads()
    if n is not None:
        set_num_threads(n)
    try:
        yield
    finally:
        if n is not None:
            set_num_threads(before)


def _print(found: Profile, top: int) -> None:
    """Show the slowest kernels, what the others take together, and the whole step."""
    console = Console(highlight=False, markup=False)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for header in ("ms", "share", "calls", "GFLOP/s", "GB/s", "limit"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("what")
    rows = found.slowest
    for row in rows[:top]:
        table.add_row(*cells(row), row.what)
    rest = rows[top:]
    if rest:
        seconds, share_of_rest = sum(r.seconds for r in rest), sum(r.share for r in rest)
        table.add_row(
            f"{1e3 * seconds:.4f}", f"{share_of_rest:.1%}", str(sum(r.calls for r in rest)),
            "", "", "", f"{count(len(rest), 'other')}",
        )  # fmt: skip
    console.print(table)
    console.print(found.summary, style="bold", soft_wrap=True)
