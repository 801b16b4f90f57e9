"""What tensors say of their device, memory and type in PyTorch's words, and new ones like them.

There is one device, the CPU, and one layout: rows one after the other, whatever is done inside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from . import ops
from .core.apply import warn
from .core.aval import DType, Shape, normalize_axis
from .core.value import Value
from .errors import ArgumentError, DTypeError, ShapeError
from .operators import Operators

_TYPE_NAMES = {
    "float32": "Float", "float64": "Double", "float16": "Half", "int64": "Long", "int32": "Int",
    "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool",
}  # fmt: skip
"""PyTorch's names of tensor types by dtype: ``torch.FloatTensor`` holds float32."""
_DTYPES = {name: np.dtype(dtype) for dtype, name in _TYPE_NAMES.items()}


class Device:
    """Where tensors live: a type such as "cpu", and an optional index.

    Others than the CPU can be named, so that programs may compare them, but hold no tensor.

    >>> Device("cuda:1")
    device(type='cuda', index=1)
    """

    __slots__ = ("index", "type")

    def __init__(self, device: Any = "cpu", index: int | None = None) -> None:
        if isinstance(device, int):
            device, index = "cuda", device
        name, colon, number = str(device).partition(":")
        if not name.isidentifier() or (colon and not number.isdigit()):
            raise ArgumentError("this is not a device", expected="such as cpu", got=repr(device))
        self.type = name
        self.index = int(number) if colon else index

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, Device) and self.type == other.type
        return same and self.index == getattr(other, "index", None)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{index})"


CPU = Device()
NO_BFLOAT16 = "there is no bfloat16 here: float32 is used, which holds all of its numbers"


def require_cpu(device: Any) -> None:
    """Raise ArgumentError for a device other than the CPU; None is the CPU.

    >>> require_cpu("cpu:0")
    """
    if device is not None and str(device).partition(":")[0] != "cpu":
        raise ArgumentError(
            "chainrule computes on the CPU only",
            expected="device 'cpu'",
            got=str(device),
            hint="choose the device by torch.cuda.is_available(), which is False here",
        )


class Size(tuple[int, ...]):
    """A shape with the number of its elements.

    >>> Size((2, 3)).numel()
    6
    """

    __slots__ = ()

    def numel(self) -> int:
        """Product of the sizes."""
        return math.prod(self)


def type_name(dtype: DType) -> str:
    """``torch.FloatTensor`` for float32: what ``Tensor.type()`` returns."""
    return f"torch.{_TYPE_NAMES.get(dtype.name, dtype.name)}Tensor"


def dtype_of_type(kind: Any) -> Any:
    """The dtype that a dtype, ``"torch.FloatTensor"`` or a class of such a name stands for.

    Raises DTypeError for anything else, and ArgumentError for a type of another device.
    """
    name = kind if isinstance(kind, str) else getattr(kind, "type_name", None)
    if name is None:
        return np.dtype(kind)
    if ".cuda." in name:
        require_cpu("cuda")
    short = name.removeprefix("torch.").removesuffix("Tensor")
    if short in _DTYPES:
        return _DTYPES[short]
    raise DTypeError("there is no such type of tensor", got=name)


