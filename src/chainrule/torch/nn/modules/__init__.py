"""``torch.nn.modules``: the same layers, which PyTorch defines in files of this package."""

from __future__ import annotations

from ..._names import mirrored

__getattr__, __dir__ = mirrored(__name__, "chainrule.torch.nn")
