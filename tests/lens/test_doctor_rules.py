"""What the doctor's rules tell apart: a fault, and what looks like it and is none."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_doctor import amounts, classes, fit, judged, mean_square, mlp, tuned

import chainrule as cr
from chainrule import nn, optim
from chainrule.lens.doctor.flow import Flow, Record
from chainrule.lens.doctor.places import Site
from chainrule.lens.doctor.reading import views_of
from chainrule.lens.doctor.rules.relation import foretold
from chainrule.nn import functional as F
from chainrule.ops.movement import IDENTITY

Run = Callable[[], None]


class Ratings(nn.Module):
    """Factors and biases of two sorts of things; the biases start at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.bias = nn.Embedding(30, 4), nn.Embedding(30, 4), nn.Embedding(30, 1)
        nn.init.zeros_(self.bias.weight)

    def forward(self, pairs: Any) -> Any:
        i, j = pairs[:, 0], pairs[:, 1]
        return (self.a(i) * self.b(j)).sum(1) + self.bias(i).squeeze(1)


def rated() -> None:
    cr.manual_seed(0)
    pairs = cr.randint(0, 30, (512, 2))
    own = cr.linspace(1.0, 5.0, 30)
    fit(Ratings(), (pairs, own[pairs[:, 0]]), mean_square, lr=3e-2, make=optim.Adam, epochs=12)


def zero_ended() -> Any:
    model = mlp(6, 32, 3)
    nn.init.zeros_(model[-1].weight)
    return model


def correlated() -> tuple[Any, Any]:
    x, y = amounts()
    return x, cr.cat([y, 0.9 * y, y + 0.1 * x[:, :1]], 1)


