"""Explanations of tapes: shares, counts and paths are exact, and wrong ones are errors."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from schema import errors

import chainrule as cr
from chainrule import lens, nn
from chainrule.core.op import registry
from chainrule.core.value import Node
from chainrule.errors import (
    ArgumentError,
    ExplanationError,
    GradientError,
    IndexRangeError,
    ShapeError,
)
from chainrule.lens import analysis, branches, elements, flow, layers, twin
from chainrule.nn.networks import mnist_cnn

f64 = cr.float64


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


class Residual(nn.Module):
    """A block with a skip connection between two dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(3, 8), nn.Linear(8, 2)
        self.fc1, self.fc2 = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        h = self.stem(x).tanh()
        h = h + self.fc2(self.fc1(h).relu())
        return self.head(h)


class Sequence(nn.Module):
    """A recurrent layer whose last state is scored."""

    def __init__(self, kind: type = nn.LSTM, hidden: int = 5) -> None:
        super().__init__()
        self.recurrent, self.out = kind(3, hidden), nn.Linear(hidden, 2)

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        return self.out(self.recurrent(x)[0][-1])


def image_loss() -> tuple[nn.Module, cr.Tensor]:
    cr.manual_seed(0)
    net = mnist_cnn().eval()
    image = cr.tensor(rng().random((1, 1, 28, 28)).astype(np.float32))
    return net, nn.CrossEntropyLoss()(net(image), cr.tensor([3]))


def residual_loss() -> tuple[nn.Module, cr.Tensor]:
    cr.manual_seed(0)
    net = Residual()
    x = cr.tensor(rng().normal(size=(4, 3)).astype(np.float32))
    return net, nn.CrossEntropyLoss()(net(x), cr.tensor([0, 1, 1, 0]))


def sequence_loss(kind: type = nn.LSTM, steps: int = 6) -> tuple[nn.Module, cr.Tensor]:
    cr.manual_seed(0)
    net = Sequence(kind)
    x = cr.tensor(rng().normal(size=(steps, 1, 3)).astype(np.float32))
    return net, nn.CrossEntropyLoss()(net(x), cr.tensor([1]))


def remultiplied(path: elements.ElementPath) -> float:
    return math.prod(link.derivative for link in path.links)


# One weight ---------------------------------------------------------------------------------------


def test_weight_of_the_mnist_network_is_a_sum_over_paths_through_elements() -> None:
    net, loss = image_loss()
    found = lens.explain(loss, net.conv2.weight, index=(3, 0, 1, 1), heaviest=100_000).found
    paths = found.elements
    assert paths.count == len(paths.heaviest)
    for path in paths.heaviest:
        assert remultiplied(path) == pytest.approx(path.value, rel=1e-12)
    total = math.fsum(remultiplied(path) for path in paths.heaviest)
    assert abs(total - found.residuals.tape) <= 1e-10 * paths.mass
    assert abs(paths.total - found.residuals.tape) <= 1e-10 * paths.mass
    assert found.residuals.to_difference <= 1e-6
    assert [b.label for b in found.modules] == [
        "conv2", "relu2", "pool2", "flatten", "dropout", "dense",
    ]  # fmt: skip


def test_paths_too_many_to_list_are_counted_and_summed() -> None:
    net, loss = image_loss()
    paths = lens.explain(loss, net.conv1.weight, index=(3, 0, 1, 1)).found.elements
    assert paths.count > 10_000
    assert len(paths.heaviest) == analysis.HEAVIEST
    sizes = [abs(path.value) for path in paths.heaviest]
    assert sizes == sorted(sizes, reverse=True)
    loss.backward()
    assert paths.total == pytest.approx(net.conv1.weight.grad[3, 0, 1, 1].item(), rel=1e-4)


def test_heaviest_paths_are_those_of_a_full_enumeration() -> None:
    x = cr.tensor(rng(1).normal(size=(2, 3)), requires_grad=True)
    w = cr.tensor(rng(2).normal(size=(3, 4)), requires_grad=True)
    y = cr.tanh(x @ w) @ cr.tensor(rng(3).normal(size=(4, 2)), requires_grad=True)
    loss = (y * y).sum()
    everything = lens.explain(loss, w, index=(1, 2), heaviest=10_000).found.elements
    best = lens.explain(loss, w, index=(1, 2), heaviest=3).found.elements
    assert everything.count == len(everything.heaviest) == 2 * 2 * 2
    assert [p.value for p in best.heaviest] == [p.value for p in everything.heaviest[:3]]
    assert math.fsum(p.value for p in everything.heaviest) == pytest.approx(best.total, rel=1e-13)


