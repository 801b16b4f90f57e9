"""The doctor: each code is found where it is the matter, and nowhere else; remedies are tried."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.lens.schema import errors

import chainrule as cr
from chainrule import nn, optim
from chainrule.core.observation import observation
from chainrule.lens.doctor import CODES, Report, examine
from chainrule.lens.doctor.evidence import course
from chainrule.lens.doctor.of_run import examine_run
from chainrule.lens.doctor.trials import compared
from chainrule.nn import functional as F
from chainrule.train import History

Run = Callable[[], None]


def classes(n: int = 256) -> tuple[Any, Any]:
    """Points around four centres, and which centre."""
    cr.manual_seed(0)
    centres, y = 1.5 * cr.randn(4, 12), cr.randint(0, 4, (n,))
    return centres[y] + cr.randn(n, 12), y


def amounts(n: int = 256) -> tuple[Any, Any]:
    """Points and a smooth function of them."""
    cr.manual_seed(0)
    x = cr.randn(n, 6)
    return x, cr.sin(x @ cr.randn(6, 1) / 3)


def mlp(*sizes: int, act: Any = nn.ReLU, last: Any = None) -> Any:
    layers: list[Any] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), act()]
    return nn.Sequential(*layers[:-1], *([] if last is None else [last]))


def fit(
    model: Any,
    data: tuple[Any, Any],
    loss: Any = F.cross_entropy,
    *,
    lr: float = 0.1,
    make: Any = optim.SGD,
    parameters: Any = None,
    epochs: int = 5,
    shuffle: bool = True,
    clear: bool = True,
    step: bool = True,
    after: Callable[[], object] = lambda: None,
) -> None:
    """A training loop with switches for what people forget."""
    x, y = data
    optimizer = make(model.parameters() if parameters is None else parameters, lr=lr)
    for _ in range(epochs):
        order = cr.permutation(len(x)) if shuffle else cr.arange(len(x))
        for i in range(0, len(x), 32):
            batch = order[i : i + 32]
            if clear:
                optimizer.zero_grad()
            loss(model(x[batch]), y[batch]).backward()
            if step:
                optimizer.step()
        after()


class Cut(nn.Module):
    """A network that cuts its own graph."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(12, 16), nn.Linear(16, 4)

    def forward(self, x: Any) -> Any:
        return self.last(F.relu(self.first(x)).detach())


def wide_start(std: float, *sizes: int) -> Any:
    model = mlp(*sizes)
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=std)
    return model


def alike() -> Any:
    model = mlp(12, 16, 4)
    for p in model.parameters():
        nn.init.constant_(p, 0.1)
    return model


def dead() -> Any:
    model = mlp(12, 32, 4)
    with cr.no_grad():
        model[0].bias.fill_(-30.0)
    return model


def ordered(data: tuple[Any, Any]) -> tuple[Any, Any]:
    order = cr.argsort(data[1])
    return data[0][order], data[1][order]


def frozen_end() -> Any:
    model = mlp(12, 16, 4)
    model[2].requires_grad_(False)
    return model


def judged_awake() -> None:
    model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 4))
    x, y = classes()

    def judge() -> None:
        with cr.no_grad():
            F.cross_entropy(model(x), y)

    fit(model, (x, y), after=judge)


def asleep() -> None:
    model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 4))
    fit(model, classes(), after=model.eval)


def vanishing() -> None:
    fit(mlp(12, *[24] * 8, 4, act=nn.Sigmoid), classes())


def log_of_zero(p: Any, y: Any) -> Any:
    return cr.square(cr.log(cr.maximum(p, 0.0)) - y).mean()


def mean_square(p: Any, y: Any) -> Any:
    return cr.square(p - y).mean()


def flat(data: tuple[Any, Any]) -> tuple[Any, Any]:
    return data[0], data[1].squeeze(1)


