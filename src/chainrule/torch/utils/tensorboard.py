"""``torch.utils.tensorboard``: a writer of event files, with PyTorch's arguments."""

from __future__ import annotations

import os
import socket
from datetime import datetime
from typing import Any, Self

from ...interop import tensorboard as _events
from .._names import mirrored

__getattr__, __dir__ = mirrored(__name__)


class SummaryWriter:
    """Writes scalars, histograms and text for TensorBoard into `log_dir`.

    Without one, into ``runs/`` and a name of the time, the machine and `comment`. Usable as a
    context.
    """

    def __init__(
        self, log_dir: str | os.PathLike[str] | None = None, comment: str = "", **_options: Any
    ) -> None:
        name = f"{datetime.now():%b%d_%H-%M-%S}_{socket.gethostname()}{comment}"
        self.log_dir = os.fspath(log_dir or os.path.join("runs", name))
        self._writer = _events.SummaryWriter(self.log_dir)

    def get_logdir(self) -> str:
        """The folder of the files."""
        return self.log_dir

    def add_scalar(
        self, tag: str, scalar_value: Any, global_step: int | None = None, **_options: Any
    ) -> None:
        """One number of a curve."""
        self._writer.add_scalar(tag, scalar_value, global_step or 0)

    def add_scalars(
        self, main_tag: str, tag_scalar_dict: dict[str, Any], global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Numbers of several curves."""
        self._writer.add_scalars(main_tag, tag_scalar_dict, global_step or 0)

    def add_histogram(
        self, tag: str, values: Any, global_step: int | None = None, **_options: Any
    ) -> None:
        """How numbers are distributed."""
        self._writer.add_histogram(tag, getattr(values, "array", values), global_step or 0)

    def add_text(
        self, tag: str, text_string: str, global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Text, shown as Markdown."""
        self._writer.add_text(tag, text_string, global_step or 0)

    def flush(self) -> None:
        """Have all that was added in the file."""
        self._writer.flush()

    def close(self) -> None:
        """End the file."""
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
