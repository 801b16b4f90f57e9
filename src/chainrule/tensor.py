"""Tensor: a cell with an array, operators, methods and a gradient.

Tensors are values. Arrays are never written to once a cell holds them: an in-place method gives the
cell another array, so backward always sees the numbers that forward used. Slices, reshapes and
``detach()`` are values of their own: changing one in place, as if it were the tensor it came from,
is an error as long as that tensor lives. Only ``x.data`` is a second handle on the cell of x.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Self

import numpy as np

from .conversion import Leaving, as_array
from .core.aval import DType, describe
from .core.observation import observation
from .core.value import Node, Value, configuration, make_leaf, tape
from .engine.hooks import HookHandle
from .engine.reverse import deliver, seed, sweep
from .errors import DTypeError, GradientError, InPlaceError, ShapeError
from .facts import Facts, require_cpu
from .in_place import InPlace, add_forms
from .methods import Methods
from .ops import movement
from .printing import format_tensor

_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2}
"""Kinds of dtypes: a result of a higher category does not go into a tensor of a lower one."""


class Tensor(InPlace, Leaving, Facts, Methods, Value):
    """An n-dimensional array that remembers how it was computed.

    Parameters: `data`, a number, nested sequence, NumPy array or tensor (always copied); `dtype`
    (default: kept for arrays, float32 for Python floats, int64 for ints); `requires_grad`.

    Raises DTypeError for data that are not numbers, ShapeError for ragged sequences.

    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4., 6.])
    """

    __slots__ = ()

    def __init__(
        self, data: Any, dtype: DType | type | None = None, requires_grad: bool = False
    ) -> None:
        self.array = as_array(data, dtype)
        self.node = None
        self._grad = None
        if requires_grad:
            self.requires_grad_()

    def _view(self, result: Any) -> Any:
        return result if result is self else View.of(self, result.array, result.node)

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
            configuration.version += 1
        elif self.node is None:
            if self.dtype.kind != "f":
                raise DTypeError(
                    "only floating-point tensors can have gradients",
                    got=describe(self),
                    hint="x.float() makes a floating-point copy",
                )
            make_leaf(self)
            configuration.version += 1
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
        if value is not None:
            if not isinstance(value, Tensor):
                raise DTypeError(
                    "a gradient is a tensor, or None",
                    got=type(value).__name__,
                    hint="make it a tensor first: chainrule.tensor(x)",
                )
            if value.shape != self.shape or value.dtype != self.dtype:
                error = ShapeError if value.shape != self.shape else DTypeError
                raise error(
                    "a gradient has the shape and dtype of its tensor",
                    expected=describe(self),
                    got=describe(value),
                )
        self._grad = value

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Sequence[Tensor] | None = None,
    ) -> None:
        """Add dself/dx to ``x.grad`` for every leaf x that this tensor was computed from.

        `gradient` is the direction ct of ctᵀJ, of this tensor's shape; it may be left out for a
        scalar. With `inputs`, only these receive gradients. Raises GradientError if nothing was
        recorded, FreedGraphError on a second walk without ``retain_graph=True``.
        """
        if self.node is None:
            if observation.by is not None:
                observation.by.refused(self)
            raise GradientError(
                "backward() of a tensor that was not recorded",
                got=describe(self),
                hint="no input has requires_grad=True, or no_grad() or an op without a derivative "
                "(a comparison, argmax, a cast to integers) cut it off",
            )
        found = sweep(
            [self.node],
            [seed(self, gradient, as_value=create_graph)],
            value_class=Tensor,
            wanted=None if inputs is None else {x.node for x in inputs if x.node is not None},
            retain_graph=create_graph if retain_graph is None else retain_graph,
            create_graph=create_graph,
        )
        for node, ct in found.items():
            deliver(node, ct, Tensor)

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
        """The same numbers, cut off from the graph: a value of its own, never a way to change x.

        Unlike in PyTorch, ``x.detach().zero_()`` raises InPlaceError; write ``x.data.zero_()``.
        """
        if self.node is not None and observation.by is not None:
            kept = observation.by.cut(self, "detach()")
            if kept is not None:
                return kept  # type: ignore[no-any-return]  # a tensor
        return View.of(self, self.array)

    def detach_(self) -> Self:
        """Cut this cell off from the graph."""
        self.node = None
        configuration.version += 1
        return self

    def clone(self) -> Tensor:
        """A new tensor with the same numbers; gradients pass through."""
        return movement.identity(self)

    @property
    def data(self) -> Tensor:
        """A handle on this cell without its graph: in-place methods on it change this tensor.

        Assigning to it gives the cell another array, of any shape and floating-point type if this
        is a leaf; a handle taken before keeps the old array. Raises DTypeError for integers in a
        tensor that wants a gradient, ShapeError if a computed tensor would change its shape.
        """
        return DataHandle.of(self)

    @data.setter
    def data(self, value: Any) -> None:
        array = value.array if isinstance(value, Tensor) else as_array(value)
        if array is self.array:
            return
        node = self.node
        if node is not None:
            if array.dtype.kind != "f":
                raise DTypeError(
                    "the data of a tensor that wants a gradient are floating-point numbers",
                    got=describe(array),
                )
            if (array.shape, array.dtype) != (self.shape, self.dtype):
                if not self.is_leaf:
                    raise ShapeError(
                        "the data of a computed tensor keep their shape and dtype",
                        expected=describe(self),
                        got=describe(array),
                    )
                node.shape, node.dtype, self._grad = array.shape, array.dtype, None
        DataHandle.release(self)
        self.array = array

    # Changing the cell: the methods are in InPlace --------------------------------------------

    def assign_(self, value: Any) -> Self:
        """Give this cell a new value, broadcast to its shape and cast to its dtype.

        Raises InPlaceError for a leaf that wants a gradient while operations are recorded, and for
        a part or view of a living tensor, which the change would not reach.
        """
        if not isinstance(value, Tensor):
            value = Tensor.wrap(as_array(value, self.dtype))
        new = self._fitted(value)
        return self._take(movement.identity(value) if new is value and value.node else new)

    def _adopt(self, new: Tensor) -> Self:
        if _CATEGORY[new.dtype.kind] > _CATEGORY[self.dtype.kind]:
            raise DTypeError(
                "the result does not fit into the tensor's type",
                expected=f"a result that {self.dtype} can hold",
                got=describe(new),
                hint="convert first, x = x.float(), or say that it is to be cut off: x.assign_(y)",
            )
        return self._take(self._fitted(new))

    def _fitted(self, value: Tensor) -> Tensor:
        """`value` in this tensor's dtype and shape."""
        if value.dtype != self.dtype:
            value = movement.cast(value, self.dtype)
        return value if value.shape == self.shape else movement.expand(value, self.shape)

    def _take(self, new: Tensor) -> Self:
        """Hold the array of `new` and, if operations are recorded, its node."""
        self._check_reachable()
        if not tape.recording:
            self.array = new.array
            return self
        before = self.node
        if before is not None and before.op is None:
            raise InPlaceError(
                "a leaf that wants a gradient cannot be changed while operations are recorded",
                hint="do it under no_grad(), or on x.data",
            )
        self.array, self.node = new.array, new.node
        if before is not None and before.variable is not None:  # retain_grad() is about the cell
            before.variable = None
            if self.node is not None:
                self.node.retain(self)
        return self

    def _origins(self) -> tuple[weakref.ref[Tensor], ...]:
        """The cells that a user may believe to change by changing a part of this one."""
        return (weakref.ref(self),)

    def _check_reachable(self) -> None:
        """Raise InPlaceError if a change would not reach a cell that it seems meant for."""

    # Printing and copying -------------------------------------------------------------------------

    def __repr__(self) -> str:
        return format_tensor(self.array, self.requires_grad, self.grad_fn)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("tensors are not pickled; save them as safetensors: chainrule.train.save")

    def __copy__(self) -> Tensor:
        return self._twin() if self.is_leaf else self.clone()

    def __deepcopy__(self, memo: dict[int, object]) -> Tensor:
        if not self.is_leaf:
            raise GradientError("only leaves can be deep-copied", hint="use x.detach().clone()")
        twin = memo[id(self)] = self._twin()
        if self._grad is not None:
            twin._grad = Tensor.wrap(self._grad.array)
        return twin

    def _twin(self) -> Tensor:
        """Another leaf of this class with the same numbers."""
        cls = Tensor if isinstance(self, (View, DataHandle)) else type(self)
        twin = cls.wrap(self.array)
        if self.requires_grad:
            make_leaf(twin)
        return twin

    def to(
        self,
        *args: Any,
        dtype: DType | type | None = None,
        device: Any = None,
        copy: bool = False,
        non_blocking: bool = False,
        memory_format: Any = None,
    ) -> Tensor:
        """This tensor in another dtype, also that of a tensor; a device can only be the CPU."""
        for arg in args:
            if isinstance(arg, Tensor):
                dtype = arg.dtype
            elif isinstance(arg, (np.dtype, type)) or hasattr(arg, "dtype"):
                dtype = arg
            elif not isinstance(arg, bool):
                require_cpu(arg)
        require_cpu(device)
        if dtype is None or np.dtype(dtype) == self.dtype:
            return self.clone() if copy else self
        return self.astype(dtype)

    def cpu(self, memory_format: Any = None) -> Tensor:
        """This tensor: there is one device."""
        return self

    def contiguous(self, memory_format: Any = None) -> Tensor:
        """This tensor: storage is not the user's concern."""
        return self


