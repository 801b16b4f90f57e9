"""Images in other sizes and at other points: exact where theory says so, and derived right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn import functional as F
from chainrule.testing import gradcheck

RNG = np.random.default_rng(3)
IMAGE = RNG.uniform(-1, 1, (1, 2, 4, 5))
VOLUME = RNG.uniform(-1, 1, (1, 1, 3, 2, 3))
LINE = RNG.uniform(-1, 1, (2, 1, 5))


def ramp(n: int) -> Any:
    """A line of which linear interpolation gives every point exactly."""
    return cr.tensor(np.arange(float(n)).reshape(1, 1, n))


def test_a_straight_line_stays_straight_with_corners_aligned() -> None:
    y = F.interpolate(ramp(4), 7, mode="linear", align_corners=True)
    np.testing.assert_allclose(y.numpy()[0, 0], np.linspace(0, 3, 7), atol=1e-14)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "area", "bilinear", "bicubic"])
def test_the_same_size_gives_the_same_image(mode: str) -> None:
    y = F.interpolate(cr.tensor(IMAGE), (4, 5), mode=mode)
    np.testing.assert_allclose(y.numpy(), IMAGE, atol=1e-15)


def test_twice_the_size_by_the_nearest_repeats() -> None:
    y = F.upsample_nearest(cr.tensor(IMAGE), scale_factor=2)
    assert np.array_equal(y.numpy(), IMAGE.repeat(2, 2).repeat(2, 3))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_antialiasing_keeps_the_mean_of_a_constant(mode: str) -> None:
    y = F.interpolate(cr.ones(1, 1, 9, 8, dtype=np.float64), (4, 3), mode=mode, antialias=True)
    np.testing.assert_allclose(y.numpy(), np.ones((1, 1, 4, 3)), rtol=1e-14)


def identity(*size: int) -> Any:
    """The grid that reads each pixel where it is."""
    rank = len(size) - 2
    theta = np.eye(rank, rank + 1)[None]
    return F.affine_grid(cr.tensor(theta), size, align_corners=False)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_the_identity_grid_reads_the_image(mode: str, padding: str) -> None:
    y = F.grid_sample(cr.tensor(IMAGE), identity(1, 2, 4, 5), mode, padding, align_corners=False)
    np.testing.assert_allclose(y.numpy(), IMAGE, atol=1e-13)


def test_points_outside_are_zero_border_or_reflection() -> None:
    line = cr.tensor(np.array([[[[1.0, 2.0, 4.0]]]]))
    point = cr.tensor(np.array([[[[2.0, 0.0]]]]))
    got = {
        padding: F.grid_sample(line, point, "bilinear", padding, align_corners=True).item()
        for padding in ("zeros", "border", "reflection")
    }
    assert got == {"zeros": 0.0, "border": 4.0, "reflection": 2.0}


POINTS = RNG.uniform(-0.9, 0.9, (1, 2, 3, 2))
CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "linear": (lambda x: F.interpolate(x, 8, mode="linear"), (LINE,)),
    "bicubic": (lambda x: F.interpolate(x, scale_factor=1.7, mode="bicubic"), (IMAGE,)),
    "trilinear": (
        lambda x: F.interpolate(x, (2, 3, 4), mode="trilinear", align_corners=True), (VOLUME,)
    ),
    "area": (lambda x: F.interpolate(x, (3, 2), mode="area"), (IMAGE,)),
    "antialias": (lambda x: F.interpolate(x, (2, 3), mode="bicubic", antialias=True), (IMAGE,)),
    "bilinear grid": (lambda x, g: F.grid_sample(x, g, align_corners=False), (IMAGE, POINTS)),
    "bicubic grid": (
        lambda x, g: F.grid_sample(x, g, "bicubic", "reflection", True), (IMAGE, POINTS)
    ),
    "volume grid": (
        lambda x, g: F.grid_sample(x, g, "bilinear", "border", False),
        (VOLUME, RNG.uniform(-0.8, 0.8, (1, 1, 2, 2, 3))),
    ),
    "affine_grid": (lambda t: F.affine_grid(t, (1, 1, 2, 3)), (RNG.uniform(-1, 1, (1, 2, 3)),)),
    "conv3d": (lambda x, w: F.conv3d(x, w, padding=1, stride=2), (VOLUME, VOLUME[:, :, :, :, :2])),
    "conv_transpose3d": (
        lambda x, w: F.conv_transpose3d(x, w, stride=2), (VOLUME, VOLUME[:, :, :2])
    ),
    "lp_pool": (lambda x: F.lp_pool2d(x, 2, 2), (IMAGE,)),
    "max_pool3d": (lambda x: F.max_pool3d(x, 2, 1), (VOLUME,)),
    "avg_pool3d": (lambda x: F.avg_pool3d(x, 2, 1, 1), (VOLUME,)),
    "adaptive_max_pool3d": (lambda x: F.adaptive_max_pool3d(x, (2, 1, 2)), (VOLUME,)),
    "adaptive_avg_pool3d": (lambda x: F.adaptive_avg_pool3d(x, (2, 1, 2)), (VOLUME,)),
    "group_norm": (
        lambda x, w: F.group_norm(x, 2, w, w), (RNG.uniform(-1, 1, (2, 4, 3)), np.arange(1.0, 5.0))
    ),
    "reflect, cutting": (lambda x: cr.pad_mode(x, ((0, 0), (0, 0), (-1, 2)), "reflect"), (LINE,)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_gradients_hold_and_compiled_is_eager(name: str) -> None:
    fn, operands = CASES[name]
    tensors = tuple(cr.tensor(x) for x in operands)
    assert gradcheck(fn, tensors).ok
    compiled = cr.compile(fn)
    np.testing.assert_allclose(
        compiled(*tensors).numpy(), fn(*tensors).numpy(), rtol=1e-12, atol=1e-13
    )


def test_unpooling_puts_the_maxima_back() -> None:
    x = cr.tensor(IMAGE)
    y, places = F.max_pool2d(x, 2, return_indices=True)
    back = F.max_unpool2d(y, places, 2, output_size=(4, 5))
    assert back.shape == (1, 2, 4, 5)
    kept = back.numpy() != 0
    assert kept.sum() == y.numel()
    assert np.array_equal(back.numpy()[kept], IMAGE[kept])


def test_fractional_windows_are_reproducible_and_inside() -> None:
    x, numbers = cr.tensor(IMAGE), cr.tensor(np.full((1, 2, 2), 0.3))
    y, places = F.fractional_max_pool2d(x, 2, 3, return_indices=True, _random_samples=numbers)
    flat = IMAGE.reshape(1, 2, -1)
    found = np.take_along_axis(flat, places.numpy().reshape(1, 2, -1), 2).reshape(1, 2, 3, 3)
    assert np.array_equal(y.numpy(), found)


def test_shuffles_are_undone() -> None:
    x = cr.tensor(RNG.uniform(-1, 1, (2, 8, 3, 2)))
    assert np.array_equal(F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2).numpy(), x.numpy())
    assert np.array_equal(F.channel_shuffle(F.channel_shuffle(x, 2), 4).numpy(), x.numpy())


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda x: F.interpolate(x, 3, mode="cubic"), ArgumentError),
        (lambda x: F.interpolate(x), ArgumentError),
        (lambda x: F.interpolate(x, 0), ArgumentError),
        (lambda x: F.interpolate(x, 3, mode="linear"), ShapeError),
        (lambda x: F.interpolate(x, 3, align_corners=True), ArgumentError),
        (lambda x: F.grid_sample(x, x), ShapeError),
        (lambda x: F.pixel_shuffle(x, 2), ShapeError),
        (lambda x: F.group_norm(x, 3), ShapeError),
        (lambda x: F.fractional_max_pool2d(x, 2), ArgumentError),
        (lambda x: F.max_unpool2d(x, x[0], 2), ShapeError),
    ],
)
def test_what_does_not_fit_is_an_error(call: Callable[..., Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        call(cr.tensor(IMAGE))
