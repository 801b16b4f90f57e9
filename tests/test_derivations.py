"""The commands of the documents on explanations print what stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from chainrule.cli.main import main

ROOT = Path(__file__).parent.parent
BLOCKS = [
    (document, command, printed)
    for document in ("docs/sources.md", "docs/explain.md")
    for command, printed in re.findall(
        r"```console\n\$ ([^\n]*)\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.S
    )
]


def compared(text: str) -> list[str]:
    """The lines of a text; of the residuals, which depend on the machine, only the names."""
    derivation, checked, residuals = text.partition("Checked:")
    names = [line.split()[0] for line in residuals.splitlines()[3:] if line.strip()]
    return [*(line.rstrip() for line in derivation.strip().splitlines()), checked, *names]


@pytest.mark.parametrize(
    ("document", "command", "printed"),
    [block for block in BLOCKS if "RUN" not in block[1]],
    ids=lambda text: text if len(text) < 60 else text[:60],
)
def test_command_prints_what_the_document_shows(
    document: str, command: str, printed: str,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(command)[1:])
    assert not ended.value.code
    assert compared(capsys.readouterr().out) == compared(printed)


def test_the_sources_have_many_derivations() -> None:
    assert len(BLOCKS) >= 25
