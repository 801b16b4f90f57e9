"""``chainrule``: the group of commands, and how they report bad input."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from .. import __version__
from ..errors import ArgumentError, ChainruleError, DataError, TrainingError
from .attack import attack
from .attribute import attribute
from .check import check
from .doctor import doctor
from .evaluate import evaluate
from .explain import explain
from .export import export
from .lint import lint
from .output import can_print, print_json, tolerate_encodings
from .profile import profile
from .run import run
from .sample import sample
from .study import study
from .train import train
from .train_cartpole import cartpole
from .train_series import SERIES, series
from .train_text import TEXTS, text
from .train_trading import trading


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="chainrule")
def commands() -> None:
    """Train networks, score them, check gradients, and see where the time goes."""


commands.add_command(train)
train.add_command(cartpole)
train.add_command(trading)
for _name in SERIES:
    train.add_command(series, _name)
for _name in TEXTS:
    train.add_command(text, _name)
commands.add_command(evaluate)
commands.add_command(attack)
commands.add_command(attribute)
commands.add_command(check)
commands.add_command(doctor)
commands.add_command(explain)
commands.add_command(export)
commands.add_command(lint)
commands.add_command(profile)
commands.add_command(run)
commands.add_command(sample)
commands.add_command(study)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command. Bad input ends with a message of a few lines and exit status 2."""
    try:
        tolerate_encodings()
        status = _status(sys.argv[1:] if arguments is None else list(arguments))
    except (KeyboardInterrupt, click.Abort):
        status = 130
    sys.exit(status)


def _status(arguments: list[str]) -> int:
    as_json = "--json" in arguments
    try:
        status = commands.main(arguments, prog_name="chainrule", standalone_mode=False)
    except click.UsageError as mistake:
        if as_json:
            _report(type(mistake).__name__, mistake.format_message(), as_json)
        else:
            mistake.show()
        return 2
    except (ChainruleError, OSError, MemoryError) as failure:
        error = _explained(failure)
        if arguments[:1] != ["check"] and not isinstance(error, TrainingError):
            error.at = None  # no line of the user's has run: it would be one of click's
        _report(type(error).__name__, str(error), as_json)
        return 2
    return status if isinstance(status, int) else 0


def _explained(failure: BaseException) -> ChainruleError:
    """Our error for one of the operating system's."""
    if isinstance(failure, ChainruleError):
        return failure
    if isinstance(failure, OSError):
        reason = failure.strerror or str(failure)
        if failure.filename is None:  # of a stream that is open already
            return DataError(f"the output cannot be written: {reason}")
        return DataError(f"the operating system refuses: {reason}", got=str(failure.filename)[:120])
    return ArgumentError("there is not enough memory", got=str(failure)[:200] or None)


def _report(kind: str, message: str, as_json: bool) -> None:
    """Say what went wrong: as JSON on standard output, if that can be written to."""
    if as_json and can_print():
        try:
            print_json({"error": {"type": kind, "message": message}})
        except OSError:  # a disk may take a flush of nothing, and then not a line
            pass
        else:
            return
    click.echo(f"{kind}: {message}", err=True)
    can_print()
