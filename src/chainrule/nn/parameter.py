"""Parameters: the tensors that training changes."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

from .. import config
from ..core.value import Value, make_leaf
from ..creation import allocate
from ..errors import DTypeError
from ..tensor import Tensor
from .state import replace, target_dtype


class Parameter(Tensor):
    """A tensor that a Module lists among its parameters once it is assigned to an attribute.

    It holds a copy of `data`, and gradients with respect to it are computed unless `requires_grad`
    is False. Without data, it is empty. It takes attributes of any name.

    Raises DTypeError for integers that are to have a gradient.

    >>> cr.nn.Parameter(tensor([1.0, 2.0]))
    Parameter containing:
    tensor([1., 2.], requires_grad=True)
    """

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        if data is None:
            data = np.empty(0, config.get_default_dtype())
        source = data if isinstance(data, Value) else Tensor(data)
        if requires_grad and source.dtype.kind != "f":
            raise DTypeError(
                "a parameter that is trained must be of a floating-point type",
                got=str(source.dtype),
                hint="pass requires_grad=False, or convert the data first",
            )
        self.array = source.array.copy()
        self.node = None
        self._grad = None
        if requires_grad:
            make_leaf(self)

    def __copy__(self) -> Tensor:
        twin = super().__copy__()
        vars(twin).update(vars(self))
        return twin

    def __deepcopy__(self, memo: dict[int, object]) -> Tensor:
        twin = super().__deepcopy__(memo)
        vars(twin).update(deepcopy(vars(self), memo))
        return twin

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class UninitializedParameter(Parameter):
    """A parameter of a lazy layer, which has no shape yet: ``materialize`` gives it one."""

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(blank(0, dtype=dtype, device=device), requires_grad)

    def materialize(self, shape: tuple[int, ...], device: Any = None, dtype: Any = None) -> None:
        """Become a Parameter of zeros of this shape."""
        chosen = target_dtype((), {"dtype": dtype, "device": device}) or self.dtype
        replace(self, allocate(np.zeros, tuple(shape), chosen))
        self.__class__ = Parameter  # type: ignore[assignment]  # no longer lazy

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class Buffer(Tensor):
    """A tensor that a Module lists among its buffers once it is assigned to an attribute.

    With ``persistent=False`` it stays out of ``state_dict``.
    """

    def __init__(self, data: Any = None, *, persistent: bool = True) -> None:
        super().__init__(np.empty(0, config.get_default_dtype()) if data is None else data)
        self.persistent = persistent


class UninitializedBuffer(Buffer):
    """A buffer of a lazy layer, which has no shape yet: ``materialize`` gives it one."""

    def __init__(self, device: Any = None, dtype: Any = None) -> None:
        super().__init__(blank(0, dtype=dtype, device=device).detach())

    def materialize(self, shape: tuple[int, ...], device: Any = None, dtype: Any = None) -> None:
        """Become a Buffer of zeros of this shape."""
        chosen = target_dtype((), {"dtype": dtype, "device": device}) or self.dtype
        replace(self, allocate(np.zeros, tuple(shape), chosen))
        self.__class__ = Buffer  # type: ignore[assignment]  # no longer lazy


def blank(*shape: int, dtype: Any = None, device: Any = None) -> Parameter:
    """A parameter of zeros for a layer to initialise; `device` may only be the CPU.

    Raises ArgumentError for another device, DTypeError for a type that cannot be trained.
    """
    chosen = target_dtype((), {"dtype": dtype, "device": device}) or config.get_default_dtype()
    made = Parameter.__new__(Parameter)
    made.array = allocate(np.zeros, shape, chosen)
    made.node = None
    made._grad = None
    return made.requires_grad_()
