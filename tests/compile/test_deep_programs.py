"""Long chains of operations, as a loop in a step writes them, compile like short ones."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr


@pytest.mark.parametrize("turns", [60, 1200])
def test_a_long_chain_of_elementwise_operations(turns: int) -> None:
    def chain(x: cr.Tensor, c: cr.Tensor) -> cr.Tensor:
        y = x
        for _ in range(turns):
            y = cr.where(y > 0.3, y * c, y + x)
        return y

    x = cr.tensor(np.random.default_rng(0).random(100, dtype=np.float32))
    c = cr.tensor(np.float32(0.5))
    np.testing.assert_array_equal(cr.compile(chain)(x, c).numpy(), chain(x, c).numpy())
