"""Philox4x32-10, a counter-based random number generator, on arrays of counters.

A block of four random words is a function of a key and of the block's number alone, so any part of
a sequence can be computed on its own, in any order, on any machine. Source: Salmon, Moraes, Dror,
Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

_ROUNDS = 10
_MULTIPLIERS = np.array([[0xD2511F53], [0xCD9E8D57]], np.uint64)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_CHUNK = 16_384
"""Blocks computed at once: six 128 KiB arrays stay in the second-level cache."""


@lru_cache(maxsize=16)
def _round_keys(key: int) -> Any:
    """Both halves of the key in each round, as a column."""
    halves = key & 0xFFFFFFFF, key >> 32 & 0xFFFFFFFF
    return np.array(
        [
            [[(k + r * w) & 0xFFFFFFFF] for k, w in zip(halves, _WEYL, strict=True)]
            for r in range(_ROUNDS)
        ],
        np.uint64,
    )


def rounds(even: Any, odd: Any, spare: Any, key: int) -> tuple[Any, Any]:
    """Encrypt counters: words (0, 2) of each block are the rows of `even`, (1, 3) those of `odd`.

    These are uint64 arrays of shape (2, n) with values below 2³²; they and `spare`, another, are
    overwritten. Returns the same for the random words, with rubbish above bit 32 of the odd ones.

    One round is c₀' = hi(M₁c₂) ⊕ c₁ ⊕ k₀, c₁' = lo(M₁c₂), c₂' = hi(M₀c₀) ⊕ c₃ ⊕ k₁,
    c₃' = lo(M₀c₀); the key grows by the Weyl constants (section 3.3 of the paper).
    """
    for round_key in _round_keys(key):
        np.multiply(even, _MULTIPLIERS, out=spare)
        swapped = spare[::-1]
        np.right_shift(swapped, _HALF, out=even)
        np.bitwise_xor(even, odd, out=even)
        np.bitwise_xor(even, round_key, out=even)
        np.bitwise_and(even, _LOW, out=even)
        odd, spare = swapped, odd
    return even, odd


def words(key: int, counter: int, n: int) -> Any:
    """The first `n` random 32-bit words of the blocks `counter`, `counter` + 1, …

    The counter counts blocks modulo 2⁶⁴ and is the lower half of Philox's; the upper half is zero.
    """
    blocks = -(-n // 4)
    out = np.empty((blocks, 4), np.uint32)
    buffers = np.empty((3, 2, min(_CHUNK, blocks)), np.uint64)
    for start in range(0, blocks, _CHUNK):
        part = out[start : start + _CHUNK]
        even, odd, spare = buffers[:, :, : len(part)]
        even[0] = np.arange(len(part), dtype=np.uint64)
        even[0] += np.uint64((counter + start) & 0xFFFFFFFFFFFFFFFF)
        np.right_shift(even[0], _HALF, out=odd[0])
        even[0] &= _LOW
        even[1] = odd[1] = 0
        even, odd = rounds(even, odd, spare, key)
        part[:, 0::2] = even.T
        part[:, 1::2] = odd.T
    return out.reshape(-1)[:n]


def uniform(key: int, counter: int, n: int, dtype: Any) -> Any:
    """`n` numbers, uniform on [0, 1): 24 random bits each, or 53 (two words each) in float64."""
    if dtype == np.float64:
        return (_wide(key, counter, n) >> np.uint64(11)) * 2.0**-53
    bits = words(key, counter, n)
    bits >>= np.uint32(8)
    if dtype == np.float16:
        return (bits >> np.uint32(13)).astype(np.float16) * np.float16(2.0**-11)
    return bits.astype(dtype) * np.float32(2.0**-24)


def normal(key: int, counter: int, n: int, dtype: Any) -> Any:
    """`n` numbers of the standard normal distribution, by the transform of Box and Muller (1958).

    Two uniform numbers u, v give √(-2 ln u) cos 2πv and √(-2 ln u) sin 2πv; u has 32 random bits
    (53 in float64) and is never zero, so |z| reaches 6.76 (8.65).
    """
    pairs = -(-n // 2)
    if dtype == np.float64:
        u, v = ((_wide(key, counter, 2 * pairs) >> np.uint64(11)).reshape(-1, 2).T + 0.5) * 2.0**-53
    else:
        bits = words(key, counter, 2 * pairs).reshape(-1, 2).astype(np.float32)
        u, v = ((bits + np.float32(0.5)) * np.float32(2.0**-32)).T
    radius = np.sqrt(-2.0 * np.log(u))
    angle = v * u.dtype.type(2.0 * np.pi)
    z = np.empty((pairs, 2), u.dtype)
    np.multiply(radius, np.cos(angle), out=z[:, 0])
    np.multiply(radius, np.sin(angle), out=z[:, 1])
    return z.reshape(-1)[:n].astype(dtype, copy=False)


def integers(key: int, counter: int, n: int, span: int) -> Any:
    """`n` unsigned 64-bit numbers below `span`, each with probability 1/span to within 2⁻³².

    A random 64-bit word w gives ⌊w span / 2⁶⁴⌋ if `span` is at most 2³², else w mod span.
    """
    wide = _wide(key, counter, n)
    if span > 2**32:
        return wide if span == 2**64 else wide % np.uint64(span)
    factor = np.uint64(span)
    carry = ((wide & _LOW) * factor) >> _HALF
    high = wide >> _HALF
    if span == 2**32:
        return high
    return (high * factor + carry) >> _HALF


def permutation(key: int, counter: int, n: int) -> Any:
    """0 … n-1 in random order: the order of `n` random 64-bit words."""
    return np.argsort(_wide(key, counter, n), kind="stable")


def _wide(key: int, counter: int, n: int) -> Any:
    """`n` random 64-bit words: two 32-bit words each, the first one low."""
    return words(key, counter, 2 * n).astype("<u4", copy=False).view("<u8")
