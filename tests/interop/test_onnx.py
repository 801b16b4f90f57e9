"""Exported networks give onnxruntime what they give here, for any batch size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError
from chainrule.interop.onnx import export_onnx
from chainrule.nn import functional as F

BOUND = 1e-5


class Recurrent(nn.Module):
    """Words, a recurrent layer of two, and the last step."""

    def __init__(self, kind: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.words = nn.Embedding(7, 5)
        self.layer = kind(5, 6, num_layers=2, batch_first=True, bidirectional=True)
        self.out = nn.Linear(12, 3)

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        return self.out(self.layer(self.words(x))[0][:, -1])


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(8, 8) for _ in range(3))

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        batch, steps, _ = x.shape
        q, k, v = (
            f(x).reshape(batch, steps, 2, 4).transpose(1, 2) for f in (self.q, self.k, self.v)
        )
        later = np.triu(np.ones((steps, steps), bool), 1)
        scores = (q @ k.transpose(-2, -1) / 2).masked_fill(cr.tensor(later), -np.inf)
        return (F.softmax(scores, -1) @ v).transpose(1, 2).reshape(batch, steps, 8)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        return F.relu(x + self.norm(self.conv(x)))


def images(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def words(*shape: int) -> Any:
    return np.random.default_rng(0).integers(0, 7, shape)


NETWORKS: dict[str, Callable[[], tuple[nn.Module, Any]]] = {
    "mlp": lambda: (
        nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 9), nn.ELU(0.7), nn.Linear(9, 2)),
        images(3, 6),
    ),
    "cnn": lambda: (
        nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
            Residual(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(64, 10), nn.GELU(),
            nn.LayerNorm(10),
            nn.LogSoftmax(-1),
        ),
        images(2, 1, 8, 8),
    ),
    "decoder": lambda: (
        nn.Sequential(
            nn.ConvTranspose2d(3, 4, 3, stride=2, output_padding=1), nn.AvgPool2d(2), nn.SiLU(),
            nn.ConvTranspose2d(4, 1, 2, padding=1), nn.Sigmoid(),
        ),
        images(2, 3, 5, 5),
    ),
    "lstm": lambda: (Recurrent(nn.LSTM), words(2, 9)),
    "gru": lambda: (Recurrent(nn.GRU), words(2, 9)),
    "rnn": lambda: (Recurrent(nn.RNN), words(2, 9)),
    "attention": lambda: (Attention(), images(2, 6, 8)),
    "sequence": lambda: (
        nn.Sequential(
            nn.Conv1d(2, 4, 3, dilation=2), nn.LeakyReLU(0.2), nn.Flatten(), nn.Softplus()
        ),
        images(2, 2, 9),
    ),
}  # fmt: skip


def run(model: Any, *arrays: Any) -> list[Any]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [i.name for i in session.get_inputs()]
    return session.run(None, dict(zip(names, arrays, strict=True)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", NETWORKS)
def test_onnxruntime_computes_what_the_network_computes(name: str) -> None:
    cr.manual_seed(0)
    network, x = NETWORKS[name]()
    if any(isinstance(m, nn.BatchNorm2d) for m in network.modules()):
        network(cr.tensor(x))  # statistics that are not 0 and 1
    model = export_onnx(network, None, x)
    assert network.training
    network.eval()
    for size in (1, 2, 5):
        batch = np.concatenate([x] * 3)[:size]
        (found,) = run(model, batch)
        want = network(cr.tensor(batch)).detach().numpy()
        assert found.shape == want.shape
        np.testing.assert_allclose(found, want, atol=BOUND, rtol=BOUND)


def test_the_file_is_checked_named_and_complete(tmp_path: Path) -> None:
    network, x = NETWORKS["mlp"]()
    path = tmp_path / "net.onnx"
    export_onnx(network, path, x, input_names=["pixels"], output_names=["logits"])
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [i.name for i in model.graph.input] == ["pixels"]
    assert [o.name for o in model.graph.output] == ["logits"]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert model.producer_name == "chainrule"


def test_any_function_of_several_inputs_can_be_exported() -> None:
    def f(x: Any, y: Any) -> Any:
        return cr.sin(x) * y.sum(1, keepdim=True), cr.where(x > y, x, 0.5 * y).amax(1)

    x, y = images(3, 4), images(3, 4)[::-1].copy()
    model = export_onnx(f, None, x, y)
    for found, want in zip(run(model, x, y), f(cr.tensor(x), cr.tensor(y)), strict=True):
        np.testing.assert_allclose(found, want.numpy(), atol=BOUND)


ELEMENTWISE = [
    "abs", "ceil", "cos", "erf", "erfc", "exp", "expm1", "floor", "reciprocal", "round", "sigmoid",
    "sign", "sin", "square", "tan", "tanh", "trunc", "log1p", "sqrt", "rsqrt", "log2", "log10",
    "logsigmoid", "relu",
]  # fmt: skip


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_functions(name: str) -> None:
    function = getattr(cr, name)
    x = np.linspace(0.1, 3, 24, dtype=np.float32).reshape(4, 6)
    if name in ("abs", "cos", "erf", "sign", "trunc", "round", "relu", "floor"):
        x -= 1.4
    (found,) = run(export_onnx(function, None, x), x)
    np.testing.assert_allclose(found, function(cr.tensor(x)).numpy(), atol=BOUND, rtol=BOUND)


def test_what_cannot_be_exported_is_named() -> None:
    x = images(3, 4)
    with pytest.raises(ArgumentError, match="cholesky"):
        export_onnx(lambda x: cr.linalg.cholesky(x @ x.T), None, x, any_batch=False)
    with pytest.raises(ArgumentError, match="batch"):
        export_onnx(lambda x: x[1:], None, x)
    with pytest.raises(ArgumentError, match="example"):
        export_onnx(nn.Linear(4, 2), None)
    with pytest.raises(ArgumentError, match="in common"):
        export_onnx(lambda x, y: (x, y), None, x, images(2, 4))
    (found,) = run(export_onnx(lambda x: x[1:], None, x, any_batch=False), x)
    np.testing.assert_array_equal(found, x[1:])