class Adapted(nn.Module):
    """A frozen layer and a correction of low rank whose second factor starts at zero."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        out, n = layer.weight.shape
        self.down = nn.Parameter(0.3 * cr.randn(4, n))
        self.up = nn.Parameter(cr.zeros(out, 4))

    def forward(self, x: Any) -> Any:
        return self.layer(x) + x @ self.down.T @ self.up.T


def adapted() -> None:
    cr.manual_seed(0)
    model = nn.Sequential(Adapted(nn.Linear(12, 32)), nn.ReLU(), nn.Linear(32, 4))
    parameters = [p for p in model.parameters() if p.requires_grad]
    fit(model, classes(), parameters=parameters, lr=1e-2, make=optim.Adam, epochs=8)


def scheduled(make: Callable[[Any], Any]) -> None:
    cr.manual_seed(0)
    model, (x, y) = mlp(12, 32, 4), classes()
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    scheduler = make(optimizer)
    for _ in range(10):
        for i in cr.permutation(256).reshape(8, 32):
            optimizer.zero_grad()
            F.cross_entropy(model(x[i]), y[i]).backward()
            optimizer.step()
            scheduler.step()


def summed(p: Any, y: Any) -> Any:
    return F.mse_loss(p, y, reduction="sum")


def apart(p: Any, y: Any) -> Any:
    """An energy distance: pairs on purpose."""

    def mean(a: Any, b: Any) -> Any:
        return (a.view(-1, 1) - b.view(1, -1)).abs().mean()

    return 2 * mean(p, y) - mean(p, p) - mean(y, y)


def ranked(p: Any, y: Any) -> Any:
    """Each of one half above each of the other."""
    order = y[:, 0].argsort()
    low, high = p[order[:16], 0], p[order[16:], 0]
    return F.relu(1 - (high.unsqueeze(1) - low)).mean()


def contrasted(p: Any, y: Any) -> Any:
    """Distances between halves of a batch, which a common shift does not change."""
    same = (y[:16] == y[16:]).to(cr.float32)
    d = ((p[:16] - p[16:]) ** 2).sum(1).add(1e-8).sqrt()
    return (same * d**2 + (1 - same) * F.relu(2 - d) ** 2).mean()


def transferred() -> None:
    """A part that was trained, and is left in evaluation mode while the next is."""
    cr.manual_seed(0)
    body = nn.Sequential(nn.Linear(12, 24), nn.BatchNorm1d(24), nn.ReLU())
    fit(nn.Sequential(body, nn.Linear(24, 4)), classes(), epochs=4)
    body.requires_grad_(False).eval()
    x, y = classes()
    head = nn.Linear(24, 4)
    optimizer = optim.SGD(head.parameters(), lr=0.1)
    for i in cr.permutation(256).reshape(8, 32).repeat(4, 1):
        optimizer.zero_grad()
        F.cross_entropy(head(body(x[i])), y[i]).backward()
        optimizer.step()


def drawn() -> None:
    """Many answers of a network with dropout to one input."""
    x, y = amounts()
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 1))
    fit(model, (x, y), F.mse_loss, lr=1e-2, make=optim.Adam, epochs=8)
    with cr.no_grad():
        cr.stack([model(x) for _ in range(10)])


def in_time() -> None:
    """Windows of a slow series, in their order."""
    cr.manual_seed(0)
    series = cr.sin(cr.arange(1200) / 40) + 0.02 * cr.randn(1200)
    x = cr.stack([series[i : i + 1152] for i in range(6)], 1)
    fit(mlp(6, 24, 1), (x, series[6:1158].unsqueeze(1)), F.mse_loss, lr=1e-2, make=optim.Adam,
        epochs=3, shuffle=False)  # fmt: skip


class Memory(nn.Module):
    """A cell over time, whose state is cut off every so many steps."""

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every = every
        self.cell, self.out = nn.GRUCell(4, 16), nn.Linear(16, 4)

    def forward(self, x: Any) -> Any:
        h = cr.zeros(len(x), 16)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h.data if t % self.every == 0 else h)
        return self.out(h)


def remembered(every: int, at: int) -> None:
    """What stood at one place of a sequence."""
    cr.manual_seed(0)
    y = cr.randint(0, 4, (256,))
    x = 0.1 * cr.randn(256, 8, 4)
    x[:, at] += 2.0 * F.one_hot(y, 4)
    fit(Memory(every), (x, y), lr=1e-2, make=optim.Adam)


def cloned() -> None:
    """As layers of a transformer do: what comes later gets other gradients."""
    cr.manual_seed(0)
    layer = nn.Linear(12, 12)
    same = [copy.deepcopy(layer) for _ in range(2)]
    model = nn.Sequential(same[0], nn.ReLU(), same[1], nn.ReLU(), nn.Linear(12, 4))
    fit(model, classes(), lr=1e-2, make=optim.Adam, epochs=8)


HEALTHY: dict[str, Run] = {
    "a small rate for a sum over the batch": lambda: fit(
        mlp(6, 32, 1), amounts(), summed, lr=5e-4, epochs=12),
    "pairs of two sets": lambda: fit(
        mlp(6, 32, 1), amounts(), apart, lr=1e-2, make=optim.Adam, epochs=8),
    "pairs of outputs": lambda: fit(
        mlp(6, 32, 1), amounts(), ranked, lr=1e-2, make=optim.Adam, epochs=8),
    "a loss of differences": lambda: fit(
        mlp(12, 32, 4), classes(), contrasted, lr=1e-2, make=optim.Adam, epochs=10),
    "a part in evaluation mode that is not trained": transferred,
    "many draws with dropout": drawn,
    "a series in time": in_time,
    "a state that is cut off now and then": lambda: remembered(4, at=5),
    "probabilities of a softmax for probabilities": lambda: fit(
        mlp(12, 32, 4, last=nn.Softmax(1)), soft(), F.mse_loss, lr=1e-2, make=optim.Adam,
        epochs=10),
    "a table that starts at zero": rated,
    "a last layer that starts at zero": lambda: fit(
        zero_ended(), correlated(), mean_square, lr=1e-2, make=optim.Adam, epochs=10),
    "a correction that starts at zero": adapted,
    "layers that start as copies of one": cloned,
    "a rate that is annealed": lambda: scheduled(
        lambda o: optim.lr_scheduler.CosineAnnealingLR(o, 80)),
}  # fmt: skip


def soft() -> tuple[Any, Any]:
    x, y = classes()
    return x, 0.8 * F.one_hot(y, 4) + 0.05


@pytest.mark.parametrize("name", HEALTHY)
def test_what_looks_like_a_fault_is_none(name: str) -> None:
    report = judged(HEALTHY[name])
    assert report.is_healthy, [(f.code, f.severity, f.cause) for f in report.findings]


def learnt_by_heart() -> None:
    x, y = classes()
    fit(mlp(12, 128, 4), (x[cr.permutation(256)], y), lr=5e-3, make=optim.Adam, epochs=12)


class Residual(nn.Module):
    """x + f(x), without normalisation."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(n, n), nn.Linear(n, n)
        for layer in (self.a, self.b):
            nn.init.kaiming_normal_(layer.weight)

    def forward(self, x: Any) -> Any:
        return x + self.b(F.relu(self.a(x)))


