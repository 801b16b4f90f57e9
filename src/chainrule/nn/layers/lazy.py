"""Lazy layers: the number of input features is read off the first input.

Until then their parameters are UninitializedParameter. The first call gives them their shapes, in
place, and the layer becomes one of its ordinary class; so does loading a state. PyTorch's advice
holds: run the network once before the optimizer is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, ClassVar

from ...core.aval import describe
from ...core.value import is_traced, recording
from ...errors import FirstCallError, ShapeError
from ..module import Module
from ..parameter import (
    UninitializedBuffer,
    UninitializedParameter,
)
from ..state import replace
from .convolution import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
from .linear import Linear
from .normalization import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)

_LEARNED = {"affine": True, "track_running_stats": True}
"""What lazy instance normalisations have by default, unlike the ordinary ones, as in PyTorch."""


class Lazy(Module):
    """What the lazy layers share: the arguments of the class they become, but for the first.

    `axis` of the input has the missing size; `defaults` are options that differ from the class's.
    """

    cls_to_become: ClassVar[type[Module]]
    axis: ClassVar[int]
    defaults: ClassVar[dict[str, Any]] = {}

    def __init__(self, *args: Any, device: Any = None, dtype: Any = None, **options: Any) -> None:
        Module.__init__(self)  # not that of the class it becomes, which needs the size
        given = signature(self.cls_to_become).bind_partial(1, *args).arguments
        defaults = {k: v for k, v in self.defaults.items() if k not in given}
        options = {**defaults, **options, "device": device, "dtype": dtype}
        self._arguments = (args, options)
        # a layer of the smallest size, to learn which parameters and buffers there are
        named = signature(self.cls_to_become).bind(1, *args, **options).arguments
        model = self._built(named.get("groups", 1))
        self._adopt(model)
        for name, parameter in model._parameters.items():
            blank = None if parameter is None else UninitializedParameter(dtype=parameter.dtype)
            self.register_parameter(name, blank)
        for name, buffer in model._buffers.items():
            if buffer is None or not buffer.ndim:
                self.register_buffer(name, buffer)
            else:
                self.register_buffer(name, UninitializedBuffer(dtype=buffer.dtype))
        self.register_load_state_dict_pre_hook(_take_shapes)

    def _built(self, size: int) -> Module:
        args, options = self._arguments
        cls: Callable[..., Module] = self.cls_to_become
        return cls(size, *args, **options)

    def _adopt(self, model: Module) -> None:
        """Take on the attributes of a module of the class to become."""
        kept = ("_parameters", "_buffers", "_modules", "_unsaved", "training", "_hooks")
        self.__dict__.update({k: v for k, v in vars(model).items() if k not in kept})

    def extra_repr(self) -> str:
        args, options = self._arguments
        given = [f"{k}={v!r}" for k, v in options.items() if v is not None]
        return ", ".join([*map(repr, args), *given])

    def has_uninitialized_params(self) -> bool:
        """Whether shapes are still unknown."""
        members = (*self._parameters.values(), *self._buffers.values())
        return any(isinstance(m, (UninitializedParameter, UninitializedBuffer)) for m in members)

    def initialize_parameters(self, input: Any) -> None:
        """Give parameters and buffers the shapes that `input` asks for, and initial values."""
        if not -input.ndim <= self.axis < input.ndim:
            raise ShapeError(f"{type(self).__name__} needs more axes", got=describe(input))
        model = self._built(int(input.shape[self.axis]))
        for mine, new in (
            *[(self._parameters[n], p) for n, p in model._parameters.items()],
            *[(self._buffers[n], b) for n, b in model._buffers.items()],
        ):
            if isinstance(mine, (UninitializedParameter, UninitializedBuffer)) and new is not None:
                mine.materialize(new.shape)
                with recording(False):
                    replace(mine, new.array.astype(mine.dtype))
        self._adopt(model)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take on shapes from the input, become ``cls_to_become``, and run that.

        Raises FirstCallError in a trace: initial values must not be drawn in each run of a graph.
        """
        given = args[0] if args else kwargs["input"]
        if is_traced(getattr(given, "array", given)):
            raise FirstCallError(
                f"{type(self).__name__} takes on its shapes in its first call, which is not traced",
                got=describe(given),
                hint="call the network once before",
            )
        self.initialize_parameters(given)
        del self._arguments
        if self._hooks is not None:
            hooks = self._hooks.loading
            for number in [n for n, hook in hooks.items() if hook is _take_shapes]:
                del hooks[number]
        self.__class__ = self.cls_to_become  # type: ignore[assignment]  # no longer lazy
        return self(*args, **kwargs)


