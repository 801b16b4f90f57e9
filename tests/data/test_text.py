"""Text: its alphabet, and streams whose batches follow one another."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from chainrule.data import Streams, Vocabulary, read_text, shakespeare
from chainrule.errors import ArgumentError, DataError


def test_the_shipped_plays_are_whole() -> None:
    text = shakespeare()
    assert (len(text), len(Vocabulary.of(text))) == (723_705, 66)
    for play in ("Hamlet", "Macbeth", "Romeo and Juliet", "The Tempest", "Twelfth Night"):
        assert play in text


def test_line_ends_marks_and_gzip_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "own"
    path.write_bytes(gzip.compress("\ufeffé\r\nb\rc".encode()))
    assert read_text(path) == "é\nb\nc"
    with pytest.raises(DataError, match="more than may be read"):
        read_text(path, max_bytes=3)
    path.write_bytes(gzip.compress(b"abc")[:-6])
    with pytest.raises(DataError, match="damaged"):
        read_text(path)


def test_encoding_and_decoding_are_inverse() -> None:
    text = "to be, or not to be"
    alphabet = Vocabulary.of(text)
    assert alphabet.decode(alphabet.encode(text)) == text
    with pytest.raises(DataError, match="does not have") as error:
        alphabet.encode("zebra!")
    assert "'!', 'a', 'z'" in str(error.value)


@pytest.mark.parametrize("characters", ["", "a", "abca", "".join(map(chr, range(5000)))])
def test_what_is_no_alphabet_is_refused(characters: str) -> None:
    with pytest.raises(DataError, match="no alphabet"):
        Vocabulary(characters)


def test_streams_cover_the_text_once_and_go_on() -> None:
    codes = np.arange(103)
    streams = Streams(codes, streams=4, steps=5)
    batches = list(streams)
    assert len(batches) == len(streams) == 5
    read = np.concatenate([x.numpy() for x, _, _ in batches])
    np.testing.assert_array_equal(read.T, np.arange(100).reshape(4, 25))
    for x, _, y in batches:
        np.testing.assert_array_equal(y.numpy(), x.numpy() + 1)
    assert [goes_on.item() for _, goes_on, _ in batches] == [0, 1, 1, 1, 1]


def test_too_short_a_text_is_refused() -> None:
    assert len(Streams(np.arange(7), 2, 3)) == 1
    with pytest.raises(DataError, match="too short"):
        Streams(np.arange(6), 2, 3)
    with pytest.raises(ArgumentError, match="counts"):
        Streams(np.arange(6), 0, 3)
