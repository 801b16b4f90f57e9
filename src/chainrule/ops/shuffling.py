"""Channels moved into space and back, by reshapes and permutations."""

from __future__ import annotations

from typing import Any

from ..core.aval import describe, shape_of
from ..errors import ShapeError
from . import movement

__all__ = [
    "channel_shuffle", "native_channel_shuffle", "pixel_shuffle", "pixel_unshuffle",
]  # fmt: skip


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """(…, C·r², H, W) as (…, C, H·r, W·r): r² channels become squares of r by r pixels.

    Shi et al. 2016, "Real-time single image super-resolution using an efficient sub-pixel
    convolutional neural network". Raises ShapeError unless r² divides the channels.
    """
    r, shape = upscale_factor, shape_of(input)
    if len(shape) < 3 or r < 1 or shape[-3] % (r * r):
        raise ShapeError(
            "pixel_shuffle needs channels that r² divides", got=f"{describe(input)}, r={r}"
        )
    *lead, c, h, w = shape
    k = len(lead)
    x = movement.reshape(input, (*lead, c // (r * r), r, r, h, w))
    x = movement.permute(x, (*range(k), k, k + 3, k + 1, k + 4, k + 2))
    return movement.reshape(x, (*lead, c // (r * r), h * r, w * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """(…, C, H·r, W·r) as (…, C·r², H, W): the inverse of ``pixel_shuffle``."""
    r, shape = downscale_factor, shape_of(input)
    if len(shape) < 3 or r < 1 or shape[-1] % r or shape[-2] % r:
        raise ShapeError(
            "pixel_unshuffle needs sizes that r divides", got=f"{describe(input)}, r={r}"
        )
    *lead, c, h, w = shape
    k = len(lead)
    x = movement.reshape(input, (*lead, c, h // r, r, w // r, r))
    x = movement.permute(x, (*range(k), k, k + 2, k + 4, k + 1, k + 3))
    return movement.reshape(x, (*lead, c * r * r, h // r, w // r))


def channel_shuffle(input: Any, groups: int) -> Any:
    """The channels of (N, C, …) in another order: one of each group in turn.

    Zhang et al. 2018, "ShuffleNet". Raises ShapeError unless `groups` divides the channels.
    """
    shape = shape_of(input)
    if len(shape) < 3 or groups < 1 or shape[1] % groups:
        raise ShapeError(
            "channel_shuffle needs channels in equal groups",
            got=f"{describe(input)}, groups={groups}",
        )
    x = movement.reshape(input, (shape[0], groups, shape[1] // groups, *shape[2:]))
    return movement.reshape(movement.transpose(x, 1, 2), shape)


native_channel_shuffle = channel_shuffle
