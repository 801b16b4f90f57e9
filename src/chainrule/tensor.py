"""Tensor: a cell with an array, operators, methods and a gradient.

Tensors are values. No tensor ever shares storage with another as the user sees it: slices and
reshapes are new values, and in-place methods give the cell a new value. So backward always sees the
numbers that forward used, and the "modified by an in-place operation" class of errors cannot occur.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, Self

import numpy as np

from . import config
from .core.apply import user_line
from .core.aval import Array, DType, describe
from .core.value import Node, Value, make_leaf, tape
from .engine.reverse import seed, sweep
from .errors import ArgumentError, DTypeError, GradientError, InPlaceError, ShapeError
from .methods import Methods
from .numpy_protocol import dispatch_function, dispatch_ufunc
from .ops import arithmetic, indexing, movement
from .printing import format_tensor


class Tensor(Methods, Value):
    """An n-dimensional array that remembers how it was computed.

    Parameters: `data`, a number, nested sequence, NumPy array or tensor (always copied); `dtype`
    (default: kept for arrays, float32 for Python floats, int64 for ints); `requires_grad`.

    Raises DTypeError for data that are not numbers, ShapeError for ragged sequences.

    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4., 6.])
    """

    __slots__ = ("_is_view",)
    _is_view: bool

    def __init__(
        self, data: Any, dtype: DType | type | None = None, requires_grad: bool = False
    ) -> None:
        self.array = as_array(data, dtype)
        self.node = None
        self._grad = None
        if requires_grad:
            self.requires_grad_()

    def _view(self, result: Self) -> Self:
        if result is not self:
            result._is_view = True
        return result

    # Gradients --------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded."""
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self.requires_grad_(wanted)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Ask for gradients with respect to this tensor, or no longer.

        Raises DTypeError for integers and GradientError for a tensor that was computed.
        """
        if not requires_grad:
            if not self.is_leaf:
                raise GradientError(
                    "a computed tensor cannot stop wanting a gradient", hint="use x.detach()"
                )
            self.node = None
        elif self.node is None:
            if self.dtype.kind != "f":
                raise DTypeError(
                    "only floating-point tensors can have gradients",
                    got=describe(self),
                    hint="x.float() makes a floating-point copy",
                )
            make_leaf(self)
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether this tensor was given, rather than computed from tensors that want gradients."""
        return self.node is None or self.node.op is None

    @property
    def grad_fn(self) -> Node | None:
        """The tape's node that computed this tensor, or None for a leaf."""
        return None if self.is_leaf else self.node

    @property
    def grad(self) -> Tensor | None:
        """The gradient accumulated by ``backward``, of the tensor's shape, or None."""
        return self._grad  # type: ignore[no-any-return]  # a Tensor or None

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and value.shape != self.shape:
            raise ShapeError(
                "a gradient has the shape of its tensor",
                expected=describe(self),
                got=describe(value),
            )
        self._grad = value

    def backward(
        self, gradient: Any = None, *, retain_graph: bool | None = None, create_graph: bool = False
    ) -> None:
        """Add dself/dx to ``x.grad`` for every leaf x that this tensor was computed from.

        `gradient` is the direction ct of ctᵀJ, of this tensor's shape; it may be left out for a
        scalar. Raises GradientError if nothing was recorded, FreedGraphError on a second walk
        without ``retain_graph=True``.
        """
        if self.node is None:
            raise GradientError(
                "backward() of a tensor that was not recorded",
                got=describe(self),
                at=user_line(),
                hint="no input has requires_grad=True, or it was computed under no_grad()",
            )
        sweep(
            [self.node],
            [seed(self, gradient, as_value=create_graph)],
            value_class=Tensor,
            retain_graph=create_graph if retain_graph is None else retain_graph,
            create_graph=create_graph,
        )

    def retain_grad(self) -> None:
        """Keep the gradient of this computed tensor in ``grad`` as well."""
        if self.node is None:
            raise GradientError("retain_grad() of a tensor that is not recorded")
        if not self.is_leaf:
            self.node.retain(self)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> HookHandle:
        """Call `hook` with this tensor's gradient during backward; it may return another one."""
        if self.node is None:
            raise GradientError("register_hook() on a tensor that does not require a gradient")
        if self.node.hooks is None:
            self.node.hooks = []
        self.node.hooks.append(hook)
        return HookHandle(self.node.hooks, hook)

    def detach(self) -> Tensor:
        """The same numbers, cut off from the graph."""
        return Tensor.wrap(self.array)

    def clone(self) -> Tensor:
        """A new tensor with the same numbers; gradients pass through."""
        return movement.identity(self)

    @property
    def data(self) -> Tensor:
        """A handle on this cell without its graph: in-place methods on it change this tensor."""
        return DataHandle.of(self)

    @data.setter
    def data(self, value: Any) -> None:
        self.array = as_array(value, None)

    # In-place methods -------------------------------------------------------------------------

    def assign_(self, value: Any) -> Self:
        """Give this cell a new value, broadcast to its shape and cast to its dtype.

        Raises InPlaceError for a leaf that wants a gradient while operations are recorded, and for
        a slice of another tensor, which the change could not reach.
        """
        if getattr(self, "_is_view", False):
            raise InPlaceError(
                "an in-place method on a slice or view cannot change the tensor it came from",
                at=user_line(),
                hint="assign instead: x[0] = 0 for x[0].zero_(), x = x * 2 for x.view(-1).mul_(2)",
            )
        if tape.recording and self.node is not None and self.node.op is None:
            raise InPlaceError(
                "a leaf that wants a gradient cannot be changed while operations are recorded",
                at=user_line(),
                hint="do it under no_grad(), or on x.data",
            )
        new = value if isinstance(value, Tensor) else Tensor.wrap(np.asarray(value))
        if new.dtype != self.dtype:
            new = movement.cast(new, self.dtype)
        if new.shape != self.shape:
            new = movement.expand(new, self.shape)
        self.array = new.array
        if tape.recording:
            self.node = new.node
        return self

    def __iadd__(self, other: Any) -> Tensor:
        return self._augmented(arithmetic.add(self, other))

    def __isub__(self, other: Any) -> Tensor:
        return self._augmented(arithmetic.sub(self, other))

    def __imul__(self, other: Any) -> Tensor:
        return self._augmented(arithmetic.mul(self, other))

    def __itruediv__(self, other: Any) -> Tensor:
        return self._augmented(arithmetic.div(self, other))

    def _augmented(self, new: Tensor) -> Tensor:
        """``x += y`` changes the cell; on a slice it makes a new value, so ``x[0] += 1`` works."""
        return new if getattr(self, "_is_view", False) else self.assign_(new)

    def add_(self, other: Any, alpha: float = 1) -> Self:
        return self.assign_(self + (other if alpha == 1 else other * alpha))

    def sub_(self, other: Any, alpha: float = 1) -> Self:
        return self.assign_(self - (other if alpha == 1 else other * alpha))

    def mul_(self, other: Any) -> Self:
        return self.assign_(self * other)

    def div_(self, other: Any) -> Self:
        return self.assign_(self / other)

    def copy_(self, source: Any) -> Self:
        return self.assign_(source if isinstance(source, Tensor) else Tensor(source))

    def fill_(self, value: Any) -> Self:
        return self.assign_(value)

    def zero_(self) -> Self:
        return self.assign_(0)

    def clamp_(self, min: Any = None, max: Any = None) -> Self:
        return self.assign_(arithmetic.clip(self, min, max))

    clip_ = clamp_

    def __setitem__(self, key: Any, value: Any) -> None:
        self.assign_(indexing.index_update(self, key, value))

    # Leaving for NumPy and Python -------------------------------------------------------------

    def numpy(self) -> np.ndarray[Any, DType]:
        """A copy as a NumPy array. Raises GradientError if a gradient would silently be lost."""
        return np.array(self._plain("numpy()"))

    def _plain(self, wish: str) -> Array:
        if self.node is not None and tape.recording:
            raise GradientError(
                f"{wish} would leave the graph, and the gradient with it",
                at=user_line(),
                hint="say so: x.detach().numpy()",
            )
        return self.array  # type: ignore[no-any-return]  # an array

    def item(self) -> Any:
        """The one element as a Python number. Raises ShapeError if there are more."""
        if self.numel() != 1:
            raise ShapeError(
                "item() needs a tensor of one element", got=describe(self), at=user_line()
            )
        return self.array.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self.array.tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, DType]:
        return np.array(self._plain("np.asarray()"), dtype=dtype)

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

    def __repr__(self) -> str:
        return format_tensor(self.array, self.requires_grad, self.grad_fn)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("tensors are not pickled; save them as safetensors: chainrule.train.save")

    def __deepcopy__(self, memo: dict[int, object]) -> Tensor:
        if not self.is_leaf:
            raise GradientError("only leaves can be deep-copied", hint="use x.detach().clone()")
        twin = type(self).wrap(self.array)
        if self.requires_grad:
            make_leaf(twin)
        if self._grad is not None:
            twin._grad = Tensor.wrap(self._grad.array)
        memo[id(self)] = twin
        return twin

    def to(self, *args: Any, dtype: DType | type | None = None, **_: Any) -> Tensor:
        """This tensor in another dtype; devices are accepted by name, and there is one: the CPU."""
        for arg in args:
            if isinstance(arg, (np.dtype, type)):
                dtype = arg
            elif isinstance(arg, Tensor):
                dtype = arg.dtype
            elif str(arg).split(":", maxsplit=1)[0] != "cpu":
                raise ArgumentError("no such device", expected="cpu", got=str(arg))
        return self if dtype is None or np.dtype(dtype) == self.dtype else self.astype(dtype)

    def cpu(self) -> Tensor:
        """This tensor: there is one device."""
        return self

    def contiguous(self) -> Tensor:
        """This tensor: storage is not the user's concern."""
        return self


