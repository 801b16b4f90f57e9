"""``torch.nn.init``; the names of old, without an underscore at their end, too."""

from __future__ import annotations

from ...nn import init as _init
from .._names import mirrored

__getattr__, __dir__ = mirrored(__name__, "chainrule.nn.init")

_calculate_fan_in_and_fan_out = _init._calculate_fan_in_and_fan_out  # programs import it
uniform, normal, constant, eye = _init.uniform_, _init.normal_, _init.constant_, _init.eye_
xavier_uniform, xavier_normal = _init.xavier_uniform_, _init.xavier_normal_
kaiming_uniform, kaiming_normal = _init.kaiming_uniform_, _init.kaiming_normal_
dirac, orthogonal, sparse = _init.dirac_, _init.orthogonal_, _init.sparse_
