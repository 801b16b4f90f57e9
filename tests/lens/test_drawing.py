"""Drawings: few boxes, none on another, lines that go down and around boxes, the same each time."""

from __future__ import annotations

import math
from itertools import combinations, pairwise
from pathlib import Path as File
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, GradientError
from chainrule.lens.drawing import Drawing, Placed, draw
from chainrule.lens.drawing.groups import Group
from chainrule.lens.drawing.labels import label_of
from chainrule.lens.drawing.layers import Arrow, Box, arrange
from chainrule.lens.drawing.layout import HEADER
from chainrule.lens.drawing.svg import ADVANCE, INSET


def random_output(seed: int, length: int) -> cr.Tensor:
    """A scalar of random operations, in nested module calls."""
    rng = np.random.default_rng(seed)
    values = [cr.tensor(rng.standard_normal(), requires_grad=True) for _ in range(3)]

    def grow(count: int, depth: int) -> None:
        while count > 0:
            if depth < 3 and rng.random() < 0.2:
                inside = int(rng.integers(1, count + 1))
                call(inside, depth + 1)
                count -= inside
                continue
            a, b = (values[max(0, len(values) - int(rng.integers(1, 9)))] for _ in range(2))
            values.append([cr.sin(a), a * b, a + b, cr.tanh(a) - b][rng.integers(4)])
            count -= 1

    def call(count: int, depth: int) -> None:
        class Part(nn.Module):
            def forward(self) -> cr.Tensor:
                grow(count, depth)
                return values[-1]

        Part()()

    grow(length, 0)
    return sum(values[-4:], values[-1])  # type: ignore[return-value]


def overlap(a: Placed, b: Placed) -> bool:
    wide = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    high = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    return wide > 0.01 and high > 0.01


def contains(outer: Placed, inner: Placed) -> bool:
    slack = 0.01
    return (
        outer.x - slack <= inner.x and outer.y - slack <= inner.y
        and inner.x + inner.width <= outer.x + outer.width + slack
        and inner.y + inner.height <= outer.y + outer.height + slack
    )  # fmt: skip


def is_frame(box: Placed) -> bool:
    return isinstance(box.member, Group) and box.member.is_open


def inside(box: Placed) -> set[int]:
    entries = box.member.entries() if isinstance(box.member, Group) else [box.member]
    return {entry.index for entry in entries}


def check(drawing: Drawing, most: int) -> None:
    assert len(drawing.visible) <= most
    shown = [box for box in drawing.boxes if not is_frame(box)]
    assert sorted(id(b.member) for b in shown) == sorted(map(id, drawing.visible))
    covered = [i for box in shown for i in inside(box)]
    assert sorted(covered) == list(range(len(drawing.record.entries))), "each entry is in one box"
    for a, b in combinations(drawing.boxes, 2):
        if is_frame(a) and inside(b) <= inside(a):
            assert contains(a, b)
        else:
            assert not overlap(a, b), f"{a} and {b}"
    for path in drawing.paths:
        assert all(low[1] <= high[1] + 0.01 for low, high in pairwise(path.points)), "lines go down"
        for k, (start, end) in enumerate(pairwise(path.points)):
            if k % 2 == 0:
                assert start[0] == pytest.approx(end[0], abs=0.01), (
                    "beside boxes lines are straight"
                )
            for box in shown:
                beside = (
                    max(start[0], end[0]) <= box.x or min(start[0], end[0]) >= box.x + box.width
                )
                apart = end[1] <= box.y + 0.01 or start[1] >= box.y + box.height - 0.01
                assert beside or apart, f"{path} crosses {box}"
    for frame in filter(is_frame, drawing.boxes):
        name = label_of(frame.member).title
        left, wide = frame.x + frame.name_at + INSET, len(name) * ADVANCE
        assert left + wide <= frame.x + frame.width
        for path in drawing.paths:
            for (x, y), (_, end) in list(pairwise(path.points))[::2]:
                above = end <= frame.y + 0.01 or y >= frame.y + HEADER - 0.01
                assert above or not left < x < left + wide, f"{path} crosses the name {name}"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.sampled_from([5, 12, 200]))
