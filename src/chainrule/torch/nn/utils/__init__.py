"""``torch.nn.utils``: clipping, vectors of parameters, reparametrisation."""

from __future__ import annotations

from ....nn.utils import clip_grad_norm_
from ..._names import mirrored

clip_grad_norm = clip_grad_norm_

__getattr__, __dir__ = mirrored(__name__, "chainrule.nn.utils")