def test_branches_of_a_residual_block_add_up() -> None:
    net, loss = residual_loss()
    found = lens.explain(loss, net.stem.weight, index=(1, 1)).found
    assert found.path_count == len(found.routes) == 2
    (join,) = found.joins
    kinds = {branch.label.split(":")[0]: branch.value for branch in join.branches}
    assert set(kinds) == {"skip", "main"}
    total = math.fsum(kinds.values())
    assert abs(total - found.residuals.tape) <= 1e-10 * found.residuals.scale
    by_module = {b.label: b.value for b in found.modules}
    assert by_module["fc1"] == pytest.approx(kinds["main"], rel=1e-12)
    assert by_module["head"] == pytest.approx(found.gradient, rel=1e-12)
    for route in found.routes:
        assert math.prod(route.factors) == pytest.approx(route.value, rel=1e-12)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(nn.LSTM, "weight_hh_l0"), (nn.LSTM, "weight_ih_l0"), (nn.GRU, "weight_hh_l0"),
     (nn.RNN, "weight_hh_l0")],
)  # fmt: skip
def test_weight_shared_over_time_has_one_term_for_each_step(kind: type, name: str) -> None:
    net, loss = sequence_loss(kind)
    weight = getattr(net.recurrent, name)
    found = lens.explain(loss, weight, index=(1, 1)).found
    assert [b.label for b in found.uses.branches] == [f"time step {t}" for t in range(1, 7)]
    terms = math.fsum(b.value for b in found.uses.branches)
    assert abs(terms - found.residuals.tape) <= 1e-10 * found.residuals.scale
    assert sum(b.paths for b in found.uses.branches) == found.path_count


def test_time_steps_are_what_truncation_leaves_out() -> None:
    """The term of a step is the gradient of the weight as used in that step alone."""
    net, loss = sequence_loss(nn.RNN, steps=4)
    found = lens.explain(loss, net.recurrent.weight_hh_l0, index=(0, 2)).found
    weight = net.recurrent.weight_hh_l0.detach().numpy().astype(np.float64)
    uses = [cr.tensor(weight, requires_grad=True) for _ in range(4)]
    x = rng().normal(size=(4, 1, 3)).astype(np.float32).astype(np.float64)
    p = {n: q.detach().numpy().astype(np.float64) for n, q in net.named_parameters()}
    h = cr.tensor(np.zeros((1, 5)))
    for t in range(4):
        a = cr.tensor(x[t] @ p["recurrent.weight_ih_l0"].T + p["recurrent.bias_ih_l0"])
        h = cr.tanh(a + cr.tensor(p["recurrent.bias_hh_l0"]) + h @ uses[t].T)
    y = h @ cr.tensor(p["out.weight"]).T + cr.tensor(p["out.bias"])
    nn.CrossEntropyLoss()(y, cr.tensor([1])).backward()
    terms = [u.grad[0, 2].item() for u in uses]
    assert [b.value for b in found.uses.branches] == pytest.approx(terms, rel=1e-9, abs=1e-15)


def test_paths_through_operations_are_counted_by_the_dynamic_program() -> None:
    x = cr.tensor(0.3, dtype=f64, requires_grad=True)
    y = x
    for _ in range(40):
        y = cr.sin(y) + 0.5 * y
    found = lens.explain(y, x).found
    assert found.path_count == 2**40
    assert found.routes == ()
    assert found.elements.count == 2**40
    assert found.elements.total == pytest.approx(found.residuals.tape, rel=1e-12)


def test_scalar_tape_lists_local_derivatives() -> None:
    x = cr.tensor(1.3, dtype=f64, requires_grad=True)
    (path,) = lens.explain(cr.sin(x**2), x, names={"x": x}).found.elements.heaviest
    assert [link.derivative for link in path.links] == [2.6, math.cos(1.3**2)]


def test_whole_parameter_is_moved_along_its_gradient() -> None:
    net, loss = residual_loss()
    found = lens.explain(loss, net.fc1.weight)
    loss.backward(retain_graph=True)
    norm = np.linalg.norm(net.fc1.weight.grad.numpy())
    assert found.gradient == pytest.approx(norm, rel=1e-5)
    assert found.found.elements is None


def test_direction_of_a_vector_output() -> None:
    x = cr.tensor([1.0, 2.0], dtype=f64, requires_grad=True)
    found = lens.explain(x * x, x, index=1, direction=np.array([5.0, 3.0]))
    assert found.gradient == 12.0


