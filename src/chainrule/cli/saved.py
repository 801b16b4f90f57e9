"""Saved networks for sequences: built again from run.json, and used on their data or on others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from ..core.value import recording
from ..data.series import Scale, Windows
from ..data.text import Codes, Streams, Vocabulary
from ..errors import ArgumentError, CheckpointError, DataError, IndexRangeError
from ..uses.sequences import CharacterModel, Forecaster, ForecastTask, nats
from . import run_folder
from .sequence_runs import rebuilt
from .train_series import NETWORK as FORECASTER
from .train_series import SERIES
from .train_series import Options as SeriesOptions
from .train_series import scores as series_scores
from .train_text import NETWORK as CHARACTERS
from .train_text import TEXTS, split
from .train_text import Options as TextOptions
from .train_text import scores as text_scores

_EXPLAINED_STEPS = 32
"""Characters of a text whose loss is explained."""


class SavedText(NamedTuple):
    """A network that was trained on text, what its codes mean, and how its run ended."""

    model: CharacterModel
    alphabet: Vocabulary
    options: TextOptions
    status: str


class SavedSeries(NamedTuple):
    """A network that was trained on a series, the scale of its numbers, and how its run ended."""

    model: Forecaster
    scale: Scale
    window: int
    options: SeriesOptions
    status: str


def is_of_sequences(record: dict[str, Any]) -> bool:
    """Whether a record is that of a run on a series or a text."""
    return record.get("network") in (FORECASTER, CHARACTERS)


def load_text_model(folder: Path) -> SavedText:
    """The network of a run on text. Raises CheckpointError for any other folder."""
    record, saved = _loaded(folder, CHARACTERS, "chainrule train shakespeare")
    assert isinstance(saved.model, CharacterModel)
    characters = record.get("alphabet")
    if not isinstance(characters, str) or len(characters) != saved.model.settings["characters"]:
        raise CheckpointError(
            "the alphabet of this run does not fit its network",
            expected=f"{saved.model.settings['characters']} characters",
        )
    options = rebuilt(TextOptions, _options(record, tuple(TEXTS)))
    return SavedText(saved.model, Vocabulary(characters), options, saved.status)


def load_forecaster(folder: Path) -> SavedSeries:
    """The network of a run on a series. Raises CheckpointError for any other folder."""
    record, saved = _loaded(folder, FORECASTER, "chainrule train sunspots")
    assert isinstance(saved.model, Forecaster)
    try:
        found = record["scale"]
        scale = Scale(float(found["mean"]), float(found["deviation"]), bool(found["root"]))
        window = int(record["window"])
    except (KeyError, TypeError, ValueError) as failure:
        raise CheckpointError("the scale of this run is not what it should be") from failure
    if not (abs(scale.mean) < float("inf") and 0 < scale.deviation < float("inf")) or window < 1:
        raise CheckpointError("the scale of this run is not what it should be", got=str(found)[:80])
    options = rebuilt(SeriesOptions, _options(record, tuple(SERIES)))
    return SavedSeries(saved.model, scale, window, options, saved.status)


def _loaded(folder: Path, network: str, hint: str) -> tuple[dict[str, Any], run_folder.SavedRun]:
    record = run_folder.read_record(folder)
    if record.get("network") != network:
        raise CheckpointError(
            "this is a run of another kind", expected=network,
            got=repr(record.get("network"))[:60], hint=f"`{hint}` makes one",
        )  # fmt: skip
    return record, run_folder.load_run(folder)


def _options(record: dict[str, Any], datasets: tuple[str, ...]) -> dict[str, Any]:
    options = record.get("options")
    if not isinstance(options, dict) or options.get("dataset") not in datasets:
        raise CheckpointError("the run names a data set that is not known here")
    return options


def evaluated(folder: Path, data: Path | None) -> tuple[dict[str, Any], str]:
    """The scores of a saved run on its own held-back part, or on that of other data; its status.

    Of a text of one's own, all is scored.
    """
    if run_folder.read_record(folder).get("network") == FORECASTER:
        series = load_forecaster(folder)
        return series_scores(_task(series, data), series.model), series.status
    text = load_text_model(folder)
    return text_scores(text.model, _text(text, data, "test")), text.status


def sample_loss(folder: Path, sample: int, split_name: str, data: Path | None) -> Any:
    """The loss of a saved run on one window, or on one stretch of text, with its graph; its model.

    Raises IndexRangeError for a sample that is not there.
    """
    if run_folder.read_record(folder).get("network") == FORECASTER:
        saved = load_forecaster(folder)
        windows = _windows(saved, data, split_name)
        _check_sample(sample, len(windows), split_name, "windows")
        x, y = (field[sample : sample + 1] for field in windows.tensors)
        with recording(True):
            loss = ((saved.model(x) - y) ** 2).mean()
        return loss, saved.model, saved.status
    text = load_text_model(folder)
    codes = _text(text, data, split_name)
    count = max(0, len(codes) - 1) // _EXPLAINED_STEPS
    _check_sample(sample, count, split_name, f"stretches of {_EXPLAINED_STEPS} characters")
    (batch,) = Streams(codes[sample * _EXPLAINED_STEPS :][: _EXPLAINED_STEPS + 1], 1,
                       _EXPLAINED_STEPS)  # fmt: skip
    with recording(True):
        outputs, _ = text.model.advance(batch[0])
        loss = nats(outputs, batch[2])
    return loss, text.model, text.status


def forecast_sample(
    folder: Path, sample: int, split_name: str, data: Path | None
) -> tuple[Forecaster, Any, int]:
    """The network of a run on a series, one of its windows (1, W, 1), and how many there are.

    Raises IndexRangeError for a window that is not there.
    """
    saved = load_forecaster(folder)
    windows = _windows(saved, data, split_name)
    _check_sample(sample, len(windows), split_name, "windows")
    return saved.model, windows.tensors[0].array[sample : sample + 1], len(windows)


def _check_sample(sample: int, count: int, split_name: str, noun: str) -> None:
    if not count:
        raise DataError(f"the {split_name} part is too short: it holds no {noun}")
    if not 0 <= sample < count:
        raise IndexRangeError(
            "there is no such sample",
            expected=f"0 to {count - 1} of the {split_name} {noun}",
            got=f"--sample {sample}",
        )


def _task(saved: SavedSeries, data: Path | None) -> ForecastTask:
    """The forecasts of a saved run, on its own series or another, by its own scale."""
    source = saved.options.data if data is None else data
    series = SERIES[saved.options.dataset](source)
    horizon = saved.options.horizon or series.season
    iterated = not saved.options.direct
    if not iterated and horizon != saved.model.settings["horizon"]:
        raise ArgumentError("the network does not forecast so many steps", got=f"{horizon}")
    cut = series.cut(0.2)
    return ForecastTask(series, cut, saved.scale, saved.window, horizon, iterated)


def _windows(saved: SavedSeries, data: Path | None, split_name: str) -> Windows:
    task = _task(saved, data)
    if split_name == "train":
        return task.training()
    scaled = task.scale.forth(task.series.values)
    return Windows(scaled, task.window, task.outputs, first=task.cut, name=task.series.name)


def _text(saved: SavedText, data: Path | None, split_name: str) -> Codes:
    source = saved.options.data if data is None else data
    whole = TEXTS[saved.options.dataset](source)
    if data is not None:
        return saved.alphabet.encode(whole)
    known, held_back = split(saved.alphabet.encode(whole[: saved.options.limit]))
    return known if split_name == "train" else held_back