class Facts(Operators):
    """Mixin of what PyTorch's tensors say of themselves. It holds nothing."""

    __slots__ = ()

    array: Any

    # Device and memory ------------------------------------------------------------------------

    @property
    def device(self) -> Device:
        """The CPU."""
        return CPU

    @property
    def is_cuda(self) -> bool:
        """False, as are all other devices."""
        return False

    is_xpu = is_mps = is_meta = is_cuda

    @property
    def is_cpu(self) -> bool:
        """True."""
        return True

    @property
    def is_sparse(self) -> bool:
        """False: tensors are dense."""
        return False

    is_quantized = is_nested = is_sparse

    @property
    def layout(self) -> str:
        """``torch.strided``."""
        return "torch.strided"

    def cuda(self, device: Any = None, **_: Any) -> Self:
        """Raises ArgumentError: there is one device, the CPU."""
        require_cpu("cuda")
        return self

    def get_device(self) -> int:
        """-1, as of every tensor on the CPU."""
        return -1

    def pin_memory(self) -> Self:
        """This tensor: there is no other memory to copy to."""
        return self

    def share_memory_(self) -> Self:
        """This tensor. Raises nothing: threads share all memory, and processes copy."""
        return self

    def is_pinned(self) -> bool:
        return False

    def is_shared(self) -> bool:
        return False

    def is_contiguous(self, memory_format: Any = None) -> bool:
        return True

    def storage_offset(self) -> int:
        """0: every tensor has memory of its own."""
        return 0

    def stride(self, dim: int | None = None) -> Any:
        """Elements between neighbours along each axis, or along `dim`, of rows without gaps."""
        steps = [1] * len(self.shape)
        for axis in range(len(steps) - 2, -1, -1):
            steps[axis] = steps[axis + 1] * max(self.shape[axis + 1], 1)
        return tuple(steps) if dim is None else steps[normalize_axis(dim, len(steps))]

    def element_size(self) -> int:
        """Bytes of an element."""
        return int(self.dtype.itemsize)

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.element_size()

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.nelement() * self.element_size()

    def data_ptr(self) -> int:
        """A number that tells this array from all others that are alive."""
        return id(self.array)

    # Shape ------------------------------------------------------------------------------------

    def size(self, dim: int | None = None) -> Any:
        """The shape, or one size of it. Raises IndexRangeError for a `dim` out of range."""
        if dim is None:
            return Size(self.shape)
        return self.shape[normalize_axis(dim, len(self.shape))]

    def nelement(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def ndimension(self) -> int:
        """Number of axes."""
        return len(self.shape)

    # Type -------------------------------------------------------------------------------------

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """``"torch.FloatTensor"``; with a dtype or such a name, this tensor in that type."""
        if dtype is None:
            return type_name(self.dtype)
        return ops.cast(self, dtype_of_type(dtype))

    @property
    def real(self) -> Self:
        """This tensor: its numbers are real."""
        return self

    def to_dense(self) -> Self:
        """This tensor: it is dense."""
        return self

    def type_as(self, other: Any) -> Self:
        """This tensor in the dtype of `other`."""
        return ops.cast(self, other.dtype)

    def byte(self, memory_format: Any = None) -> Self:
        return ops.cast(self, np.dtype(np.uint8))

    def char(self, memory_format: Any = None) -> Self:
        return ops.cast(self, np.dtype(np.int8))

    def short(self, memory_format: Any = None) -> Self:
        return ops.cast(self, np.dtype(np.int16))

    def bfloat16(self) -> Self:
        """This tensor as float32, with a warning: NumPy has no bfloat16."""
        warn(NO_BFLOAT16)
        return ops.cast(self, np.dtype(np.float32))

    def is_floating_point(self) -> bool:
        return bool(self.dtype.kind == "f")

    def is_complex(self) -> bool:
        return bool(self.dtype.kind == "c")

    def is_conj(self) -> bool:
        return False

    is_neg = is_inference = is_distributed = is_conj

    def is_nonzero(self) -> bool:
        """Whether the one element is not zero. Raises ShapeError if there are more."""
        if math.prod(self.shape) != 1:
            raise ShapeError("is_nonzero() needs a tensor of one element", got=str(self.shape))
        return bool(self)

    def is_same_size(self, other: Any) -> bool:
        return bool(self.shape == other.shape)

    def is_signed(self) -> bool:
        return bool(self.dtype.kind in "ifc")

    # New tensors like this one ----------------------------------------------------------------

    def new_full(self, size: Sequence[int], fill_value: float, **options: Any) -> Any:
        """A tensor of one number, of this one's dtype unless `dtype` is given."""
        return self._made(np.full, (size,), options, fill_value)

    def new_zeros(self, *size: Any, **options: Any) -> Any:
        """Zeros of this tensor's dtype unless `dtype` is given."""
        return self._made(np.zeros, size, options)

    def new_ones(self, *size: Any, **options: Any) -> Any:
        """Ones of this tensor's dtype unless `dtype` is given."""
        return self._made(np.ones, size, options)

    def new_empty(self, *size: Any, **options: Any) -> Any:
        """Zeros, yet to be assigned."""
        return self._made(np.zeros, size, options)

    def new_tensor(self, data: Any, **options: Any) -> Any:
        """A tensor of these numbers, of this one's dtype unless `dtype` is given."""
        source = data.array if isinstance(data, Value) else data
        return self._made(lambda _, dtype: np.array(source, dtype), ((),), options)

    def new(self, *sizes: Any) -> Any:
        """A tensor of these sizes, or with these numbers if they are given as a sequence."""
        if len(sizes) == 1 and isinstance(sizes[0], (list, tuple, np.ndarray, Value)):
            if isinstance(sizes[0], Size):
                return self.new_zeros(*sizes)
            return self.new_tensor(sizes[0])
        return self.new_zeros(sizes or (0,))

    def _made(self, make: Any, size: tuple[Any, ...], options: dict[str, Any], *args: Any) -> Any:
        """A new value; `options` are PyTorch's dtype, device, requires_grad and their like."""
        dtype = options.pop("dtype", None) or self.dtype
        require_cpu(options.pop("device", None))
        wanted = options.pop("requires_grad", False)
        if options.keys() - {"layout", "pin_memory", "memory_format"}:
            raise ArgumentError("no such option of a new tensor", got=", ".join(options))
        new: Any = Value.result_class.wrap(make(_sizes(size), *args, dtype=np.dtype(dtype)))
        return new.requires_grad_() if wanted else new


def _sizes(size: tuple[Any, ...]) -> Shape:
    """Sizes given one by one or as one sequence. Raises ShapeError for a negative one."""
    flat = size[0] if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    shape = tuple(int(n) for n in flat)
    if any(n < 0 for n in shape):
        raise ShapeError("sizes cannot be negative", got=str(shape))
    return shape
