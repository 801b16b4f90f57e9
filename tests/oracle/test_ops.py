"""Every op that PyTorch has too: values, gradients and second derivatives."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from torch.testing._internal.common_methods_invocations import op_db

from chainrule import ops

from . import (
    elementwise_calls,
    indexing_calls,
    network_calls,
    reduction_calls,
    shape_calls,
    window_calls,
)
from .calls import Case, Row, compare

TABLE = (
    *elementwise_calls.ROWS,
    *reduction_calls.ROWS,
    *shape_calls.ROWS,
    *indexing_calls.ROWS,
    *window_calls.ROWS,
    *network_calls.ROWS,
)
OWN_NUMBERS = "draws from chainrule's own generator: no two libraries share random numbers"
WITHOUT_COUNTERPART = {
    "Generator": OWN_NUMBERS,
    "bernoulli": OWN_NUMBERS,
    "default_generator": "the generator itself, not a function",
    "dropout": OWN_NUMBERS + "; test_nn compares its statistics",
    "feature_dropout": OWN_NUMBERS + "; test_nn compares its statistics",
    "manual_seed": "seeds chainrule's own generator",
    "normal": OWN_NUMBERS,
    "permutation": OWN_NUMBERS,
    "poisson": OWN_NUMBERS,
    "rand": OWN_NUMBERS,
    "randint": OWN_NUMBERS,
    "randn": OWN_NUMBERS,
    "randperm": OWN_NUMBERS,
    "uniform": OWN_NUMBERS,
}


def numbered() -> Iterator[Any]:
    """All calls, numbered for each op: numbers drawn for one do not depend on other rows."""
    count: Counter[str] = Counter()
    for row in TABLE:
        for case in row.cases:
            count[row.name] += 1
            yield pytest.param(row, case, id=f"{row.name}-{count[row.name]}")


@pytest.mark.parametrize(("row", "case"), list(numbered()))
def test_ops_agree(row: Row, case: Case, request: pytest.FixtureRequest) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)
        compare(row, case, request.node.callspec.id)


def test_every_op_is_compared_or_said_to_have_no_counterpart() -> None:
    compared = {row.name for row in TABLE}
    names = {name for op in op_db for name in (op.name, *(alias.name for alias in op.aliases))}
    judged = {name.rpartition(".")[2] for name in names}  # by PyTorch's own table: ``tables``
    assert compared | WITHOUT_COUNTERPART.keys() <= set(ops.__all__)
    assert set(ops.__all__) - judged <= compared | WITHOUT_COUNTERPART.keys()
    assert not compared & WITHOUT_COUNTERPART.keys()
