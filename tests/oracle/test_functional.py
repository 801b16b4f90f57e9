"""``chainrule.nn.functional`` called as ``torch.nn.functional``, and methods of tensors as torch's.

Each function below is run as it stands on both libraries.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing._internal.common_methods_invocations import op_db

import chainrule as cr

from .compare import cotangents, flat, ours, rng_for, same, same_gradient, theirs

Called = Callable[..., Any]
LABELS = np.array([2, 0, 1])

FUNCTIONAL: tuple[Called, ...] = (
    lambda F, x, w: F.adaptive_avg_pool1d(x, 2), lambda F, x, w: F.adaptive_max_pool1d(x, 2),
    lambda F, x, w: F.adaptive_avg_pool2d(x, (2, 1)),
    lambda F, x, w: F.adaptive_max_pool2d(x, (2, 1), return_indices=True),
    lambda F, x, w: F.avg_pool1d(x, 2, 1), lambda F, x, w: F.avg_pool2d(x, 2),
    lambda F, x, w: F.max_pool1d(x, 2), lambda F, x, w: F.max_pool2d(x, 2, stride=1),
    lambda F, x, w: F.batch_norm(x, None, None, training=True),
    lambda F, x, w: F.layer_norm(x, (5,)), lambda F, x, w: F.layer_norm(x, (4, 5), eps=0.1),
    lambda F, x, w: F.conv1d(x, w, padding=1), lambda F, x, w: F.conv_transpose1d(x, w[:4]),
    lambda F, x, w: F.conv2d(x[None], w[:, :, None][:, :3], bias=w[:, 0, 0]),
    lambda F, x, w: F.conv_transpose2d(x[None], w[:3, :, None]),
    lambda F, x, w: F.cosine_similarity(x, x * 2 + 1),
    lambda F, x, w: F.cosine_similarity(x, w[:3, :4, :1], dim=-1),
    lambda F, x, w: F.normalize(x), lambda F, x, w: F.normalize(x, 1, -1),
    lambda F, x, w: F.normalize(x, p=3.0, dim=0, eps=1e-3),
    lambda F, x, w: F.normalize(x * 0, dim=0),
    lambda F, x, w: F.linear(x, w[0, :, :1].expand(4, 5)), lambda F, x, w: F.dropout(x, 0.3, False),
    lambda F, x, w: F.dropout1d(x, 0.0), lambda F, x, w: F.dropout2d(x, training=False),
    lambda F, x, w: F.elu(x), lambda F, x, w: F.elu(x, 0.5), lambda F, x, w: F.gelu(x),
    lambda F, x, w: F.gelu(x, approximate="tanh"), lambda F, x, w: F.leaky_relu(x, 0.2),
    lambda F, x, w: F.log_softmax(x, dim=1), lambda F, x, w: F.log_softmax(x),
    lambda F, x, w: F.logsigmoid(x),
    lambda F, x, w: F.relu(x), lambda F, x, w: F.relu(x * 1, inplace=True),
    lambda F, x, w: F.relu_(x * 1),
    lambda F, x, w: F.sigmoid(x), lambda F, x, w: F.silu(x), lambda F, x, w: F.softmax(x, -1),
    lambda F, x, w: F.softmax(x), lambda F, x, w: F.softplus(x, 2, 1), lambda F, x, w: F.tanh(x),
    lambda F, x, w: F.pad(x, (1, 2)), lambda F, x, w: F.pad(x, (1, 2, 0, 1), value=3.0),
    lambda F, x, w: F.pad(x, (-1, 0, 2, -1)), lambda F, x, w: F.pad(x, (2, 1), mode="reflect"),
    lambda F, x, w: F.pad(x, (2, 1), mode="circular"),
    lambda F, x, w: F.pad(x, (0, 3), "replicate"),
    lambda F, x, w: F.unfold(x[None], 2, padding=1),
    lambda F, x, w: F.embedding(_like(x, LABELS), x[0]),
    lambda F, x, w: F.one_hot(_like(x, LABELS)),
    lambda F, x, w: F.one_hot(_like(x, LABELS), 5),
    lambda F, x, w: F.cross_entropy(x[0, :3], _like(x, LABELS)),
    lambda F, x, w: F.nll_loss(x[0, :3], _like(x, LABELS), reduction="sum"),
    lambda F, x, w: F.mse_loss(x[0], x[1]), lambda F, x, w: F.l1_loss(x[0], x[1], reduction="none"),
    lambda F, x, w: F.smooth_l1_loss(x[0], x[1], beta=0.4),
    lambda F, x, w: F.huber_loss(x[0], x[1], delta=0.4),
    lambda F, x, w: F.kl_div(x[0], x[1].softmax(1), reduction="batchmean"),
    lambda F, x, w: F.binary_cross_entropy(x.sigmoid(), w[:3, :4, :1].sigmoid().expand(3, 4, 5)),
    lambda F, x, w: F.binary_cross_entropy_with_logits(x, w[:3, :4, :1].sigmoid().expand(3, 4, 5)),
)  # fmt: skip

METHODS: tuple[Called, ...] = (
    lambda x, y: x + y, lambda x, y: 2 + x, lambda x, y: x - y, lambda x, y: 1.5 - x,
    lambda x, y: x * y, lambda x, y: 3 * x, lambda x, y: x / y, lambda x, y: 1 / x,
    lambda x, y: x.detach() // 0.3, lambda x, y: x % 0.3, lambda x, y: x**2, lambda x, y: abs(x)**y,
    lambda x, y: 2**x, lambda x, y: -x, lambda x, y: +x, lambda x, y: abs(x),
    lambda x, y: x @ y[0].mT, lambda x, y: x == y, lambda x, y: x != y, lambda x, y: x < y,
    lambda x, y: x <= y, lambda x, y: x > 0, lambda x, y: x >= 0.5, lambda x, y: ~(x > 0),
    lambda x, y: ~(x * 9).long(), lambda x, y: (x * 9).long() & (y * 9).long(),
    lambda x, y: (x * 9).long() | 5, lambda x, y: (x * 9).long() ^ (y > 0),
    lambda x, y: (x > 0) & (y > 0), lambda x, y: (x > 0) | (y > 0), lambda x, y: (x > 0) ^ (y > 0),
    lambda x, y: x[0], lambda x, y: x[..., None, 1:3], lambda x, y: x[x > 0], lambda x, y: list(x),
    lambda x, y: x.add(y), lambda x, y: x.sub(y), lambda x, y: x.mul(y), lambda x, y: x.div(y),
    lambda x, y: x.pow(3), lambda x, y: x.neg(), lambda x, y: x.abs(), lambda x, y: x.sign(),
    lambda x, y: x.square(), lambda x, y: x.reciprocal(), lambda x, y: x.floor(),
    lambda x, y: x.ceil(),
    lambda x, y: x.round(), lambda x, y: x.round(decimals=1), lambda x, y: x.trunc(),
    lambda x, y: x.clip(-0.5, 0.5), lambda x, y: x.clamp(min=0.1), lambda x, y: x.clamp(max=y),
    lambda x, y: x.maximum(y), lambda x, y: x.minimum(y), lambda x, y: x.where(x > y, y),
    lambda x, y: x.where(x > 0, 0.0), lambda x, y: x.masked_fill(y > 0, -2.0), lambda x, y: x.eq(y),
    lambda x, y: x.isnan(), lambda x, y: x.isinf(), lambda x, y: x.isfinite(), lambda x, y: x.exp(),
    lambda x, y: x.abs().log(), lambda x, y: x.abs().log1p(), lambda x, y: x.expm1(),
    lambda x, y: x.abs().sqrt(), lambda x, y: x.abs().rsqrt(), lambda x, y: x.sin(),
    lambda x, y: x.cos(), lambda x, y: x.tan(), lambda x, y: x.tanh(), lambda x, y: x.sigmoid(),
    lambda x, y: x.erf(), lambda x, y: x.relu(), lambda x, y: x.sum(), lambda x, y: x.sum(0),
    lambda x, y: x.sum((0, 2), True), lambda x, y: x.mean(), lambda x, y: x.mean(-1, True),
    lambda x, y: x.var(), lambda x, y: x.var(1),
    lambda x, y: x.var(dim=1, correction=0, keepdim=True),
    lambda x, y: x.std(), lambda x, y: x.std((0, 1)), lambda x, y: x.prod(), lambda x, y: x.prod(1),
    lambda x, y: x.prod(1, True), lambda x, y: x.max(), lambda x, y: x.max(1),
    lambda x, y: x.min(dim=2, keepdim=True), lambda x, y: x.min(), lambda x, y: x.max(0).values,
    lambda x, y: x.max(0).indices, lambda x, y: x.amax(), lambda x, y: x.amax((0, 1)),
    lambda x, y: x.amin(1, True), lambda x, y: (x > 0).any(), lambda x, y: (x > 0).any(1),
    lambda x, y: (x > 0).all(1, True), lambda x, y: (x > -9).all(), lambda x, y: x.logsumexp(1),
    lambda x, y: x.logsumexp((0, 1), True), lambda x, y: x.norm(), lambda x, y: x.norm(1),
    lambda x, y: x.norm(2, 1), lambda x, y: x.norm(p=3, dim=(0, 1), keepdim=True),
    lambda x, y: x.argmax(), lambda x, y: x.argmax(1), lambda x, y: x.argmin(-1, True),
    lambda x, y: x.cumsum(1), lambda x, y: x.sort(), lambda x, y: x.sort(0, True),
    lambda x, y: x.topk(2), lambda x, y: x.topk(2, 1, False), lambda x, y: x.softmax(1),
    lambda x, y: x.log_softmax(-1), lambda x, y: x.matmul(y[0].mT), lambda x, y: x[0].mm(y[0].t()),
    lambda x, y: x.bmm(y.mT), lambda x, y: x[0].mv(y[0, 0]), lambda x, y: x[0, 0].dot(y[0, 0]),
    lambda x, y: x[0, 0].outer(y[0, 1]), lambda x, y: x.reshape(6, -1),
    lambda x, y: x.reshape((4, 15)),
    lambda x, y: x.view(3, 20), lambda x, y: x.view(-1), lambda x, y: x.view_as(y.reshape(15, 4)),
    lambda x, y: x.permute(2, 0, 1), lambda x, y: x.permute((0, 2, 1)),
    lambda x, y: x.transpose(0, 2),
    lambda x, y: x[0].t(), lambda x, y: x[0].T, lambda x, y: x.mT, lambda x, y: x[:1].squeeze(),
    lambda x, y: x[:1].squeeze(0), lambda x, y: x.unsqueeze(-1), lambda x, y: x.flatten(),
    lambda x, y: x.flatten(1), lambda x, y: x.flatten(0, 1), lambda x, y: x[:1].expand(2, 4, 5),
    lambda x, y: x.expand(2, -1, -1, 5), lambda x, y: x.expand((2, 3, 4, 5)),
    lambda x, y: x.flip(0, 2),
    lambda x, y: x.flip((1,)), lambda x, y: x.flip([1, 0]), lambda x, y: x.roll(1),
    lambda x, y: x.roll((1, 2), (0, 1)),
    lambda x, y: x.split(2, 1), lambda x, y: x.split([1, 3], 1), lambda x, y: x.chunk(2, -1),
    lambda x, y: x.tile(2, 1), lambda x, y: x.tile((2,)), lambda x, y: x.repeat(2, 1, 1),
    lambda x, y: x.repeat(2, 1, 1, 3), lambda x, y: x.gather(0, (y > 0).long()),
    lambda x, y: x.scatter_add(0, (y > 0).long(), y), lambda x, y: x.tril(), lambda x, y: x.triu(1),
    lambda x, y: x.diagonal(), lambda x, y: x.diagonal(1, 1, 2), lambda x, y: x.float(),
    lambda x, y: x.double(), lambda x, y: x.half().double() * 0, lambda x, y: (x * 3).long(),
    lambda x, y: (x * 3).int(),
    lambda x, y: x.bool(), lambda x, y: x.clone(), lambda x, y: x.detach() * x,
    lambda x, y: x.contiguous(),
    lambda x, y: x.T.T, lambda x, y: x.to("cpu") * y,
)  # fmt: skip


def _like(x: Any, array: np.ndarray) -> Any:
    """An array as a tensor of the library of x."""
    return torch.from_numpy(array) if isinstance(x, torch.Tensor) else cr.Tensor(array)


def _updated(change: Callable[[Any, Any], Any]) -> Called:
    """A change in place of a computed tensor, and what it leaves."""

    def run(x: Any, y: Any) -> Any:
        z = x * 2
        returned = change(z, y)
        return z if returned is None else (z, returned)

    return run


def _assign(key: Any, value: Any = None) -> Callable[[Any, Any], None]:
    def change(z: Any, y: Any) -> None:
        z[key] = y[key] * 3 if value is None else value

    return change


def _augmented(z: Any, y: Any) -> Any:
    z += y
    z -= 0.5
    z *= y
    z /= 2
    z[0] += 1.0
    z[1] *= y[1]
    return z


IN_PLACE: tuple[Called, ...] = (
    lambda z, y: z.add_(y), lambda z, y: z.add_(y, alpha=0.5), lambda z, y: z.sub_(y, alpha=2),
    lambda z, y: z.mul_(y), lambda z, y: z.div_(y), lambda z, y: z.copy_(y),
    lambda z, y: z.fill_(2.0),
    lambda z, y: z.zero_(), lambda z, y: z.clamp_(-1, 1), lambda z, y: z.clip_(min=0.0), _augmented,
    _assign(0), _assign((slice(None), 1)), _assign((..., slice(1, 3)), 4.0),
    _assign((slice(None), [0, 2])), _assign((1, slice(0, 4, 2), -1)),
)  # fmt: skip


def compare(mine: Called, judge: Called, label: str, *shapes: tuple[int, ...]) -> None:
    """Run both on the same tensors; compare what comes out, and the gradients."""
    rng = rng_for(label)
    arrays = [rng.normal(size=shape) for shape in shapes]
    xs, zs = [ours(a) for a in arrays], [theirs(a) for a in arrays]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)
        ys, judged = flat(mine(*xs)), flat(judge(*zs))
    assert len(ys) == len(judged)
    for i, (y, z) in enumerate(zip(ys, judged, strict=True)):
        same(y, z, f"{label} output {i}")
    followed = [i for i, z in enumerate(judged) if z.requires_grad and z.grad_fn is not None]
    cts = cotangents([judged[i] for i in followed], rng)
    if followed:
        torch.autograd.backward(
            [judged[i] for i in followed], [torch.from_numpy(np.array(ct)) for ct in cts]
        )
    tracked = [(ys[i], ct) for i, ct in zip(followed, cts, strict=True) if ys[i].requires_grad]
    if tracked:
        cr.backward([y for y, _ in tracked], [cr.Tensor(ct) for _, ct in tracked])
    for i, (x, z) in enumerate(zip(xs, zs, strict=True)):
        same_gradient(x.grad, z.grad, z, f"{label} gradient {i}")


@pytest.mark.parametrize("number", range(len(FUNCTIONAL)))
def test_functions_are_called_as_in_torch(number: int) -> None:
    call = FUNCTIONAL[number]
    compare(
        lambda x, w: call(cr.nn.functional, x, w), lambda x, w: call(torch.nn.functional, x, w),
        f"functional {number}", (3, 4, 5), (6, 4, 3),
    )  # fmt: skip


def test_every_function_that_torch_has_is_called() -> None:
    used = {name for call in FUNCTIONAL for name in call.__code__.co_names}
    judged = {name for info in op_db for name in (info.name, *(a.name for a in info.aliases))}
    own = {name for name, f in vars(cr.nn.functional).items() if callable(f)}
    left = {n for n in own - used if n not in judged and f"nn.functional.{n}" not in judged}
    modules = {"lp_pool1d", "lp_pool2d", "lp_pool3d", "fold", "upsample"}
    in_place = {f"{name}_" for name in own}
    assert left - modules - in_place <= {"affine_grid", "gumbel_softmax", "dropout1d"}


@pytest.mark.parametrize("number", range(len(METHODS)))
def test_methods_are_called_as_in_torch(number: int) -> None:
    compare(METHODS[number], METHODS[number], f"method {number}", (3, 4, 5), (3, 4, 5))


@pytest.mark.parametrize("number", range(len(IN_PLACE)))
def test_changes_in_place_differentiate_as_in_torch(number: int) -> None:
    run = _updated(IN_PLACE[number])
    compare(run, run, f"in place {number}", (3, 4, 5), (3, 4, 5))