def test_grad_is_not_touched_and_the_graph_can_be_walked_again() -> None:
    net, loss = residual_loss()
    lens.explain(loss, net.fc1.weight, index=(0, 0))
    assert net.fc1.weight.grad is None
    loss.backward()


def test_constants_that_an_affine_op_did_not_keep_are_found_again() -> None:
    x = cr.tensor([1.0, 2.0], dtype=f64, requires_grad=True)
    offset = cr.tensor([0.5, -3.0], dtype=f64)
    y = ((x + offset) ** 3).sum()
    assert lens.explain(y, x, index=1).gradient == pytest.approx(3.0)


def test_values_that_are_gone_are_an_error_unless_kept() -> None:
    x = cr.tensor([1.0, 2.0], dtype=f64, requires_grad=True)
    offset = cr.tensor([0.5, -3.0], dtype=f64)
    with pytest.raises(ExplanationError, match="keeping"):
        lens.explain(cr.exp(x + offset).sum(), x, index=1)
    with lens.keeping():
        y = cr.exp(x + offset).sum()
    assert lens.explain(y, x, index=1).gradient == pytest.approx(math.exp(-1))


def test_freed_tape_is_explained_if_it_was_kept() -> None:
    x = cr.tensor([1.0, 2.0], dtype=f64, requires_grad=True)
    with lens.keeping():
        y = cr.sin(x * x).sum()
        y.backward()
    found = lens.explain(y, x, index=0)
    assert found.gradient == pytest.approx(2 * math.cos(1))
    assert any("freed" in note for note in found.found.notes)


def test_kink_is_said() -> None:
    x = cr.tensor([0.0, 2.0], dtype=f64, requires_grad=True)
    found = lens.explain(cr.relu(x).sum(), x, index=0)
    assert found.found.residuals.kink == pytest.approx((0.0, 1.0))
    assert "kink" in str(found)


# What is wrong ------------------------------------------------------------------------------------


def test_wrong_rule_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    tanh = registry["tanh"]
    monkeypatch.setattr(tanh, "slope", lambda self, x, y: 1.001 - y * y)
    x = cr.tensor([0.3], dtype=f64, requires_grad=True)
    with pytest.raises(ExplanationError, match="finite difference"):
        lens.explain(cr.tanh(x * 2).sum(), x)


def test_transpose_that_is_not_the_transpose_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    matmul = registry["matmul"]
    right = matmul.transpose
    monkeypatch.setattr(matmul, "transpose", lambda self, i, ct, xs: 1.01 * right(self, i, ct, xs))
    a, b = (cr.tensor(rng(i).normal(size=(3, 3)), requires_grad=True) for i in range(2))
    with pytest.raises(ExplanationError, match="tape"):
        lens.explain((a @ b).sum(), a, index=(0, 1))


def test_hook_that_changes_gradients_is_found() -> None:
    x = cr.tensor([0.3], dtype=f64, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: g * 3)
    with pytest.raises(ExplanationError, match="another gradient"):
        lens.explain(cr.sin(y).sum(), x)


@pytest.mark.parametrize(
    ("index", "kind"),
    [((0, 9), IndexRangeError), ((0,), ShapeError), ((0, 1.5), ShapeError), ("ab", ShapeError)],
)
def test_wrong_index(index, kind: type[Exception]) -> None:
    net, loss = residual_loss()
    with pytest.raises(kind):
        lens.explain(loss, net.stem.weight, index=index)


def test_what_has_no_gradient_is_refused() -> None:
    x = cr.tensor([1.0, 2.0], dtype=f64, requires_grad=True)
    other = cr.tensor([1.0], dtype=f64, requires_grad=True)
    with pytest.raises(GradientError, match="direction"):
        lens.explain(x * x, x)
    with pytest.raises(GradientError, match="does not depend"):
        lens.explain(x.sum(), other)
    with pytest.raises(GradientError, match="not recorded"):
        lens.explain(cr.tensor(1.0), x)
    with pytest.raises(GradientError, match="requires_grad_"):
        lens.explain(x.sum(), cr.tensor(1.0))
    with pytest.raises(ArgumentError):
        lens.explain(3.0, x)
    with pytest.raises(ExplanationError, match="not finite"):
        lens.explain(cr.log(x - 1).sum(), x, index=0)


# Layers -------------------------------------------------------------------------------------------


