"""Layers that PyTorch's own tables leave out: packed sequences, masks, bags, parametrizations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import nn
from chainrule.nn.utils import rnn

from .compare import numbers, ours, rng_for, same, same_gradient, theirs

torch_rnn = torch.nn.utils.rnn
torch_f = torch.nn.functional


def twins(name: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    """Both modules in float64 with PyTorch's numbers."""
    judge = getattr(torch.nn, name)(*args, **options).double()
    return copied(getattr(nn, name)(*args, **options), judge)


def copied(mine: Any, judge: Any) -> tuple[Any, Any]:
    """Our module with the state of PyTorch's, both in float64."""
    judge = judge.double()
    assert list(mine.state_dict()) == list(judge.state_dict())
    mine.double().load_state_dict({k: v.numpy().copy() for k, v in judge.state_dict().items()})
    return mine, judge


def agree(mine: Sequence[Any], judge: Sequence[Any], xs: Sequence[Any], zs: Sequence[Any],
          what: str, modules: tuple[Any, Any] | None = None) -> None:  # fmt: skip
    """Equal outputs, and equal gradients of a loss of them for inputs and parameters."""
    mine_loss, judge_loss = cr.tensor(0.0, dtype=np.float64), torch.zeros((), dtype=torch.float64)
    for i, (a, b) in enumerate(zip(mine, judge, strict=True)):
        same(a, b, f"{what} output {i}")
        if b.requires_grad:
            mine_loss, judge_loss = mine_loss + (a**3).sum(), judge_loss + (b**3).sum()
    mine_loss.backward()
    judge_loss.backward()
    pairs = [*zip(xs, zs, strict=True)]
    if modules is not None:
        pairs += zip(modules[0].parameters(), modules[1].parameters(), strict=True)
    for i, (x, z) in enumerate(pairs):
        same_gradient(x.grad, z.grad, z, f"{what} gradient {i}")


def pair(rng: np.random.Generator, *shape: int) -> tuple[Any, Any]:
    array = rng.normal(size=shape)
    return ours(array), theirs(array)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
def test_packed_sequences_agree(name: str, both: bool, ordered: bool) -> None:
    lengths = [5, 3, 3, 1] if ordered else [3, 1, 5, 3]
    sizes = (0, 2) if name == "LSTM" else (0,)
    for depth, first, given, size in product((1, 2), (False, True), (False, True), sizes):
        options = {"num_layers": depth, "bidirectional": both, "batch_first": first}
        options |= {"proj_size": size} if size else {}
        what = f"{name} {options} {lengths}"
        modules = mine, judge = twins(name, 3, 4, **options)
        rng = rng_for(what)
        x, z = pair(rng, *((4, 5, 3) if first else (5, 4, 3)))
        count = depth * (1 + both)
        states = [pair(rng, count, 4, size or 4), pair(rng, count, 4, 4)][: 1 + (name == "LSTM")]
        starts: list[Any] = [None, None]
        if given:
            starts = [tuple(s[i] for s in states) for i in (0, 1)]
            starts = starts if name == "LSTM" else [start[0] for start in starts]
        y, ends = mine(rnn.pack_padded_sequence(x, lengths, first, ordered), starts[0])
        packed = torch_rnn.pack_padded_sequence(z, torch.tensor(lengths), first, ordered)
        wanted, judge_ends = judge(packed, starts[1])
        padded, counts = rnn.pad_packed_sequence(y, first, -1.0, 7)
        judge_padded, judge_counts = torch_rnn.pad_packed_sequence(wanted, first, -1.0, 7)
        same(counts, judge_counts, what)
        if name != "LSTM":
            ends, judge_ends = (ends,), (judge_ends,)
        xs, zs = (
            ([x], [z])
            if not given
            else ([x, *(s[0] for s in states)], [z, *(s[1] for s in states)])
        )
        agree([padded, *ends], [judge_padded, *judge_ends], xs, zs, what, modules)