def _take_shapes(module: Lazy, state_dict: Mapping[str, Any], prefix: str, *_: Any) -> None:
    """Before a state is loaded: give what has no shape that of the state."""
    for name, member in (*module._parameters.items(), *module._buffers.items()):
        given = state_dict.get(prefix + name)
        if given is not None and isinstance(member, (UninitializedParameter, UninitializedBuffer)):
            member.materialize(given.shape)


class LazyLinear(Lazy, Linear):
    """Linear whose `in_features` is the size of the first input's last axis.

    >>> layer = cr.nn.LazyLinear(3)
    >>> layer(zeros(2, 5)).shape, layer
    ((2, 3), Linear(in_features=5, out_features=3, bias=True))
    """

    cls_to_become = Linear
    axis = -1


class LazyConv1d(Lazy, Conv1d):
    """Conv1d whose `in_channels` is that of the first input."""

    cls_to_become = Conv1d
    axis = -2


class LazyConvTranspose1d(Lazy, ConvTranspose1d):
    """ConvTranspose1d whose `in_channels` is that of the first input."""

    cls_to_become = ConvTranspose1d
    axis = -2


class LazyConv2d(Lazy, Conv2d):
    """Conv2d whose `in_channels` is that of the first input."""

    cls_to_become = Conv2d
    axis = -3


class LazyConvTranspose2d(Lazy, ConvTranspose2d):
    """ConvTranspose2d whose `in_channels` is that of the first input."""

    cls_to_become = ConvTranspose2d
    axis = -3


class LazyConv3d(Lazy, Conv3d):
    """Conv3d whose `in_channels` is that of the first input."""

    cls_to_become = Conv3d
    axis = -4


class LazyConvTranspose3d(Lazy, ConvTranspose3d):
    """ConvTranspose3d whose `in_channels` is that of the first input."""

    cls_to_become = ConvTranspose3d
    axis = -4


class LazyBatchNorm1d(Lazy, BatchNorm1d):
    """BatchNorm1d whose `num_features` is the number of channels of the first input."""

    cls_to_become = BatchNorm1d
    axis = 1


class LazyInstanceNorm1d(Lazy, InstanceNorm1d):
    """InstanceNorm1d whose `num_features` is the number of channels of the first input."""

    cls_to_become = InstanceNorm1d
    axis = -2
    defaults = _LEARNED


class LazyBatchNorm2d(Lazy, BatchNorm2d):
    """BatchNorm2d whose `num_features` is the number of channels of the first input."""

    cls_to_become = BatchNorm2d
    axis = 1


class LazyInstanceNorm2d(Lazy, InstanceNorm2d):
    """InstanceNorm2d whose `num_features` is the number of channels of the first input."""

    cls_to_become = InstanceNorm2d
    axis = -3
    defaults = _LEARNED


class LazyBatchNorm3d(Lazy, BatchNorm3d):
    """BatchNorm3d whose `num_features` is the number of channels of the first input."""

    cls_to_become = BatchNorm3d
    axis = 1


class LazyInstanceNorm3d(Lazy, InstanceNorm3d):
    """InstanceNorm3d whose `num_features` is the number of channels of the first input."""

    cls_to_become = InstanceNorm3d
    axis = -4
    defaults = _LEARNED