def test_layers_of_a_dense_network_follow_the_sources_notation() -> None:
    cr.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    x = cr.tensor(rng().normal(size=(5, 4)))
    loss = nn.CrossEntropyLoss()(net.double()(x), cr.tensor([0, 1, 2, 0, 1]))
    found = lens.explain_layers(loss)
    first, tanh, second, _ = found.layers
    assert first.rule == "(W²ᵀ δ²) ⊙ φ′(u)"
    assert second.rule == "(softmax(u) − y) / 5"
    assert tanh.formula == "W²ᵀ δ[2]"
    assert [p.formula for p in first.parameters] == ["δ aᵀ", "Σ δ"]
    w1, b1, w2, b2 = (p.detach().numpy() for p in net.parameters())
    a = np.tanh(x.numpy() @ w1.T + b1)
    z = a @ w2.T + b2
    delta2 = (np.exp(z) / np.exp(z).sum(1, keepdims=True) - np.eye(3)[[0, 1, 2, 0, 1]]) / 5
    delta1 = (delta2 @ w2) * (1 - a**2)
    np.testing.assert_allclose(second.delta, np.linalg.norm(delta2), rtol=1e-12)
    np.testing.assert_allclose(first.delta, np.linalg.norm(delta1), rtol=1e-12)
    np.testing.assert_allclose(first.parameters[0].gradient, delta1.T @ x.numpy(), rtol=1e-10)
    np.testing.assert_allclose(second.passed, np.linalg.norm(delta2 @ w2), rtol=1e-12)
    singular = np.linalg.svd(w2, compute_uv=False)
    np.testing.assert_allclose(second.gain.largest, singular[0], rtol=1e-6)
    np.testing.assert_allclose(second.gain.typical, np.sqrt(np.mean(singular**2)), rtol=1e-12)
    np.testing.assert_allclose(tanh.gain.largest, np.max(1 - a**2), rtol=1e-12)


def test_gain_of_a_convolution_is_that_of_its_matrix() -> None:
    cr.manual_seed(0)
    conv = nn.Conv2d(2, 3, 3, padding=1).double()
    x = cr.tensor(rng().normal(size=(1, 2, 5, 5)), requires_grad=True)
    found = lens.explain_layers((conv(x * 1.0) ** 2).sum())
    layer = next(layer for layer in found.layers if layer.kind == "Conv2d")
    columns = []
    for i in range(50):
        one = np.zeros(50)
        one[i] = 1
        columns.append((conv(cr.tensor(one.reshape(1, 2, 5, 5))) - conv(
            cr.tensor(np.zeros((1, 2, 5, 5))))).detach().numpy().ravel())  # fmt: skip
    singular = np.linalg.svd(np.stack(columns, 1), compute_uv=False)
    assert layer.gain.largest == pytest.approx(singular[0], rel=1e-4)
    exact = np.sqrt(np.sum(singular**2) / 50)
    assert abs(layer.gain.typical - exact) <= 5 * layer.gain.uncertainty + 1e-12


def test_operations_of_a_module_with_parts_are_layers_of_their_own() -> None:
    _, loss = residual_loss()
    names = [layer.name for layer in lens.explain_layers(loss).layers]
    assert names == ["stem", "tanh", "fc1", "relu", "fc2", "add", "head", "CrossEntropyLoss"]
    tanh = lens.explain_layers(loss).layers[1]
    assert tanh.formula == "W²ᵀ δ[fc1] + δ[add]"


def test_wrong_gradient_of_a_layer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    _, loss = residual_loss()
    real = layers._Layers._product

    def wrong(self: layers._Layers, node: Node, slot: int) -> tuple[str, object]:
        formula, product = real(self, node, slot)
        return formula, product * 1.0001

    monkeypatch.setattr(layers._Layers, "_product", wrong)
    with pytest.raises(ExplanationError):
        lens.explain_layers(loss)


# Steps and programs -------------------------------------------------------------------------------


def test_compiled_step_is_explained_by_its_eager_twin_and_changes_nothing() -> None:
    cr.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.BatchNorm1d(8), nn.Linear(8, 2))
    optimizer = cr.optim.Adam(net.parameters(), lr=0.1)

    @cr.compile
    def step(x: cr.Tensor, y: cr.Tensor) -> cr.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    x = cr.tensor(rng().normal(size=(6, 4)).astype(np.float32))
    y = cr.tensor([0, 1, 0, 1, 1, 0])
    step(x, y)
    before = [t.detach().numpy().copy() for t in [*net.parameters(), *net.buffers()]]
    grads = [p.grad.numpy().copy() for p in net.parameters()]
    numbers = str(cr.ops.random.default_generator.get_state())
    found = lens.explain_step(step, x, y, parameter="0.weight[3,1]")
    for t, was in zip([*net.parameters(), *net.buffers()], before, strict=True):
        np.testing.assert_array_equal(t.detach().numpy(), was)
    for p, was in zip(net.parameters(), grads, strict=True):
        np.testing.assert_array_equal(p.grad.numpy(), was)
    assert str(cr.ops.random.default_generator.get_state()) == numbers
    step(x, y)
    assert net[0].weight.grad[3, 1].item() == pytest.approx(found.gradient, rel=1e-3)