def test_lists_of_sequences_agree() -> None:
    rng = np.random.default_rng(0)
    pairs = [pair(rng, k, 2) for k in (3, 1, 2)]
    xs, zs = [p[0] for p in pairs], [p[1] for p in pairs]
    for side, first in product(("left", "right"), (False, True)):
        same(
            rnn.pad_sequence(xs, first, 2.0, side),
            torch_rnn.pad_sequence(zs, first, 2.0, side),
            side,
        )
    a, b = rnn.pack_sequence(xs, False), torch_rnn.pack_sequence(zs, False)
    for mine, judge in zip(a, b, strict=True):
        same(mine, judge, "pack_sequence")
    for mine, judge in zip(rnn.unpack_sequence(a), torch_rnn.unpack_sequence(b), strict=True):
        same(mine, judge, "unpack_sequence")


ATTN = {
    "none": lambda rng: None,
    "truth": lambda rng: np.triu(np.ones((3, 4), bool), 2),
    "numbers": lambda rng: rng.normal(size=(3, 4)),
    "by head": lambda rng: (rng.random((4, 3, 4)) < 0.3) & (np.arange(4) > 0),
}
PADDING = {
    "none": lambda rng: None,
    "truth": lambda rng: np.array([[0, 0, 0, 1], [0, 0, 1, 1]], bool),
    "numbers": lambda rng: rng.normal(size=(2, 4)),
}


@pytest.mark.parametrize("sizes", [(None, None), (5, 7)])
@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.parametrize("mask", ATTN)
@pytest.mark.filterwarnings("ignore:Support for mismatched")
def test_attention_agrees(sizes: tuple[int, int], extra: bool, mask: str) -> None:
    for padding, first, weights, bias in product(PADDING, (0, 1), (0, 1), (0, 1)):
        options = {
            "kdim": sizes[0], "vdim": sizes[1], "batch_first": bool(first), "bias": bool(bias),
            "add_bias_kv": extra, "add_zero_attn": extra,
        }  # fmt: skip
        what = f"attention {options} {mask} {padding} {weights}"
        rng = rng_for(what)
        modules = mine, judge = twins("MultiheadAttention", 6, 2, **options)
        shapes = ((2, 3, 6), (2, 4, sizes[0] or 6), (2, 4, sizes[1] or 6))
        pairs = [pair(rng, *(s if first else (s[1], s[0], s[2]))) for s in shapes]
        xs, zs = [p[0] for p in pairs], [p[1] for p in pairs]
        masks = ATTN[mask](rng), PADDING[padding](rng)
        got, want = (
            module(*operands, attn_mask=wrap(masks[0]), key_padding_mask=wrap(masks[1]),
                   need_weights=bool(weights), average_attn_weights=bool(bias))
            for module, operands, wrap in (
                (mine, xs, lambda m: None if m is None else cr.tensor(m)),
                (judge, zs, lambda m: None if m is None else torch.from_numpy(m)),
            )
        )  # fmt: skip
        kept = slice(2 if weights else 1)
        agree(got[kept], want[kept], xs, zs, what, modules)


@pytest.mark.parametrize("case", ["plain", "truth", "numbers", "causal", "grouped"])
def test_scaled_dot_product_attention_agrees(case: str) -> None:
    rng = rng_for(case)
    heads = 2 if case == "grouped" else 4
    pairs = [pair(rng, 2, 4, 3, 5), pair(rng, 2, heads, 6, 5), pair(rng, 2, heads, 6, 2)]
    mask: Any = None
    if case == "truth":
        mask = rng.random((3, 6)) < 0.6
        mask[1] = False
    elif case == "numbers":
        mask = rng.normal(size=(2, 1, 3, 6))
    options: dict[str, Any] = {"is_causal": case == "causal", "scale": 0.3}
    options |= {"enable_gqa": True} if case == "grouped" else {}
    xs, zs = [p[0] for p in pairs], [p[1] for p in pairs]
    masks = (None, None) if mask is None else (cr.tensor(mask), torch.from_numpy(mask))
    mine = F.scaled_dot_product_attention(*xs, attn_mask=masks[0], **options)
    judge = torch_f.scaled_dot_product_attention(*zs, attn_mask=masks[1], **options)
    agree([mine], [judge], xs, zs, f"attention {case}")


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_of_embeddings_agree(mode: str) -> None:
    modules = mine, judge = twins("EmbeddingBag", 10, 3, mode=mode, padding_idx=2)
    i, starts = np.array([1, 2, 4, 5, 4, 3, 2, 9]), np.array([0, 4, 4])
    y = mine(cr.tensor(i), cr.tensor(starts))
    agree([y], [judge(torch.tensor(i), torch.tensor(starts))], [], [], mode, modules)
    rows = i.reshape(2, 4)
    same(mine(cr.tensor(rows)), judge(torch.tensor(rows)), mode)


