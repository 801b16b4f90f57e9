"""Embedding: a table of vectors, looked up by integers."""

from __future__ import annotations

from typing import Any, Self

from ... import ops
from ...core.aval import describe
from ...errors import DTypeError, IndexRangeError, ShapeError
from .. import init
from ..module import Module
from ..parameter import Parameter, blank
from . import expect


class Embedding(Module):
    """y = weight[x]: one row of the table per index.

    Shapes: integers x (…) → y (…, embedding_dim); weight (num_embeddings, embedding_dim), drawn
    from N(0, 1). The row `padding_idx` starts at zero and receives no gradient.

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
        *,
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
        self.weight = blank(num_embeddings, embedding_dim, dtype=dtype, device=device)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            table = self.weight.array.copy()
            table[self.padding_idx] = 0
            self.weight.array = table

    @classmethod
    def from_pretrained(
        cls, embeddings: Any, freeze: bool = True, padding_idx: int | None = None
    ) -> Self:
        """An embedding with the given table, which with `freeze` is not trained."""
        table = Parameter(embeddings, requires_grad=not freeze)
        if table.ndim != 2:
            raise ShapeError("a table of embeddings has two axes", got=describe(table))
        rows, columns = table.shape
        made = cls(rows, columns, padding_idx)
        made.weight = table
        return made

    def forward(self, x: Any) -> Any:
        expect.tensor(self, x)
        if x.dtype.kind not in "iu":
            raise DTypeError(
                "Embedding takes integers, the rows to look up",
                got=describe(x),
                hint="convert them: x.long()",
            )
        return ops.embedding(x, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