def test_nothing_overlaps_and_all_lines_go_down(seed: int, length: int, most: int) -> None:
    drawing = draw(random_output(seed, length), most=most)
    check(drawing, most)
    assert draw(random_output(seed, length), most=most).svg == drawing.svg


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_acyclic_graph_is_laid_out_in_layers(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 25))
    size = st.floats(1, 200)
    boxes = [Box(data.draw(size), data.draw(size)) for _ in range(count)]
    pairs = [(a, b) for a in range(count) for b in range(a + 1, count)]
    chosen = data.draw(st.lists(st.sampled_from(pairs), max_size=40)) if pairs else []
    arrows = [Arrow(a, b, boxes[a].width / 2, boxes[b].width / 3) for a, b in chosen]
    found = arrange(boxes, arrows, 30.0)
    for arrow in arrows:
        bottom = found.corners[arrow.source][1] + boxes[arrow.source].height
        assert bottom <= found.bottoms[arrow.source] + 0.01
        assert found.bottoms[arrow.source] + 30.0 <= found.corners[arrow.target][1] + 0.01
    for (i, a), (j, b) in combinations(enumerate(found.corners), 2):
        apart_x = a[0] + boxes[i].width <= b[0] + 0.01 or b[0] + boxes[j].width <= a[0] + 0.01
        apart_y = a[1] + boxes[i].height <= b[1] + 0.01 or b[1] + boxes[j].height <= a[1] + 0.01
        assert apart_x or apart_y
    assert all(x >= 0 and x + box.width <= found.width + 0.01
               for (x, _), box in zip(found.corners, boxes, strict=True))  # fmt: skip


def test_lines_that_need_not_cross_do_not() -> None:
    boxes = [Box(20, 20)] * 6
    arrows = [Arrow(0, 5, 10, 10), Arrow(1, 4, 10, 10), Arrow(2, 3, 10, 10)]
    found = arrange(boxes, arrows, 30.0)
    ends = [(found.corners[a.source][0], found.corners[a.target][0]) for a in arrows]
    for one, other in combinations(ends, 2):
        assert (one[0] < other[0]) == (one[1] < other[1])


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6))

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        return x + self.inner(x)


def network(depth: int) -> nn.Module:
    return nn.Sequential(*[Residual() for _ in range(depth)])


def loss_of(model: nn.Module) -> cr.Tensor:
    cr.manual_seed(0)
    return (model(cr.randn(5, 6)) ** 2).mean()


def test_modules_are_frames_around_what_they_computed() -> None:
    drawing = draw(loss_of(network(2)))
    check(drawing, 200)
    frames = {b.member.name: b for b in drawing.boxes if isinstance(b.member, Group)}
    assert {"Sequential", "Sequential.0", "Sequential.1.inner.2"} <= frames.keys()
    assert drawing.folded == []
    weight = next(b for b in drawing.boxes if getattr(b.member, "name", "") == "1.inner.2.weight")
    assert contains(frames["Sequential.1.inner.2"], weight)


def test_modules_fold_from_the_inside_out_and_on_request() -> None:
    output = loss_of(network(30))
    whole = draw(output)
    check(whole, 200)
    assert whole.folded
    assert all(name.count(".") >= 1 for name in whole.folded)
    few = draw(output, most=35)
    check(few, 35)
    assert "Sequential.17" in few.folded
    chosen = draw(loss_of(network(2)), fold=["Sequential.1"])
    assert chosen.folded == ["Sequential.1"]
    text = next(line for line in chosen.svg.splitlines() if 'class="folded"' in line)
    assert "10 operations" in text or "operations, 84 parameters" in text


def test_an_operation_with_several_outputs_is_one_box() -> None:
    net = nn.LSTM(3, 4)
    out, (_, c) = net(cr.randn(6, 2, 3))
    drawing = draw(out.sum() + c.sum())
    check(drawing, 200)
    assert drawing.folded == []
    assert "item" not in drawing.svg
    (box,) = [m for m in drawing.visible if isinstance(m, Group)]
    assert [text for kind, text in label_of(box).lines if kind == "shape"] == ["6×2×4", "6×2×4"]
    assert drawing.svg.count('class="gradient"') == 2 + len(drawing.visible)


