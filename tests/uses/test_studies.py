"""Studies: sentences follow the numbers, charts are deterministic, commands leave what they say."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainrule.cli import study as command_of_study
from chainrule.cli.main import main
from chainrule.errors import DataError
from chainrule.uses.studies import (
    STUDIES,
    Settings,
    Study,
    batch_size,
    clipping,
    cost,
    depth,
    learning_rate,
    surface,
)
from chainrule.uses.studies.chart import Axis, Curve, heat_map, line_chart
from chainrule.uses.studies.study import Tell
from chainrule.uses.studies.training import digits
from chainrule.uses.surface import Plane

# Rows that are made up: what the studies say of them must follow ------------------------------


def cost_rows(backward: float, passes: float) -> list[cost.Row]:
    return [
        cost.Row(n, t, t * (1 + backward), passes * t * n**0.0, n + 1, False, 1e-7)
        for n, t in ((1000, 0.002), (100_000, 0.02))
    ]


def depth_rows(ratio: Callable[[str, int], float]) -> list[depth.Row]:
    return [
        depth.Row(kind, d, ratio(kind, d), 0.0, 0.0, 0.5, ratio(kind, d), (1.0, 1.0))
        for kind in depth.KINDS
        for d in (2, 4, 8)
    ]


def clipping_rows(*, clip_saves: bool, slow_saves: bool) -> list[clipping.Row]:
    rows = []
    for gain in (1.0, 2.0):
        for rate, clip, trained in (
            (0.03, math.inf, gain == 1.0), (0.03, 1.0, clip_saves or gain == 1.0),
            (0.003, math.inf, slow_saves),
        ):  # fmt: skip
            flow = (1.0, 1.0) if gain == 1.0 else (800.0, 1.0)
            rows.append(
                clipping.Row(gain, rate, clip, 9.0, 1.0, 0.5 if trained else math.nan,
                             0.9 if trained else 0.1, 3, None if trained else 3, flow)
            )  # fmt: skip
    return rows


def rate_row(rate: float, losses: tuple[float, ...], loss: float, rising: float) -> Any:
    return learning_rate.Row(rate, losses, loss, 0.5, rising, 4.0, 4.0)


def batch_row(size: int, accuracy: float, spent: float, memory: int) -> batch_size.Row:
    noise = 0.0 if size == 1000 else 90.0 / size
    return batch_size.Row(
        size, 1000, noise, 0.5, noise, 0.1, spent, memory, 0.2, accuracy, 1000, (0.5, accuracy)
    )


def surface_rows(last_loss: float, last_top: float) -> list[surface.Row]:
    common = {"accuracy": 0.5, "distance": 1.0, "bound": 0.0, "trace": 20.0, "trace_error": 1.0}
    line = {"steps": (-1.0, 0.0, 1.0), "parameters": 100}
    first = surface.Row(epoch=0, loss=2.0, eigenvalues=(4.0, 2.0, 1.0), profile=(3, 2, 3),
                        **common, **line)  # fmt: skip
    plane = Plane((0.0, 1.0), (0.0, 1.0), ((1.0, 2.0), (3.0, math.inf)))
    last = replace(
        first, epoch=1, loss=last_loss, eigenvalues=(last_top, 1.0, 0.5),
        profile=(last_loss + 1, last_loss, last_loss + 1), path=((1.0, 0.5), (0.0, 0.0)),
        explained=(0.8, 0.1), planes=(plane, plane),
    )  # fmt: skip
    return [first, last]


def holds(rows: Any, subject: Any) -> list[bool | None]:
    return [claim.holds for claim in subject.conclude(rows).claims]


def test_cost_says_what_the_rows_say() -> None:
    good = [replace(r, difference_seconds=r.passes * r.forward_seconds) for r in cost_rows(1.5, 1)]
    told = cost.conclude(good)
    assert "costs 1.5 forward passes, which is roughly one" in told.sentence
    assert "its advantage grows" in told.sentence
    assert [c.holds for c in told.claims] == [True, True, True]
    bad = cost.conclude([replace(r, gradient_seconds=10 * r.forward_seconds)
                         for r in cost_rows(9.0, 5)])  # fmt: skip
    assert "which is not roughly one" in bad.sentence
    assert "its advantage does not grow" in bad.sentence
    assert [c.holds for c in bad.claims] == [False, False, False]


def test_cost_of_passes_that_are_too_short_is_not_judged() -> None:
    short = [
        replace(r, forward_seconds=1e-5, gradient_seconds=2e-5, parameters=r.parameters // 10)
        for r in cost_rows(1.0, 1)
    ]
    told = cost.conclude(short)
    assert "too small to tell" in told.sentence
    assert [c.holds for c in told.claims] == [None, False, None]


def test_wrong_differences_do_not_count_as_gradients() -> None:
    rows = [replace(r, difference_seconds=r.passes * r.forward_seconds, disagreement=0.5)
            for r in cost_rows(1.0, 1)]  # fmt: skip
    assert holds(rows, cost)[1] is False


def test_depth_says_what_the_rows_say() -> None:
    vanishing = depth_rows(lambda kind, d: 0.2**d if kind == "sigmoid" else 0.9)
    told = depth.conclude(vanishing)
    assert "(× 0.2 a layer), which is a vanishing gradient" in told.sentence
    assert "ReLU, residual connections and batch normalisation kept it" in told.sentence
    assert [c.holds for c in told.claims] == [True, True, True, True, True]
    steady = depth.conclude(depth_rows(lambda kind, d: 0.9))
    assert "is not a vanishing gradient" in steady.sentence
    assert [c.holds for c in steady.claims] == [False, None, None, None, None]


def test_depth_names_remedies_that_do_not_help() -> None:
    def ratio(kind: str, d: int) -> float:
        return {"sigmoid": 0.2**d, "relu": 1e-4, "sigmoid + batch norm": 1e5}.get(kind, 1.0)

    told = depth.conclude(depth_rows(ratio))
    assert "residual connections kept it within a factor of 1000" in told.sentence
    assert "ReLU and batch normalisation did not keep it" in told.sentence
    assert [c.holds for c in told.claims][2:] == [False, True, False]


def test_clipping_says_what_the_rows_say() -> None:
    told = clipping.conclude(clipping_rows(clip_saves=True, slow_saves=False))
    assert "the gradient explodes" in told.sentence
    assert "of which clipping to 1 saves 1 and a lower rate 0" in told.sentence
    assert [c.holds for c in told.claims] == [True, True, True, False, True]
    other = clipping.conclude(clipping_rows(clip_saves=False, slow_saves=True))
    assert "saves 0 and a lower rate 1" in other.sentence
    assert [c.holds for c in other.claims] == [True, True, False, True, True]


def test_clipping_says_if_there_was_nothing_to_save() -> None:
    rows = [replace(r, loss=0.5, diverged_at=None, flow=(1.0, 1.0))
            for r in clipping_rows(clip_saves=True, slow_saves=True)]  # fmt: skip
    told = clipping.conclude(rows)
    assert "does not explode" in told.sentence
    assert "nothing to save" in told.sentence
    assert [c.holds for c in told.claims] == [False, None, None, None, None]


def test_learning_rate_says_what_the_rows_say() -> None:
    rows = [
        rate_row(0.001, (2.0, 1.99), 1.98, 0.0), rate_row(0.1, (2.0, 1.0), 0.5, 0.0),
        rate_row(1.0, (2.0, math.inf), math.nan, 1.0),
    ]  # fmt: skip
    told = learning_rate.conclude(rows)
    assert "the rate 0.1 brings the loss from 2.00 to 0.5" in told.sentence
    assert "0.001 is too low (it covers 1% of the way)" in told.sentence
    assert "from 1 on the loss ends above its start" in told.sentence
    assert [c.holds for c in told.claims] == [True, True]
    calm = learning_rate.conclude([replace(r, loss=0.5, rising=0.0) for r in rows])
    assert "0.001, the lowest, is not too low" in calm.sentence
    assert "1, the highest, is not too high" in calm.sentence
    assert [c.holds for c in calm.claims] == [None, False]
    wild = learning_rate.conclude([replace(r, loss=math.nan) for r in rows])
    assert "all of them are too high" in wild.sentence
    assert [c.holds for c in wild.claims] == [False]


def test_batch_size_says_what_the_rows_say() -> None:
    rows = [
        batch_row(1, 0.97, 3.0, 10), batch_row(32, 0.97, 1.0, 100), batch_row(64, 0.95, 1.0, 200),
        batch_row(1000, 0.6, 1.0, 3000),
    ]  # fmt: skip
    told = batch_size.conclude(rows)
    assert "the mini-batch is the best of both worlds here" in told.sentence
    assert "as size^-1.00" in told.sentence
    assert [c.holds for c in told.claims] == [True, True, True, True]
    rows[0] = replace(rows[0], seconds=0.5)
    slower = batch_size.conclude(rows)
    assert "the mini-batch is not the best of both worlds here" in slower.sentence
    assert slower.claims[-1].evidence == "32 is not faster than single images"
    rows[0] = replace(rows[0], noise=0.5)
    rows[-1] = replace(rows[-1], memory=200, accuracy=0.97)
    assert holds(rows, batch_size) == [False, True, False, False]


def test_surface_says_what_the_rows_say() -> None:
    down = surface.conclude(surface_rows(0.5, 8.0))
    assert "the loss falls, from 2 to 0.5, and 90.0% of its way" in down.sentence
    assert "sharper" in down.sentence
    assert [c.holds for c in down.claims] == [True, True]
    up = surface.conclude(surface_rows(3.0, 2.0))
    assert "does not fall" in up.sentence
    assert "flatter" in up.sentence
    assert [c.holds for c in up.claims] == [False, False]


MADE_UP: dict[str, Callable[[], list[Any]]] = {
    "batch-size": lambda: [batch_row(1, 0.9, 1.0, 10), batch_row(32, 0.9, 1.0, 100),
                           batch_row(1000, 0.6, 1.0, 3000)],
    "depth": lambda: depth_rows(lambda kind, d: 0.2**d),
    "clipping": lambda: clipping_rows(clip_saves=True, slow_saves=True),
    "learning-rate": lambda: [rate_row(0.1, (2.0, 1.0), 0.5, 0.0),
                              rate_row(1.0, (2.0, math.inf), math.nan, 1.0)],
    "cost": lambda: cost_rows(1.0, 1),
    "surface": lambda: surface_rows(0.5, 8.0),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(STUDIES))
def test_tables_and_pictures_have_something_for_every_row(name: str) -> None:
    subject, rows = STUDIES[name], MADE_UP[name]()
    table = subject.table(rows)
    assert [len(cells) for cells in table] == [len(subject.columns)] * len(rows)
    assert all(cell for cells in table for cell in cells)
    pictures = subject.draw(rows)
    assert name in pictures
    assert pictures == subject.draw(MADE_UP[name]())
    for picture in pictures.values():
        ET.fromstring(picture)
        assert "nan" not in picture
    json.dumps(subject.document(Settings(), rows, finished=True))


# Charts --------------------------------------------------------------------------------------


def test_curves_have_gaps_where_a_number_cannot_be_shown() -> None:
    ys = [1.0, 10.0, 0.0, math.nan, 10.0, 100.0]
    picture = line_chart("t", Axis("x"), Axis("y", log=True), [Curve("c", list(range(6)), ys)])
    lines = [e for e in ET.fromstring(picture).iter() if e.tag.endswith("polyline")]
    counts = [len(e.attrib["points"].split()) for e in lines]
    assert counts == [2, 2, 2]  # two pieces, and the sample in the legend


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("ys", [[], [math.nan], [3.0], [3.0, 3.0], [1e-300, 1e300], [-1.0, 0.0]])
def test_a_chart_of_any_numbers_is_a_picture(log: bool, ys: list[float]) -> None:
    curve = Curve("<a & b>", [float(k) for k in range(len(ys))], ys)
    picture = line_chart("<t>", Axis("x", log=log), Axis("y", log=log), [curve],
                         marks=[(1.0, "here")], levels=[(2.0, "there")])  # fmt: skip
    texts = [e.text for e in ET.fromstring(picture).iter() if e.tag.endswith("text")]
    assert "<a & b>" in texts
    assert "nan" not in picture
    assert "inf" not in picture


def test_positions_on_a_log_axis_are_proportional_to_logarithms() -> None:
    picture = line_chart(
        "t", Axis("x", log=True, low=1.0, high=100.0), Axis("y", low=0.0, high=1.0),
        [Curve("c", [1.0, 10.0, 100.0], [0.0, 0.5, 1.0])],
    )  # fmt: skip
    circles = [e for e in ET.fromstring(picture).iter() if e.tag.endswith("circle")]
    xs, ys = ([float(c.attrib[k]) for c in circles] for k in ("cx", "cy"))
    assert xs[1] == pytest.approx((xs[0] + xs[2]) / 2, abs=0.02)
    assert ys[1] == pytest.approx((ys[0] + ys[2]) / 2, abs=0.02)
    assert ys[0] > ys[2]  # upwards


def test_a_heat_map_has_a_cell_for_each_number_and_ends_of_the_scale() -> None:
    picture = heat_map("t", Axis("x"), Axis("y"), [0.0, 1.0, 2.0], [0.0, 1.0],
                       [[1.0, 2.0, 3.0], [4.0, 100.0, math.inf]], label="loss")  # fmt: skip
    fills = [e.attrib.get("fill") for e in ET.fromstring(picture).iter() if e.tag.endswith("rect")]
    assert fills[0] == "#440154"
    assert fills[4] == fills[5] == "#fde725"


# What is measured ----------------------------------------------------------------------------


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """MNIST's four files with 64 and 16 images that can be learnt: a bright row for each class."""
    rng = np.random.default_rng(0)
    for prefix, n in (("train", 64), ("t10k", 16)):
        labels = np.arange(n) % 10
        images = rng.integers(0, 40, (n, 28, 28))
        images[np.arange(n), 6 + labels] = 255
        for array, name in ((images, "images-idx3"), (labels, "labels-idx1")):
            head = bytes([0, 0, 8, array.ndim])
            sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
            path = tmp_path / "data" / f"{prefix}-{name}-ubyte"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(head + sizes + array.astype(np.uint8).tobytes())
    return tmp_path / "data"


