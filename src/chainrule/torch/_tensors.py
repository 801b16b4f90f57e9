"""``torch.Tensor`` as a class to call and to ask about, with its typed forms and ``Variable``.

Tensors are chainrule's. PyTorch's constructor takes sizes or data, and always gives its own type;
chainrule's takes data only. So the two are apart, and ``isinstance`` says the same of both.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import config
from ..creation import zeros
from ..errors import ArgumentError
from ..facts import Size, dtype_of_type, require_cpu
from ..tensor import Tensor as _Tensor

__all__ = [
    "BoolTensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor", "HalfTensor",
    "IntTensor", "LongTensor", "ShortTensor", "Tensor", "Variable", "is_tensor",
    "set_default_tensor_type", "typename",
]  # fmt: skip


class _Constructor(type):
    """The class of classes that make tensors of one type, and recognise them."""

    type_name: str | None

    def __new__(cls, name: str, bases: tuple[type, ...], members: dict[str, Any]) -> Any:
        if bases and members.get("__module__") != __name__:
            raise ArgumentError(
                f"{name}: classes of tensors of your own are not supported",
                hint="write a function, a module, or an autograd.Function",
            )
        return super().__new__(cls, name, bases, members)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, _Tensor) and cls._is_type(instance.dtype)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return type.__subclasscheck__(cls, subclass) or (
            cls.type_name is None and issubclass(subclass, _Tensor)
        )

    def _is_type(cls, dtype: Any) -> bool:
        return cls.type_name is None or bool(dtype == dtype_of_type(cls.type_name))

    def __call__(cls, *args: Any, device: Any = None, requires_grad: bool = False) -> _Tensor:
        """Zeros of the sizes given, or the numbers of one sequence, array or tensor."""
        require_cpu(device)
        name = cls.type_name
        dtype = config.get_default_dtype() if name is None else dtype_of_type(name)
        if len(args) == 1 and isinstance(args[0], (list, tuple, np.ndarray, _Tensor)):
            given = args[0]
            if isinstance(given, _Tensor) and given.dtype == dtype:
                return given.detach()
            if not isinstance(given, Size):
                return _Tensor(given, dtype, requires_grad)
        return zeros(*(args or (0,)), dtype=dtype, requires_grad=requires_grad)

    def __getattr__(cls, name: str) -> Any:
        return getattr(_Tensor, name)


class Tensor(metaclass=_Constructor):
    """``torch.Tensor(2, 3)``, ``torch.Tensor([1, 2])``: of the default floating-point type.

    >>> Tensor([1, 2])
    tensor([1., 2.])
    >>> isinstance(cr.ones(2), Tensor)
    True
    """

    type_name: str | None = None


class FloatTensor(Tensor):
    """float32."""

    type_name = "torch.FloatTensor"


class DoubleTensor(Tensor):
    """float64."""

    type_name = "torch.DoubleTensor"


class HalfTensor(Tensor):
    """float16."""

    type_name = "torch.HalfTensor"


class LongTensor(Tensor):
    """int64."""

    type_name = "torch.LongTensor"


class IntTensor(Tensor):
    """int32."""

    type_name = "torch.IntTensor"


class ShortTensor(Tensor):
    """int16."""

    type_name = "torch.ShortTensor"


class CharTensor(Tensor):
    """int8."""

    type_name = "torch.CharTensor"


class ByteTensor(Tensor):
    """uint8."""

    type_name = "torch.ByteTensor"


class BoolTensor(Tensor):
    """Truth values."""

    type_name = "torch.BoolTensor"


class _VariableMeta(_Constructor):
    """The class of ``Variable``: calling it cuts a tensor off from its graph."""

    def __call__(cls, *args: Any, **options: Any) -> _Tensor:
        return _variable(*args, **options)


def _variable(data: Any = None, requires_grad: bool = False, volatile: bool = False) -> _Tensor:
    source = zeros(0) if data is None else data
    new = source.detach() if isinstance(source, _Tensor) else _Tensor(source)
    return new.requires_grad_() if requires_grad and not volatile else new


class Variable(Tensor, metaclass=_VariableMeta):
    """``Variable(x, requires_grad=True)``: the numbers of x in a leaf; now a tensor like any."""


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a tensor."""
    return isinstance(obj, _Tensor)


def typename(obj: Any) -> str:
    """The type of an object as a text: ``torch.FloatTensor`` for a tensor."""
    if isinstance(obj, _Tensor):
        return str(obj.type())
    kind = obj if isinstance(obj, type) else type(obj)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def set_default_tensor_type(t: Any) -> None:
    """Let new floating-point tensors be of a type such as ``torch.DoubleTensor``."""
    config.set_default_dtype(dtype_of_type(t))
