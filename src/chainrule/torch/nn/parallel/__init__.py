"""``torch.nn.parallel``: a module on the devices there are, which is one."""

from __future__ import annotations

from typing import Any

from ....nn.module import Module
from ..._names import mirrored

__getattr__, __dir__ = mirrored(__name__)


class DataParallel(Module):
    """A module under the name ``module``: with one device, calling it is calling the module."""

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


def data_parallel(module: Module, inputs: Any, *args: Any, **options: Any) -> Any:
    """The module called with `inputs`, a tensor or a tuple."""
    return module(*(inputs if isinstance(inputs, tuple) else (inputs,)))