@pytest.mark.parametrize("option", [{"max_norm": 1.0}, {"scale_grad_by_freq": True}])
def test_options_of_embeddings_agree(option: dict[str, Any]) -> None:
    modules = mine, judge = twins("Embedding", 10, 3, **option)
    i = np.array([[1, 2, 4], [4, 4, 1]])
    agree([mine(cr.tensor(i))], [judge(torch.tensor(i))], [], [], str(option), modules)
    same(mine.weight, judge.weight, f"table {option}")


def test_adaptive_softmax_agrees() -> None:
    modules = mine, judge = twins("AdaptiveLogSoftmaxWithLoss", 8, 20, [5, 10], 2.0, True)
    x, z = pair(np.random.default_rng(1), 6, 8)
    y = np.array([0, 19, 7, 3, 12, 9])
    got, want = mine(x, cr.tensor(y)), judge(z, torch.tensor(y))
    agree(got, want, [x], [z], "adaptive", modules)
    same(mine.log_prob(x), judge.log_prob(z), "log_prob")
    same(mine.predict(x), judge.predict(z), "predict")


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("zero_infinity", [False, True])
def test_connectionist_loss_agrees_at_its_edges(reduction: str, zero_infinity: bool) -> None:
    rng = rng_for(reduction)
    scores = rng.normal(size=(6, 4, 5))
    log_p = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    labels = np.array([[1, 1, 2, 3], [2, 0, 0, 0], [1, 1, 1, 1], [3, 4, 3, 4]])
    steps, counts = [6, 4, 6, 5], [3, 0, 4 if zero_infinity else 2, 4]
    x, z = ours(log_p), theirs(log_p)
    options = {"reduction": reduction, "zero_infinity": zero_infinity}
    mine = F.ctc_loss(x, cr.tensor(labels), steps, counts, **options)
    judge = torch_f.ctc_loss(
        z, torch.tensor(labels), torch.tensor(steps), torch.tensor(counts), **options
    )
    agree([mine], [judge], [x], [z], f"ctc {options}")


SINGLE: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("PixelShuffle", (2,)), ("PixelUnshuffle", (2,)), ("ChannelShuffle", (4,)),
    ("Upsample", (None, 2)), ("Upsample", (None, 1.5, "bicubic")),
    ("UpsamplingNearest2d", (None, 2)),
    ("UpsamplingBilinear2d", (None, 3)), ("Unfold", (3, 1, 1, 2)), ("RReLU", (0.2, 0.2)),
    ("Dropout3d", (0.0,)), ("ReflectionPad2d", ((1, 2, 0, 3),)),
)  # fmt: skip


@pytest.mark.parametrize(("name", "args"), SINGLE)
def test_layers_of_one_image_agree(name: str, args: tuple[Any, ...]) -> None:
    x, z = pair(np.random.default_rng(2), 2, 8, 6, 6)
    agree([getattr(nn, name)(*args)(x)], [getattr(torch.nn, name)(*args)(z)], [x], [z], name)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_unpooling_agrees(n: int) -> None:
    x, z = pair(np.random.default_rng(n), 2, 3, *(6, 5, 4)[:n])
    name = f"Pool{n}d"
    y, places = getattr(nn, f"Max{name}")(2, return_indices=True)(x)
    judge_y, judge_places = getattr(torch.nn, f"Max{name}")(2, return_indices=True)(z)
    same(places, judge_places, name)
    size = (6, 5, 4)[:n]
    mine = getattr(nn, f"MaxUnpool{n}d")(2)(y, places, output_size=size)
    judge = getattr(torch.nn, f"MaxUnpool{n}d")(2)(judge_y, judge_places, output_size=size)
    agree([mine], [judge], [x], [z], name)


def test_folding_agrees() -> None:
    x, z = pair(np.random.default_rng(3), 1, 18, 16)
    mine, judge = nn.Fold((4, 4), 3, padding=1)(x), torch.nn.Fold((4, 4), 3, padding=1)(z)
    agree([mine], [judge], [x], [z], "Fold")


