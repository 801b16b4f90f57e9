"""Modules as functions of their parameters: one call with other ones, and many modules as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..core.value import make_leaf
from ..errors import ArgumentError, StateError
from ..ops.joining import stack
from ..tensor import Tensor
from .module import Module

Named = Mapping[str, Tensor]


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Named | Sequence[Named],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """``module(*args, **kwargs)`` with other tensors in place of parameters and buffers.

    They are named as in ``state_dict``; what is not named stays. `args` is a tuple, or one
    argument. With `tie_weights`, a tensor that the module holds under several names is replaced
    under all of them. With `strict`, StateError unless all are named; in any case for names that
    the module does not have.

    >>> net = cr.nn.Linear(2, 1, bias=False)
    >>> functional_call(net, {"weight": ones(1, 2)}, tensor([3.0, 4.0]))
    tensor([7.])
    """
    dicts = parameter_and_buffer_dicts
    given: dict[str, Tensor] = {}
    for part in [dicts] if isinstance(dicts, Mapping) else dicts:
        if doubled := given.keys() & part.keys():
            raise ArgumentError(
                "functional_call() was given a name twice", got=", ".join(sorted(doubled))
            )
        given.update(part)
    passed = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(module, given, tie_weights, strict):
        return module(*passed, **(kwargs or {}))


@contextmanager
def _replaced(
    module: Module, given: dict[str, Tensor], tie_weights: bool, strict: bool
) -> Iterator[None]:
    """Put the tensors into the modules' places while the block runs."""
    places = _places(module)
    unknown = sorted(given.keys() - places.keys())
    missing = sorted(places.keys() - given.keys()) if strict else []
    if unknown or missing:
        raise StateError(
            f"these are not the parameters and buffers of {type(module).__name__}",
            expected=f"also {', '.join(missing[:6])}" if missing else ", ".join(list(places)[:6]),
            got=", ".join(unknown[:6]) or None,
        )
    new = {id(places[name][0][places[name][1]]): value for name, value in given.items()}
    saved = []
    try:
        for name, (members, key) in places.items():
            value = given.get(name, new.get(id(members[key])) if tie_weights else None)
            if value is not None:
                saved.append((members, key, members[key]))
                members[key] = value
        yield
    finally:
        for members, key, old in reversed(saved):
            members[key] = old


def _places(module: Module) -> dict[str, tuple[dict[str, Any], str]]:
    """Where the module holds each of its parameters and buffers, by dotted name."""
    found: dict[str, tuple[dict[str, Any], str]] = {}
    for path, owner in module.named_modules(remove_duplicate=False):
        start = path + "." if path else ""
        members: dict[str, Any]
        for members in (owner._parameters, owner._buffers):
            found |= {start + key: (members, key) for key, x in members.items() if x is not None}
    return found


def stack_module_state(
    models: Sequence[Module],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters and the buffers of modules of one kind, stacked along a new first axis.

    With ``functional_call`` under ``vmap`` they run as one. The stacked parameters are leaves that
    want gradients if the modules' do. Raises ArgumentError for no modules, or of several kinds.

    >>> params, buffers = stack_module_state([cr.nn.Linear(2, 3) for _ in range(4)])
    >>> params["weight"].shape
    (4, 3, 2)
    """
    if not models:
        raise ArgumentError("stack_module_state() needs at least one module", got="none")
    kinds = {type(model).__name__ for model in models}
    if len({type(model) for model in models}) > 1:
        raise ArgumentError("modules to stack are of one kind", got=", ".join(sorted(kinds)))
    parameters = {
        name: _stacked([dict(model.named_parameters())[name] for model in models], name)
        for name, _ in models[0].named_parameters()
    }
    buffers = {
        name: stack([dict(model.named_buffers())[name].detach() for model in models], 0)
        for name, _ in models[0].named_buffers()
    }
    return parameters, buffers


def _stacked(parameters: Sequence[Tensor], name: str) -> Tensor:
    wanting = {p.requires_grad for p in parameters}
    if len(wanting) > 1:
        raise ArgumentError(
            "modules to stack want gradients of the same parameters", got=f"{name}: some do"
        )
    whole: Tensor = stack([p.detach() for p in parameters], 0)
    if wanting.pop():
        make_leaf(whole)
    return whole
