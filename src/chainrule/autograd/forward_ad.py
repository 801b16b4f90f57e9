"""Forward mode by dual numbers, under the names of ``torch.autograd.forward_ad``.

A dual tensor is a tensor with a tangent. What is computed from it is recorded, and the tangent of a
result is pushed along that record when it is asked for. So duals need recording to be on: under
``no_grad()`` results have no tangent.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, NamedTuple, Self

from ..autodiff.gradients import as_cell
from ..core.aval import describe
from ..core.value import Node, make_leaf, tape
from ..engine.forward import push
from ..errors import ArgumentError, GradientError, ShapeError
from ..ops import movement
from ..tensor import Tensor

__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual",
           "unpack_dual"]  # fmt: skip


class UnpackedDualTensor(NamedTuple):
    """What a dual tensor consists of; `tangent` is None if it has none."""

    primal: Tensor
    tangent: Tensor | None


_levels: list[dict[Node, Any]] = []
"""For each level entered, innermost last, the tangents of the duals made in it."""


class dual_level:  # noqa: N801  PyTorch's name
    """Context manager in which duals can be made; their tangents are gone at its end.

    >>> with dual_level():
    ...     y = make_dual(tensor(3.0), tensor(1.0)) ** 2
    ...     unpack_dual(y).tangent
    tensor(6.)
    """

    def __enter__(self) -> Self:
        enter_dual_level()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        exit_dual_level()


def enter_dual_level() -> int:
    """Begin a level, and return its number."""
    _levels.append({})
    return len(_levels) - 1


def exit_dual_level(*, level: int | None = None) -> None:
    """End the innermost level. Raises ArgumentError if there is none, or another is named."""
    if not _levels or (level is not None and level != len(_levels) - 1):
        raise ArgumentError(
            "a dual level ends where the one in it has ended",
            expected=f"level {len(_levels) - 1}" if _levels else "a level that was entered",
            got=f"level {level}",
        )
    _levels.pop()


def _level(level: int | None) -> dict[Node, Any]:
    if not _levels:
        raise GradientError(
            "dual tensors belong to a level", hint="with forward_ad.dual_level(): ..."
        )
    try:
        return _levels[-1 if level is None else level]
    except IndexError:
        raise ArgumentError(
            "no such dual level", expected=f"below {len(_levels)}", got=str(level)
        ) from None


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """`tensor` with a tangent of the same shape and dtype: a new tensor.

    Raises GradientError outside of a level or under ``no_grad()``, ShapeError for another shape.
    """
    tangents = _level(level)
    if not tape.recording:
        raise GradientError("dual tensors need recording", hint="leave no_grad(), or use func.jvp")
    if tensor.shape != tangent.shape or tensor.dtype != tangent.dtype:
        raise ShapeError(
            "a tangent has the shape and dtype of its primal",
            expected=describe(tensor),
            got=describe(tangent),
        )
    source = tensor
    if tensor.node is None:
        source = tensor.detach()
        make_leaf(source)
    dual = movement.identity(source)
    assert dual.node is not None
    tangents[dual.node] = tangent
    return dual


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """The tensor and its tangent: J dx for the tangents dx of the duals it was computed from."""
    tangents = _level(level)
    if tensor.node is None or not tangents:
        return UnpackedDualTensor(tensor, None)
    recorded = any(dx.requires_grad for dx in tangents.values()) or len(_levels) > 1
    known = {node: dx if recorded else dx.array for node, dx in tangents.items()}
    (dy,) = push([tensor.node], known, value_class=Tensor, create_graph=recorded)
    return UnpackedDualTensor(tensor, None if dy is None else as_cell(dy))
