"""How the mirror's module paths are found: those that are files, and those that are aliases.

PyTorch defines each class in a file of its own (``torch.nn.modules.linear``), and programs import
from there. Here such a path is the module that holds the name (``torch.nn``).
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final, final

ROOT: Final = __package__ or "chainrule.torch"

_FILES: Final = {
    "nn.modules": (
        "nn",
        "activation adaptive batchnorm channelshuffle container conv distance dropout flatten fold "
        "instancenorm lazy linear loss module normalization padding pixelshuffle pooling rnn "
        "sparse transformer upsampling",
    ),
    "nn": ("nn", "parameter"),
    "nn.utils": ("nn.utils", "clip_grad convert_parameters spectral_norm weight_norm"),
    "optim": (
        "optim",
        "adadelta adagrad adam adamax adamw asgd lbfgs nadam optimizer radam rmsprop rprop sgd",
    ),
    "autograd": ("autograd", "function grad_mode gradcheck variable"),
    "utils.data": ("utils.data", "dataloader dataset sampler"),
    "nn.parallel": ("nn.parallel", "distributed parallel_apply"),
    "cuda": ("amp", "amp"),
    "amp": ("amp", "autocast_mode grad_scaler"),
    "": ("", "functional storage tensor types"),
    "distributions": (
        "distributions",
        "bernoulli beta binomial categorical cauchy chi2 constraints dirichlet distribution "
        "exponential gamma geometric gumbel half_cauchy half_normal independent kl kumaraswamy "
        "laplace log_normal mixture_same_family multinomial multivariate_normal negative_binomial "
        "normal one_hot_categorical pareto poisson relaxed_bernoulli relaxed_categorical studentT "
        "transformed_distribution transforms uniform utils von_mises weibull",
    ),
}
"""The files of PyTorch's packages that programs import from, and which module answers for them."""

ALIASES: Final = {
    f"{package}.{file}".removeprefix("."): real
    for package, (real, files) in _FILES.items()
    for file in files.split()
} | {"accelerator": "cuda", "mps": "cuda", "xpu": "cuda", "nn.utils.stateless": "func"}
"""Paths below the root that stand for another module."""


def target(path: str) -> str:
    """The path below the root of the module that answers for `path`."""
    return ALIASES.get(path, path)


def full_name(path: str) -> str:
    """``chainrule.torch.nn`` for ``nn``."""
    return f"{ROOT}.{path}" if path else ROOT


@final
class Mirror(MetaPathFinder, Loader):
    """Finds the modules below `prefix` in the mirror: ``torch.nn``, or only what is an alias."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def find_spec(
        self, name: str, path: Sequence[str] | None, target_module: ModuleType | None = None
    ) -> ModuleSpec | None:
        """How to load a module, or None for one that is not the mirror's."""
        if name != self.prefix and not name.startswith(self.prefix + "."):
            return None
        real = self._real(name)
        if real == name or importlib.util.find_spec(real) is None:
            return None
        return ModuleSpec(name, self, is_package=True)

    def _real(self, name: str) -> str:
        return full_name(target(name.removeprefix(self.prefix).removeprefix(".")))

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Put the mirror's module in the place of the empty one."""
        # Python takes the module that it finds under this name afterwards.
        sys.modules[module.__name__] = importlib.import_module(self._real(module.__name__))


sys.meta_path.insert(0, Mirror(ROOT))
