"""Prices of one or several stocks over time, read from a CSV file and checked."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from ..errors import DataError
from .idx import PathLike
from .series import MONTHS, check_varies
from .text import read_text

_FILE: Final = Path(__file__).parent / "files" / "series" / "stocks.csv"
_WIDEST_STEP: Final = 1.75
"""A time without a row, as a multiple of the usual one, from which on it counts as a gap."""
_HOLIDAYS: Final = 5
"""Days that daily prices may leave out."""


@final
@dataclass(frozen=True, eq=False)
class Prices:
    """Prices of S stocks at T times, a stock's from when it was first quoted to the end."""

    dates: tuple[date, ...]
    """(T,)."""
    symbols: tuple[str, ...]
    """(S,)."""
    values: Any
    """float64, (T, S); NaN before a stock was first quoted."""

    def __len__(self) -> int:
        return len(self.dates)

    def first(self, stock: int) -> int:
        """When a stock was first quoted."""
        return int(np.argmax(~np.isnan(self.values[:, stock])))


def stocks(root: PathLike | None = None) -> Prices:
    """Monthly closing prices of five stocks, 2000 to 2010; or those in the CSV file `root`.

    >>> stocks().symbols, len(stocks())
    (('AAPL', 'AMZN', 'GOOG', 'IBM', 'MSFT'), 123)
    """
    return read_prices(root or _FILE)


def read_prices(path: PathLike) -> Prices:
    """The prices in a CSV file with columns date, price (or close) and, for several stocks, symbol.

    Dates are written 2000-01-31 or Jan 31 2000, in any order. All stocks are quoted at the same
    times, daily, weekly, monthly …, though some may be quoted later than others for the first time.

    Raises DataError for a file that is missing or not such a table, for prices that are missing, no
    numbers or not positive, for a stock or the whole table with a gap in time or a date that is
    there twice, and for a stock whose price never changes.
    """
    path = Path(path)
    quotes: dict[str, dict[date, float]] = {}
    for number, symbol, when, price in _rows(path):
        of_symbol = quotes.setdefault(symbol, {})
        if when in of_symbol:
            raise DataError(
                f"{path.name} gives a price twice", got=f"{symbol} {when} again in row {number}"
            )
        of_symbol[when] = price
    dates = sorted(set().union(*quotes.values()))
    _check_steps(path, dates)
    symbols = sorted(quotes)
    values = np.full((len(dates), len(symbols)), np.nan)
    for i, symbol in enumerate(symbols):
        quoted = quotes[symbol]
        first = dates.index(min(quoted))
        missing = [when for when in dates[first:] if when not in quoted]
        if missing:
            raise DataError(
                f"the prices of {symbol or 'the stock'} in {path.name} have a gap",
                expected="a price at every time from its first to the end of the table",
                got=f"none at {missing[0]}, {len(missing)} missing in all",
                hint="fill the gap, or leave this stock out",
            )
        values[first:, i] = [quoted[when] for when in dates[first:]]
        check_varies(values[first:, i], f"the price of {symbol or 'the stock'} in {path.name}")
    return Prices(tuple(dates), tuple(symbols), values)


def _rows(path: Path) -> list[tuple[int, str, date, float]]:
    """Number, symbol, date and price of each row."""
    try:
        lines = list(csv.reader(read_text(path).splitlines()))
    except csv.Error as failure:
        raise DataError(f"{path.name} is not a CSV file: {failure}") from failure
    header = [name.strip().lower() for name in lines[0]] if lines else []
    price_name = "price" if "price" in header else "close"
    if "date" not in header or price_name not in header or len(lines) < 2:
        raise DataError(
            f"{path.name} holds no prices",
            expected="a header with date, price (or close) and perhaps symbol, and rows",
            got=f"{len(lines)} lines; header: {', '.join(header)}"[:120],
        )
    at = header.index("date"), header.index(price_name)
    rows = []
    for number, row in enumerate(lines[1:], start=2):
        if not row:
            continue
        if len(row) != len(header):
            raise DataError(
                f"a row of {path.name} is not of the header's length",
                expected=f"{len(header)} cells",
                got=f"{len(row)} in row {number}",
            )
        symbol = row[header.index("symbol")].strip() if "symbol" in header else ""
        when, price = (row[i].strip() for i in at)
        rows.append((number, symbol, _date(path, when, number), _price(path, price, number)))
    return rows


def _date(path: Path, text: str, number: int) -> date:
    """The day that 2000-01-31 or Jan 31 2000 names, in whatever language the machine speaks."""
    try:
        month, *rest = text.replace(",", " ").split()
        if not rest:
            return date.fromisoformat(text)
        day, year = map(int, rest)
        return date(year, MONTHS.index(month[:3].upper()) + 1, day)
    except ValueError:
        raise DataError(
            f"{path.name} holds something else than dates",
            expected="2000-01-31 or Jan 31 2000",
            got=f"{text[:40]!r} in row {number}",
        ) from None


def _price(path: Path, text: str, number: int) -> float:
    try:
        price = float(text)
    except ValueError:
        raise DataError(
            f"{path.name} has a gap" if not text else
            f"{path.name} holds something else than numbers",
            expected="a price in every row",
            got=f"{text[:40]!r} in row {number}",
        ) from None  # fmt: skip
    if not (price > 0 and math.isfinite(price)):
        raise DataError(
            f"{path.name} holds what is no price",
            expected="positive numbers",
            got=f"{price:g} in row {number}",
        )
    return price


def _check_steps(path: Path, dates: list[date]) -> None:
    """Raise DataError where a row that is usually there is not there for any stock."""
    steps = [(b - a).days for a, b in pairwise(dates)]
    widest = max(_WIDEST_STEP * float(np.median(steps)), _HOLIDAYS) if steps else 0
    for (before, after), days in zip(pairwise(dates), steps, strict=True):
        if days > widest:
            raise DataError(
                f"{path.name} has a gap in time",
                expected=f"a row about every {np.median(steps):.0f} days",
                got=f"none between {before} and {after}",
                hint="fill the gap, or cut the table where it is",
            )