Value.result_class = Tensor


class DataHandle(Tensor):
    """``x.data``: another handle on x's cell, without the graph."""

    __slots__ = ("_owner",)
    _owner: Tensor

    @classmethod
    def of(cls, owner: Tensor) -> DataHandle:
        """A handle on `owner`."""
        handle = cls.__new__(cls)
        handle._owner = owner
        handle.node = None
        handle._grad = None
        return handle

    @property
    def array(self) -> Any:
        """The owner's array."""
        return self._owner.array

    @array.setter
    def array(self, value: Any) -> None:
        self._owner.array = value


class HookHandle:
    """Returned by ``register_hook``: ``remove()`` takes the hook away again."""

    def __init__(self, hooks: list[Any], hook: Any) -> None:
        self._hooks = hooks
        self._hook = hook

    def remove(self) -> None:
        """Take the hook away. Removing it twice is harmless."""
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)


def as_array(data: Any, dtype: DType | type | None) -> Any:
    """A fresh NumPy array of numbers from anything that describes one."""
    if isinstance(data, Value):
        return np.array(data.array, dtype=dtype)
    if isinstance(data, (list, tuple)):
        data = [_plain_item(item) for item in data]
    try:
        array = np.array(data, dtype=dtype)
    except (ValueError, TypeError) as failure:
        raise ShapeError(f"this is not an array: {failure}", at=user_line()) from failure
    if dtype is None and array.dtype == np.float64 and not _has_arrays(data):
        array = array.astype(config.get_default_dtype())
    if array.dtype.kind not in "biuf" or not array.dtype.isnative:
        raise DTypeError(
            "a tensor holds numbers in native byte order",
            got=f"dtype {array.dtype}",
            at=user_line(),
        )
    return array


def _plain_item(item: Any) -> Any:
    if isinstance(item, Value):
        return item.array
    return [_plain_item(x) for x in item] if isinstance(item, (list, tuple)) else item


def _has_arrays(data: Any) -> bool:
    """Whether a dtype was chosen somewhere inside: an array or a NumPy number."""
    if isinstance(data, (list, tuple)):
        return any(_has_arrays(item) for item in data)
    return isinstance(data, (np.ndarray, np.generic))


def tensor(data: Any, dtype: DType | type | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor from numbers, nested sequences, arrays or tensors; the data are copied.

    >>> tensor([[1, 2], [3, 4]]).shape
    (2, 2)
    """
    return Tensor(data, dtype, requires_grad)


def as_tensor(data: Any, dtype: DType | type | None = None) -> Tensor:
    """`data` itself if it is a tensor of that dtype, else ``tensor(data)``."""
    if isinstance(data, Tensor):
        return data.to(dtype) if dtype is not None else data
    return Tensor(data, dtype)
