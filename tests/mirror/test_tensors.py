"""Tensors as PyTorch's programs expect them: constructors, types, devices, in-place forms."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import torch
from chainrule.errors import ArgumentError, DTypeError, InPlaceError, ShapeError
from chainrule.torch.autograd import Variable


def test_old_constructors_take_sizes_or_data_and_give_their_own_type() -> None:
    assert torch.Tensor(2, 3).shape == (2, 3)
    assert torch.Tensor().shape == (0,)
    assert torch.Tensor([1, 2]).dtype == torch.float32
    assert torch.Tensor(torch.Size([2, 2])).shape == (2, 2)
    assert torch.LongTensor([1.7, 2]).tolist() == [1, 2]
    assert torch.ByteTensor([1]).dtype == torch.uint8
    assert torch.DoubleTensor(np.ones(2, np.float32)).dtype == torch.float64
    with pytest.raises(ShapeError):
        torch.Tensor(-1)


def test_isinstance_knows_tensors_and_their_types() -> None:
    x, n = torch.ones(2), torch.arange(2)
    assert isinstance(x, torch.Tensor)
    assert isinstance(x[0], torch.Tensor)
    assert isinstance(x.data, torch.Tensor)
    assert isinstance(torch.nn.Parameter(x), torch.Tensor)
    assert issubclass(torch.nn.Parameter, torch.Tensor)
    assert isinstance(x, torch.FloatTensor)
    assert not isinstance(n, torch.FloatTensor)
    assert isinstance(n, torch.LongTensor)
    assert not isinstance(np.ones(2), torch.Tensor)


def test_a_subclass_of_tensor_is_refused() -> None:
    with pytest.raises(ArgumentError, match="Mine"):
        type("Mine", (torch.Tensor,), {"__module__": "__main__"})


def test_variable_is_a_leaf_with_the_same_numbers() -> None:
    x = torch.ones(2)
    v = Variable(x, requires_grad=True)
    (v * v).sum().backward()
    assert v.grad.tolist() == [2.0, 2.0]
    assert not x.requires_grad
    assert isinstance(v, Variable)
    assert not Variable(v * 2).requires_grad


@pytest.mark.parametrize(
    ("dtype", "name"),
    [("float32", "Float"), ("float64", "Double"), ("int64", "Long"), ("bool", "Bool")],
)
def test_type_names_and_converts(dtype: str, name: str) -> None:
    x = torch.zeros(1, dtype=getattr(torch, dtype))
    assert x.type() == f"torch.{name}Tensor"
    assert torch.ones(1).type(x.type()).dtype == x.dtype
    assert torch.ones(1).type(getattr(torch, f"{name}Tensor")).dtype == x.dtype
    assert torch.ones(1).type_as(x).dtype == x.dtype


def test_type_refuses_other_devices_and_unknown_names() -> None:
    with pytest.raises(ArgumentError, match="CPU"):
        torch.ones(1).type("torch.cuda.FloatTensor")
    with pytest.raises(DTypeError):
        torch.ones(1).type("torch.NoTensor")


def test_there_is_one_device_and_others_are_refused_with_the_way_out() -> None:
    assert not torch.cuda.is_available()
    cuda = torch.device("cuda", 1)
    assert (str(cuda), cuda.type, cuda.index) == ("cuda:1", "cuda", 1)
    assert torch.ones(1).device == torch.device("cpu") != cuda
    for attempt in (
        lambda: torch.ones(1).to(cuda),
        lambda: torch.ones(1).to(device="cuda"),
        lambda: torch.ones(1).cuda(),
        lambda: torch.ones(1, device=cuda),
        lambda: torch.nn.Linear(1, 1).cuda(),
        lambda: torch.Generator("cuda"),
        lambda: torch.set_default_device("cuda"),
    ):
        with pytest.raises(ArgumentError, match="CPU only") as failure:
            attempt()
        assert "is_available" in str(failure.value)
    with pytest.raises(ArgumentError):
        torch.device("not a device")


def test_bfloat16_is_float32_with_a_warning() -> None:
    assert repr(torch.bfloat16) == "torch.bfloat16"
    with pytest.warns(UserWarning, match="no bfloat16"):
        assert torch.ones(1).to(torch.bfloat16).dtype == torch.float32
    with pytest.warns(UserWarning, match="no bfloat16"):
        assert torch.ones(1).bfloat16().dtype == torch.float32


def test_reductions_take_numpys_words_and_refuse_others() -> None:
    x = torch.ones(2, 3)
    assert x.sum(axis=0, keepdims=True).shape == (1, 3)
    assert torch.sum(input=x, axis=1).shape == (2,)
    assert torch.sum(torch.ones(2, dtype=torch.bool)).dtype == torch.int64
    assert torch.ones(3, dtype=torch.int32).sum(dtype=torch.float64).dtype == torch.float64
    with pytest.raises(TypeError, match="axes"):
        x.sum(axes=0)
    with pytest.raises(TypeError):
        torch.sum(x, axes=0)


def test_unbiased_in_every_form() -> None:
    x = torch.tensor([[1.0, 2.0, 4.0], [0.0, 0.0, 3.0]])
    biased = x.numpy().var(axis=1)
    for got in (x.var(1, False), x.var(1, unbiased=False), torch.var(x, 1, correction=0)):
        np.testing.assert_allclose(got.numpy(), biased, rtol=1e-6)
    np.testing.assert_allclose(x.var(False).item(), x.numpy().var(), rtol=1e-6)
    assert x.std(1, True, True).shape == (2, 1)


def test_old_and_new_forms_of_scaled_sums() -> None:
    x, g = torch.ones(2), torch.full((2,), 3.0)
    assert x.add(g, alpha=2).tolist() == [7.0, 7.0]
    p = torch.nn.Parameter(x)
    p.data.add_(-0.5, g)
    assert p.tolist() == [-0.5, -0.5]
    assert torch.sub(x, g, alpha=0).tolist() == [1.0, 1.0]


def test_in_place_forms_give_the_cell_the_value_of_the_method() -> None:
    x = torch.tensor([-1.5, 0.5])
    same = x
    assert x.abs_().sqrt_().mul_(2).clamp_(max=2.0) is same
    np.testing.assert_allclose(x.numpy(), [2.0, np.sqrt(2.0)], rtol=1e-6)
    x.unsqueeze_(0).t_()
    assert x.shape == (2, 1)
    assert x.resize_(3).shape == (3,)
    assert x.fill_diagonal_ is not None
    with pytest.raises(DTypeError):
        torch.arange(2).div_(2)
    leaf = torch.ones(2, requires_grad=True)
    with pytest.raises(InPlaceError):
        leaf.exp_()
    assert not hasattr(x, "item_")


def test_random_forms_fill_and_follow_the_seed() -> None:
    torch.manual_seed(3)
    first = torch.empty(100).uniform_(2, 3)
    torch.manual_seed(3)
    assert torch.equal(first, torch.empty(100).uniform_(2, 3))
    assert bool(((first >= 2) & (first < 3)).all())
    assert set(torch.empty(50).random_(0, 2).tolist()) == {0.0, 1.0}
    assert float(torch.empty(2000).exponential_(2.0).mean()) == pytest.approx(0.5, abs=0.06)
    assert float(torch.empty(2000).geometric_(0.5).mean()) == pytest.approx(2.0, abs=0.2)
    assert float(torch.empty(2001).cauchy_(1.0).median()) == pytest.approx(1.0, abs=0.15)
    assert float(torch.empty(2000).log_normal_(0.0, 0.5).log().std()) == pytest.approx(
        0.5, abs=0.05
    )
    assert torch.normal(torch.zeros(3), 1.0).shape == (3,)
    assert float(torch.normal(mean=5.0, std=torch.zeros(1))) == 5.0


def test_what_programs_write_in_other_words() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert torch.cumprod(x, axis=0).tolist() == [[1, 2], [3, 8]]
    (found,) = torch.autograd.grad((x * x).sum(), (p for p in [x]))
    assert found.tolist() == [[2, 4], [6, 8]]
    assert torch.ones((2, 2), dtype=bool).fill_diagonal_(0).tolist() == [
        [False, True],
        [True, False],
    ]
    layer = torch.nn.Linear(np.array((2, 3)).prod(), 2).to(memory_format=torch.channels_last)
    assert layer.to("meta").weight.shape == (2, 6)
    assert torch.typename(x) == "torch.FloatTensor"
    assert torch.typename(layer).endswith(".Linear")
    assert torch.nn.init._calculate_fan_in_and_fan_out(layer.weight) == (6, 2)


def test_out_takes_the_result_in_its_own_dtype() -> None:
    out = torch.empty(0, dtype=torch.float64)
    assert torch.add(torch.ones(2), 1, out=out) is out
    assert (out.tolist(), out.dtype) == ([2.0, 2.0], torch.float64)
    values, places = torch.empty(1), torch.empty(1, dtype=torch.long)
    torch.sort(torch.tensor([2.0, 1.0]), out=(values, places))
    assert (values.tolist(), places.tolist()) == ([1.0, 2.0], [1, 0])
    with pytest.raises(DTypeError):
        torch.exp(torch.ones(1), out=[])


def test_new_tensors_take_dtype_and_options_from_a_tensor() -> None:
    n = torch.arange(3)
    assert n.new_zeros(2, 2).dtype == torch.int64
    assert n.new_full((1,), 7).tolist() == [7]
    assert n.new_tensor([1.9]).tolist() == [1]
    assert n.new_ones(2, dtype=torch.float32, device="cpu", requires_grad=True).requires_grad
    assert n.new(2, 3).shape == (2, 3)
    assert n.new([4, 5]).tolist() == [4, 5]
    with pytest.raises(ArgumentError):
        n.new_zeros(2, colour="red")
    with pytest.raises(ShapeError):
        n.new_zeros(-1)


def test_facts_of_memory_are_those_of_rows_without_gaps() -> None:
    x = torch.zeros(2, 3, 4)
    assert x.stride() == (12, 4, 1)
    assert x.transpose(0, 2).contiguous().is_contiguous()
    assert (x.stride(-1), x.element_size(), x.nbytes, x.storage_offset()) == (1, 4, 96, 0)
    assert torch.zeros(0, 3).stride() == (3, 1)
    assert x.size() == torch.Size([2, 3, 4])
    assert x.size().numel() == 24
    assert x.size(-1) == 4
    assert x.is_cuda is x.is_sparse is False
    assert x.layout == torch.strided


def test_questions_about_a_tensor() -> None:
    x = torch.tensor([2.0])
    assert x.is_nonzero()
    assert not torch.is_nonzero(torch.zeros(1, 1))
    with pytest.raises(ShapeError):
        torch.ones(2).is_nonzero()
    assert x.is_same_size(torch.ones(1))
    assert not torch.is_same_size(x, torch.ones(1, 1))
    assert x.real is x.to_dense() is x
    assert torch.can_cast(torch.bool, torch.int8)
    assert not torch.can_cast(torch.float16, torch.int64)
    assert torch.result_type(torch.ones(1, dtype=torch.float16), 1.5) == torch.float16
    assert torch.promote_types(torch.uint8, torch.int8) == torch.int16


def test_apply_replaces_every_element() -> None:
    n = torch.tensor([[1, 2], [3, 4]])
    assert n.apply_(lambda k: k * k).tolist() == [[1, 4], [9, 16]]
    assert torch.zeros(0, 2).apply_(abs).shape == (0, 2)


def test_backward_takes_pytorchs_positions_and_inputs() -> None:
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    loss = (a * b).sum()
    loss.backward(None, True)
    loss.backward(inputs=[b])
    assert (a.grad.tolist(), b.grad.tolist()) == ([1.0, 1.0], [2.0, 2.0])


def test_a_function_with_setup_context() -> None:
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(x: Any) -> Any:
            return x * x

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            return 2 * ctx.saved_tensors[0] * ct

    x = torch.tensor([3.0], requires_grad=True)
    Square.apply(x).backward()
    assert x.grad.tolist() == [6.0]


def test_gradients_that_are_not_materialised_come_as_none() -> None:
    seen = []

    class Two(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.set_materialize_grads(False)
            return x * 1, x * 2

        @staticmethod
        def backward(ctx: Any, first: Any, second: Any) -> Any:
            seen.append(second)
            return first

    x = torch.ones(1, requires_grad=True)
    Two.apply(x)[0].backward()
    assert seen == [None]


def test_print_options_change_what_is_printed_and_go_back() -> None:
    try:
        torch.set_printoptions(precision=2)
        assert str(torch.tensor([0.123])) == "tensor([0.12])"
        torch.set_printoptions(sci_mode=True)
        assert str(torch.tensor([0.5])) == "tensor([5.00e-01])"
        torch.set_printoptions(threshold=2, edgeitems=1)
        assert "..." in str(torch.arange(5))
        with pytest.raises(ArgumentError):
            torch.set_printoptions(profile="none")
    finally:
        torch.set_printoptions(profile="default")
    assert str(torch.tensor([0.123])) == "tensor([0.1230])"


def test_default_types_in_both_ways() -> None:
    try:
        torch.set_default_tensor_type(torch.DoubleTensor)
        assert torch.tensor([1.0]).dtype == torch.get_default_dtype() == torch.float64
        torch.set_default_dtype(torch.float32)
        assert torch.Tensor([1]).dtype == torch.float32
    finally:
        cr.set_default_dtype(np.float32)


def test_modes_as_decorators_and_blocks() -> None:
    x = torch.ones(1, requires_grad=True)
    with torch.inference_mode():
        assert not (x * 2).requires_grad
    with torch.inference_mode(mode=False):
        assert (x * 2).requires_grad

    @torch.inference_mode()
    def double(t: Any) -> Any:
        return t * 2

    @torch.inference_mode
    def triple(t: Any) -> Any:
        return t * 3

    assert not double(x).requires_grad
    assert not triple(x).requires_grad
    assert (x * 2).requires_grad


def test_what_has_nothing_to_switch_is_accepted() -> None:
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    torch.use_deterministic_algorithms(True)
    torch.cuda.manual_seed_all(1)
    with pytest.raises(ArgumentError):
        torch.set_float32_matmul_precision("low")
    scaler = torch.cuda.amp.GradScaler()
    p = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([p], lr=0.5)
    with torch.autocast("cpu", enabled=True):
        loss = (p * 2).sum()
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert p.tolist() == [0.0]


def test_a_copy_from_state_dict_cannot_be_changed_in_vain() -> None:
    layer = torch.nn.Linear(1, 1)
    state = layer.state_dict()
    state["weight"].copy_(torch.ones(1, 1))
    state["weight"].data.add_(1)
    kept = copy.deepcopy(state["weight"])
    kept.zero_()
    for value in state.values():  # an average of weights, as programs keep it
        value *= 2
    assert layer.weight.tolist() == state["weight"].tolist() == [[4.0]]
    layer.weight.data.fill_(7)
    with pytest.raises(InPlaceError):
        state["weight"].copy_(torch.zeros(1, 1))
    assert (layer.weight.item(), state["weight"].item()) == (7, 4)
    own = {name: value.clone().zero_() for name, value in state.items()}
    layer.load_state_dict(own)
    assert layer.weight.tolist() == [[0.0]]


def test_compile_runs_eagerly_what_cannot_be_traced() -> None:
    def clipped(x: Any) -> Any:
        return x * 2 if x.sum() > 0 else -x

    fast = torch.compile(clipped)
    with pytest.warns(UserWarning, match="runs eagerly"):
        assert fast(torch.ones(2)).tolist() == [2.0, 2.0]
    assert fast(-torch.ones(2)).tolist() == [1.0, 1.0]
    with pytest.raises(cr.errors.TracingError):
        torch.compile(clipped, fullgraph=True)(torch.ones(2))

    @torch.compile(mode="max-autotune")
    def twice(x: Any) -> Any:
        return x * 2

    assert twice(torch.ones(2)).tolist() == [2.0, 2.0]
    layer = torch.nn.Linear(2, 1)
    names = list(layer.state_dict())
    assert list(torch.compile(layer).state_dict()) == names
    assert torch.compile(layer, disable=True) is layer
