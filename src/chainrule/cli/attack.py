"""``chainrule attack RUN``: how a saved classifier of images stands attacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..data import DataLoader, Subset
from ..data.mnist import ImageDataset
from ..nn import CrossEntropyLoss
from ..nn.module import Module
from ..nn.networks import NETWORKS
from ..ops.random import manual_seed
from ..optim import Adam
from ..train import Trainer, write_atomically
from ..uses.adversarial import (
    ATTACKS,
    Attacked,
    Masking,
    RobustAccuracy,
    check_masking,
    examples_picture,
    robust_accuracy,
)
from ..uses.adversarial.attack import NORMS
from .output import print_json
from .run_images import image_model, images_of
from .train import NETWORK

_TABLE = (0.25, 0.5, 0.75, 1.0, 1.5)
"""ε of the table, as multiples of --eps."""


@click.command(short_help="Attack a saved classifier: FGSM, BIM, PGD, DeepFool.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--method", default="fgsm", show_default=True, type=click.Choice(sorted(ATTACKS)),
    help="The attack.",
)  # fmt: skip
@click.option(
    "--eps", type=click.FloatRange(0, min_open=True),
    help="How far an image may move. Default: 0.2 in each pixel (of 1) by linf, 2 by l2.",
)  # fmt: skip
@click.option("--norm", default="linf", show_default=True, type=click.Choice(NORMS))
@click.option("--steps", type=click.IntRange(min=1), help="Steps of bim, pgd and deepfool.")
@click.option("--restarts", default=1, show_default=True, type=click.IntRange(min=1),
              help="Random starts of pgd.")  # fmt: skip
@click.option("--target", type=click.IntRange(0, 9), help="Aim at this class.")
@click.option("--limit", default=1000, show_default=True, type=click.IntRange(min=1),
              help="Attack the first so many images.")  # fmt: skip
@click.option("--table", is_flag=True, help="Also accuracy for several ε, by fgsm and --method.")
@click.option("--masking", is_flag=True, help="Also look for signs of masked gradients.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**64 - 1),
              metavar="INTEGER", help="Of random starts.")  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path), help="Folder with other IDX files.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for pictures (SVG).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def attack(
    run: Path,
    method: str,
    eps: float | None,
    norm: str,
    steps: int | None,
    restarts: int,
    target: int | None,
    limit: int,
    table: bool,
    masking: bool,
    seed: int,
    data: Path | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Attack the classifier saved in RUN on its test images; print its accuracy before and after.

    An image that an attack leaves right counts as right: the accuracy under attack is an upper
    bound of the robust accuracy. --table draws it against ε, --masking looks for reasons not to
    believe it (needs some seconds to train a second network, whose examples are tried too).
    """
    images = images_of(run, "test", data)
    model = image_model(run, images)
    manual_seed(seed)
    size = eps or (0.2 if norm == "linf" else 2.0)
    settings = _settings(method, steps, restarts)
    made = ATTACKS[method](model, **({} if method == "deepfool" else {"eps": size}),
                           norm=norm, **settings)  # fmt: skip
    x, y = images.batch(slice(0, limit))
    found = made(x, y, target=target)
    curve = None
    if table:
        both = tuple(dict.fromkeys(("fgsm", method)))
        curve = robust_accuracy(
            model, x, y, [k * size for k in _TABLE], methods=both, norm=norm, **settings
        )
    masked = None
    if masking:
        masked = check_masking(
            model, x, y, size, norm=norm, surrogate=_surrogate(images_of(run, "train", data)),
            seed=seed,
        )  # fmt: skip
    pictures = [] if out is None else _pictures(out, found, curve, type(images).classes)
    _show(run, found, curve, masked, pictures, as_json)
    return 0


def _settings(method: str, steps: int | None, restarts: int) -> dict[str, Any]:
    """The options that a method has."""
    settings: dict[str, Any] = {}
    if steps is not None and method != "fgsm":
        settings["steps"] = steps
    if method == "pgd":
        settings["restarts"] = restarts
    return settings


def _surrogate(images: ImageDataset) -> Module:
    """The same network, trained anew and briefly on plain images."""
    model = NETWORKS[NETWORK].build()
    trainer = Trainer(model, Adam(model.parameters(), lr=2e-3), CrossEntropyLoss())
    part = Subset(images, range(min(len(images), 7000)))
    trainer.fit(DataLoader(part, 64, shuffle=True), epochs=3, seed=1, quiet=True)
    return model.eval()


def _pictures(
    out: Path, found: Attacked, curve: RobustAccuracy | None, names: tuple[str, ...]
) -> list[str]:
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / "examples.svg"]
    write_atomically(paths[0], examples_picture(found, names).encode())
    if curve is not None:
        paths.append(out / "accuracy.svg")
        curve.save(paths[-1])
    return [str(path) for path in paths]


def _show(
    run: Path, found: Attacked, curve: RobustAccuracy | None, masked: Masking | None,
    pictures: list[str], as_json: bool,
) -> None:  # fmt: skip
    figures = found.to_json()
    if as_json:
        figures["table"] = None if curve is None else curve.to_json()
        figures["masking"] = None if masked is None else masked.to_json()
        print_json({"run": str(run), **figures, "pictures": pictures})
        return
    size = "" if found.eps is None else f", ε = {found.eps:g}"
    click.echo(
        f"{found.method} ({found.norm}{size}) on {figures['samples']:,} images: accuracy "
        f"{found.clean_accuracy:.2%} → {found.accuracy:.2%}"
    )
    click.echo(
        f"it {'reaches its class' if found.target is not None else 'succeeds'} at "
        f"{found.success_rate:.2%} of the images that were right; median distance "
        f"{figures['median_distance']:.3g}"
    )
    for part in (curve, masked):
        if part is not None:
            click.echo(f"\n{part}")
    for path in pictures:
        click.echo(f"wrote {path}")
