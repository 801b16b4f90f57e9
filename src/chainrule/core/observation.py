"""The seam for whoever watches a program run: one observer is told what happens, or nobody is.

While there is no observer, each place that would tell one compares a name with None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .op import Op
    from .value import Node, Value


class Observer:
    """Base of observers; a subclass overrides what it is interested in.

    Compiled functions run eagerly while there is one, so that it sees every operation.
    """

    def operation(self, op: Op, operands: Sequence[Any], result: Any) -> Any:
        """An operation on tensors was done; what is returned takes the place of its result."""
        return result

    def module_call(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A module is called: None, or arguments that take the place of `args`."""

    def backward(self, order: Sequence[Node], roots: Sequence[Node], wanted: object) -> None:
        """A backward pass is to walk `order`, from `roots`; its hooks are still to be run."""

    def refused(self, output: Value) -> None:
        """``backward`` was called on a tensor that was not recorded."""

    def update(self, optimizer: Any, step: Callable[[], None]) -> None:
        """An optimizer has its gradients: `step` changes the parameters, and is to be called."""
        step()

    def cut(self, tensor: Value, how: str) -> Any:
        """A tensor leaves its graph by ``detach``, ``item`` and so on: None, or what takes over."""

    def loaded(self, module: Any, names: Sequence[str], others: Sequence[str]) -> None:
        """A module took the entries `names` of a state; it has no place for the `others`."""

    def batches(self, loader: Any) -> None:
        """A loader begins an epoch."""


def hook_once(node: Node, hook: Callable[[Any], Any]) -> None:
    """Call `hook` with the cotangent of `node` in the pass that begins, in no later one."""

    def call(ct: Any) -> Any:
        assert node.hooks is not None
        node.hooks.remove(call)
        return hook(ct)

    node.hooks = [*(node.hooks or []), call]


class Observation:
    """Who observes."""

    __slots__ = ("by",)

    def __init__(self) -> None:
        self.by: Observer | None = None


observation = Observation()
