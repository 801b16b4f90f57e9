"""Sequences: forecasts of time series, a model of text, and how far their gradients reach."""

from __future__ import annotations

from .characters import (
    CharacterModel,
    CharacterTraining,
    nats,
    nats_per_character,
    sample,
    text_loss,
)
from .forecasting import Forecaster, ForecastErrors, ForecastTask, ForecastTraining, window_loss
from .reach import (
    Truncation,
    forecast_reach,
    forecast_truncations,
    gradient_reach,
    reach_chart,
    reached,
    text_reach,
    text_truncations,
    truncations,
)
from .recurrence import CELLS

__all__ = [
    "CELLS",
    "CharacterModel",
    "CharacterTraining",
    "ForecastErrors",
    "ForecastTask",
    "ForecastTraining",
    "Forecaster",
    "Truncation",
    "forecast_reach",
    "forecast_truncations",
    "gradient_reach",
    "nats",
    "nats_per_character",
    "reach_chart",
    "reached",
    "sample",
    "text_loss",
    "text_reach",
    "text_truncations",
    "truncations",
    "window_loss",
]
