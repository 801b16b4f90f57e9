"""Time series: reading and checking them, splitting in time, scaling, and windows to learn from.

Nothing of the test part leaks into training: the scale is fitted on the training part only, and no
window for training has a target in the test part.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeAlias, final

import numpy as np

from ..errors import DataError
from .dataset import TensorDataset
from .idx import PathLike
from .text import read_text

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

MONTHS: Final = (
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
)  # fmt: skip
_FILES: Final = Path(__file__).parent / "files" / "series"
_SUN_CYCLE: Final = 11
"""Years of the mean solar cycle."""


@final
@dataclass(frozen=True, eq=False)
class TimeSeries:
    """Numbers at equal distances in time.

    `values` is float64 of shape (T,); `start` the year of the first; `per_year` how many there are
    in a year; `season` how many steps a season or cycle takes; `signed` says whether values may be
    negative: counts may not, and are learnt by their square roots.

    Raises DataError for values that are missing, not finite or all the same.
    """

    name: str
    values: Floats
    start: int = 0
    per_year: int = 1
    season: int = 1
    signed: bool = True

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        if values.ndim != 1 or values.dtype.kind not in "biuf":
            raise DataError(
                f"{self.name} is not a series of numbers",
                expected="numbers in one dimension",
                got=f"{values.dtype}[{','.join(map(str, values.shape))}]",
            )
        values = values.astype(np.float64)
        object.__setattr__(self, "values", values)
        wrong = np.flatnonzero(~np.isfinite(values))
        if wrong.size:
            raise DataError(
                f"{self.name} has gaps",
                expected="a finite number at every time",
                got=f"{values[wrong[0]]} at {self.time(int(wrong[0]))}, {wrong.size} in all",
                hint="fill the gaps, or cut the series where they are",
            )
        largest = np.abs(values).max(initial=0)
        if largest > np.finfo(np.float32).max:
            raise DataError(
                f"the numbers of {self.name} are too large for networks in float32",
                got=f"{largest:g}",
                hint="give them in another unit",
            )
        check_varies(values, self.name)
        if not self.signed and values.min() < 0:
            raise DataError(
                f"{self.name} counts something, and no count is negative",
                got=f"{values.min():g} at {self.time(int(values.argmin()))}",
            )

    def __len__(self) -> int:
        return len(self.values)

    def time(self, index: int) -> str:
        """The year at an index, with the part of the year if there are several."""
        year, part = divmod(index, self.per_year)
        text = str(self.start + year)
        return text if self.per_year == 1 else f"{text}-{part + 1:02d}"

    def cut(self, test_fraction: float) -> int:
        """Where the last `test_fraction` of the years begins, in whole years.

        Raises DataError if no whole year is left for one of the two parts.

        >>> sunspots().cut(0.2), sunspots().time(247)
        (247, '1947')
        """
        years = math.ceil(len(self) / self.per_year)
        held_back = round(years * test_fraction)
        if not 0 < held_back < years:
            raise DataError(
                f"{self.name} is too short to be split",
                expected="at least one year to train on and one to test on",
                got=f"{years} years, of which {test_fraction:g} are held back",
            )
        return (years - held_back) * self.per_year


def check_varies(values: Floats, name: str) -> None:
    """Raise DataError for a series with nothing in it to learn."""
    if len(values) < 2 or values.min() == values.max():
        raise DataError(
            f"{name} is constant" if len(values) > 1 else f"{name} is too short",
            expected="a series that varies",
            got=f"{len(values)} values" + (f", all {values[0]:g}" if len(values) else ""),
        )


def sunspots(root: PathLike | None = None) -> TimeSeries:
    """Yearly sunspot numbers, 1700 to 2008; or those in the CSV file `root`. A cycle is 11 years.

    >>> len(sunspots()), sunspots().values[:3].tolist()
    (309, [5.0, 11.0, 16.0])
    """
    return read_series(root or _FILES / "sunspots.csv", season=_SUN_CYCLE, signed=False)


def el_nino(root: PathLike | None = None) -> TimeSeries:
    """Monthly sea-surface temperatures of the Pacific in °C, 1950 to 2010; or those in `root`.

    >>> len(el_nino()), el_nino().time(13)
    (732, '1951-02')
    """
    return read_series(root or _FILES / "elnino.csv", season=len(MONTHS))


def read_series(
    path: PathLike, column: str | None = None, *, season: int = 1, signed: bool = True
) -> TimeSeries:
    """The series in a CSV file with a header, whose first column holds consecutive years.

    Its numbers are in the one other column, in the one that `column` names, or in twelve columns
    JAN to DEC, one after the other.

    Raises DataError for a file that is missing or not such a table, for years that are missing, out
    of order or there twice, for cells that are empty or no numbers, and for a constant series.
    """
    path = Path(path)
    header, rows = _table(path)
    names = [name.strip() for name in header[1:]]
    if column is None and tuple(n.upper() for n in names) == MONTHS:
        wanted = list(range(1, 1 + len(MONTHS)))
    else:
        wanted = [_column(path, names, column)]
    start = _start(path, rows)
    values = [_number(path, row, i, header[i]) for row in rows for i in wanted]
    return TimeSeries(
        path.stem if column is None else f"{path.stem} {column}",
        np.array(values), start, len(wanted), season, signed,
    )  # fmt: skip


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    """The header and the rows of a CSV file, all of one length."""
    text = read_text(path)
    try:
        lines = [line for line in csv.reader(text.splitlines()) if line]
    except csv.Error as failure:
        raise DataError(f"{path.name} is not a CSV file: {failure}") from failure
    if len(lines) < 2 or len(lines[0]) < 2:
        raise DataError(
            f"{path.name} holds no series",
            expected="a header, and rows of a year and numbers",
            got=f"{len(lines)} lines" + (f" of {len(lines[0])} columns" if lines else ""),
        )
    for number, line in enumerate(lines, start=1):
        if len(line) != len(lines[0]):
            raise DataError(
                f"a row of {path.name} is not of the header's length",
                expected=f"{len(lines[0])} cells",
                got=f"{len(line)} in row {number}",
            )
    return lines[0], lines[1:]


def _column(path: Path, names: Sequence[str], wanted: str | None) -> int:
    """The place of a column in the file."""
    if wanted is None and len(names) == 1:
        return 1
    if wanted not in names:
        raise DataError(
            f"{path.name} has several columns" if wanted is None else
            f"{path.name} has no such column",
            expected=f"one of {', '.join(names)}; or JAN to DEC",
            got=wanted,
        )  # fmt: skip
    return 1 + names.index(wanted)


def _start(path: Path, rows: Sequence[Sequence[str]]) -> int:
    """The first year. Raises DataError unless each is one more than the last."""
    years = []
    for row in rows:
        try:
            years.append(int(row[0]))
        except ValueError:
            raise DataError(
                f"the first column of {path.name} must hold years", got=repr(row[0])[:40]
            ) from None
        if len(years) > 1 and years[-1] != years[-2] + 1:
            raise DataError(
                f"{path.name} has a gap in time, or years out of order",
                expected=f"{years[-2] + 1} after {years[-2]}",
                got=str(years[-1]),
                hint="add the missing rows, or cut the series where they are",
            )
    return years[0]


def _number(path: Path, row: Sequence[str], i: int, name: str) -> float:
    cell = row[i].strip()
    try:
        return float(cell)
    except ValueError:
        raise DataError(
            f"{path.name} has a gap"
            if not cell
            else f"{path.name} holds something else than numbers",
            expected="a number in every cell",
            got=f"{cell[:40]!r} in column {name}, year {row[0]}",
        ) from None


@final
@dataclass(frozen=True)
class Scale:
    """y = (f(v) - mean) / deviation, with f the square root for counts and else nothing.

    Counts vary the more the larger they are; their square roots vary alike (Bartlett 1936).

    >>> scale = Scale.fitted(np.array([0.0, 4.0, 16.0]), root=True)
    >>> scale.back(scale.forth(np.array([9.0])))
    array([9.])
    """

    mean: float
    deviation: float
    root: bool

    @classmethod
    def fitted(cls, values: Floats, *, root: bool = False, name: str = "the training part") -> Self:
        """The scale that makes `values` have mean 0 and deviation 1.

        Raises DataError if they are all the same.
        """
        check_varies(values, name)
        bent = np.sqrt(values) if root else values
        return cls(float(bent.mean()), float(bent.std()), root)

    def forth(self, values: Floats) -> Any:
        """Values as a network takes them, float64."""
        return ((np.sqrt(values) if self.root else values) - self.mean) / self.deviation

    def back(self, scaled: Any) -> Any:
        """Values in their own unit; a root below zero is none."""
        bent = np.asarray(scaled, np.float64) * self.deviation + self.mean
        return np.maximum(bent, 0) ** 2 if self.root else bent


@final
class Windows(TensorDataset):
    """Samples of a series: `window` values in a row, and the `horizon` values that follow them.

    Inputs are float32 (N, window, 1), targets float32 (N, horizon). Sample i has its first target
    at ``first + i``; the last one ends before `stop`. Inputs may lie before `first`: the past is
    known when one forecasts.

    Raises DataError if there is not a single sample.

    >>> data = Windows(np.arange(6.0), window=3, horizon=2)
    >>> [(x.tolist(), y.tolist()) for x, y in data]
    [([[0.0], [1.0], [2.0]], [3.0, 4.0]), ([[1.0], [2.0], [3.0]], [4.0, 5.0])]
    """

    def __init__(
        self,
        values: Any,
        window: int,
        horizon: int = 1,
        *,
        first: int | None = None,
        stop: int | None = None,
        name: str = "the series",
    ) -> None:
        self.window = window
        self.horizon = horizon
        self.first = window if first is None else first
        stop = len(values) if stop is None else stop
        count = stop - self.first - horizon + 1
        if count < 1 or self.first < window or min(window, horizon) < 1:
            raise DataError(
                f"{name} is too short for windows",
                expected=f"at least {window} values before the first target and {horizon} from it",
                got=f"{self.first} before it and {max(0, stop - self.first)} from it",
                hint="use a smaller window or horizon",
            )
        pieces = np.lib.stride_tricks.sliding_window_view(
            np.asarray(values, np.float32), window + horizon
        )[self.first - window :][:count]
        super().__init__(
            np.ascontiguousarray(pieces[:, :window, None]), np.ascontiguousarray(pieces[:, window:])
        )
