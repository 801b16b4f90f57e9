"""The names that programs really use: all of them resolve but those that are listed as absent."""

from __future__ import annotations

from pathlib import Path

import pytest

import chainrule as cr
from chainrule import torch
from chainrule.errors import MissingNameError

SURFACE = (Path(__file__).parent / "surface.txt").read_text(encoding="utf-8").splitlines()
"""A name and where programs call it from, one a line, the most used first."""

_ABSENT_NAMES = """
    Tensor.register_post_accumulate_grad_hook Tensor.reinforce Tensor.to_padded_tensor
    Tensor.to_sparse torch.Tensor._make_wrapper_subclass torch.Tensor.module_load
    torch.ao.pruning.WeightNormSparsifier torch.autograd.graph.save_on_cpu
    torch.autograd.graph.saved_tensors_hooks torch.autograd.profiler.profile
    torch.classes.load_library torch.classes.loaded_libraries torch.export.export torch.fft.fft2
    torch.fx.Interpreter torch.fx.Node torch.fx.experimental.optimization.fuse
    torch.fx.symbolic_trace torch.jagged torch.library.custom_op torch.library.opcheck
    torch.linalg.eig torch.nested.nested_tensor
    torch.nn.attention.bias.causal_lower_right torch.nn.attention.bias.causal_upper_left
    torch.nn.attention.flex_attention.flex_attention
    torch.nn.modules.linear.NonDynamicallyQuantizableLinear
    torch.nn.parallel.DistributedDataParallel torch.nn.parallel.scatter torch.sparse_coo_tensor
    torch.spmm torch.symeig torch.utils.data.distributed.DistributedSampler
"""
ABSENT = set(_ABSENT_NAMES.split())


def holders() -> dict[str, object]:
    """Something of each kind that programs call methods of."""
    optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=0.1)
    return {
        "Tensor": torch.ones(2, 2),
        "torch": torch,
        "F": torch.nn.functional,
        "Module": torch.nn.BatchNorm1d(2),
        "Optimizer": optimizer,
        "Scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 1),
        "Ctx": torch.autograd.function.FunctionCtx,
        "Distribution": torch.distributions.Normal(0.0, 1.0),
    }


def wanted(line: str) -> list[str]:
    """``Tensor.sum`` and ``torch.sum`` for the line ``sum torch Tensor``."""
    name, *places = line.split()
    if not places:
        kinds, _, attribute = name.partition(".")
        return [f"{kind}.{attribute}" for kind in kinds.split("|")]
    return [f"{place}.{name}" for place in places]


def is_there(dotted: str, roots: dict[str, object]) -> bool:
    root, *rest = dotted.split(".")
    found = roots[root]
    for part in rest:
        try:
            found = getattr(found, part)
        except AttributeError:
            return False
    return True


def test_what_programs_use_is_there_but_for_the_names_listed_as_absent() -> None:
    roots = holders()
    names = [name for line in SURFACE for name in wanted(line)]
    assert {name for name in names if not is_there(name, roots)} == ABSENT


def test_at_least_the_450_most_used_entries_are_there() -> None:
    assert len(SURFACE) == 520
    assert sum(not ABSENT & set(wanted(line)) for line in SURFACE) >= 485


def test_a_name_that_is_missing_is_named_with_the_nearest_that_is_there() -> None:
    with pytest.raises(MissingNameError) as failure:
        torch.nn.Linnear  # noqa: B018
    assert str(failure.value).startswith("torch.nn.Linnear is not in chainrule")
    assert "torch.nn.Linear" in str(failure.value)
    with pytest.raises(MissingNameError, match=r"torch\.sparse_coo_tensor"):
        torch.sparse_coo_tensor  # noqa: B018
    assert not hasattr(torch, "no_such_name")


def test_module_paths_of_pytorch_lead_to_the_same_objects() -> None:
    from chainrule.torch.nn.modules.linear import Linear
    from chainrule.torch.nn.parameter import Parameter
    from chainrule.torch.optim.adam import Adam
    from chainrule.torch.utils.data.dataset import Dataset

    from chainrule.torch.nn.modules.utils import _pair, _triple
    from chainrule.torch.optim.lr_scheduler import StepLR

    assert Linear is torch.nn.Linear is torch.nn.modules.Linear is cr.nn.Linear
    assert (_pair(3), _pair([1, 2]), _triple(0)) == ((3, 3), (1, 2), (0, 0, 0))
    assert Parameter is cr.nn.Parameter
    assert Adam is torch.optim.adam.Adam is cr.optim.Adam
    assert StepLR is cr.optim.StepLR
    assert Dataset is torch.utils.data.Dataset


def test_an_unknown_module_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError):
        __import__("chainrule.torch.no_such_module")


def test_importing_chainrule_does_not_load_the_mirror() -> None:
    import subprocess
    import sys

    code = "import sys, chainrule; print('chainrule.torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
