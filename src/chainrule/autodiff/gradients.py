"""Gradients of tensors that were computed already: ``backward`` and ``gradients``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.aval import describe
from ..core.value import Node, stored
from ..engine.reverse import seed, sweep
from ..errors import ArgumentError, GradientError
from ..tensor import Tensor, as_tensor
from .vmap import vmap

Tensors = Tensor | Sequence[Tensor]


def backward(
    outputs: Tensors,
    cotangents: Any = None,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """Add the gradient of the sum of `outputs` to ``grad`` of every leaf, in one walk.

    `cotangents` gives one direction per output (default: one for scalars). Raises as
    ``Tensor.backward`` does.
    """
    roots, cts = _roots(_listed(outputs), cotangents, create_graph)
    sweep(
        roots,
        cts,
        value_class=Tensor,
        retain_graph=create_graph if retain_graph is None else retain_graph,
        create_graph=create_graph,
    )


def gradients(
    outputs: Tensors,
    inputs: Tensors,
    cotangents: Any = None,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """Gradients of the sum of `outputs` with respect to `inputs`; no ``grad`` is touched.

    It computes only what leads to the inputs. With `create_graph`, the results can be
    differentiated again. With `is_grads_batched`, `cotangents` hold many directions along their
    first axis, and so do the results. PyTorch calls this ``torch.autograd.grad``.

    Raises GradientError for an input that wants no gradient, or that the outputs do not depend on:
    unless `allow_unused`, which gives None for it, or `materialize_grads`, which gives zeros.

    >>> x = tensor(3.0, requires_grad=True)
    >>> (dy,) = gradients(x * x, x, create_graph=True)
    >>> gradients(dy, x)
    (tensor(2.),)
    """
    if materialize_grads and allow_unused is False:
        raise ArgumentError("materialize_grads gives zeros for what allow_unused=False refuses")
    if is_grads_batched:
        return _batch_of_gradients(
            outputs, inputs, cotangents, create_graph, allow_unused, materialize_grads
        )
    inputs = _listed(inputs)
    wanted = [_tracked(x, i) for i, x in enumerate(inputs)]
    if not wanted:
        raise ArgumentError("gradients() needs an input to differentiate at")
    roots, cts = _roots(_listed(outputs), cotangents, create_graph)
    found = sweep(
        roots,
        cts,
        value_class=Tensor,
        wanted=set(wanted),
        retain_graph=create_graph if retain_graph is None else retain_graph,
        create_graph=create_graph,
    )
    grads = []
    for i, (x, node) in enumerate(zip(inputs, wanted, strict=True)):
        ct = found.get(node)
        if ct is None and materialize_grads:
            ct = np.zeros(x.shape, x.dtype)
        if ct is None and not allow_unused:
            raise GradientError(
                f"input {i} does not reach the outputs",
                hint="pass allow_unused=True to get None for it",
            )
        grads.append(None if ct is None else as_cell(ct))
    return tuple(grads)


def _batch_of_gradients(
    outputs: Tensors, inputs: Tensors, cotangents: Any, create_graph: bool,
    allow_unused: bool | None, materialize_grads: bool,
) -> tuple[Tensor | None, ...]:  # fmt: skip
    """``gradients`` for each of the directions along the first axis of the cotangents."""
    cts = list(cotangents) if isinstance(cotangents, (list, tuple)) else [cotangents]
    if any(ct is None for ct in cts):
        raise ArgumentError("a batch of gradients needs directions", got="None")
    unused: list[bool] = []

    def one(*given: Tensor) -> tuple[Tensor, ...]:
        found = gradients(
            outputs, inputs, list(given), retain_graph=True, create_graph=create_graph,
            allow_unused=allow_unused, materialize_grads=materialize_grads,
        )  # fmt: skip
        unused[:] = [g is None for g in found]
        return tuple([g for g in found if g is not None])

    following = iter(vmap(one)(*[as_tensor(ct) for ct in cts]))
    return tuple([None if absent else next(following) for absent in unused])


def as_cell(x: Any) -> Tensor:
    """A cell of its own around what a walk computed: an array, or a tensor with its node.

    One cotangent may be the gradient of several tensors; each gets a cell that it may change.
    """
    return Tensor.wrap(x.array, x.node) if isinstance(x, Tensor) else Tensor.wrap(stored(x))


def _listed(tensors: Tensors) -> Sequence[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _tracked(x: Tensor, i: int) -> Node:
    if x.node is None:
        raise GradientError(
            f"input {i} does not want a gradient",
            got=describe(x),
            hint="call x.requires_grad_() before computing with it",
        )
    return x.node


def _roots(
    outputs: Sequence[Tensor], cotangents: Any, create_graph: bool
) -> tuple[list[Node], list[Any]]:
    """The nodes to start from and their cotangents."""
    if cotangents is None:
        cotangents = [None] * len(outputs)
    elif not isinstance(cotangents, (list, tuple)):
        cotangents = [cotangents]
    if len(cotangents) != len(outputs):
        raise ArgumentError(
            "one direction per output is needed",
            expected=f"{len(outputs)} directions",
            got=str(len(cotangents)),
        )
    roots, cts = [], []
    for output, ct in zip(outputs, cotangents, strict=True):
        if output.node is not None:
            roots.append(output.node)
            cts.append(seed(output, ct, as_value=create_graph))
    if not roots:
        raise GradientError(
            "no output was recorded",
            got="   ".join(describe(x) for x in outputs),
            hint="no input has requires_grad=True, or it was computed under no_grad()",
        )
    return roots, cts