FAULTS: dict[str, Run] = {
    "VANISHING": vanishing,
    "EXPLODING": lambda: fit(wide_start(1.0, 12, *[48] * 7, 4), classes(), lr=0.01),
    "DEAD_RELU": lambda: fit(dead(), classes()),
    "SATURATED": lambda: fit(
        mlp(6, 24, 24, 1, act=nn.Sigmoid),
        (100 * amounts()[0], amounts()[1]), mean_square, lr=0.01),
    "NON_FINITE": lambda: fit(mlp(6, 16, 1), amounts(), log_of_zero),
    "NO_GRADIENT": lambda: fit(
        mlp(6, 16, 1), amounts(), lambda p, y: mean_square(cr.round(p), y)),
    "NOT_OPTIMIZED": lambda: fit(
        m := mlp(12, 16, 4), classes(), parameters=m[2].parameters()),
    "MISSING_ZERO_GRAD": lambda: fit(mlp(12, 16, 4), classes(), clear=False),
    "LR_TOO_HIGH": lambda: fit(mlp(6, 16, 1), amounts(), mean_square, lr=3.0),
    "LR_TOO_LOW": lambda: fit(mlp(12, 16, 4), classes(), lr=1e-5),
    "BROADCAST": lambda: fit(mlp(6, 16, 1), flat(amounts()), mean_square),
    "DOUBLE_SOFTMAX": lambda: fit(mlp(12, 16, 4, last=nn.Softmax(1)), classes()),
    "LOSS_MISMATCH": lambda: fit(mlp(12, 16, 4), classes(), F.nll_loss, lr=0.01),
    "MODE_MIXUP": asleep,
    "SYMMETRIC_INIT": lambda: fit(alike(), classes()),
    "BAD_INIT_SCALE": lambda: fit(wide_start(1e-3, 12, 32, 32, 4), classes()),
    "INPUT_SCALE": lambda: fit(
        mlp(6, 16, 1, act=nn.Tanh),
        (0.002 * amounts()[0], amounts()[1]), mean_square, lr=1e-2, make=optim.Adam, epochs=8),
    "LABELS": lambda: fit(
        mlp(12, 16, 4), (classes()[0], classes()[1][cr.permutation(256)]), lr=0.02),
    "NOT_SHUFFLED": lambda: fit(mlp(12, 16, 4), ordered(classes()), shuffle=False),
    "FROZEN": lambda: fit(frozen_end(), classes()),
    "TRUNCATED_GRAPH": lambda: fit(Cut(), classes()),
}  # fmt: skip


def judged(run: Run, **options: Any) -> Report:
    return examine(run, **options)


@pytest.mark.parametrize("code", CODES)
def test_a_program_with_a_fault_gets_its_code(code: str) -> None:
    report = judged(FAULTS[code])
    assert code in report.codes, [f.code for f in report.findings]
    finding = next(f for f in report.findings if f.code == code)
    assert finding.evidence
    assert finding.cause
    assert finding.factor
    assert finding.remedy
    assert finding.place.file == __file__
    assert not errors(json.loads(json.dumps(_finite(report.to_json()))), "findings.json")