def growing() -> None:
    cr.manual_seed(0)
    blocks = [Residual(24) for _ in range(16)]
    model = nn.Sequential(nn.Linear(12, 24), *blocks, nn.Linear(24, 4))
    fit(model, classes(), lr=0.05, epochs=2)


class Detour(nn.Module):
    """Standardises features in NumPy."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(12, 16), nn.Linear(16, 4)

    def forward(self, x: Any) -> Any:
        made = F.relu(self.body(x)).detach().numpy()
        return self.head(cr.from_numpy((made - made.mean(0)) / (made.std(0) + 1e-3)))


def starved() -> None:
    cr.manual_seed(0)
    x = cr.randn(256, 6)
    y = ((x[:, 0] * x[:, 1] * x[:, 2]) > 0).long()
    body = mlp(6, 24, 24, 24)
    body.requires_grad_(False)
    head = nn.Linear(24, 2)
    fit(nn.Sequential(body, head), (x, y), parameters=head.parameters(), lr=1e-3)


def saturated_and_vanishing() -> None:
    model = mlp(12, *[24] * 7, 4, act=nn.Sigmoid)
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.constant_(layer.bias, -6.0)
    fit(model, classes(), lr=0.01)


def painted() -> None:
    """An autoencoder whose outputs sum to one, of rows that do not."""
    x = cr.sigmoid(classes()[0])
    fit(mlp(12, 32, 12, last=nn.Softmax(1)), (x, x), F.mse_loss, lr=1e-2, make=optim.Adam)


class Steps(nn.Module):
    """A recurrent layer that takes time first."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.out = nn.GRU(3, 16), nn.Linear(16, 4)

    def forward(self, x: Any) -> Any:
        return self.out(self.rnn(x.permute(1, 0, 2))[0].mean(0))


def mixed_up() -> None:
    x, y = classes()
    fit(Steps(), (x.reshape(256, 4, 3)[cr.permutation(256)], y), lr=5e-3, make=optim.Adam)


def erased() -> None:
    x, y = classes()
    model = mlp(12, 16, 4)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for _ in range(12):
        F.cross_entropy(model(x), y).backward()
        optimizer.zero_grad()
        optimizer.step()


