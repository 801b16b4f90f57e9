"""Data: data sets, loaders, samplers, IDX files, and MNIST."""

from __future__ import annotations

from .augmentation import Shifted
from .dataset import ConcatDataset, Dataset, Subset, TensorDataset, collate, random_split
from .idx import read_idx
from .loader import DataLoader
from .mnist import MNIST, FashionMNIST, ImageDataset, read_images
from .samplers import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

__all__ = [
    "MNIST",
    "BatchSampler",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "FashionMNIST",
    "ImageDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Shifted",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "collate",
    "random_split",
    "read_idx",
    "read_images",
]
