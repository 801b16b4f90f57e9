"""Jacobians and Hessians: every row by one backward walk, or every column by one forward walk.

The walks run together, as one ``vmap`` over the unit vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import GradientError
from ..ops import movement
from ..tensor import Tensor
from .gradients import as_cell
from .transforms import Argnums, Chosen, Function, Recording, grad, jvp
from .vmap import vmap


def jacrev(
    fn: Function, argnums: Argnums = 0, *, has_aux: bool = False, chunk_size: int | None = None
) -> Function:
    """All partial derivatives of `fn` in reverse mode: ``output.shape + input.shape`` each.

    For every tensor among the results there is what the arguments at `argnums` have the structure
    of. `chunk_size` limits how many rows are computed at once.

    >>> jacrev(lambda x: x * x)(tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    return _jacobians(fn, argnums, has_aux, chunk_size, _rows)


def jacfwd(
    fn: Function, argnums: Argnums = 0, *, has_aux: bool = False, chunk_size: int | None = None
) -> Function:
    """What ``jacrev`` gives, in forward mode: less work for few inputs and many outputs."""
    return _jacobians(fn, argnums, has_aux, chunk_size, _columns)


def jacobian(fn: Function, argnums: Argnums = 0) -> Function:
    """All partial derivatives of `fn`: an array of shape ``output.shape + input.shape``.

    The function runs once; then rows by reverse mode or columns by forward mode, whichever are
    fewer.

    >>> jacobian(lambda x: x * x)(tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    def shorter(run: Recording, chunk_size: int | None) -> list[list[Tensor]]:
        if len(run.outputs) != 1:
            raise GradientError(
                "jacobian() needs a function with one output", hint="use jacrev() or jacfwd()"
            )
        tall = run.outputs[0].numel() > sum(x.numel() for x in run.inputs)
        return (_columns if tall else _rows)(run, chunk_size)

    return _jacobians(fn, argnums, False, None, shorter)


def hessian(fn: Function, argnums: Argnums = 0) -> Function:
    """All second derivatives: forward mode over reverse mode.

    Of a scalar function, with respect to one tensor, they are symmetric, of shape twice that of the
    tensor.

    >>> hessian(lambda x: (x ** 3).sum())(tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(fn, argnums), argnums)


def hvp(fn: Function, x: Any, v: Any) -> tuple[Any, Any]:
    """The gradient of a scalar function at `x` and its Hessian times `v`, without the Hessian.

    Forward over reverse (Pearlmutter 1994, Fast exact multiplication by the Hessian).

    >>> hvp(lambda x: (x ** 3).sum(), tensor([1.0, 2.0]), tensor([1.0, 1.0]))
    (tensor([ 3., 12.]), tensor([ 6., 12.]))
    """
    gradient, product = jvp(grad(fn), (x,), (v,))
    return gradient, product


_Blocks = Callable[[Recording, int | None], list[list[Tensor]]]
"""For each output, for each input, the array of partial derivatives."""


def _jacobians(
    fn: Function, argnums: Argnums, has_aux: bool, chunk_size: int | None, blocks: _Blocks
) -> Function:
    def jacobians(*args: Any, **kwargs: Any) -> Any:
        chosen = Chosen(fn, argnums, args, kwargs)
        run = Recording(chosen, chosen.arguments, has_aux)
        found = [chosen.like_argnums(run.like_inputs(row)) for row in blocks(run, chunk_size)]
        result = run.like_output(found)
        return (result, run.aux) if has_aux else result

    return jacobians


def _rows(run: Recording, chunk_size: int | None) -> list[list[Tensor]]:
    """Row by row: a backward walk for each output element."""

    def of(number: int) -> list[Tensor]:
        y = run.outputs[number]
        still = [as_cell(np.zeros(z.shape, z.dtype)) for z in run.outputs]

        def pull(ct: Tensor) -> tuple[Tensor, ...]:
            return tuple(run.pull_flat([*still[:number], ct, *still[number + 1 :]]))

        return _along_basis(pull, y, run.inputs, chunk_size)

    return [of(number) for number in range(len(run.outputs))]


def _columns(run: Recording, chunk_size: int | None) -> list[list[Tensor]]:
    """Column by column: a forward walk for each input element."""
    columns = []
    for number, x in enumerate(run.inputs):
        still = [as_cell(np.zeros(z.shape, z.dtype)) for z in run.inputs]

        def push(dx: Tensor, number: int = number, still: list[Tensor] = still) -> Any:
            return tuple(run.push([*still[:number], dx, *still[number + 1 :]]))

        blocks = _along_basis(push, x, run.outputs, chunk_size)
        columns.append(
            [
                movement.permute(block, (*range(x.ndim, x.ndim + y.ndim), *range(x.ndim)))
                for block, y in zip(blocks, run.outputs, strict=True)
            ]
        )
    return [[column[i] for column in columns] for i in range(len(run.outputs))]


def _along_basis(
    walk: Callable[[Tensor], Any], x: Tensor, results: Sequence[Tensor], chunk_size: int | None
) -> list[Tensor]:
    """What a walk gives for each unit vector of the space of `x`: ``x.shape + result.shape``."""
    n = x.numel()
    basis = as_cell(np.eye(n, dtype=x.dtype).reshape(n, *x.shape))
    found = vmap(walk, chunk_size=chunk_size)(basis)
    return [
        movement.reshape(block, (*x.shape, *result.shape))
        for block, result in zip(found, results, strict=True)
    ]