@pytest.mark.parametrize("name", ["TripletMarginLoss", "TripletMarginWithDistanceLoss",
                                  "PairwiseDistance", "CosineSimilarity"])  # fmt: skip
def test_distances_agree(name: str) -> None:
    triplet = name.startswith("Triplet")
    for options in product((False, True), ("mean", "sum", "none")) if triplet else [()]:
        keywords = dict(zip(("swap", "reduction"), options, strict=False))
        pairs = [pair(rng_for(f"{name} {i}"), 5, 3) for i in range(3 if triplet else 2)]
        xs, zs = [p[0] for p in pairs], [p[1] for p in pairs]
        mine, judge = getattr(nn, name)(**keywords)(*xs), getattr(torch.nn, name)(**keywords)(*zs)
        agree([mine], [judge], xs, zs, f"{name} {keywords}")


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_borders_of_convolutions_agree(mode: str, n: int) -> None:
    for padding in ((2, 1, 2)[:n], "same"):
        options = {"padding": padding, "padding_mode": mode}
        modules = mine, judge = twins(f"Conv{n}d", 2, 3, 3, **options)
        x, z = pair(rng_for(f"{mode}{n}"), 2, 2, *(5, 6, 4)[:n])
        agree([mine(x)], [judge(z)], [x], [z], f"Conv{n}d {options}", modules)


@pytest.mark.parametrize("lazy", ["LazyLinear", "LazyBatchNorm1d", "LazyBatchNorm2d",
                                  "LazyBatchNorm3d", "LazyInstanceNorm1d", "LazyInstanceNorm2d",
                                  "LazyInstanceNorm3d"])  # fmt: skip
def test_lazy_layers_agree(lazy: str) -> None:
    axes = int(lazy[-2]) if lazy.endswith("d") else 0
    args = () if "Norm" in lazy else (4,)
    mine, judge = getattr(nn, lazy)(*args).double(), getattr(torch.nn, lazy)(*args).double()
    x, z = pair(np.random.default_rng(4), 3, 5, *(4, 3, 2)[:axes])
    mine(x.detach()), judge(z.detach())
    assert type(mine).__name__ == type(judge).__name__
    modules = mine, judge = copied(mine, judge)
    agree([mine(x)], [judge(z)], [x], [z], lazy, modules)


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("layer", ["Linear", "ConvTranspose2d"])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_normalised_weights_agree(name: str, new: bool, layer: str) -> None:
    args = (4, 3) if layer == "Linear" else (2, 3, 3)
    places = (nn.utils.parametrizations, torch.nn.utils.parametrizations)
    mine, judge = (
        getattr(place, name)(getattr(home, layer)(*args))
        for place, home in zip(
            places if new else (nn.utils, torch.nn.utils), (nn, torch.nn), strict=True
        )
    )
    modules = mine, judge = copied(mine, judge)
    for training in (True, False):
        mine.train(training), judge.train(training)
        x, z = pair(rng_for(f"{name}{new}"), *((5, 4) if layer == "Linear" else (1, 2, 4, 4)))
        agree([mine(x)], [judge(z)], [x], [z], f"{name} {new} {layer}", modules)
    for a, b in zip(mine.buffers(), judge.buffers(), strict=True):
        same(a, b, f"{name} buffers")


@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (3, 3)])
def test_orthogonal_weights_agree(kind: str, shape: tuple[int, int]) -> None:
    mine, judge = (
        home.utils.parametrizations.orthogonal(home.Linear(*shape), orthogonal_map=kind)
        for home in (nn, torch.nn)
    )
    modules = mine, judge = copied(mine, judge)
    with torch.no_grad():
        original = judge.parametrizations.weight.original
        original += 0.3 * torch.randn(original.shape, dtype=torch.float64).tril(-1)
    copied(mine, judge)
    agree([mine.weight], [judge.weight], [], [], kind, modules)
    gram = numbers(mine.weight) @ numbers(mine.weight).T
    if shape[1] <= shape[0]:  # rows of the weight are the outputs
        np.testing.assert_allclose(gram, np.eye(shape[1]), atol=1e-6)