Value.result_class = Tensor
add_forms(Tensor)


class View(Tensor):
    """A part, reshape or detached form of another tensor: a value of its own.

    Changing it in place would not change the tensor it came from, so this is an error while that
    tensor lives. ``v += y`` makes a new value instead, because Python runs ``x[0] += y`` as
    ``x[0] = x[0].__iadd__(y)`` and does not say which of the two it was: after ``v = x[0]``,
    ``v += y`` leaves x as it is.
    """

    __slots__ = ("_bases",)
    _bases: tuple[weakref.ref[Tensor], ...]

    @classmethod
    def of(cls, base: Tensor, array: Any, node: Node | None = None) -> View:
        """A view with the given content that came from `base`."""
        view = cls.wrap(array, node)
        view._bases = base._origins()
        return view

    def _origins(self) -> tuple[weakref.ref[Tensor], ...]:
        return (weakref.ref(self), *self._bases)

    def _is_part(self) -> bool:
        return any(base() is not None for base in self._bases)

    def _check_reachable(self) -> None:
        if self._is_part():
            raise InPlaceError(
                "an in-place method on a part or view cannot change the tensor it came from",
                hint="assign instead: x[0] = 0 for x[0].zero_(), x = x * 2 for x.view(-1).mul_(2);"
                " or change a copy: x.detach().clone()",
            )

    def _augmented(self, new: Any) -> Any:
        return new if self._is_part() else self._adopt(new)


