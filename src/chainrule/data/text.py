"""Text: reading it, its alphabet, and streams of characters to learn from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias, final

import numpy as np

from ..errors import ArgumentError, DataError
from ..tensor import Tensor
from .idx import PathLike, opened

Codes: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

MAX_BYTES: Final = 64 * 2**20
"""Default bound on the size of a text that is read."""
MAX_ALPHABET: Final = 4096
"""Largest number of distinct characters: each is a class that the network tells apart."""
_SHAKESPEARE: Final = Path(__file__).parent / "files" / "text" / "shakespeare.txt.gz"


def read_text(path: PathLike, *, max_bytes: int = MAX_BYTES) -> str:
    r"""The text of a file in UTF-8, plain or gzipped; line ends become ``\n``.

    Raises DataError for a file that is missing, damaged, larger than `max_bytes` or not UTF-8.
    """
    path = Path(path)
    with opened(path) as (stream, _, _):
        data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise DataError(f"{path.name} holds more than may be read", expected=f"≤ {max_bytes} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        raise DataError(f"{path.name} is not text in UTF-8: {failure.reason}") from failure
    return text.replace("\r\n", "\n").replace("\r", "\n")


def shakespeare(root: PathLike | None = None) -> str:
    """Six plays by William Shakespeare, as they are shipped; or the text in the file `root`.

    >>> text = shakespeare()
    >>> len(text), text[:6]
    (723705, 'Hamlet')
    """
    return read_text(root or _SHAKESPEARE)


@final
class Vocabulary:
    """The characters of a text, in order, and their codes 0, 1, 2, …

    Raises DataError for a character that appears twice, and for less than 2 or more than 4,096.

    >>> alphabet = Vocabulary.of("banana")
    >>> alphabet.characters, alphabet.encode("nab").tolist(), alphabet.decode([1, 0])
    ('abn', [2, 0, 1], 'ba')
    """

    def __init__(self, characters: str) -> None:
        if not 2 <= len(characters) <= MAX_ALPHABET or len(set(characters)) < len(characters):
            raise DataError(
                "these characters are no alphabet",
                expected=f"2 to {MAX_ALPHABET} distinct ones",
                got=f"{len(set(characters))} distinct ones of {len(characters)}",
            )
        self.characters = characters
        self._codes = {c: i for i, c in enumerate(characters)}

    @classmethod
    def of(cls, text: str) -> Vocabulary:
        """The alphabet of a text."""
        return cls("".join(sorted(set(text))))

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> Codes:
        """The code of each character. Raises DataError that names those without one."""
        missing = sorted(set(text) - self._codes.keys())
        if missing:
            raise DataError(
                "the text has characters that the alphabet does not have",
                expected=f"characters of {self.characters!r}"[:120],
                got=", ".join(map(repr, missing[:8])) + (" …" if len(missing) > 8 else ""),
            )
        return np.fromiter((self._codes[c] for c in text), np.int64, len(text))

    def decode(self, codes: Any) -> str:
        """The text of codes."""
        return "".join(self.characters[int(i)] for i in codes)


@final
class Streams:
    """A long sequence as batches for truncated backpropagation through time.

    The sequence is cut into `streams` pieces of one length that are read side by side, `steps` at a
    time. A batch is (x, goes_on, y): codes x of shape (steps, streams), the codes y that follow
    each of them, and `goes_on` of shape (1,): 1.0 if the batch continues the one before it, 0.0 for
    the first. What does not fill the pieces or the last batch is left out.

    Source: R. J. Williams, J. Peng, Neural Computation 2(4), 1990, on truncation; the layout is the
    usual one of language models.

    >>> for x, goes_on, y in Streams(np.arange(9), streams=2, steps=2):
    ...     print(x.tolist(), goes_on.tolist(), y.tolist())
    [[0, 4], [1, 5]] [0.0] [[1, 5], [2, 6]]
    [[2, 6], [3, 7]] [1.0] [[3, 7], [4, 8]]
    """

    def __init__(self, codes: Any, streams: int, steps: int) -> None:
        if streams < 1 or steps < 1:
            raise ArgumentError("streams and steps are counts", got=f"{streams=}, {steps=}")
        length = (len(codes) - 1) // streams
        self.batches = length // steps
        if self.batches < 1:
            raise DataError(
                "the text is too short",
                expected=f"more than {streams * steps} characters: {streams} streams of {steps}",
                got=f"{len(codes)} characters",
                hint="use fewer streams (--batch-size) or fewer steps (--bptt)",
            )
        self.steps = steps
        used = streams * length
        self._inputs = _side_by_side(codes[:used], streams)
        self._targets = _side_by_side(codes[1 : used + 1], streams)

    def __len__(self) -> int:
        """Number of batches."""
        return self.batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for start in range(0, self.batches * self.steps, self.steps):
            here = slice(start, start + self.steps)
            goes_on = np.array([start > 0], np.float32)
            yield (
                Tensor.wrap(self._inputs[here]), Tensor.wrap(goes_on),
                Tensor.wrap(self._targets[here]),
            )  # fmt: skip


def _side_by_side(codes: Any, streams: int) -> Codes:
    """(length, streams)"""
    return np.ascontiguousarray(np.asarray(codes, np.int64).reshape(streams, -1).T)
