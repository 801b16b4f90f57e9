"""Time series: what is read, what is refused, and that nothing leaks from the future."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from chainrule.data import Scale, TimeSeries, Windows, el_nino, read_series, sunspots
from chainrule.errors import DataError


def write(folder: Path, text: str, name: str = "own.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_the_shipped_series_are_whole() -> None:
    sun, sea = sunspots(), el_nino()
    assert (len(sun), sun.start, sun.season, sun.signed) == (309, 1700, 11, False)
    assert (len(sea), sea.start, sea.season, sea.per_year) == (732, 1950, 12, 12)
    assert sun.values[-1] == 2.9
    assert sea.values[:3].tolist() == [23.11, 24.2, 25.37]
    assert sea.time(731) == "2010-12"


def test_a_column_is_chosen_by_name_and_gzip_is_read(tmp_path: Path) -> None:
    text = "year,a,b\n1,1,9\n2,2,8\n3,4,7\n"
    path = tmp_path / "own.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    assert read_series(path, "b").values.tolist() == [9, 8, 7]
    with pytest.raises(DataError, match="several columns") as error:
        read_series(path)
    assert "a, b" in str(error.value)
    with pytest.raises(DataError, match="no such column"):
        read_series(path, "c")


@pytest.mark.parametrize(
    ("text", "cause", "detail"),
    [
        ("year,x\n1,1\n3,2\n", "gap in time", "2 after 1"),
        ("year,x\n2,1\n1,2\n", "gap in time", "3 after 2"),
        ("year,x\n1,1\n1,2\n", "gap in time", "2 after 1"),
        ("year,x\n1,1\n2,\n3,4\n", "has a gap", "year 2"),
        ("year,x\n1,1\n2,n/a\n", "something else than numbers", "'n/a' in column x, year 2"),
        ("year,x\n1,1\n2,nan\n", "has gaps", "nan at 2, 1 in all"),
        ("year,x\n1,1\n2,inf\n", "has gaps", "inf at 2"),
        ("year,x\n1,5\n2,5\n3,5\n", "is constant", "3 values, all 5"),
        ("year,x\n1,5\n", "is too short", "1 values"),
        ("year,x\none,5\n2,3\n", "must hold years", "'one'"),
        ("year,x\n1,5,6\n2,3\n", "not of the header's length", "3 in row 2"),
        ("year,x\n", "holds no series", "1 lines"),
        ("", "holds no series", "0 lines"),
        ("year\n1\n2\n", "holds no series", "1 columns"),
    ],
)
def test_bad_tables_are_refused_with_their_place(
    text: str, cause: str, detail: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=cause) as error:
        read_series(write(tmp_path, text))
    assert detail in str(error.value)


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_series(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        read_series(tmp_path / "bytes.csv")


def test_counts_are_not_negative(tmp_path: Path) -> None:
    path = write(tmp_path, "year,x\n1,4\n2,-1\n3,5\n")
    assert read_series(path).values.min() == -1
    with pytest.raises(DataError, match="no count is negative") as error:
        sunspots(path)
    assert "-1 at 2" in str(error.value)


@pytest.mark.parametrize("values", [np.ones((3, 2)), np.array(["a", "b"]), np.array([1 + 1j, 2])])
def test_what_is_no_series_of_numbers_is_refused(values: np.ndarray) -> None:
    with pytest.raises(DataError, match="not a series of numbers"):
        TimeSeries("own", values)


def test_the_cut_is_between_years() -> None:
    assert sunspots().cut(0.2) == 309 - 62
    assert el_nino().cut(0.2) == (61 - 12) * 12
    with pytest.raises(DataError, match="too short to be split"):
        TimeSeries("own", np.arange(2.0)).cut(0.2)


def test_the_scale_is_that_of_the_values_it_was_fitted_on() -> None:
    rng = np.random.default_rng(0)
    values = rng.gamma(2.0, 30.0, size=100)
    for root in (False, True):
        scale = Scale.fitted(values[:80], root=root)
        scaled = scale.forth(values[:80])
        assert abs(scaled.mean()) < 1e-12
        assert abs(scaled.std() - 1) < 1e-12
        np.testing.assert_allclose(scale.back(scale.forth(values)), values, rtol=1e-12)
    assert Scale(1.0, 1.0, True).back(np.array([-3.0]))[0] == 0
    with pytest.raises(DataError, match="the training part is constant"):
        Scale.fitted(np.ones(5))


def test_windows_hold_what_their_names_say() -> None:
    data = Windows(np.arange(10.0), 4, 2, first=6, stop=9)
    assert len(data) == 2
    x, y = data.tensors
    assert (x.shape, y.shape, x.dtype) == ((2, 4, 1), (2, 2), np.float32)
    assert x[0, :, 0].tolist() == [2, 3, 4, 5]
    assert y.tolist() == [[6, 7], [7, 8]]


@pytest.mark.parametrize(
    "sizes", [{"window": 10}, {"window": 9, "horizon": 2}, {"window": 0}, {"window": 3, "first": 2}]
)
def test_windows_that_do_not_fit_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(DataError, match="too short for windows"):
        Windows(np.arange(10.0), **sizes)
