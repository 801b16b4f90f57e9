"""Embedding: a table of vectors, looked up by integers."""

from __future__ import annotations

from typing import Any, Self

from ...core.aval import describe
from ...errors import DTypeError, IndexRangeError, ShapeError
from .. import functional, init
from ..module import Module
from ..parameter import Parameter, blank
from . import expect


class Embedding(Module):
    """y = weight[x]: one row of the table per index.

    Shapes: integers x (…) → y (…, embedding_dim); weight (num_embeddings, embedding_dim), drawn
    from N(0, 1). The row `padding_idx` starts at zero and receives no gradient. The other options
    are those of ``functional.embedding``.

    Raises IndexRangeError for an index outside the table, DTypeError for indices that are not
    integers.

    >>> cr.nn.Embedding(10, 3)(tensor([[1, 2], [4, 5]])).shape
    (2, 2, 3)
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Any = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        expect.sizes("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise IndexRangeError(
                    "padding_idx is outside the table",
                    expected=f"{-num_embeddings} <= padding_idx < {num_embeddings}",
                    got=str(padding_idx),
                )
            padding_idx %= num_embeddings
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        if _weight is None:
            self.weight = blank(num_embeddings, embedding_dim, dtype=dtype, device=device)
            self.weight.requires_grad_(not _freeze)
            self.reset_parameters()
        else:
            self.weight = _table(_weight, (num_embeddings, embedding_dim), _freeze)

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        _draw(self.weight, self.padding_idx)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Any,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Self:
        """An embedding with the given table, which with `freeze` is not trained."""
        rows, columns = _table(embeddings).shape
        return cls(
            rows, columns, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse,
            _weight=embeddings, _freeze=freeze,
        )  # fmt: skip

    def forward(self, input: Any) -> Any:
        expect.tensor(self, input)
        if input.dtype.kind not in "iu":
            raise DTypeError(
                "Embedding takes integers, the rows to look up",
                got=describe(input),
                hint="convert them: x.long()",
            )
        return functional.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
        )

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


class EmbeddingBag(Module):
    """The sum, mean or maximum of the rows that each bag of numbers names.

    Shapes: input (B, n), a bag in each row, or (M) with `offsets` (B), where the bags begin; y
    (B, embedding_dim). ``per_sample_weights`` weigh rows in sums. With `include_last_offset`, the
    last offset is where the last bag ends.

    >>> cr.nn.EmbeddingBag(10, 3, mode="sum")(tensor([1, 2, 4, 5]), tensor([0, 3])).shape
    (2, 3)
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Any = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        expect.sizes("EmbeddingBag", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None:
            padding_idx %= num_embeddings
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.mode = mode
        self.sparse = sparse
        self.include_last_offset = include_last_offset
        self.padding_idx = padding_idx
        if _weight is None:
            self.weight = blank(num_embeddings, embedding_dim, dtype=dtype, device=device)
            self.reset_parameters()
        else:
            self.weight = _table(_weight, (num_embeddings, embedding_dim))

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        _draw(self.weight, self.padding_idx)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Any,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> Self:
        """An embedding bag with the given table, which with `freeze` is not trained."""
        rows, columns = _table(embeddings).shape
        made = cls(
            rows, columns, max_norm, norm_type, scale_grad_by_freq, mode, sparse, embeddings,
            include_last_offset, padding_idx,
        )  # fmt: skip
        made.weight.requires_grad_(not freeze)
        return made

    def forward(self, input: Any, offsets: Any = None, per_sample_weights: Any = None) -> Any:
        return functional.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}, mode={self.mode!r}"


def _draw(weight: Parameter, padding_idx: int | None) -> None:
    """Normal numbers, and zeros in the row of the padding."""
    init.normal_(weight)
    if padding_idx is not None:
        table = weight.array.copy()
        table[padding_idx] = 0
        weight.array = table


def _table(given: Any, shape: tuple[int, int] | None = None, freeze: bool = False) -> Parameter:
    """The given table as a parameter. Raises ShapeError for other axes or another shape."""
    table = Parameter(given, requires_grad=not freeze)
    if table.ndim != 2 or (shape is not None and table.shape != shape):
        raise ShapeError(
            "a table of embeddings has two axes, rows and features",
            expected=None if shape is None else str(shape),
            got=describe(table),
        )
    return table