def test_last_backward_of_a_program_is_explained() -> None:
    net = nn.Linear(3, 1)
    optimizer = cr.optim.SGD(net.parameters(), lr=0.1)
    x = cr.tensor(rng().normal(size=(6, 3)).astype(np.float32))
    with lens.keeping() as keeper:
        for _ in range(3):
            optimizer.zero_grad()
            (net(x) ** 2).mean().backward()
            optimizer.step()
    found = lens.explain_backward(keeper, "weight[0,1]")
    assert found.gradient == pytest.approx(net.weight.grad[0, 1].item(), rel=1e-4)
    with pytest.raises(ArgumentError, match="weight"):
        lens.explain_backward(keeper, "fc9.weight")
    with pytest.raises(ArgumentError):
        lens.explain_backward(keeper, "weight[0;1]")
    with pytest.raises(GradientError, match="backward"):
        lens.explain_backward(lens.Keeper(None), "weight")


# How it is shown ----------------------------------------------------------------------------------


def test_json_follows_the_schema_and_every_format_is_made() -> None:
    net, loss = sequence_loss()
    for found in (
        lens.explain(loss, net.recurrent.weight_hh_l0, index=(1, 1)),
        lens.explain(loss, net.out.bias),
        lens.explain_layers(loss),
    ):
        assert errors(json.loads(found.dumps()), "explanation.json") == []
        assert "<script" not in found._repr_html_()
        assert found.to_markdown().startswith("## ")
        assert found.to_latex().count(r"\begin") == found.to_latex().count(r"\end")
        assert str(found)


def test_record_follows_the_schema_and_holds_gradients() -> None:
    net, loss = residual_loss()
    record = lens.record_of(loss)
    assert errors(json.loads(json.dumps(record.to_json())), "record.json") == []
    loss.backward()
    entry = next(e for e in record.entries if e.name == "fc1.weight")
    np.testing.assert_allclose(entry.gradient, net.fc1.weight.grad.numpy(), rtol=1e-6)
    relu = next(e for e in record.entries if e.op == "relu")
    assert relu.module == "Residual"
    assert "self.fc2(self.fc1(h).relu())" in relu.site.source
    assert record.output.index == len(record.entries) - 1
    users = record.users()
    assert all((e.index, k) in users[i] for e in record.entries
               for k, i in enumerate(e.inputs) if i is not None)  # fmt: skip


def test_record_names_two_networks_apart() -> None:
    a, b = nn.Linear(2, 2), Residual()
    loss = b(cr.cat([a(cr.ones(1, 2)), cr.ones(1, 1)], 1)).sum()
    names = {e.name for e in lens.record_of(loss).entries if e.is_leaf}
    assert {"Linear.weight", "Residual.fc1.weight"} <= names


def test_too_many_elements_are_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "MOST_ENTRIES", 10)
    net, loss = residual_loss()
    found = lens.explain(loss, net.stem.weight, index=(0, 0))
    assert found.found.elements is None
    assert found.found.residuals.to_tape <= 1e-10
    assert found.path_count < branches.MOST_PATHS
    assert flow.norm(()) == 0
    assert np.float64 == twin.F64


@pytest.mark.parametrize("kind", ["checkpoint", "Function"])
def test_calls_that_cannot_be_taken_apart_are_said(kind: str) -> None:
    class Square(cr.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return 2 * g * ctx.saved_tensors[0]

    w = cr.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = cr.checkpoint(lambda a: cr.tanh(a @ a), w) if kind == "checkpoint" else Square.apply(w)
    with pytest.raises(ExplanationError, match="cannot be computed again step by step"):
        cr.explain(y.sum(), w, index=(0, 1))
    assert len(cr.draw(y.sum()).visible) == 3


def test_layers_of_an_output_that_is_not_finite_are_refused() -> None:
    net = nn.Linear(2, 1)
    with pytest.raises(ExplanationError, match="not finite"):
        lens.explain_layers(net(cr.tensor([[math.nan, 1.0]])).sum())
