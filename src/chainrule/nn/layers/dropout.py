"""Dropout: noise while training, nothing in evaluation."""

from __future__ import annotations

from typing import Any

from ...errors import ArgumentError
from .. import functional
from ..module import Module


class _Dropout(Module):
    """What the kinds of dropout share."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ArgumentError("a dropout probability lies between 0 and 1", got=f"p={p}")
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """While training, sets each element to 0 with probability p and divides the others by 1 - p.

    So the expected value stays. Backward passes the gradient where forward passed the value. In
    evaluation it does nothing.

    Source: Srivastava et al. 2014, section 10 (the scaling while training).

    >>> cr.nn.Dropout(0.5).eval()(ones(3))
    tensor([1., 1., 1.])
    """

    def forward(self, input: Any) -> Any:
        return functional.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """Dropout of whole channels of (N, C, L).  (Tompson et al. 2015)"""

    def forward(self, input: Any) -> Any:
        return functional.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """Dropout of whole channels of (N, C, H, W).  (Tompson et al. 2015)"""

    def forward(self, input: Any) -> Any:
        return functional.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_Dropout):
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W).  (Tompson et al. 2015)"""

    def forward(self, input: Any) -> Any:
        return functional.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean 0 and variance 1, for networks of SELU.

    Dropped elements take SELU's limit -λα, and all are then scaled and shifted.
    Source: Klambauer et al. 2017, section 3.
    """

    def forward(self, input: Any) -> Any:
        return functional.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_Dropout):
    """AlphaDropout of whole channels, axis 1."""

    def forward(self, input: Any) -> Any:
        return functional.feature_alpha_dropout(input, self.p, self.training, self.inplace)
