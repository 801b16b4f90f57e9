"""Running a PyTorch program as it stands: ``import torch`` is answered by the mirror."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, Final, final

from ..errors import DataError
from ._imports import Mirror

ELSEWHERE: Final = {
    "torchvision": "chainrule.data has MNIST and FashionMNIST; read other images with NumPy",
    "torchaudio": "read sound with the standard library's wave and NumPy",
    "torchtext": "split text with Python, and number its words with a dictionary",
    "torchmetrics": "chainrule.train has metrics, and means are a line of NumPy",
    "torch_geometric": "write the layer: its matrix of neighbours times the features",
    "torchsummary": "chainrule.summary prints the layers of a module",
    "torchinfo": "chainrule.summary prints the layers of a module",
    "pytorch_lightning": "chainrule.Trainer has the loop, callbacks and checkpoints",
    "lightning": "chainrule.Trainer has the loop, callbacks and checkpoints",
    "ignite": "chainrule.Trainer has the loop, callbacks and checkpoints",
    "functorch": "import torch.func instead",
}
"""Packages that need PyTorch itself, and what to use instead."""


@final
class _Elsewhere(MetaPathFinder):
    """Says of packages that need PyTorch itself that they cannot be had."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package = name.partition(".")[0]
        if package in ELSEWHERE:
            raise ModuleNotFoundError(
                f"{package} needs PyTorch itself and does not work with chainrule: "
                f"{ELSEWHERE[package]}",
                name=name,
            )
        return None


@contextmanager
def answering() -> Iterator[None]:
    """In the block, ``import torch`` and all below it gives the mirror's modules.

    What was imported as torch before is set aside, and put back afterwards.
    """
    aside = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_torch(name)}
    finders = [Mirror("torch"), _Elsewhere()]
    sys.meta_path[:0] = finders
    try:
        yield
    finally:
        for finder in finders:
            sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if _is_torch(name)]:
            del sys.modules[name]
        sys.modules.update(aside)


def _is_torch(name: str) -> bool:
    return name.partition(".")[0] in ("torch", *ELSEWHERE)


def run_program(script: str | Path, arguments: Sequence[str] = ()) -> dict[str, Any]:
    """Run a Python file as ``python script.py arguments`` would, with the mirror as torch.

    It is ``__main__``, its folder comes first on ``sys.path``, and ``sys.argv`` is its own. Returns
    its global names. Whatever it raises, SystemExit too, is raised from here; ``own_traceback``
    cuts off the frames that are not the program's.

    Raises DataError if there is no such file.
    """
    path = Path(script)
    if not path.is_file():
        raise DataError("there is no such program", got=str(script))
    argv, places = sys.argv, list(sys.path)
    sys.argv = [str(script), *arguments]
    sys.path[:0] = [str(path.resolve().parent)]
    try:
        with answering():
            return runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.argv, sys.path[:] = argv, places


def own_traceback(failure: BaseException, script: str | Path) -> BaseException:
    """`failure` with a traceback that begins in the program, as if Python had run it."""
    frames = failure.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename != str(script):
        frames = frames.tb_next
    return failure.with_traceback(frames)
