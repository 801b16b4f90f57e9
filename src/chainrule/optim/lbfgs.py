"""L-BFGS: a quasi-Newton method for losses of all the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from ..core.aval import Data
from ..core.value import recording, tape
from ..errors import ArgumentError, StateError, TracingError
from ..tensor import Tensor
from .hyper import Group, State, Update, require, require_rates
from .line_search import Point, strong_wolfe
from .optimizer import Optimizer, Params


@dataclass
class _Memory:
    """What is kept between iterations: the last direction, and pairs of changes."""

    n_iter: int = 0
    func_evals: int = 0
    d: Any = None
    t: float = 0.0
    old_dirs: list[Any] = field(default_factory=list)
    """Changes of the gradient, y."""
    old_stps: list[Any] = field(default_factory=list)
    """Changes of the parameters, s."""
    ro: list[Any] = field(default_factory=list)
    """1 / (y · s)."""
    H_diag: Any = 1.0
    """The scale of the first guess at the inverse Hessian, (y · s) / (y · y)."""
    prev_flat_grad: Any = None
    prev_loss: float = 0.0


@final
class LBFGS(Optimizer):
    """Steps along -H g, with H an estimate of the inverse Hessian from the last changes of θ and g.

    ``step(closure)`` needs a closure that clears the gradients, computes the loss, calls
    ``backward`` and returns the loss; it runs up to `max_eval` times (default 1.25 `max_iter`), for
    up to `max_iter` iterations, until the gradient is below `tolerance_grad` or changes below
    `tolerance_change`. `line_search_fn` is None, for steps of length `lr`, or ``"strong_wolfe"``.
    There is one parameter group. D. Liu, J. Nocedal, "On the limited memory BFGS method for large
    scale optimization" (1989); J. Nocedal, S. Wright (2006), algorithms 7.4 and 7.5.

    How often it evaluates the loss depends on the numbers, so its step does not compile: the
    closure may.

    >>> w = tensor([3.0, -2.0], requires_grad=True)
    >>> optimizer = cr.optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((w - 1.0) ** 2 * tensor([1.0, 10.0])).sum()
    ...     loss.backward()
    ...     return loss
    >>> _ = optimizer.step(closure)
    >>> bool(((w - 1.0).abs() < 1e-4).all())
    True
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )
        self._memory = _Memory()

    def check(self, group: Group) -> None:
        require_rates(group, "lr", "max_iter", "tolerance_grad", "tolerance_change", "history_size")
        known = (None, "strong_wolfe")
        require(group["line_search_fn"] in known, f"line_search_fn one of {known}",
                group["line_search_fn"])  # fmt: skip

    def add_param_group(self, param_group: Group) -> None:
        """Take the one group. Raises ArgumentError for a second one."""
        if self.param_groups:
            raise ArgumentError("LBFGS has one parameter group", got="another one")
        super().add_param_group(param_group)

    def slots(self, group: Group) -> tuple[str, ...]:
        return ()

    def update(self, param: Data, grad: Data, state: State, hyper: Group) -> Update:
        return param, {}

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Run iterations, each with one or more calls of `closure`; returns the first loss."""
        if closure is None:
            raise ArgumentError(
                "LBFGS computes the loss several times in a step", expected="step(closure)"
            )
        if tape.graph is not None:
            raise TracingError(
                "how often LBFGS evaluates the loss depends on numbers, so its step does not "
                "compile",
                hint="compile the closure's loss and gradients instead",
            )
        self.was_stepped = True
        self._call_hooks("before step", (closure,), {})
        first = _Run(self, closure).iterate()
        self._call_hooks("after step", (closure,), {})
        return first

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        if self._memory.func_evals:
            state["state"] = {0: {k: _shown(v) for k, v in vars(self._memory).items()}}
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        cells = dict(state_dict.get("state", {}))
        given = dict(cells.get(0, {}))
        fields = vars(_Memory())
        if set(cells) - {0} or (given and not set(given) <= {*fields, "al"}):
            raise StateError(
                "the state is of another algorithm",
                expected=", ".join(fields),
                got=", ".join(map(str, given)),
            )
        size = sum(p.numel() for p in self._parameters())
        memory = _Memory(**{k: _hidden(k, v, size) for k, v in given.items() if k in fields})
        super().load_state_dict({**state_dict, "state": {}})
        self._memory = memory


class _Run:
    """One call of ``step``: the parameters as one vector, and the loss as a function of it."""

    def __init__(self, optimizer: LBFGS, closure: Callable[[], Any]) -> None:
        self.group = optimizer.param_groups[0]
        self.params: list[Tensor] = self.group["params"]
        self.memory = optimizer._memory
        self.closure = closure
        self.loss: Any = None

    def evaluate(self) -> tuple[float, Any]:
        """The loss and the gradient here."""
        self.memory.func_evals += 1
        with recording(True):
            self.loss = self.closure()
        return float(self.loss), self.gradient()

    def gradient(self) -> Any:
        """All gradients as one vector; zeros for those that are not there."""
        return np.concatenate(
            [
                np.zeros(p.array.size, p.dtype) if p.grad is None else p.grad.array.reshape(-1)
                for p in self.params
            ]
        )

    def move(self, start: list[Any], t: float, d: Any) -> None:
        """Put the parameters at start + t d."""
        place = 0
        for p, array in zip(self.params, start, strict=True):
            part = d[place : place + array.size].reshape(array.shape)
            p.array = array + part.astype(array.dtype, copy=False) * array.dtype.type(t)
            place += array.size

    def iterate(self) -> Any:
        """Iterate until a tolerance or a limit is reached; the loss at the start."""
        group, memory = self.group, self.memory
        evaluations = memory.func_evals
        loss, g = self.evaluate()
        first = self.loss
        for n in range(1, group["max_iter"] + 1 if _largest(g) > group["tolerance_grad"] else 1):
            memory.n_iter += 1
            d = self._direction(g)
            memory.prev_flat_grad, memory.prev_loss = g, loss
            rate = float(group["lr"])
            t = min(1.0, 1.0 / float(np.abs(g).sum())) * rate if memory.n_iter == 1 else rate
            slope = float(g @ d)
            memory.d, memory.t = d, t
            if slope > -group["tolerance_change"]:
                break
            last = n == group["max_iter"]
            loss, g, memory.t = self._step(loss, g, d, t, slope, last)
            if (
                last
                or memory.func_evals - evaluations >= group["max_eval"]
                or _largest(g) <= group["tolerance_grad"]
                or _largest(d * memory.t) <= group["tolerance_change"]
                or abs(loss - memory.prev_loss) < group["tolerance_change"]
            ):
                break
        return first

    def _step(
        self, loss: float, g: Any, d: Any, t: float, slope: float, last: bool
    ) -> tuple[float, Any, float]:
        """Move along d: loss and gradient there, and how far it was."""
        start = [p.array for p in self.params]
        if self.group["line_search_fn"] is None:
            self.move(start, t, d)
            if last:  # nobody asks for the loss there
                return loss, g, t
            return (*self.evaluate(), t)

        def at(t: float) -> Point:
            self.move(start, t, d)
            value, gradient = self.evaluate()
            return Point(t, value, gradient, float(gradient @ d))

        found, _ = strong_wolfe(
            at, Point(0.0, loss, g, slope), t, _largest(d),
            tolerance=1e-9,
        )  # fmt: skip
        self.move(start, found.t, d)
        return found.value, found.gradient, found.t

    def _direction(self, g: Any) -> Any:
        """-H g, by the two loops over the pairs that are kept, after adding the last one."""
        memory = self.memory
        if memory.n_iter == 1:
            memory.H_diag = 1.0
            return -g
        y, s = g - memory.prev_flat_grad, memory.d * memory.t
        ys = y @ s
        if ys > 1e-10:  # the curvature is positive: the pair keeps H positive definite
            if len(memory.old_dirs) == self.group["history_size"]:
                for kept in (memory.old_dirs, memory.old_stps, memory.ro):
                    kept.pop(0)
            memory.old_dirs.append(y)
            memory.old_stps.append(s)
            memory.ro.append(1.0 / ys)
            memory.H_diag = ys / (y @ y)
        pairs = list(zip(memory.old_dirs, memory.old_stps, memory.ro, strict=True))
        q, shares = -g, []
        for y, s, ro in reversed(pairs):
            shares.append((s @ q) * ro)
            q = q - shares[-1] * y
        r = q * memory.H_diag
        for (y, s, ro), share in zip(pairs, reversed(shares), strict=True):
            r = r + s * (share - (y @ r) * ro)
        return r


def _largest(x: Any) -> float:
    return float(np.abs(x).max(initial=0.0))


def _shown(value: Any) -> Any:
    """A part of the memory as ``state_dict`` holds it: arrays as tensors."""
    if isinstance(value, list):
        return [_shown(v) for v in value]
    return Tensor(value) if isinstance(value, (np.ndarray, np.generic)) else value


def _hidden(name: str, value: Any, size: int) -> Any:
    """A part of a saved state as the memory holds it. Raises StateError for a wrong size."""
    if isinstance(value, (list, tuple)):
        return [_hidden(name, v, size) for v in value]
    if value is None or isinstance(value, (int, float)):
        return value
    array = np.array(np.asarray(value.array if isinstance(value, Tensor) else value))
    if array.ndim and array.shape != (size,):
        raise StateError(
            "a saved vector does not fit the parameters",
            expected=f"{name}: {size} elements",
            got=str(array.shape),
        )
    return array if array.ndim else array[()]