class DataHandle(Tensor):
    """``x.data``: another handle on x's cell, without the graph."""

    __slots__ = ("_owner",)
    _owner: Tensor

    @classmethod
    def of(cls, owner: Tensor) -> DataHandle:
        """The handle on `owner`: there is one at a time, so that ``release`` can find it."""
        handle = _handles.get(id(owner))
        if handle is None:
            handle = _handles[id(owner)] = cls.__new__(cls)
            handle._owner = owner
            handle.node = handle._grad = None
        return handle

    @classmethod
    def release(cls, owner: Tensor) -> None:
        """Leave the handle on `owner`, if there is one, the array alone."""
        handle = _handles.pop(id(owner), None)
        if handle is not None:
            handle._owner = Tensor.wrap(owner.array)

    @property
    def array(self) -> Any:
        """The owner's array."""
        return self._owner.array

    @array.setter
    def array(self, value: Any) -> None:
        self._owner.array = value

    def _take(self, new: Tensor) -> Self:
        return super()._take(Tensor.wrap(new.array))

    def _origins(self) -> tuple[weakref.ref[Tensor], ...]:
        return self._owner._origins()

    def _check_reachable(self) -> None:
        self._owner._check_reachable()


_handles: weakref.WeakValueDictionary[int, DataHandle] = weakref.WeakValueDictionary()
"""The living handle on each tensor. A handle keeps its owner alive, so no id is used twice."""


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
