"""Data: data sets, loaders, samplers, IDX files, MNIST, time series and text."""

from __future__ import annotations

from .augmentation import Shifted
from .dataset import ConcatDataset, Dataset, Subset, TensorDataset, collate, random_split
from .idx import read_idx
from .loader import DataLoader
from .mnist import MNIST, FashionMNIST, ImageDataset, read_images
from .prices import Prices, read_prices, stocks
from .samplers import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from .series import Scale, TimeSeries, Windows, el_nino, read_series, sunspots
from .text import Streams, Vocabulary, read_text, shakespeare

__all__ = [
    "MNIST",
    "BatchSampler",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "FashionMNIST",
    "ImageDataset",
    "Prices",
    "RandomSampler",
    "Sampler",
    "Scale",
    "SequentialSampler",
    "Shifted",
    "Streams",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "TimeSeries",
    "Vocabulary",
    "WeightedRandomSampler",
    "Windows",
    "collate",
    "el_nino",
    "random_split",
    "read_idx",
    "read_images",
    "read_prices",
    "read_series",
    "read_text",
    "shakespeare",
    "stocks",
    "sunspots",
]