class Smoothed(nn.Module):
    """Its features are averaged in NumPy, and what comes back is pooled before the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(12, 16), nn.Linear(8, 4)

    def forward(self, x: Any) -> Any:
        h = F.relu(self.first(x)).detach().numpy()
        h = cr.tensor((h + np.roll(h, 1, axis=1)) / 2)
        return self.last(h.reshape(-1, 8, 2).mean(2))


class Mixture(nn.Module):
    """Branches that are all copies of one, weighed by a gate that starts at zero."""

    def __init__(self) -> None:
        super().__init__()
        branch = mlp(6, 3, 1)
        self.branches = nn.ModuleList([copy.deepcopy(branch) for _ in range(3)])
        self.gate = nn.Linear(6, 3)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def forward(self, x: Any) -> Any:
        outputs = cr.cat([branch(x) for branch in self.branches], 1)
        return (self.gate(x).softmax(1) * outputs).sum(1, keepdim=True)


def misloaded() -> None:
    cr.manual_seed(0)
    body = mlp(12, 6, 6)
    state = {f"module.{name}": value for name, value in mlp(12, 6, 6).state_dict().items()}
    body.load_state_dict(state, strict=False)
    body.requires_grad_(False)
    model = nn.Sequential(body, nn.ReLU(), nn.Linear(6, 4))
    fit(model, classes(), parameters=list(model[2].parameters()), lr=0.05, epochs=8)


FAULTS: dict[str, tuple[Run, set[str]]] = {
    "outputs that sum to one, for targets that do not": (painted, {"LOSS_MISMATCH"}),
    "ReLU outputs for targets of both signs": (
        lambda: fit(mlp(6, 32, 1, last=nn.ReLU()), amounts(), F.smooth_l1_loss),
        {"LOSS_MISMATCH"}),
    "labels of other sequences, time first": (mixed_up, {"LABELS"}),
    "a state that is cut off at every step": (lambda: remembered(1, at=0), {"TRUNCATED_GRAPH"}),
    "gradients forgotten before the step": (erased, {"FROZEN"}),
    "labels of other samples, learnt by heart": (learnt_by_heart, {"LABELS"}),
    "a residual network that grows": (growing, {"EXPLODING"}),
    "a detour through NumPy": (lambda: fit(Detour(), classes()), {"TRUNCATED_GRAPH"}),
    "a detour through NumPy, and an operation after it": (
        lambda: fit(Smoothed(), classes()), {"TRUNCATED_GRAPH"}),
    "branches that are copies of one": (lambda: fit(Mixture(), amounts(), mean_square, lr=0.1),
                                        {"SYMMETRIC_INIT"}),
    "a state of which nothing has a place": (misloaded, {"FROZEN"}),
    "most of the network random and frozen": (starved, {"FROZEN"}),
    "a schedule by epochs, called for each batch": (
        lambda: scheduled(lambda o: optim.lr_scheduler.ExponentialLR(o, 0.5)), {"LR_TOO_LOW"}),
    "sigmoids at their ends": (saturated_and_vanishing, {"VANISHING", "SATURATED"}),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_by_what_it_does(name: str) -> None:
    run, codes = FAULTS[name]
    report = judged(run)
    assert codes <= report.codes, [(f.code, f.severity, f.cause) for f in report.findings]
    assert all(len(f.cause) < 400 for f in report.findings)


def test_what_is_learnt_all_the_same_is_no_error() -> None:
    x, y = amounts()
    fading = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Dropout(0.01), nn.Linear(32, 1))

    def back_in_evaluation() -> None:
        fit(fading, (x, y), F.mse_loss, lr=1e-2, make=optim.Adam, epochs=10, after=fading.eval)

    report = judged(back_in_evaluation)
    assert [(f.code, f.severity) for f in report.findings] == [("MODE_MIXUP", "warning")]


def test_a_fading_rate_names_the_scheduler() -> None:
    report = judged(FAULTS["a schedule by epochs, called for each batch"][0])
    (finding,) = (f for f in report.findings if f.code == "LR_TOO_LOW")
    assert finding.evidence["scheduler"] == "ExponentialLR (scheduler)"
    assert finding.evidence["steps_until_a_hundredth"] == 7


def test_labels_learnt_by_heart_need_a_control() -> None:
    assert "LABELS" not in judged(learnt_by_heart, trials=False).codes
    report = judged(learnt_by_heart)
    assert "loss_of_control" in next(f for f in report.findings if f.code == "LABELS").evidence


def test_a_frozen_network_that_learns_enough_is_a_note() -> None:
    assert [(f.code, f.severity) for f in judged(tuned).findings] == [("FROZEN", "note")]


def is_told(x: Any, y: Any, with_classes: bool) -> bool:
    told = foretold(x, y, with_classes)
    return any(score > chance + 3 * spread for score, chance, spread in told.values())


def test_a_dependence_is_seen_in_sums_products_and_tokens() -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((600, 16))
    images, tokens = random.standard_normal((600, 3, 8, 8)), random.integers(0, 20, (600, 12))
    assert is_told(x, (x.sum(1) > 0)[:, None], True)
    assert is_told(x[:, :2], (x[:, 0] * x[:, 1] > 0)[:, None], True)
    assert is_told(x, x[:, :1] + random.standard_normal((600, 1)), False)
    assert is_told(images, (images[:, 0].std((1, 2)) > 1)[:, None], True)
    assert is_told(tokens, (tokens == 3).any(1)[:, None], True)
    assert is_told(tokens, (tokens[:, :1] > tokens[:, -1:]), True)


def test_no_dependence_is_seen_where_there_is_none() -> None:
    seen = 0
    for seed in range(8):
        random = np.random.default_rng(seed)
        x, y = random.standard_normal((300, 4, 4)), random.integers(0, 3, (300, 1))
        seen += is_told(x, y, True)
        seen += is_told(random.integers(0, 9, (300, 7)), y, True)
        seen += is_told(x, random.standard_normal((300, 1)), False)
    assert seen <= 1  # of 24, each beyond three standard deviations


def test_constant_inputs_and_single_classes_tell_nothing() -> None:
    assert not is_told(np.zeros((200, 3)), np.arange(200)[:, None] % 2, True)
    assert not is_told(np.random.default_rng(0).random((200, 3)), np.zeros((200, 1)), True)


def test_an_operation_that_passes_on_what_it_is_given_made_nothing() -> None:
    x, flow = cr.ones(3, 2), Flow()
    flow.add(Record(IDENTITY, [x], [x], Site(is_told.__code__, 0), None, True, None))
    assert len(list(views_of(flow, x.array))) == 1
