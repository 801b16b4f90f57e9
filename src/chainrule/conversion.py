"""Numbers in and out: from Python's and NumPy's to what tensors hold, and back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import config
from .core.aval import Array, DType, describe
from .core.observation import observation
from .core.value import Symbol, Value, tape
from .errors import ChainruleError, DTypeError, GradientError, ShapeError
from .numpy_protocol import dispatch_function, dispatch_ufunc
from .ops.movement import cast


def as_array(data: Any, dtype: DType | type | None = None) -> Any:
    """A fresh NumPy array of numbers from anything that describes one.

    Raises ShapeError for ragged sequences, DTypeError for what is not a number or does not fit.
    """
    if isinstance(data, Value):
        if data.node is not None and observation.by is not None:
            observation.by.cut(data, "a copy by tensor()")
        data = data.array
    if isinstance(data, Symbol):
        wanted = config.get_default_dtype() if dtype is None and data.weak else dtype
        return data if wanted is None else cast(data, wanted)
    if isinstance(data, (list, tuple)):
        data = [_plain_item(item) for item in data]
    try:
        array = np.array(data, dtype=dtype)
    except ChainruleError:
        raise
    except OverflowError as failure:
        raise DTypeError(f"a number does not fit: {failure}") from failure
    except (ValueError, TypeError) as failure:
        raise ShapeError(f"this is not an array: {failure}") from failure
    if dtype is None and array.dtype == np.float64 and not _has_float64(data):
        array = array.astype(config.get_default_dtype())
    if array.dtype.kind not in "biuf" or not array.dtype.isnative:
        raise DTypeError(
            "a tensor holds numbers in native byte order",
            got=f"dtype {array.dtype}",
        )
    return array


def _plain_item(item: Any) -> Any:
    if isinstance(item, Value):
        return item.array
    return [_plain_item(x) for x in item] if isinstance(item, (list, tuple)) else item


def _has_float64(data: Any) -> bool:
    """Whether float64 was chosen somewhere inside, by an array or a NumPy number."""
    if isinstance(data, (list, tuple)):
        return any(_has_float64(item) for item in data)
    return isinstance(data, (np.ndarray, np.generic)) and data.dtype == np.float64


class Leaving(Value):
    """Mixin of the ways back to Python and NumPy."""

    __slots__ = ()

    def numpy(self) -> np.ndarray[Any, DType]:
        """A copy as a NumPy array. Raises GradientError if a gradient would silently be lost."""
        return np.array(self._plain("numpy()"))

    def _plain(self, wish: str) -> Array:
        if self.node is not None and tape.recording:
            raise GradientError(
                f"{wish} would leave the graph, and the gradient with it",
                hint="say so: x.detach().numpy()",
            )
        if observation.by is not None:
            observation.by.cut(self, wish)
        return self.array  # type: ignore[no-any-return]  # an array

    def item(self) -> Any:
        """The one element as a Python number. Raises ShapeError if there are more."""
        if math.prod(self.shape) != 1:
            raise ShapeError("item() needs a tensor of one element", got=describe(self))
        if observation.by is not None:
            observation.by.cut(self, "item()")
        return self.array.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        if observation.by is not None:
            observation.by.cut(self, "tolist()")
        return self.array.tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, DType]:
        return np.array(self._plain("np.asarray()"), dtype=dtype)

    def __dlpack__(self, **options: Any) -> Any:
        """A copy of the numbers for another library: ``torch.from_dlpack(x)``."""
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        """The processor, as DLPack numbers devices."""
        return (1, 0)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *xs: Any, **kwargs: Any) -> Any:
        return dispatch_ufunc(ufunc, method, xs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return dispatch_function(func, args, kwargs)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise DTypeError("only integer tensors of one element are an index", got=describe(self))
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __contains__(self, value: Any) -> bool:
        return bool((self.array == (value.array if isinstance(value, Value) else value)).any())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.ndim == 0 else super().__format__(spec)
