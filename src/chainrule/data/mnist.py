"""MNIST and Fashion-MNIST: images as float32 in [0, 1] of shape (N, 1, 28, 28), labels as int64.

MNIST: Y. LeCun, C. Cortes, C. Burges; the package ships a subset of 7,000 + 1,000 digits, see
files/mnist/NOTICE. Fashion-MNIST: H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747 (MIT licence),
same format, clothes instead of digits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self, final

import numpy as np

from .. import config
from ..errors import DataError
from ..tensor import Tensor
from .dataset import TensorDataset
from .idx import PathLike, read_idx

_FILES = Path(__file__).parent / "files" / "mnist"


class ImageDataset(TensorDataset):
    """Labelled images read from a pair of IDX files.

    `images` is float32 of shape (N, channels, height, width), `labels` int64 of shape (N,).
    """

    classes: ClassVar[tuple[str, ...]] = ()
    """Name of each class, by label."""

    def __init__(self, images: Any, labels: Any) -> None:
        super().__init__(images, labels)

    @property
    def images(self) -> Tensor:
        """All images."""
        return self.tensors[0]

    @property
    def labels(self) -> Tensor:
        """All labels."""
        return self.tensors[1]


@final
class MNIST(ImageDataset):
    """Handwritten digits: the subset shipped with the package, or a full copy of yours.

    Parameters: `train`, the training images or the test images; `root`, a folder with the four IDX
    files, plain or gzipped (default: the folder that $CHAINRULE_MNIST names, else the shipped
    subset of 7,000 + 1,000).

    Raises DataError if `root` does not hold them, or holds files that are damaged or do not fit.

    >>> MNIST(train=False).images.shape
    (1000, 1, 28, 28)
    """

    classes = tuple("0123456789")

    def __init__(self, train: bool = True, *, root: PathLike | None = None) -> None:
        folder = Path(root or config.environment("CHAINRULE_MNIST") or _FILES)
        super().__init__(*_read_split(folder, train, "name a folder with the IDX files of MNIST"))

    @classmethod
    def splits(cls, *, root: PathLike | None = None) -> tuple[Self, Self]:
        """Training and test images."""
        return cls(True, root=root), cls(False, root=root)


@final
class FashionMNIST(ImageDataset):
    """Pictures of clothes, 60,000 for training and 10,000 for testing.

    Parameters: `train`; `root`, a folder with the IDX files (default: the one that
    $CHAINRULE_FASHION_MNIST names, else where Debian's package puts them).

    Raises DataError with the command that installs them if they are not there.
    """

    classes = (
        "T-shirt/top", "trouser", "pullover", "dress", "coat",
        "sandal", "shirt", "sneaker", "bag", "ankle boot",
    )  # fmt: skip

    def __init__(self, train: bool = True, *, root: PathLike | None = None) -> None:
        named = root or config.environment("CHAINRULE_FASHION_MNIST")
        folder = Path(named or config.FASHION_MNIST_DEFAULT)
        super().__init__(
            *_read_split(folder, train, "`apt-get install dataset-fashion-mnist` brings them")
        )

    @classmethod
    def splits(cls, *, root: PathLike | None = None) -> tuple[Self, Self]:
        """Training and test images."""
        return cls(True, root=root), cls(False, root=root)


def read_images(images: PathLike, labels: PathLike, *, classes: int = 10) -> ImageDataset:
    """The labelled images in a pair of IDX files, of any size, plain or gzipped.

    Pixels 0 … 255 become floats in [0, 1].

    Raises DataError for files that `read_idx` refuses, for images that are not bytes in three
    dimensions, if there are none or not one label for each, and for a label beyond `classes`.
    """
    return ImageDataset(*_read_pair(Path(images), Path(labels), classes))


def _read_split(folder: Path, train: bool, hint: str) -> tuple[Any, Any]:
    prefix = "train" if train else "t10k"
    images = _find(folder, f"{prefix}-images", "idx3-ubyte", hint)
    labels = _find(folder, f"{prefix}-labels", "idx1-ubyte", hint)
    return _read_pair(images, labels, classes=10)


def _find(folder: Path, stem: str, suffix: str, hint: str) -> Path:
    """The file, whose name is written with a hyphen or a dot, zipped or not."""
    names = [f"{stem}{dot}{suffix}{zipped}" for dot in "-." for zipped in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(
        "a data set is not there", expected=f"{names[0]} or {names[1]}", got=f"folder {folder}",
        hint=hint,
    )  # fmt: skip


def _read_pair(images: Path, labels: Path, classes: int) -> tuple[Any, Any]:
    pixels = read_idx(images)
    targets = read_idx(labels)
    if pixels.ndim != 3 or pixels.dtype != np.uint8:
        raise DataError(
            f"{images.name} does not hold images",
            expected="bytes in three dimensions: images, rows, columns",
            got=f"{pixels.dtype}[{','.join(map(str, pixels.shape))}]",
        )
    if targets.ndim != 1 or targets.dtype.kind not in "iu":
        raise DataError(
            f"{labels.name} does not hold labels",
            expected="integers in one dimension",
            got=f"{targets.dtype}[{','.join(map(str, targets.shape))}]",
        )
    if len(pixels) != len(targets) or not pixels.size:
        raise DataError(
            f"{images.name} and {labels.name} do not belong together",
            expected="one label for each image, and at least one",
            got=f"{len(targets)} labels for images of shape {pixels.shape}",
        )
    if targets.min() < 0 or targets.max() >= classes:
        worst = int(np.argmax((targets < 0) | (targets >= classes)))
        raise DataError(
            f"{labels.name} holds a label out of range",
            expected=f"0 … {classes - 1}",
            got=f"{targets[worst]} at {worst}",
        )
    scaled = np.divide(pixels[:, np.newaxis], 255, dtype=np.float32)
    return scaled, targets.astype(np.int64)
