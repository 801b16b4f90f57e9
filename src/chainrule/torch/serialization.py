"""``torch.save`` and ``torch.load``: nested structures of tensors and numbers as safetensors.

The arrays are the file's tensors, named by where they stand (``model/fc1.weight``); what holds them
together is JSON in its metadata. A dictionary of tensors is a plain safetensors file that every
reader understands. Nothing that could run code is ever read or written.
"""

from __future__ import annotations

import math
import tempfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..core.value import Value
from ..errors import ArgumentError, CheckpointError
from ..facts import Device, require_cpu
from ..nn.module import Module
from ..nn.parameter import Parameter
from ..optim.optimizer import Optimizer
from ..tensor import Tensor
from ..train.storage import Arrays, load_arrays, save_arrays

__all__ = ["add_safe_globals", "load", "safe_globals", "save"]

_TREE: Final = "tree"
"""The note with the structure."""
_SEQUENCES: Final = {"list": list, "tuple": tuple, "set": set}


def save(
    obj: Any,
    f: Any,
    pickle_module: Any = None,
    pickle_protocol: int | None = None,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Write tensors in dictionaries, lists and tuples, with numbers and strings, to a file.

    `f` is a path or a binary file. Raises ArgumentError for anything else, such as a whole module:
    save its ``state_dict()``.
    """
    arrays: Arrays = {}
    notes = {_TREE: _packed(obj, "", arrays)}
    if not hasattr(f, "write"):
        save_arrays(f, arrays, notes)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "saved"
        save_arrays(path, arrays, notes)
        f.write(path.read_bytes())


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
) -> Any:
    """What ``save`` wrote; of any other safetensors file, a dictionary of its tensors.

    Raises CheckpointError for a damaged file, and for a pickle: reading one runs whatever code it
    holds. ArgumentError for a `map_location` other than the CPU.
    """
    if isinstance(map_location, (str, Device)):
        require_cpu(map_location)
    if not hasattr(f, "read"):
        return _loaded(Path(f))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / getattr(f, "name", "file").replace("/", "_")
        path.write_bytes(f.read())
        return _loaded(path)


def _loaded(path: Path) -> Any:
    if path.is_file():
        with path.open("rb") as file:
            _refuse_pickle(file.read(4), path)
    arrays, notes = load_arrays(path, foreign=True)
    if _TREE not in notes:
        return {name: Tensor.wrap(array) for name, array in arrays.items()}
    return _unpacked(notes[_TREE], arrays)


def _refuse_pickle(start: bytes, path: Path) -> None:
    """Raise CheckpointError for a file that begins as PyTorch's do, a zip or a bare pickle."""
    if start[:2] == b"\x80\x02" or start[:1] == b"\x80" or start == b"PK\x03\x04":
        raise CheckpointError(
            f"{path.name} is a pickle, and loading one runs whatever code is in it",
            expected="a safetensors file",
            hint="where PyTorch is: safetensors.torch.save_file(torch.load(path), 'x.safetensors')",
        )


# From an object to a tree of JSON, and back -------------------------------------------------------


def _packed(obj: Any, path: str, arrays: Arrays) -> Any:
    """`obj` as JSON: plain values as they are, all else as ``{kind: …}``; arrays are set aside."""
    if obj is None or isinstance(obj, (bool, str)):
        return obj
    if isinstance(obj, int):
        return obj
    if isinstance(obj, float):
        return obj if math.isfinite(obj) else {"float": repr(obj)}
    if isinstance(obj, (Tensor, np.ndarray, np.generic)):
        return {_kind_of_array(obj): _set_aside(obj, path, arrays)}
    if isinstance(obj, np.dtype):
        return {"dtype": obj.name}
    if isinstance(obj, Device):
        return {"device": str(obj)}
    if isinstance(obj, Mapping):
        items = [
            [_packed(key, path, arrays), _packed(value, _joined(path, key), arrays)]
            for key, value in obj.items()
        ]
        return {"ordered" if isinstance(obj, OrderedDict) else "dict": items}
    for kind, sequence in _SEQUENCES.items():
        if isinstance(obj, sequence):
            return {kind: [_packed(x, _joined(path, i), arrays) for i, x in enumerate(obj)]}
    raise _refused(obj, path)


def _joined(path: str, key: object) -> str:
    return f"{path}/{key}" if path else str(key)


def _kind_of_array(obj: Any) -> str:
    if isinstance(obj, Parameter):
        return "parameter"
    if isinstance(obj, Tensor):
        return "leaf" if obj.requires_grad and obj.is_leaf else "tensor"
    return "array"


def _set_aside(obj: Any, path: str, arrays: Arrays) -> str:
    """Keep an array under a name made of its place; returns the name."""
    name = path or "value"
    while name in arrays:
        name += "'"
    arrays[name] = np.asarray(obj.array if isinstance(obj, Value) else obj)
    return name


def _refused(obj: Any, path: str) -> ArgumentError:
    kind = type(obj).__name__
    hint = "save tensors, numbers, strings, and dictionaries and lists of them"
    if isinstance(obj, (Module, Optimizer)):
        hint = f"save the state: torch.save({'model' if isinstance(obj, Module) else 'optimizer'}"
        hint += ".state_dict(), path), and load it with load_state_dict(torch.load(path))"
    elif hasattr(obj, "__dict__"):
        hint = (
            f"save vars({path.rpartition('/')[2] or 'obj'}), if it holds such values only; {hint}"
        )
    where = f" at {path!r}" if path else ""
    return ArgumentError(f"a {kind}{where} cannot be saved without running code", hint=hint)


def _unpacked(tree: Any, arrays: Arrays) -> Any:
    """What ``_packed`` made a tree of. Raises CheckpointError for a tree that it did not make."""
    if not isinstance(tree, dict):
        return tree
    if len(tree) != 1:
        raise CheckpointError("the structure saved in this file is damaged")
    ((kind, content),) = tree.items()
    try:
        return _made(kind, content, arrays)
    except (KeyError, TypeError, ValueError) as failure:
        raise CheckpointError(f"the structure saved in this file is damaged: {failure}") from None


def _made(kind: str, content: Any, arrays: Arrays) -> Any:
    if kind in ("dict", "ordered"):
        pairs = [(_unpacked(k, arrays), _unpacked(v, arrays)) for k, v in content]
        return dict(pairs) if kind == "dict" else OrderedDict(pairs)
    if kind in _SEQUENCES:
        return _SEQUENCES[kind](_unpacked(x, arrays) for x in content)
    if kind == "float":
        return float(content)
    if kind == "dtype":
        return np.dtype(content)
    if kind == "device":
        return Device(content)
    if kind == "array":
        found = arrays[content]
        return found if found.shape else found[()]
    if kind == "parameter":
        return Parameter(arrays[content])
    new = Tensor.wrap(arrays[content])
    return new.requires_grad_() if kind == "leaf" else new


# PyTorch's lists of what may be unpickled ---------------------------------------------------------


class safe_globals:  # noqa: N801  PyTorch's name
    """Accepted: nothing is unpickled, so no class needs to be allowed."""

    def __init__(self, safe_globals: Any) -> None:
        self.allowed = safe_globals

    def __enter__(self) -> None:
        """Nothing is to be done."""

    def __exit__(self, *exc: object) -> None:
        """Nothing is to be undone."""


def add_safe_globals(safe_globals: Any) -> None:
    """Accepted: nothing is unpickled."""
