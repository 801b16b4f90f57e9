"""``@compile``: a function is traced once for each kind of call, and its graphs are run."""

from __future__ import annotations

import copy
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import update_wrapper
from types import MethodType
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast, final, runtime_checkable
from weakref import WeakSet

from .. import config
from ..core.apply import warn
from ..core.graph import Graph
from ..core.observation import observation
from ..core.value import Value, configuration, tape
from ..errors import FirstCallError, TracingError
from . import executable
from .executable import Executable, Interpreter
from .guards import Reasons, names_read, objects_read
from .native import NativeExecutable
from .profile import Profile, Watched, profile
from .recording import Recording, record
from .trees import LEAF, Structure, flatten
from .variant import MISS, Variant

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

MANY_TRACES = 8
"""After so many traces of a function, a warning says what keeps changing."""
MOST_TRACES = 16
"""Calls that none of so many traces holds for run eagerly."""

_living: WeakSet[Any] = WeakSet()
"""All compiled functions."""


_pauses: list[None] = []
"""Not empty while collections wait for a trace."""


@contextmanager
def _without_collections() -> Iterator[None]:
    """Let no collection of garbage happen: a trace makes many objects, and most of them stay.

    Looking through all of them again and again takes a sixth of a first step from the cache.
    """
    if not gc.isenabled():
        yield
        return
    _pauses.append(None)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        _pauses.clear()


@runtime_checkable
class _Module(Protocol):
    """What is compiled by compiling its ``forward``."""

    forward: Callable[..., Any]

    def named_parameters(self) -> Any:
        """Its parameters by name."""


