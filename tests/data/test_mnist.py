"""The shipped MNIST, other copies of it, Fashion-MNIST, and pairs of files that do not fit."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import config
from chainrule.data import MNIST, FashionMNIST, read_images
from chainrule.errors import DataError


def encode(array: Any) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def put(folder: Path, prefix: str, n: int = 4, dot: str = "-", zipped: bool = True) -> None:
    """A small pair of files with the names of the data sets."""
    folder.mkdir(exist_ok=True)
    pixels = np.arange(n * 784).reshape(n, 28, 28) % 256
    for stem, suffix, array in (
        ("images", "idx3-ubyte", pixels),
        ("labels", "idx1-ubyte", np.arange(n) % 10),
    ):
        data = encode(array)
        name = f"{prefix}-{stem}{dot}{suffix}" + (".gz" if zipped else "")
        (folder / name).write_bytes(gzip.compress(data) if zipped else data)


@pytest.mark.parametrize(("train", "n"), [(True, 7000), (False, 1000)])
def test_the_shipped_subset(train: bool, n: int) -> None:
    data = MNIST(train)
    images, labels = data.images.array, data.labels.array
    assert (images.shape, images.dtype) == ((n, 1, 28, 28), np.float32)
    assert (labels.shape, labels.dtype) == ((n,), np.int64)
    assert (images.min(), images.max()) == (0.0, 1.0)
    counts = np.bincount(labels, minlength=10)
    assert counts.min() > n / 10 * 0.7
    assert len(data.classes) == 10
    x, y = data[0]
    assert x.shape == (1, 28, 28)
    assert y.item() == labels[0]


def test_pixels_are_divided_by_255_exactly(tmp_path: Path) -> None:
    put(tmp_path, "t10k")
    images = MNIST(False, root=tmp_path).images.array
    pixels = (np.arange(4 * 784) % 256).astype(np.float32)
    np.testing.assert_array_equal(images.ravel(), pixels / np.float32(255))


def test_the_notice_is_shipped() -> None:
    notice = Path(chainrule.__file__).parent / "data" / "files" / "mnist" / "NOTICE"
    assert "CC BY-SA 3.0" in notice.read_text()


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dot", ["-", "."])
def test_other_copies_are_found_under_the_usual_names(
    tmp_path: Path, dot: str, zipped: bool
) -> None:
    put(tmp_path, "train", 6, dot, zipped)
    put(tmp_path, "t10k", 3, dot, zipped)
    train, test = MNIST.splits(root=tmp_path)
    assert (len(train), len(test)) == (6, 3)


def test_environment_variables_name_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "digits", "train", 5)
    put(tmp_path / "clothes", "train", 3)
    monkeypatch.setenv("CHAINRULE_MNIST", str(tmp_path / "digits"))
    monkeypatch.setenv("CHAINRULE_FASHION_MNIST", str(tmp_path / "clothes"))
    assert len(MNIST()) == 5
    assert len(FashionMNIST()) == 3
    assert FashionMNIST.classes[9] == "ankle boot"


def test_missing_fashion_mnist_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHAINRULE_FASHION_MNIST", raising=False)
    monkeypatch.setattr(config, "FASHION_MNIST_DEFAULT", tmp_path)
    with pytest.raises(DataError) as caught:
        FashionMNIST()
    assert "apt-get install dataset-fashion-mnist" in str(caught.value)


def test_a_missing_folder_is_named() -> None:
    with pytest.raises(DataError, match="not there") as caught:
        MNIST(root="/nowhere/at/all")
    assert "/nowhere/at/all" in str(caught.value)


def test_any_pair_of_files_of_any_size_can_be_read(tmp_path: Path) -> None:
    images, labels = tmp_path / "i", tmp_path / "l"
    images.write_bytes(encode(np.full((2, 5, 7), 51)))
    labels.write_bytes(gzip.compress(encode(np.array([1, 0]))))
    data = read_images(images, labels)
    assert data.images.shape == (2, 1, 5, 7)
    assert data.images.array.flat[0] == np.float32(0.2)


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (np.zeros((3, 2, 2)), np.zeros(2), "do not belong together"),
        (np.zeros((0, 2, 2)), np.zeros(0), "do not belong together"),
        (np.zeros((2, 0, 2)), np.zeros(2), "do not belong together"),
        (np.zeros((3, 4)), np.zeros(3), "does not hold images"),
        (np.zeros(3), np.zeros(3), "does not hold images"),
        (np.zeros((3, 2, 2)), np.zeros((3, 2, 2)), "does not hold labels"),
        (np.zeros((2, 2, 2)), np.array([3, 10]), "label out of range"),
    ],
)
def test_pairs_that_do_not_fit_are_an_error(
    tmp_path: Path, images: Any, labels: Any, words: str
) -> None:
    (tmp_path / "i").write_bytes(encode(images))
    (tmp_path / "l").write_bytes(encode(labels))
    with pytest.raises(DataError, match=words):
        read_images(tmp_path / "i", tmp_path / "l")
