"""PyTorch's module paths, answered by chainrule: ``import chainrule.torch as torch``.

Re-exports and thin adapters only. A name that is defined nowhere here is looked up in
``chainrule``; what is not there either raises MissingNameError, which names the nearest.
``chainrule run`` gives this package to an unmodified program as ``torch``.

>>> import chainrule.torch as torch
>>> torch.ones(2, 3, device="cpu").sum(dim=1)
tensor([3., 3.])
"""

from __future__ import annotations

from . import _imports as _imports
from ._creation import *  # noqa: F403
from ._names import mirrored
from ._settings import *  # noqa: F403
from ._tensors import *  # noqa: F403
from ._types import *  # noqa: F403  dtypes, under PyTorch's names
from .amp import GradScaler as GradScaler
from .amp import autocast as autocast
from .version import __version__ as __version__

__getattr__, __dir__ = mirrored(
    __name__,
    "chainrule",
    f"{__name__}._compile",
    f"{__name__}.serialization",
    f"{__name__}.autograd",
    "chainrule.nn.functional",
    methods=True,
)