@final
class Compiled(Generic[P, R]):
    """A compiled function; ``compile`` makes it. Call it as the function itself.

    With `pure`, TracingError is raised for a function that assigns attributes of modules, which it
    would do in the trace only.
    """

    def __init__(self, fn: Callable[P, R], *, pure: bool = False) -> None:
        update_wrapper(self, fn)
        self._fn = fn
        self._pure = pure
        self._variants: list[Variant] = []
        self._last: Callable[[Sequence[Any]], Any] | None = None
        self._flat = -1
        """How many arguments the last variant takes if they are plain leaves, else -1."""
        self._retraces: Reasons = []
        self._traces = 0
        self._choices: dict[Structure, _Choices] = {}
        self._warned: set[str] = set()
        self._calls = threading.RLock()
        """Held during a call: threads that call one function take turns."""
        _living.add(self)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of the function, and all that it does to tensors."""
        if tape.graph is not None or observation.by is not None:
            return self._fn(*args, **kwargs)
        with self._calls:
            if len(args) == self._flat and not kwargs:
                result = self._last(args)  # type: ignore[misc]  # there is one
                if result is not MISS:
                    return result  # type: ignore[no-any-return]  # what `fn` returns
            return self._look_up(args, kwargs)  # type: ignore[no-any-return]

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __deepcopy__(self, memo: dict[int, object]) -> Compiled[P, R]:
        return Compiled(copy.deepcopy(self._fn, memo), pure=self._pure)

    def why_recompiled(self) -> list[str]:
        """What changed, in words, each time that none of the traces held for a call.

        >>> @cr.compile
        ... def double(x):
        ...     return x * 2
        >>> y = double(ones(3)), double(ones(4))
        >>> double.why_recompiled()
        ['argument 0: float32[3] became float32[4]']
        """
        return list(self._retraces)

    def profile(self, *args: Any, repeats: int = 20, **kwargs: Any) -> Profile:
        """Time every kernel of a call with these arguments, and what the machine could do at best.

        It runs on copies: no tensor, gradient, optimizer state or generator changes. What the call
        would trace is traced, and stays for later calls. The backward pass of a result that wants a
        gradient is not part of it. Raises ArgumentError if NumPy runs the function.

        >>> @cr.compile
        ... def affine(x, w):
        ...     return cr.relu(x @ w + 1)
        >>> found = affine.profile(ones(64, 64), ones(64, 64))
        >>> found.kernels, found.rows[0].operations
        (1, 'matmul + relu + add')
        """
        leaves, structure = flatten((args, kwargs))
        for variant in self._variants:
            if variant.structure == structure and variant.holds(leaves):
                break
        else:
            variant = self._traced(leaves, structure)
            self._traces += 1
            self._variants.append(variant)
        return profile(self._name, variant.executable, variant.example(leaves), repeats)

    @property
    def traces(self) -> int:
        """How often the function was traced."""
        return self._traces

    def _look_up(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the variant that holds for a call, or make one."""
        leaves, structure = flatten((args, kwargs))
        for variant in self._variants:
            if variant.structure == structure:
                result = variant(leaves)
                if result is not MISS:
                    self._prefer(variant, args, kwargs)
                    return result
        self._explain(leaves, structure)
        if self._traces >= MOST_TRACES:
            return self._fn(*args, **kwargs)
        try:
            variant = self._traced(leaves, structure)
        except FirstCallError:  # the next call can be traced
            return self._fn(*args, **kwargs)
        self._traces += 1
        result = variant(leaves)
        assert result is not MISS, variant.reasons(leaves)
        self._prefer(variant, args, kwargs)
        return result

    def _prefer(self, variant: Variant, args: Any, kwargs: Any) -> None:
        """Try this variant first in the next call."""
        if variant in self._variants:
            self._variants.remove(variant)
        self._variants.insert(0, variant)
        self._last = variant.__call__
        plain = variant.structure[2][0][2]
        self._flat = len(args) if not kwargs and all(part is LEAF for part in plain) else -1

    # Tracing --------------------------------------------------------------------------------------

    @_without_collections()
    def _traced(self, leaves: Sequence[Any], structure: Structure) -> Variant:
        choices = self._choices.setdefault(structure, _Choices())
        exact = False
        while True:
            version = configuration.version
            try:
                recording = record(
                    self._fn, leaves, structure,
                    parts=[getattr(self._fn, "__self__", None)],
                    dynamic=choices.dynamic, fixed=choices.fixed, exact=exact,
                )  # fmt: skip
            except TracingError:
                if not choices.dynamic:
                    raise
                choices.constant |= choices.dynamic  # they decide what is computed
                choices.dynamic.clear()
                continue
            if self._pure and configuration.version != version:
                recording.tracer.discard()
                raise TracingError(
                    "attributes of a module are assigned in its forward pass",
                    hint="this would happen in the first call only",
                )
            aliases = recording.aliases(leaves)
            if not aliases and not recording.cells.touched:
                return self._variant(recording, leaves, structure)
            recording.tracer.discard()
            choices.fixed |= aliases
            exact = not aliases

    def _variant(
        self, recording: Recording, leaves: Sequence[Any], structure: Structure
    ) -> Variant:
        labels = _Labels(self._fn, recording)
        return Variant(recording, leaves, structure, names_read(self._fn), labels, self._build)

    def _build(self, graph: Graph, donations: Mapping[int, int], results: int) -> Executable:
        """What runs a graph; if the compiler fails, NumPy does, and one warning says so."""
        start = time.perf_counter()
        built: Executable
        try:
            built = executable.build(graph, donations, results=results)
        except Exception as failure:  # noqa: BLE001  a defect of ours is not to stop a training
            self._warn("build", f"NumPy runs {self._name}, for the compiler failed: "
                       f"{type(failure).__name__}: {failure}")  # fmt: skip
            built = Interpreter(graph)
        level = config.debug_level()
        if level >= 1:
            steps = "a program for NumPy"
            if isinstance(built, NativeExecutable):
                steps = f"{len(built.planned)} kernels"
            print(
                f"chainrule: {self._name}: {len(graph.equations)} operations became {steps} in "
                f"{1e3 * (time.perf_counter() - start):.0f} ms",
                file=sys.stderr,
            )
        return Watched(self._name, built) if level >= 2 else built

    # Saying why -----------------------------------------------------------------------------------

    @property
    def _name(self) -> str:
        return getattr(self._fn, "__qualname__", type(self._fn).__name__)

    def _explain(self, leaves: Sequence[Any], structure: Structure) -> None:
        """Note why no variant holds for a call: what tells it from the one that is closest."""
        if not self._variants:
            return
        alike = [v for v in self._variants if v.structure == structure]
        if not alike:
            reasons = ["the arguments are nested in another way"]
        else:
            closest = min(alike, key=lambda v: len(v.reasons(leaves)))
            reasons = closest.reasons(leaves)
            self._choices[structure].learn(closest, leaves)
        said = "; ".join(reasons)
        self._retraces.append(said)
        if config.debug_level() >= 1:
            print(f"chainrule: {self._name} is traced again: {said}", file=sys.stderr)
        if self._traces >= MANY_TRACES:
            self._warn(
                "many",
                f"{self._name} was traced {self._traces} times, now because {reasons[0]}; after "
                f"{MOST_TRACES} traces, calls that differ from all of them run eagerly",
            )

    def _warn(self, kind: str, message: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            warn(message)


class _Choices:
    """What to do with arguments of one structure, learnt from traces."""

    def __init__(self) -> None:
        self.dynamic: set[int] = set()
        """Floats that changed: inputs from now on."""
        self.constant: set[int] = set()
        """Floats that cannot be inputs."""
        self.fixed: set[int] = set()
        """Tensors that the function also gets at in other ways."""

    def learn(self, variant: Variant, leaves: Sequence[Any]) -> None:
        """A float that changed once is likely to change again."""
        for i, (guard, leaf) in enumerate(zip(variant.leaves, leaves, strict=True)):
            is_float = isinstance(guard.value, float) and isinstance(leaf, float)
            if is_float and guard.reason(leaf) and i not in self.constant:
                self.dynamic.add(i)


class _Labels:
    """How reasons call a module, an optimizer, a group of it, or a tensor."""

    def __init__(self, fn: Callable[..., Any], recording: Recording) -> None:
        self._names = objects_read(fn)
        parts = list(recording.tracer.visited.values())
        known = [part for part in parts if id(part) in self._names]
        for part in [*known, *parts]:
            label = self(part)
            for name, value in part.configuration().items():
                self._names.setdefault(id(value), f"{label}.{name}")

    def __call__(self, part: object) -> str:
        name = self._names.get(id(part))
        if name is not None:
            return name
        return "a tensor" if isinstance(part, Value) else type(part).__name__


def compile(fn: F) -> F:
    """`fn`, traced in its first call into a graph that later calls run.

    `fn` may be a whole training step, written as for eager use: zero_grad, forward, backward,
    clipping, optimizer.step(). Parameters, gradients, buffers, optimizer states and generators are
    found by themselves; after a call they hold what the eager step would have left there. A module
    is compiled by compiling its ``forward``, and returned.

    Python code, prints and hooks run only in the trace. The call in which a lazy layer takes on its
    shapes runs eagerly, and the next one is traced. A call of another kind is traced too:
    other shapes, dtypes, numbers that are not tensors, train() or eval(); ``why_recompiled()``
    tells. Rates of optimizers may change without that.

    Raises TracingError, with the line, where `fn` asks for a tensor's numbers.

    >>> model = cr.nn.Linear(2, 1)
    >>> optimizer = cr.optim.SGD(model.parameters(), lr=0.1)
    >>> @cr.compile
    ... def step(x, y):
    ...     optimizer.zero_grad()
    ...     loss = cr.nn.functional.mse_loss(model(x), y)
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> x, y = rand(8, 2), rand(8, 1)
    >>> losses = [step(x, y).item() for _ in range(20)]
    >>> losses[-1] < losses[0]
    True
    """
    if isinstance(fn, Compiled):
        return fn
    if isinstance(fn, _Module):
        if not isinstance(fn.forward, Compiled):
            fn.forward = Compiled(fn.forward)
        return fn
    return cast(F, Compiled(fn))


def _after_fork() -> None:
    # A lock that another thread held at the fork would never be released in the child.
    for compiled in list(_living):
        compiled._calls = threading.RLock()
    if _pauses:  # another thread was tracing
        _pauses.clear()
        gc.enable()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
