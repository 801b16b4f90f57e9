"""Sequences of unequal length: padded to one array, or packed without padding.

A packed sequence holds the first elements of all sequences, longest first, then the second elements
of those that have one, and so on: ``batch_sizes[t]`` says how many there are at step t.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ... import ops
from ...core.aval import describe
from ...core.value import Value
from ...errors import ArgumentError, ShapeError
from ...tensor import Tensor


class PackedSequence(NamedTuple):
    """Sequences without padding: data (Σ lengths, …), and how many sequences each step has.

    `sorted_indices` are the places that the sequences had before they were sorted by length, and
    `unsorted_indices` leads back; both are None if they came sorted.
    """

    data: Any
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    @property
    def is_cuda(self) -> bool:
        """False: there is no GPU."""
        return False

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same sequences in another dtype; the device must be the CPU."""
        return self._replace(data=self.data.to(*args, **kwargs))

    def cpu(self) -> PackedSequence:
        """This packed sequence: everything is on the CPU."""
        return self

    def double(self) -> PackedSequence:
        """The same sequences in float64."""
        return self.to(np.float64)

    def float(self) -> PackedSequence:
        """The same sequences in float32."""
        return self.to(np.float32)


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """The sequences of a padded array (T, N, …), or (N, T, …) with `batch_first`, packed.

    `lengths` holds N numbers. With `enforce_sorted` they must not increase; otherwise the sequences
    are sorted, and ``pad_packed_sequence`` and the recurrent layers undo it.

    Raises ArgumentError for other lengths.

    >>> packed = pack_padded_sequence(tensor([[1, 3], [2, 0]]), [2, 1])
    >>> packed.data, packed.batch_sizes
    (tensor([1, 3, 2]), tensor([2, 1]))
    """
    counts = _numbers(lengths)
    if batch_first:
        input = ops.transpose(input, 0, 1)
    steps, batch = input.shape[:2]
    if len(counts) != batch or (len(counts) and not 0 < counts.min() <= counts.max() <= steps):
        raise ArgumentError(
            "pack_padded_sequence cannot use these lengths",
            expected=f"{batch} numbers from 1 to {steps}",
            got=str(counts.tolist()),
        )
    order = back = None
    rows = np.arange(batch)
    if not enforce_sorted:
        rows = np.argsort(-counts, kind="stable")
        order, back = Tensor(rows), Tensor(_inverse(rows))
    elif (np.diff(counts) > 0).any():
        raise ArgumentError(
            "the sequences are not sorted by length, longest first",
            got=str(counts.tolist()),
            hint="pass enforce_sorted=False",
        )
    present = np.arange(counts.max(initial=0))[:, None] < counts[rows]
    places = (np.arange(len(present))[:, None] * batch + rows)[present]
    flat = ops.reshape(input, (steps * batch, *input.shape[2:]))
    return PackedSequence(ops.index_select(flat, 0, places), Tensor(present.sum(1)), order, back)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Any, Tensor]:
    """The padded array (T, N, …), or (N, T, …), and the lengths: undoes ``pack_padded_sequence``.

    T is the longest length, or `total_length`. Raises ArgumentError if that is shorter.
    """
    sizes = _numbers(sequence.batch_sizes)
    steps, batch = len(sizes), int(sizes[0])
    if total_length is not None and total_length < steps:
        raise ArgumentError(
            "total_length is shorter than the longest sequence",
            expected=f"at least {steps}",
            got=str(total_length),
        )
    present = np.arange(batch) < sizes[:, None]
    lengths = present.sum(0)
    data, rest = sequence.data, sequence.data.shape[1:]
    places = np.full((total_length or steps, batch), data.shape[0])
    places[:steps][present] = np.arange(data.shape[0])
    if sequence.unsorted_indices is not None:
        back = _numbers(sequence.unsorted_indices)
        places, lengths = places[:, back], lengths[back]
    if batch_first:
        places = places.T
    padded = ops.pad(data, ((0, 1), *[(0, 0)] * len(rest)), padding_value)
    chosen = ops.index_select(padded, 0, places.reshape(-1))
    return ops.reshape(chosen, (*places.shape, *rest)), Tensor(lengths)


def pad_sequence(
    sequences: Iterable[Any],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Any:
    """Sequences (Tᵢ, …) in one array (T, N, …), or (N, T, …), with `padding_value` beyond the ends.

    >>> pad_sequence([tensor([1, 2]), tensor([3])], batch_first=True)
    tensor([[1, 2],
            [3, 0]])
    """
    given = list(sequences)
    if not given:
        raise ArgumentError("pad_sequence takes at least one sequence")
    if padding_side not in ("left", "right"):
        raise ArgumentError(
            "pad_sequence pads on one side", expected="left, right", got=repr(padding_side)
        )
    if any(x.shape[1:] != given[0].shape[1:] for x in given):
        raise ShapeError(
            "pad_sequence takes sequences of equal elements",
            got="   ".join(map(describe, given[:4])),
        )
    longest = max(x.shape[0] for x in given)
    padded = []
    for x in given:
        missing = longest - x.shape[0]
        width = (0, missing) if padding_side == "right" else (missing, 0)
        padded.append(ops.pad(x, (width, *[(0, 0)] * (x.ndim - 1)), padding_value))
    return ops.stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences of a padded array, each cut to its length: undoes ``pad_sequence``."""
    if not batch_first:
        padded_sequences = ops.transpose(padded_sequences, 0, 1)
    return [padded_sequences[i, : int(n)] for i, n in enumerate(_numbers(lengths))]


def pack_sequence(sequences: Sequence[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences (Tᵢ, …) packed.

    >>> pack_sequence([tensor([1, 2]), tensor([3])]).data
    tensor([1, 3, 2])
    """
    lengths = [x.shape[0] for x in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """The sequences of a packed one: undoes ``pack_sequence``."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


def invert_permutation(permutation: Any) -> Any:
    """The permutation that undoes another; None for None."""
    return None if permutation is None else Tensor(_inverse(_numbers(permutation)))


def _inverse(order: Any) -> Any:
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return back


def _numbers(values: Any) -> Any:
    """Lengths or indices as an array of integers."""
    data = values.array if isinstance(values, Value) else values
    return np.asarray(data, np.int64).reshape(-1)
