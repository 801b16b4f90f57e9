"""``chainrule``: the group of commands, and how they report bad input."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from .. import __version__
from ..errors import ChainruleError
from .check import check
from .evaluate import evaluate
from .train import train


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="chainrule")
def commands() -> None:
    """Train networks, score them, and check gradients."""


commands.add_command(train)
commands.add_command(evaluate)
commands.add_command(check)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command. Bad input ends with a message of a few lines and exit status 2."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    as_json = "--json" in arguments
    try:
        status = commands.main(arguments, prog_name="chainrule", standalone_mode=False)
    except click.UsageError as mistake:
        if as_json:
            _print_json(type(mistake).__name__, mistake.format_message())
        else:
            mistake.show()
        sys.exit(2)
    except ChainruleError as mistake:
        _report(mistake, as_json)
        sys.exit(2)
    except (OSError, MemoryError) as failure:
        _report(failure, as_json)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)


def _report(failure: Exception, as_json: bool) -> None:
    if as_json:
        _print_json(type(failure).__name__, str(failure))
    else:
        click.echo(f"{type(failure).__name__}: {failure}", err=True)


def _print_json(kind: str, message: str) -> None:
    error: dict[str, Any] = {"error": {"type": kind, "message": message}}
    click.echo(json.dumps(error))