def _finite(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {k: _finite(v) for k, v in tree.items()}
    if isinstance(tree, list):
        return [_finite(v) for v in tree]
    return repr(tree) if isinstance(tree, float) and not math.isfinite(tree) else tree


def accumulating() -> None:
    model, (x, y) = mlp(12, 16, 4), classes()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for k in range(64):
        batch = cr.randint(0, 256, (16,))
        (F.cross_entropy(model(x[batch]), y[batch]) / 4).backward()
        if k % 4 == 3:
            optimizer.step()
            optimizer.zero_grad()


def by_hand() -> None:
    x, y = amounts()
    w = (cr.randn(6, 1) / 3).requires_grad_()
    for _ in range(60):
        mean_square(x @ w, y).backward()
        with cr.no_grad():
            w -= 0.1 * w.grad
            w.grad = None


def game() -> None:
    cr.manual_seed(0)
    maker, critic = mlp(4, 16, 2), mlp(2, 16, 1)
    a, b = (optim.Adam(m.parameters(), lr=2e-3) for m in (maker, critic))
    ones, zeros = cr.ones(32, 1), cr.zeros(32, 1)
    judge = F.binary_cross_entropy_with_logits
    for _ in range(40):
        made = maker(cr.randn(32, 4))
        b.zero_grad()
        (judge(critic(cr.randn(32, 2) + 1), ones) + judge(critic(made.detach()), zeros)).backward()
        b.step()
        a.zero_grad()
        judge(critic(made), ones).backward()
        a.step()


def policy() -> None:
    cr.manual_seed(0)
    model = mlp(4, 16, 2, act=nn.Tanh)
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(60):
        s = cr.randn(32, 4)
        scores = cr.log_softmax(model(s), 1)
        action = (cr.rand(32, 1) < 0.5).long()
        reward = (action.squeeze(1) == (s[:, 0] > 0).long()).float() + cr.randn(32)
        optimizer.zero_grad()
        (-(scores.gather(1, action).squeeze(1) * (reward - reward.mean()))).mean().backward()
        optimizer.step()


def tuned() -> None:
    body, head = mlp(12, 32, 32), nn.Linear(32, 4)
    body.requires_grad_(False)
    fit(nn.Sequential(body, head), classes(), parameters=head.parameters())


HEALTHY: dict[str, Run] = {
    "mlp": lambda: fit(mlp(12, 16, 4), classes()),
    "deep relu": lambda: fit(mlp(12, *[32] * 9, 4), classes(), lr=1e-3, make=optim.Adam, epochs=12),
    "small rate": lambda: fit(mlp(12, 64, 4), classes(), lr=3e-4, make=optim.Adam, epochs=25),
    "regression": lambda: fit(
        mlp(6, 32, 1, act=nn.Tanh), amounts(), mean_square, lr=5e-3, make=optim.Adam, epochs=12),
    "accumulation": accumulating,
    "by hand": by_hand,
    "two losses": game,
    "noisy gradients": policy,
    "frozen layers": tuned,
}  # fmt: skip


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_program_is_left_alone(name: str) -> None:
    report = judged(HEALTHY[name])
    assert report.is_healthy, [(f.code, f.severity, f.cause) for f in report.findings]
    assert report.failure is None


def test_judging_in_training_mode_is_a_warning() -> None:
    (finding,) = judged(judged_awake).findings
    assert (finding.code, finding.severity) == ("MODE_MIXUP", "warning")


def test_frozen_layers_before_trained_ones_are_a_note() -> None:
    (finding,) = judged(tuned).findings
    assert (finding.code, finding.severity) == ("FROZEN", "note")


def test_a_remedy_is_tried_from_the_same_seed() -> None:
    report = judged(vanishing, try_all=True)
    tried = next(f.tried for f in report.findings if f.code == "VANISHING")
    assert tried is not None
    assert tried.helped
    assert tried.after < tried.before
    assert tried.start == pytest.approx(report.losses[0])
    again = judged(vanishing, try_all=True)
    assert next(f.tried for f in again.findings if f.code == "VANISHING") == tried


def test_a_remedy_that_does_not_help_is_said_not_to() -> None:
    flat_run = [1.0 + 0.01 * (-1) ** k for k in range(40)]
    tried = compared(flat_run, flat_run)
    assert tried is not None
    assert not tried.helped
    worse = compared(flat_run, [math.nan] * 40)
    assert worse is not None
    assert not worse.helped
    better = compared([math.nan] * 40, flat_run)
    assert better is not None
    assert better.helped


def test_without_trials_doubtful_findings_are_dropped() -> None:
    assert "LR_TOO_LOW" not in judged(FAULTS["LR_TOO_LOW"], trials=False).codes


def test_a_crash_is_reported_with_what_was_known() -> None:
    def crash() -> None:
        fit(mlp(12, 16, 4, last=nn.Softmax(1)), classes(), epochs=1)
        raise KeyError("the user's own")

    report = judged(crash)
    assert report.failure is not None
    assert report.failure.startswith("KeyError")
    assert "DOUBLE_SOFTMAX" in report.codes
    assert observation.by is None


def test_a_label_out_of_range_is_a_finding() -> None:
    report = judged(lambda: fit(mlp(12, 16, 3), classes()))
    assert report.codes == {"LABELS"}
    assert report.failure is not None


def test_a_program_without_backward_is_a_finding() -> None:
    def forward_only() -> None:
        model = mlp(12, 16, 4)
        for _ in range(5):
            model(classes()[0])

    assert judged(forward_only).codes == {"NO_GRADIENT"}


def test_a_short_run_is_not_enough_evidence() -> None:
    report = judged(lambda: fit(mlp(12, 16, 4), classes(64), epochs=1, lr=1e-6))
    assert not report.codes
    assert "not enough evidence" in report.notes[0]


def test_a_run_can_be_ended_early() -> None:
    assert judged(HEALTHY["mlp"], steps=10).steps == 10


def test_nothing_is_changed_by_being_watched() -> None:
    losses: list[list[float]] = [[], []]

    def run(k: int) -> None:
        cr.manual_seed(1)
        model, (x, y) = mlp(12, 16, 4), classes()
        optimizer = optim.Adam(model.parameters())
        for _ in range(5):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses[k].append(loss.item())

    run(0)
    judged(lambda: run(1), trials=False)
    np.testing.assert_array_equal(*losses)


def test_the_level_of_a_course_does_not_hang_on_a_few_jumps() -> None:
    values = [2.0 - 0.01 * k for k in range(100)]
    calm = course(values)
    values[50] = 1000.0
    assert course(values).end == pytest.approx(calm.end)
    assert course(values).noise == pytest.approx(calm.noise, rel=0.2)


def run_record(first: float, losses: list[float], status: str = "finished") -> dict[str, Any]:
    history = History(seed=0)
    for step in range(20):
        history.sample("gradient_norm/a", step, first)
        history.sample("gradient_norm/b", step, 1.0)
    record = history.to_record()
    record["epochs"] = [
        {"number": i + 1, "steps": 10, "seconds": 1.0, "metrics": {"loss": v}}
        for i, v in enumerate(losses)
    ]
    return {"history": record, "result": {"status": status}}


@pytest.mark.parametrize(
    ("first", "losses", "status", "codes"),
    [
        (1e-7, [2.3, 2.3], "finished", {"VANISHING"}),
        (1e7, [2.3, 2.3], "finished", {"EXPLODING"}),
        (0.5, [2.3, 1.0], "finished", set()),
        (1e-7, [2.3, 1.0], "finished", set()),
        (0.5, [2.3, 1.0], "diverged", {"NON_FINITE"}),
    ],
)
def test_a_run_folder_is_judged_by_its_record(
    first: float, losses: list[float], status: str, codes: set[str]
) -> None:
    assert examine_run(run_record(first, losses, status), Path("runs/x")).codes == codes
