"""Cures: observers that change one thing in a running program, so that a remedy can be tried.

Each runs the user's program again, from the same seeds, in a copy of its model: the program builds
its own. A cure logs the loss of every step, as a run without one does.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from ... import ops
from ...core.apply import apply
from ...core.observation import Observer
from ...core.op import Op
from ...core.value import Node, Value, recording, tape
from ...tensor import DataHandle, Tensor
from .places import here
from .reading import LAYERS, all_but_features
from .recorder import Enough


class Trial(Observer):
    """A run of so many updates whose losses are logged; without a cure: the run as it is."""

    comparable = True
    """Whether the loss is the same function as without the cure."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.limit = 0
        self._thread = threading.get_ident()
        self._values: dict[Node, Any] = {}
        self._pending = 0.0
        self._inside = False

    def operation(self, op: Op, operands: Sequence[Any], result: Any) -> Any:
        if self._inside or threading.get_ident() != self._thread:
            return result
        self._inside = True
        try:
            changed = self.replaced(op, operands)
        finally:
            self._inside = False
        result = result if changed is None else changed
        for y in result if isinstance(result, tuple) else (result,):
            if y.node is not None and y.array.size == 1:
                self._values[y.node] = y.array
        return result

    def replaced(self, op: Op, operands: Sequence[Any]) -> Any:
        """What takes the place of the result of an operation; None: nothing."""

    def backward(self, order: Sequence[Node], roots: Sequence[Node], wanted: object) -> None:
        for root in roots:
            value = self._values.get(root)
            self._pending += math.nan if value is None else float(value.sum())
        self._values.clear()

    def update(self, optimizer: Any, step: Callable[[], None]) -> None:
        self.losses.append(self._pending)
        self._pending = 0.0
        self.treat(optimizer, step)
        if len(self.losses) >= self.limit:
            raise Enough

    def treat(self, optimizer: Any, step: Callable[[], None]) -> None:
        """Make the update."""
        step()


class Rate(Trial):
    """The learning rate times a factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def treat(self, optimizer: Any, step: Callable[[], None]) -> None:
        groups = optimizer.param_groups
        rates = [group["lr"] for group in groups]
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate * self.factor
        step()
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate


class Hold(Trial):
    """The learning rate does not fall."""

    def __init__(self) -> None:
        super().__init__()
        self._highest: dict[int, float] = {}

    def treat(self, optimizer: Any, step: Callable[[], None]) -> None:
        groups = optimizer.param_groups
        rates = [group["lr"] for group in groups]
        for i, group in enumerate(groups):
            group["lr"] = self._highest[i] = max(self._highest.get(i, 0.0), float(rates[i]))
        step()
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate


class Clear(Trial):
    """Gradients are forgotten after each step."""

    def treat(self, optimizer: Any, step: Callable[[], None]) -> None:
        step()
        for group in optimizer.param_groups:
            for p in group["params"]:
                p._grad = None


class Clip(Trial):
    """Gradients are clipped to a norm, all together."""

    def __init__(self, norm: float) -> None:
        super().__init__()
        self.norm = norm

    def treat(self, optimizer: Any, step: Callable[[], None]) -> None:
        grads = [
            p._grad for g in optimizer.param_groups for p in g["params"] if p._grad is not None
        ]
        total = math.sqrt(sum(float(np.vdot(g.array, g.array)) for g in grads))
        if total > self.norm or not math.isfinite(total):
            factor = self.norm / total if math.isfinite(total) else 0.0
            for g in grads:
                g.array = np.nan_to_num(g.array) * g.array.dtype.type(factor)
        step()


class _AtPlace(Trial):
    """Base of cures for the operations at one place."""

    def __init__(self, key: tuple[Any, ...]) -> None:
        super().__init__()
        self.key = key

    def is_there(self, op: Op) -> bool:
        """Whether the operation in progress is at the place."""
        return is_at(self.key, op)


def is_at(key: tuple[Any, ...], op: Op) -> bool:
    """Whether the operation in progress is the one with this key (see ``flow.Record.key``)."""
    path, name, file, function, instruction = key[:5]
    if op.name != name:
        return False
    site, _ = here()
    now = "" if tape.scope is None else tape.scope.path()
    code = site.code
    return (path, file, function, instruction) == (
        now, code.co_filename, code.co_name, site.instruction
    )  # fmt: skip


class Without(_AtPlace):
    """Without the activation at a place."""

    def replaced(self, op: Op, operands: Sequence[Any]) -> Any:
        return operands[0] if self.is_there(op) else None


class Fit(_AtPlace):
    """The second operand in the shape of the first."""

    def replaced(self, op: Op, operands: Sequence[Any]) -> Any:
        if not self.is_there(op):
            return None
        a, b = operands
        return apply(op, a, ops.reshape(b, a.shape))


class LogSoftmaxBefore(Trial):
    """Scores become log-probabilities before they are picked by label."""

    comparable = False

    def replaced(self, op: Op, operands: Sequence[Any]) -> Any:
        _, loss = here()
        if op.name != "gather" or loss is None or loss.f_code.co_name != "nll_loss":
            return None
        return apply(op, ops.log_softmax(operands[0], 1), *operands[1:])


class Guard(Trial):
    """The operand of a logarithm, root or division kept away from zero."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def replaced(self, op: Op, operands: Sequence[Any]) -> Any:
        if op.name != self.name:
            return None
        x = operands[-1]
        if not isinstance(x, Value) or op.name not in ("log", "sqrt", "div", "reciprocal", "rsqrt"):
            return None
        return apply(op, *operands[:-1], ops.maximum(x, 1e-6))


