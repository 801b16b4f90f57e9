"""``chainrule sample RUN``: text that a trained network writes."""

from __future__ import annotations

from pathlib import Path

import click

from ..uses.sequences import sample as write
from . import run_folder
from .output import print_json
from .saved import load_text_model


@click.command(short_help="Let a network trained on text write.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--prompt", default="\n", help="What the network reads first. Default: the end of a line."
)
@click.option(
    "--length", default=500, show_default=True, type=click.IntRange(0, 1_000_000),
    help="Characters to write.",
)  # fmt: skip
@click.option(
    "--temperature", default=0.8, show_default=True, type=click.FloatRange(min=0),
    help="1: by the network's own probabilities; less: likelier ones; 0: always the likeliest.",
)  # fmt: skip
@click.option(
    "--top-k", type=click.IntRange(min=1), help="Choose among the likeliest so many only."
)
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, 2**64 - 1), metavar="INTEGER",
    help="Same seed, same text.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def sample(
    run: Path,
    prompt: str,
    length: int,
    temperature: float,
    top_k: int | None,
    seed: int,
    as_json: bool,
) -> int:
    """Print text that the network of RUN, from `chainrule train shakespeare`, writes after PROMPT.

    Exit status: 0, or 2 for bad input, such as a prompt with characters that the network never saw.
    """
    saved = load_text_model(run)
    run_folder.warn_unless_finished(saved.status)
    text = write(
        saved.model, saved.alphabet, prompt=prompt, length=length, temperature=temperature,
        top_k=top_k, seed=seed,
    )  # fmt: skip
    if as_json:
        settings = {"temperature": temperature, "top_k": top_k, "seed": seed}
        print_json({"run": str(run), "prompt": prompt, "text": text, **settings})
    else:
        click.echo(prompt + text)
    return 0
