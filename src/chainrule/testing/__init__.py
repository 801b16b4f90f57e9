"""Checking derivatives: ``gradcheck`` for functions and modules, ``opcheck`` for ops."""

from .gradcheck import GradcheckKinkWarning, gradcheck, gradgradcheck
from .numeric import numerical_gradient
from .opcheck import OpcheckResult, opcheck
from .report import GradcheckResult

__all__ = [
    "GradcheckKinkWarning", "GradcheckResult", "OpcheckResult", "gradcheck", "gradgradcheck",
    "numerical_gradient", "opcheck",
]  # fmt: skip
