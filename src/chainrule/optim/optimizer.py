"""Optimizer: parameter groups, state, and one loop that runs each algorithm's update rule.

An algorithm is a pure function of arrays, ``(param, grad, state, hyper-parameters) -> (param,
state)``, written with operators and functions of ``chainrule.ops`` only. So the same rule runs on
NumPy arrays in an eager step and on traced values when a whole training step is compiled. State is
held in Tensors, cells whose array is replaced; hyper-parameters are read from the group in each
step, compiled or not, so schedules and users may change them at any time. A rule may ask whether a
number is zero, and nothing else: in a trace, only that is known of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, ClassVar, SupportsFloat, TypeAlias

import numpy as np

from .. import ops
from ..core.aval import Data, describe
from ..core.observation import observation
from ..core.value import Value, configuration, recording, tape
from ..creation import zeros_like
from ..errors import ArgumentError, StateError
from ..nn.module import Module
from ..tensor import Tensor
from .hooks import Hooked
from .hyper import Flags, Group, State, Update, accepted, is_number

Params: TypeAlias = Iterable[Tensor] | Iterable[Group]


class Optimizer(Hooked, ABC):
    """Base of all optimizers. Subclasses give ``slots``, ``update`` and ``check``.

    `params` are tensors, pairs of a name and a tensor, or dictionaries with ``params`` and
    hyper-parameters of their own; `defaults` are the hyper-parameters of groups that do not name
    them.

    Raises ArgumentError for parameters that are no tensors, appear twice, or are none at all, and
    for hyper-parameters out of range.
    """

    implied: ClassVar[Mapping[str, Any]] = {}
    """State tensors that PyTorch does not save, and the number that stands for what they were."""
    was_stepped: bool = False
    """Whether ``step`` was ever called."""

    watch: Any = None
    """What measures each update, if anything does: see ``train.watching``."""

    def __init__(self, params: Params, defaults: Group, flags: Flags | None = None) -> None:
        self.defaults = {**defaults, **accepted(type(self).__name__, flags or {})}
        self.param_groups: list[Group] = []
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        if isinstance(params, Value):
            raise ArgumentError(
                "an optimizer takes an iterable of tensors", got=describe(params), hint="write [p]"
            )
        if isinstance(params, Module) or not isinstance(params, Iterable):
            raise ArgumentError(
                "an optimizer takes an iterable of tensors",
                got=type(params).__name__,
                hint="pass model.parameters()",
            )
        given: list[Any] = list(params)
        if not given:
            raise ArgumentError(
                "an optimizer needs at least one parameter",
                got="none",
                hint="pass model.parameters(), of a model that has some",
            )
        groups = given if isinstance(given[0], dict) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    # What an algorithm says -----------------------------------------------------------------------

    @abstractmethod
    def slots(self, group: Group) -> tuple[str, ...]:
        """Names of the state tensors that a parameter of this group has."""

    def slots_of(self, param: Data, group: Group) -> tuple[str, ...]:
        """Names of the state tensors of one parameter, for algorithms that look at its shape."""
        return self.slots(group)

    @abstractmethod
    def update(self, param: Data, grad: Data, state: State, hyper: Group) -> Update:
        """The new parameter and state."""

    @abstractmethod
    def check(self, group: Group) -> None:
        """Raise ArgumentError for hyper-parameters out of range."""

    def start(self, slot: str, param: Data, group: Group) -> Data:
        """Value of a state tensor before the first step: zeros."""
        # The step count is float64: 1 - 0.999 in float32 would be wrong in the fifth digit.
        return np.zeros(()) if slot == "step" else np.zeros(param.shape, param.dtype)

    # What users call ------------------------------------------------------------------------------

    def add_param_group(self, param_group: Group) -> None:
        """Add a group, such as the parameters of a layer that is to be trained from now on."""
        group = {**self.defaults, **param_group}
        params = group["params"]
        group["params"] = [params] if isinstance(params, Tensor) else list(params)
        if group["params"] and all(_is_named(p) for p in group["params"]):
            group["param_names"] = [name for name, _ in group["params"]]
            group["params"] = [p for _, p in group["params"]]
        taken = {id(p) for other in self.param_groups for p in other["params"]}
        for p in group["params"]:
            if not isinstance(p, Tensor):
                raise ArgumentError("an optimizer updates tensors", got=type(p).__name__)
            if not p.is_leaf:
                raise ArgumentError(
                    "an optimizer cannot update a computed tensor", got=describe(p),
                    hint="pass the tensors it was computed from",
                )  # fmt: skip
            if id(p) in taken:
                raise ArgumentError("a parameter appears twice", got=describe(p))
            taken.add(id(p))
        self.check(group)
        self.param_groups.append(group)
        configuration.version += 1

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, or set them to zero."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.grad = None if set_to_none else zeros_like(p.grad)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        A `closure` that computes the loss and calls ``backward`` is run first; its result is
        returned.
        """
        loss = None
        if tape.graph is not None:
            tape.graph.visit(self)
        self.was_stepped = True
        self._call_hooks("before step", (closure,), {})
        if closure is not None:
            with recording(True):
                loss = closure()
        if observation.by is None:
            self._update_all()
        else:
            observation.by.update(self, self._update_all)
        self._call_hooks("after step", (closure,), {})
        return loss

    def _update_all(self) -> None:
        if self.watch is None:
            self._step_groups()
        else:
            self.watch.update(self._step_groups)

    def _step_groups(self) -> None:
        with recording(False):
            for group in self.param_groups:
                self._step_group(group)

    def _step_group(self, group: Group) -> None:
        plain = {key: _plain(value) for key, value in group.items() if key != "params"}
        hyper = plain if tape.graph is None else tape.graph.numbers(group, plain)
        for p in group["params"]:
            if p.grad is None:
                continue
            slots = self.slots_of(p.array, plain)
            cells = self._cells(p, slots, plain)
            param, grad = p.array, p.grad.array
            if grad.dtype != param.dtype:
                grad = ops.cast(grad, param.dtype)
            state = {slot: cells[slot].array for slot in slots}
            new, state = self.update(param, grad, state, hyper)
            _store(p, new)
            for slot, value in state.items():
                _store(cells[slot], value)

    def _cells(self, p: Tensor, slots: tuple[str, ...], hyper: Group) -> dict[str, Tensor]:
        """The state tensors of a parameter, made when they are first needed."""
        cells = self.state.setdefault(p, {}) if slots else {}
        for slot in slots:
            if slot not in cells:
                cells[slot] = Tensor.wrap(self.start(slot, p.array, hyper))
                if tape.graph is not None:
                    tape.graph.adopt(cells[slot], partial(self._forget, p, slot))
        return cells

    def _forget(self, p: Tensor, slot: str) -> None:
        """Drop a state tensor that was made in vain."""
        cells = self.state.get(p, {})
        cells.pop(slot, None)
        if not cells:
            self.state.pop(p, None)

    def configuration(self) -> dict[str, Any]:
        """What a compiled step depends on besides the numbers in the groups."""
        found: dict[str, Any] = {"state": self.state, "parameters with state": len(self.state)}
        found["watch"] = self.watch
        for n, cells in enumerate(self.state.values()):
            found |= {f"state[{n}].{slot}": cell for slot, cell in cells.items()}
        for i, group in enumerate(self.param_groups):
            found[f"param_groups[{i}]"] = group
            found[f"parameters of param_groups[{i}]"] = len(group["params"])
        return found

    # State ----------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """A snapshot: ``state`` by the number of the parameter, and ``param_groups`` with numbers
        in place of parameters."""
        self._call_hooks("before saving")
        number = {p: i for i, p in enumerate(self._parameters())}
        state: dict[str, Any] = {
            "state": {
                number[p]: {slot: cell.clone() for slot, cell in cells.items()}
                for p, cells in self.state.items()
            },
            "param_groups": [
                {**group, "params": [number[p] for p in group["params"]]}
                for group in self.param_groups
            ],
        }
        changed = self._call_hooks("after saving", state)
        return state if changed is None else dict(changed)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a state that ``state_dict`` made, for as many parameters of the same shapes.

        PyTorch's states of the same algorithm fit too. Nothing is changed unless everything fits.
        Raises StateError if something does not.
        """
        changed = self._call_hooks("before loading", state_dict)
        state_dict = state_dict if changed is None else changed
        groups = [self._fitted_group(g) for g in _listed(state_dict.get("param_groups"))]
        own = [len(group["params"]) for group in self.param_groups]
        given = [len(group["params"]) for group in groups]
        if own != given:
            raise StateError(
                f"the state does not fit this {type(self).__name__}",
                expected=f"groups of {own} parameters",
                got=f"groups of {given} parameters",
            )
        saved = {int(number): cells for number, cells in dict(state_dict["state"]).items()}
        loaded: dict[Tensor, dict[str, Tensor]] = {}
        for mine, group in zip(self.param_groups, groups, strict=True):
            for p, number in zip(mine["params"], group["params"], strict=True):
                cells = saved.pop(number, {})
                if cells:
                    loaded[p] = self._fitted_cells(p, number, cells, group)
        if saved:
            raise StateError(
                "the state is of parameters that this optimizer does not have",
                got=f"parameters {sorted(saved)[:6]}",
            )
        self._take_over(loaded)
        for mine, group in zip(self.param_groups, groups, strict=True):
            mine.update({key: value for key, value in group.items() if key != "params"})
        self._call_hooks("after loading")

    def _fitted_cells(
        self, p: Tensor, number: int, given: Mapping[str, Any], group: Group
    ) -> dict[str, Tensor]:
        """Copies of the saved state tensors of one parameter, or StateError if they do not fit."""
        slots = self.slots_of(p.array, group)
        saved = {slot: value for slot, value in given.items() if value is not None}
        if saved:
            saved = {**{k: v for k, v in self.implied.items() if k in slots}, **saved}
        if set(saved) != set(slots):
            raise StateError(
                f"the state of parameter {number} is of another algorithm",
                expected=", ".join(slots) or "no state tensors",
                got=", ".join(map(str, given)),
            )
        cells = {}
        for slot, value in saved.items():
            array = np.array(np.asarray(value.array if isinstance(value, Value) else value))
            like = self.start(slot, p.array, group)
            kinds = "fi" if slot == "step" else "f"
            if array.shape != like.shape or array.dtype.kind not in kinds:
                raise StateError(
                    "a state tensor does not fit its parameter",
                    expected=f"{slot} of parameter {number}: {describe(like)}",
                    got=describe(array),
                )
            cells[slot] = Tensor.wrap(array.astype(like.dtype, copy=False))
        return cells

    def _take_over(self, loaded: dict[Tensor, dict[str, Tensor]]) -> None:
        """Make `loaded` the state. Cells that were there stay, so that compiled steps hold."""
        for p, cells in loaded.items():
            known = self.state.get(p, {})
            for slot, cell in cells.items():
                if slot in known:
                    known[slot].array, cells[slot] = cell.array, known[slot]
        self.state.clear()
        self.state.update(loaded)
        configuration.version += 1

    def _fitted_group(self, given: Any) -> Group:
        """A saved group with the hyper-parameters of this optimizer, each of its own kind."""
        wanted = {"params", *self.defaults} - set(Flags.__annotations__)
        if not isinstance(given, Mapping) or wanted - set(given):
            raise StateError(
                f"a parameter group lacks settings of {type(self).__name__}",
                expected=", ".join(sorted(wanted)),
                got=", ".join(map(str, given)) if isinstance(given, Mapping) else repr(given)[:60],
            )
        # JSON turns tuples such as betas into lists.
        group = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
        group["params"] = [int(number) for number in given["params"]]
        for key, value in group.items():
            default = self.defaults.get(key, value)
            if key not in ("params", *Flags.__annotations__) and not _same_kind(value, default):
                raise StateError(
                    f"{key} in a parameter group is not what it should be",
                    expected=f"such as {default}",
                    got=repr(value)[:60],
                )
            if not isinstance(value, (int, float, Tensor)) and isinstance(value, SupportsFloat):
                group[key] = float(value)  # another library's number
        self.check(group)
        return group

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {v}" for k, v in sorted(group.items()) if k != "params"]
        return "\n".join([*lines, ")"])


def _plain(value: Any) -> Any:
    """A hyper-parameter as a weak Python number where it can be one."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Tensor):
        return value.array
    if isinstance(value, tuple):
        return tuple([_plain(v) for v in value])
    return value


def _store(cell: Tensor, value: Data) -> None:
    """Replace the array in a cell. NumPy's results without dimensions are scalars, not arrays."""
    cell.array = np.asarray(value) if isinstance(value, np.generic) else value


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise StateError("a state holds a list of param_groups", got=repr(value)[:60])
    return value


def _same_kind(value: Any, default: Any) -> bool:
    """Whether a saved setting can stand where `default` does: a flag, a number, a tuple of them."""
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if default is None or isinstance(default, str):
        return value is None or isinstance(value, (str, int, float))
    if value is None:
        return False
    if isinstance(default, tuple):
        return (
            isinstance(value, tuple)
            and len(value) == len(default)
            and all(_same_kind(v, d) for v, d in zip(value, default, strict=True))
        )
    return is_number(value)


def _is_named(p: Any) -> bool:
    return isinstance(p, tuple) and len(p) == 2 and isinstance(p[0], str)