class Leaky(Trial):
    """ReLUs let a little through."""

    def replaced(self, op: Op, operands: Sequence[Any]) -> Any:
        return ops.leaky_relu(operands[0], 0.01) if op.name == "relu" else None


class _Anew(Trial):
    """Base of cures that give weights new initial values, when a layer first uses them."""

    clears_biases = False

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[int, Any] = {}
        self._random = np.random.default_rng(0)

    def module_call(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self.losses and (tape.scope is None or tape.scope.outer is None):
            for p in module.parameters():
                self._renew(p)

    def replaced(self, op: Op, operands: Sequence[Any]) -> Any:
        if self.losses or op.name not in LAYERS:
            return None
        fresh = [x for x in operands if isinstance(x, Tensor) and x.is_leaf and x.requires_grad
                 and id(x) not in self._seen]  # fmt: skip
        for x in fresh:
            self._renew(x)
        return apply(op, *operands) if fresh else None

    def _renew(self, p: Any) -> None:
        if id(p) in self._seen:
            return
        self._seen[id(p)] = p
        if p.array.ndim >= 2:
            p.array = self.drawn(p.array)
        elif self.clears_biases and not np.all(p.array == 1):  # ones: a gain
            p.array = np.zeros_like(p.array)

    def drawn(self, old: Any) -> Any:
        """New values in place of `old`."""
        raise NotImplementedError


class Revive(_Anew):
    """Initial weights of variance 2 / fan_in (He et al. 2015), biases zero."""

    clears_biases = True

    def drawn(self, old: Any) -> Any:
        rows = fan_in(old.shape)
        scale = math.sqrt(2.0 / rows)
        return (self._random.standard_normal(old.shape) * scale).astype(old.dtype)


class Rectify(Revive):
    """The same, and ReLU in place of the activations at some places."""

    def __init__(self, places: Collection[tuple[Any, ...]]) -> None:
        super().__init__()
        self.places = set(places)

    def replaced(self, op: Op, operands: Sequence[Any]) -> Any:
        if op.name in ("sigmoid", "tanh") and any(is_at(key, op) for key in self.places):
            return ops.relu(operands[0])
        return super().replaced(op, operands)


class Orthogonal(_Anew):
    """Square weights orthogonal; others as they are."""

    def drawn(self, old: Any) -> Any:
        if old.ndim != 2 or old.shape[0] != old.shape[1]:
            return old
        q, _ = np.linalg.qr(self._random.standard_normal(old.shape))
        return q.astype(old.dtype)


class Standardise(Trial):
    """The data that the first layer gets, with mean 0 and variance 1 for each feature."""

    def __init__(self) -> None:
        super().__init__()
        self._mean: Any = None
        self._std: Any = None
        self._site: Any = None

    def replaced(self, op: Op, operands: Sequence[Any]) -> Any:
        if op.name not in LAYERS or op.name == "embedding":
            return None
        x = operands[0]
        array = x.array if isinstance(x, Value) else x
        is_data = isinstance(array, np.ndarray) and array.ndim >= 2 and array.dtype.kind == "f"
        if not is_data or (isinstance(x, Value) and x.node is not None):
            return None
        if not any(isinstance(w, Value) and w.node is not None for w in operands[1:]):
            return None
        site, _ = here()
        key = (site.code, site.instruction, op.name, tape.scope and tape.scope.path())
        if self._site is None:
            self._site = key
            axes = all_but_features(op, array.ndim)
            self._mean = array.mean(axis=axes, keepdims=True)
            std = array.std(axis=axes, keepdims=True)
            self._std = np.where(std > 0, std, 1).astype(array.dtype)
        if key != self._site or array.ndim != self._mean.ndim or any(
            n not in (1, m) for n, m in zip(self._mean.shape, array.shape, strict=True)
        ):  # fmt: skip
            return None
        return apply(op, Tensor.wrap((array - self._mean) / self._std), *operands[1:])


class Uncut(Trial):
    """Nothing is cut off: detach(), .data and no_grad() in a module's call have no effect."""

    def cut(self, tensor: Value, how: str) -> Any:
        return tensor if how == "detach()" and tape.recording else None

    def replaced(self, op: Op, operands: Sequence[Any]) -> Any:
        if tape.scope is None or not op.differentiable:
            return None
        if tape.recording:
            whole = [_computed(x) for x in operands]
            same = all(x is y for x, y in zip(whole, operands, strict=True))
            return None if same else apply(op, *whole)
        if not any(isinstance(x, Value) and x.node is not None for x in operands):
            return None
        with recording(True):
            return apply(op, *operands)


def _computed(x: Any) -> Any:
    """The tensor that ``.data`` was taken of, if it was computed."""
    owner = x._owner if isinstance(x, DataHandle) else None
    return x if owner is None or owner.node is None or owner.is_leaf else owner


class AddParameters(Trial):
    """Every parameter that gets a gradient is given to the optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self._reached: dict[int, Any] = {}

    def backward(self, order: Sequence[Node], roots: Sequence[Node], wanted: object) -> None:
        super().backward(order, roots, wanted)
        for node in order:
            p = None if node.op is not None or node.variable is None else node.variable()
            if p is not None:
                self._reached[id(p)] = p

    def treat(self, optimizer: Any, step: Callable[[], None]) -> None:
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        missing = [p for key, p in self._reached.items() if key not in held]
        if missing:
            optimizer.add_param_group({"params": missing})
        step()
        for p in missing:
            p._grad = None


class Wake(AddParameters):
    """Nothing is frozen, and no rate is zero."""

    def module_call(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if tape.scope is None or tape.scope.outer is None:
            for p in module.parameters():
                if p.node is None and p.array.dtype.kind == "f":
                    p.requires_grad_(True)

    def treat(self, optimizer: Any, step: Callable[[], None]) -> None:
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        usual = max(rates) or 1e-3
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] or usual
        super().treat(optimizer, step)


class Keep(Trial):
    """What an update made of the parameters is there in the next step."""

    def __init__(self) -> None:
        super().__init__()
        self._made: list[tuple[Any, Any]] = []

    def module_call(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for p, array in self._made:
            p.array = array

    def treat(self, optimizer: Any, step: Callable[[], None]) -> None:
        step()
        self._made = [(p, p.array) for g in optimizer.param_groups for p in g["params"]]


class TrainMode(Trial):
    """Whatever is recorded runs in training mode."""

    comparable = False

    def module_call(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if tape.recording and (tape.scope is None or tape.scope.outer is None):
            module.train(True)


class Shuffle(Trial):
    """Loaders shuffle."""

    comparable = False

    def batches(self, loader: Any) -> None:
        if loader.sampler is None and loader.batch_sampler is None:
            loader.shuffle = True


def fan_in(shape: Sequence[int]) -> int:
    """How many inputs a unit of a layer has: weights are (out, in, …)."""
    return max(1, int(np.prod(shape[1:])))
