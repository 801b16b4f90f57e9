"""Philox4x32-10, a counter-based random number generator, on arrays of counters.

A block of four random words is a function of a key and of the block's number alone, so any part of
a sequence can be computed on its own, in any order, on any machine. Source: Salmon, Moraes, Dror,
Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def word_nodes(k: Any, key: Any, counter: Any, first: int, blocks: int) -> list[Any]:
    """The four words of so many blocks from `first` on, as nodes of the compiler: uint32 vectors.

    `k` is a ``compile.lower.builder.Lowering``; `key` and `counter` are nodes without dimensions.
    """
    word, wide = np.dtype(np.uint32), np.dtype(np.uint64)

    def constant(value: int, dtype: Any) -> Any:
        return k.full(value, dtype, ())

    def high(x: Any) -> Any:
        return k.cast(k.apply("shr", x, constant(32, wide)), word)

    block = k.apply("add", k.cast(k.iota((blocks,), 0), wide), k.cast(counter, wide))
    if first:
        block = k.apply("add", block, constant(first, wide))
    key = k.cast(key, wide)
    keys = [k.cast(key, word), high(key)]
    zero = constant(0, word)
    c = [k.cast(block, word), high(block), zero, zero]
    m0, m1 = (constant(int(m), word) for m in _MULTIPLIERS[:, 0])
    for r in range(_ROUNDS):
        k0, k1 = (
            k.apply("add", half, constant(r * weyl & 0xFFFFFFFF, word))
            for half, weyl in zip(keys, _WEYL, strict=True)
        )
        a = k.apply("bit_xor", k.apply("bit_xor", k.apply("mulhi", m1, c[2]), c[1]), k0)
        b = k.apply("bit_xor", k.apply("bit_xor", k.apply("mulhi", m0, c[0]), c[3]), k1)
        c = [a, k.apply("mul", m1, c[2]), b, k.apply("mul", m0, c[0])]
    return [k.expand(x, (blocks,)) for x in c]


def uniform_nodes(k: Any, words: Sequence[Any], dtype: Any) -> list[Any]:
    """What ``uniform`` makes of the four words of blocks, as nodes of the compiler."""
    if dtype == np.float64:
        return [_times(k, _shifted(k, x, 11), dtype, 2.0**-53) for x in _wide_nodes(k, words)]
    half = dtype == np.float16
    bits, unit = (21, 2.0**-11) if half else (8, 2.0**-24)
    return [_times(k, _shifted(k, word, bits), dtype, unit) for word in words]


def normal_nodes(k: Any, words: Sequence[Any], dtype: Any) -> list[Any]:
    """What ``normal`` makes of the four words of blocks, as nodes of the compiler."""
    if dtype == np.float64:
        made, unit = dtype, 2.0**-53
        bits = [_shifted(k, x, 11) for x in _wide_nodes(k, words)]
    else:
        made, unit, bits = np.dtype(np.float32), 2.0**-32, list(words)

    def number(x: float) -> Any:
        return k.full(float(made.type(x)), made, ())

    uniforms = [_times(k, x, made, unit, 0.5) for x in bits]
    out = []
    for u, v in zip(uniforms[::2], uniforms[1::2], strict=True):
        radius = k.apply("sqrt", k.apply("mul", number(-2.0), k.apply("log", u)))
        angle = k.apply("mul", v, number(2.0 * np.pi))
        out += [k.apply("mul", radius, k.apply(name, angle)) for name in ("cos", "sin")]
    return [k.cast(z, dtype) for z in out]


def integer_nodes(k: Any, words: Sequence[Any], span: int) -> list[Any]:
    """What ``integers`` makes of the four words of blocks, as nodes of the compiler: uint64."""
    wide = np.dtype(np.uint64)
    if span > 2**32:
        drawn = _wide_nodes(k, words)
        factor = k.full(span % 2**64, wide, ())
        return drawn if span == 2**64 else [k.apply("remainder", x, factor) for x in drawn]
    low, high = ([k.cast(x, wide) for x in words[n::2]] for n in range(2))
    if span == 2**32:
        return high
    factor = k.full(span, wide, ())
    carries = [_shifted(k, k.apply("mul", x, factor), 32) for x in low]
    pairs = zip(high, carries, strict=True)
    return [_shifted(k, k.apply("add", k.apply("mul", x, factor), c), 32) for x, c in pairs]


def _wide_nodes(k: Any, words: Sequence[Any]) -> list[Any]:
    wide = np.dtype(np.uint64)
    low, high = ([k.cast(x, wide) for x in words[n::2]] for n in range(2))
    shifted = [k.apply("shl", x, k.full(32, wide, ())) for x in high]
    return [k.apply("bit_or", x, y) for x, y in zip(low, shifted, strict=True)]


def _shifted(k: Any, x: Any, bits: int) -> Any:
    return k.apply("shr", x, k.full(bits, x.dtype, ()))


def _times(k: Any, x: Any, dtype: Any, unit: float, plus: float = 0.0) -> Any:
    """``(x + plus) · unit`` as floats."""
    x = k.cast(x, dtype)
    if plus:
        x = k.apply("add", x, k.full(plus, dtype, ()))
    return k.apply("mul", x, k.full(unit, dtype, ()))