def test_frames_have_the_class_of_their_module() -> None:
    drawing = draw(loss_of(network(1)), fold=["Sequential.0.inner.2"])
    titles = [label_of(b.member).title for b in drawing.boxes if isinstance(b.member, Group)]
    assert titles == [
        "Sequential", "Sequential.0  Residual", "Sequential.0.inner  Sequential",
        "Sequential.0.inner.0  Linear", "Sequential.0.inner.1  Tanh",
        "Sequential.0.inner.2  Linear",
    ]  # fmt: skip


def test_long_computations_without_modules_are_cut_into_runs() -> None:
    x = cr.tensor(0.7, requires_grad=True)
    y = x
    for _ in range(700):
        y = cr.tanh(y * x)
    drawing = draw(y)
    check(drawing, 200)
    assert len(drawing.folded) == 30
    assert all(name.startswith("operations ") for name in drawing.folded)
    assert "24 mul, 23 tanh" in drawing.svg


def test_the_picture_shows_values_and_gradients() -> None:
    x, w = cr.tensor(1.3, requires_grad=True), cr.tensor(0.5, requires_grad=True)
    drawing = draw(cr.sin(x**2) * w, names={"x": x, "w": w})
    root = ElementTree.fromstring(drawing.svg)
    texts = [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]
    for number in (math.sin(1.69), 0.5 * math.cos(1.69) * 2.6):
        assert any(f"{number:.4g}" in (text or "") for text in texts)
    assert {"x", "w"} <= set(texts)


def test_names_are_escaped_and_what_is_not_finite_stands_out() -> None:
    x = cr.tensor([0.0, 1.0], requires_grad=True)
    drawing = draw(cr.log(x).sum(), names={'<x> & "y"': x})
    root = ElementTree.fromstring(drawing.svg)
    classes = [e.get("class") or "" for e in root.iter("{http://www.w3.org/2000/svg}g")]
    assert any("broken" in c for c in classes)
    assert "&lt;x&gt; &amp;" in drawing.svg
    assert "<x>" not in drawing.mermaid()
    assert '"y"' not in drawing.dot().replace(r"\"", "")


def test_text_for_other_programs_has_the_same_boxes_and_arrows() -> None:
    drawing = draw(loss_of(network(1)))
    dot, mermaid = drawing.dot(), drawing.mermaid()
    assert (
        dot.count("[label=")
        == mermaid.count('["') - mermaid.count("subgraph")
        == len(drawing.visible)
    )
    assert dot.count(" -> ") == mermaid.count(" --> ") > 0
    assert dot.count("{") == dot.count("}")
    assert mermaid.count("subgraph") == mermaid.count("end\n")


@pytest.mark.parametrize("suffix", ["svg", "dot", "mmd"])
def test_drawings_are_saved_by_suffix(tmp_path: File, suffix: str) -> None:
    drawing = draw(loss_of(network(1)))
    drawing.save(tmp_path / f"net.{suffix}")
    saved = (tmp_path / f"net.{suffix}").read_text(encoding="utf-8")
    assert saved == {"svg": drawing.svg, "dot": drawing.dot(), "mmd": drawing.mermaid()}[suffix]
    assert drawing._repr_svg_() == drawing.svg


def test_bad_input_is_named() -> None:
    x = cr.ones(3, requires_grad=True)
    with pytest.raises(GradientError):
        draw(cr.ones(3))
    with pytest.raises(GradientError):
        draw(x * 2)
    with pytest.raises(ArgumentError, match="two boxes"):
        draw((x * 2).sum(), most=1)
    drawing: Any = draw(x * 2, direction=[1.0, 0.0, 2.0])
    with pytest.raises(ArgumentError, match=r"\.svg"):
        drawing.save("picture.png")
