"""Training: the loop, its callbacks and history, metrics, checkpoints, and model summaries."""

from __future__ import annotations

from .callbacks import (
    Callback,
    CSVLog,
    EarlyStopping,
    Fit,
    GradientNorms,
    LearningRateLog,
    ModelCheckpoint,
    gradient_norms,
)
from .checkpoint import load, load_weights, save
from .history import Epoch, History, Series
from .loop import Trainer, evaluate
from .metrics import Accuracy, MeanLoss, Metric, TopK, accuracy, top_k_accuracy
from .storage import load_arrays, save_arrays, write_atomically
from .summary import Summary, summary

__all__ = [
    "Accuracy",
    "CSVLog",
    "Callback",
    "EarlyStopping",
    "Epoch",
    "Fit",
    "GradientNorms",
    "History",
    "LearningRateLog",
    "MeanLoss",
    "Metric",
    "ModelCheckpoint",
    "Series",
    "Summary",
    "TopK",
    "Trainer",
    "accuracy",
    "evaluate",
    "gradient_norms",
    "load",
    "load_arrays",
    "load_weights",
    "save",
    "save_arrays",
    "summary",
    "top_k_accuracy",
    "write_atomically",
]
