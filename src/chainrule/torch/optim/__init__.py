"""``torch.optim``."""

from __future__ import annotations

from abc import ABCMeta
from collections import defaultdict
from collections.abc import Mapping
from copy import copy
from typing import Any

from ...errors import StateError
from ...optim import optimizer as _base
from .._names import mirrored

__getattr__, __dir__ = mirrored(__name__, "chainrule.optim")


class _Recognising(ABCMeta):
    """Makes every optimizer of the library an instance of ``torch.optim.Optimizer``."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return super().__instancecheck__(instance) or (
            cls is Optimizer and _base.Optimizer in type(instance).__mro__
        )

    def __subclasscheck__(cls, subclass: type) -> bool:
        return super().__subclasscheck__(subclass) or (
            cls is Optimizer and _base.Optimizer in subclass.__mro__
        )


class Optimizer(_base.Optimizer, metaclass=_Recognising):
    """Base of optimizers of one's own, as in PyTorch: a subclass defines ``step``.

    ``state[p]`` is a dictionary for each parameter, of tensors, numbers or whatever it puts there.
    """

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        super().__init__(params, defaults)
        self.state: Any = defaultdict(dict)

    def slots(self, group: Any) -> tuple[str, ...]:
        """None: ``step`` keeps what it needs in ``state``."""
        return ()

    def update(self, param: Any, grad: Any, state: Any, hyper: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define step()")

    def check(self, group: Any) -> None:
        """Nothing: the subclass knows its hyper-parameters."""

    def state_dict(self) -> dict[str, Any]:
        number = {p: i for i, p in enumerate(self._parameters())}
        return {
            "state": {
                number.get(p, p): {key: copy(value) for key, value in cells.items()}
                for p, cells in self.state.items()
            },
            "param_groups": [
                {**group, "params": [number[p] for p in group["params"]]}
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        groups = state_dict["param_groups"]
        own = [len(group["params"]) for group in self.param_groups]
        given = [len(group["params"]) for group in groups]
        if own != given:
            raise StateError(
                f"the state does not fit this {type(self).__name__}",
                expected=f"groups of {own} parameters",
                got=f"groups of {given} parameters",
            )
        parameters = self._parameters()
        self.state = defaultdict(dict)
        for number, cells in state_dict["state"].items():
            key = parameters[number] if isinstance(number, int) else number
            self.state[key] = {name: copy(value) for name, value in cells.items()}
        for mine, group in zip(self.param_groups, groups, strict=True):
            mine.update({key: value for key, value in group.items() if key != "params"})
