"""``torch.nn.utils.rnn``."""

from __future__ import annotations

from ..._names import mirrored

__getattr__, __dir__ = mirrored(__name__, "chainrule.nn.utils.rnn")