def test_the_gradient_of_a_sigmoid_network_shrinks_with_depth_and_that_of_a_residual_one_less(
    few: Path,
) -> None:
    data = digits(Settings(few), 64, 16)
    ratios = {}
    for kind in ("sigmoid", "sigmoid + residual"):
        norms = depth._norms(depth.network(kind, 6), data.images, data.labels)
        assert len(norms) == 6
        ratios[kind] = norms[0] / norms[-1]
    assert ratios["sigmoid"] < 1e-2 < 1e-1 * ratios["sigmoid + residual"] * 100


def test_the_flow_through_time_is_the_one_that_autograd_gives(few: Path) -> None:
    data = digits(Settings(few), 8, 8)
    model = clipping.Reader(1.0)
    back = clipping.flow(model, data.images, data.labels)
    assert len(back) == 20
    # ∂L/∂h of the last step is (softmax − onehot) W / N, by hand.
    outputs, _ = model.rnn(clipping.rows_of(data.images))
    h = outputs.detach().numpy()[:, -1]
    w, b = model.dense.weight.detach().numpy(), model.dense.bias.detach().numpy()
    z = h @ w.T + b
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(8), data.labels.numpy()] -= 1
    assert back[-1] == pytest.approx(np.linalg.norm(p @ w / 8), rel=1e-4)


