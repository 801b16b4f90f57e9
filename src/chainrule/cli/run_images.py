"""The images that a saved run was trained and tested on."""

from __future__ import annotations

from pathlib import Path

from ..data.mnist import ImageDataset
from ..errors import CheckpointError
from ..nn.module import Module
from . import run_folder
from .train import DATASETS


def images_of(folder: Path, split: str, data: Path | None) -> ImageDataset:
    """The "test" or "train" images of a run's data set, from its own folder or from `data`.

    Raises CheckpointError for a run on other data, DataError if the images are not there.
    """
    options = run_folder.read_record(folder).get("options")
    options = options if isinstance(options, dict) else {}
    name = options.get("dataset")
    if name not in DATASETS:
        raise CheckpointError(
            "this run is not one on images", expected=", ".join(sorted(DATASETS)),
            got=repr(name)[:60], hint="`chainrule train mnist` makes one",
        )  # fmt: skip
    root = data or options.get("data")
    training, test = DATASETS[name](root=None if root is None else Path(str(root)))
    return test if split == "test" else training


def image_model(folder: Path, images: ImageDataset) -> Module:
    """The network of a run on images. Raises DataError if they are not of its size."""
    saved = run_folder.load_run(folder)
    run_folder.check_images(images, saved.input_shape, "the images")
    run_folder.warn_unless_finished(saved.status)
    return saved.model