def test_the_noise_of_random_batches_is_what_single_images_predict(few: Path) -> None:
    data = digits(Settings(few), 64, 16)
    batches = batch_size._Batches(batch_size._trained_a_little(data, 0), data, 0)
    measured, cosine = batches.noise(8)
    assert measured == pytest.approx(batches.expected(8), rel=0.25)
    assert 0 < cosine < 1
    assert batches.noise(64) == (0.0, 1.0)
    assert batches.expected(64) == 0
    assert batches.noise(1)[0] == pytest.approx(batches.expected(1))


def test_too_few_images_are_refused(few: Path) -> None:
    for prefix, n in (("train", 8),):
        for name, size in (("images-idx3", (28, 28)), ("labels-idx1", ())):
            head = bytes([0, 0, 8, 1 + len(size)])
            sizes = b"".join(k.to_bytes(4, "big") for k in (n, *size))
            path = few / f"{prefix}-{name}-ubyte"
            path.write_bytes(head + sizes + bytes(n * math.prod(size)))
    with pytest.raises(DataError, match="32 training images"):
        digits(Settings(few), 64, 16)


# The command ---------------------------------------------------------------------------------


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["study", *map(str, arguments)])
    return int(ended.value.code or 0)


def test_a_quick_study_leaves_table_pictures_sentence_and_figures(
    few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "out"
    assert run("learning-rate", "--quick", "--data", few, "--out", out) == 0
    printed = capsys.readouterr()
    figures = json.loads((out / "learning-rate.json").read_text())
    assert figures["sentence"] in printed.out
    assert "rate × λ at start" in printed.out
    assert printed.err.splitlines() == ["rate 0.001", "rate 0.1", "rate 10"]
    assert figures["status"] == "finished"
    assert [row["rate"] for row in figures["rows"]] == [0.001, 0.1, 10.0]
    assert all("stability_before" in row for row in figures["rows"])
    (picture,) = figures["pictures"]
    first = Path(picture).read_bytes()
    assert run("learning-rate", "--quick", "--data", few, "--out", out, "--json") == 0
    printed = capsys.readouterr()
    assert printed.out.count("\n") == 1
    assert json.loads(printed.out) == json.loads((out / "learning-rate.json").read_text())
    assert printed.err == ""
    assert Path(picture).read_bytes() == first


def test_ctrl_c_keeps_the_rows_and_concludes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(settings: Settings, tell: Tell) -> Iterator[Any]:
        yield MADE_UP["cost"]()[0]
        raise KeyboardInterrupt

    whole = STUDIES["cost"]
    cut: Study[Any] = replace(whole, measure=measure)
    settings = Settings(quick=True)
    assert command_of_study._run(cut, settings, tmp_path, as_json=False) == 130
    figures = json.loads((tmp_path / "cost.json").read_text())
    assert figures["status"] == "interrupted"
    assert len(figures["rows"]) == 1
    assert figures["sentence"] is None
    assert figures["claims"] == figures["pictures"] == []
    assert not list(tmp_path.glob("*.svg"))
    assert "interrupted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["width"], ["width", "depth"]),
        (["depth", "--data", "nowhere"], ["nowhere"]),
        (["depth", "--seed", "-1"], ["seed"]),
    ],
)
def test_bad_input_ends_with_status_2(
    arguments: list[str], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--data" in arguments:
        arguments = [*arguments, "--out", str(tmp_path)]
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words)


def test_a_folder_that_cannot_be_made_is_refused_before_measuring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert run("cost", "--out", tmp_path / "file" / "out") == 2
    said = capsys.readouterr().err
    assert "--out" in said
    assert "hidden units" not in said
