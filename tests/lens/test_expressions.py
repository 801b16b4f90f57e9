"""Expressions: derivations are right, complete and checked; what is not one is refused."""

from __future__ import annotations

import builtins
import json
import math
import re
from xml.etree import ElementTree

import pytest
from matplotlib.mathtext import MathTextParser
from random_expressions import random_expression
from schema import errors

from chainrule.core.op import registry
from chainrule.errors import ArgumentError, ExplanationError
from chainrule.lens import derivation, explain_expression, symbols
from chainrule.lens.derivation import derive
from chainrule.lens.expression import arity, functions, parse


@pytest.mark.parametrize("start", range(0, 200, 20))
def test_random_expressions_have_one_derivative_in_four_ways(start: int) -> None:
    for seed in range(start, start + 20):
        text, at, used = random_expression(seed)
        assert used <= 12
        found = derive(text, at)
        assert found.partials
        for partial in found.partials.values():
            r = partial.residuals
            by_paths = math.fsum(path.value for path in partial.paths)
            assert partial.count == len(partial.paths), text
            assert abs(by_paths - partial.value) <= 1e-12 * r.scale, text
            assert r.to_tape <= 1e-10, text
            assert r.to_closed_form <= 1e-10, text
            assert abs(r.product - r.difference) <= 1e-6 * r.scale + 4 * r.uncertainty, text


def test_random_expressions_use_up_to_twelve_operations() -> None:
    assert max(random_expression(seed)[2] for seed in range(200)) == 12


@pytest.mark.parametrize("name", sorted(functions()))
def test_every_function_has_symbols_that_agree_with_its_rule(name: str) -> None:
    low, high = registry[name].domain[0]
    inside = 0.37 if low <= 0.37 <= high else low + 0.4 * (high - low)
    at = dict(zip("xyt", (inside, 0.61, 0.45), strict=False))
    chosen = dict(list(at.items())[: arity(name)])
    derive(f"{name}({', '.join(chosen)})", chosen)


def test_single_expression_is_taken_apart_into_named_operations() -> None:
    found = derive("exp(log((3*x)**2))", {"x": 1.7})
    assert [step.name for step in found.steps] == ["u", "v", "w", "z"]
    (path,) = found.partials["z", "x"].paths
    assert [symbols.text_of(f.symbolic) for f in path.factors] == ["exp(w)", "1/v", "2*u", "3"]
    assert symbols.text_of(found.partials["z", "x"].closed_form) == "18*x"


def test_equal_operations_are_one_step() -> None:
    assert len(derive("sin(x) * sin(x)", {"x": 1.0}).steps) == 2


def test_named_steps_stay_as_they_are_written() -> None:
    found = derive("g = 3*x + 2; y = g**2", {"x": 1.0})
    assert [step.name for step in found.steps] == ["g", "y"]
    assert explain_expression("g = 3*x + 2; y = g**2", {"x": 1.0}).closed_form == {
        "x": "6*(3*x + 2)"
    }


def test_names_of_steps_do_not_collide_with_variables() -> None:
    found = derive("sin(u*v) + z", {"u": 1.0, "v": 2.0, "z": 3.0})
    assert len({*(step.name for step in found.steps), "u", "v", "z"}) == len(found.steps) + 3


def test_many_paths_are_counted_and_summed() -> None:
    steps = [f"u{i} = u{i - 1} + sin(u{i - 1}) * u{i - 1}" for i in range(1, 4)]
    found = derive("; ".join(["u0 = x", *steps, "u3 * u2 * u1"]), {"x": 0.5})
    assert found.partials["z", "x"].count == 3


def test_sums_over_more_paths_than_are_listed_are_exact() -> None:
    before = ["x", *(f"c{i}" for i in range(8))]
    text = "; ".join(
        f"a{i} = sin({b}); b{i} = cos({b}); c{i} = a{i} * b{i} + {b}" for i, b in enumerate(before)
    )
    found = derive(text, {"x": 0.3})
    partial = next(iter(found.partials.values()))
    assert partial.count == 3**9
    assert partial.closed_form is None
    assert found.steps[-1].substituted is None
    assert len(partial.paths) == derivation.MOST_PATHS
    heaviest = [abs(path.value) for path in partial.paths]
    assert heaviest == sorted(heaviest, reverse=True)


def test_total_derivative_is_a_sum_over_paths() -> None:
    found = derive("x = cos(t); y = exp(t); z = x**2 * y", {"t": 0.4})
    partial = found.partials["z", "t"]
    assert [path.names for path in partial.paths] == [("z", "x", "t"), ("z", "y", "t")]
    c, s, e = math.cos(0.4), math.sin(0.4), math.exp(0.4)
    expected = -2 * c * s * e + c**2 * e
    assert partial.value == pytest.approx(expected, rel=1e-14)


def test_jacobian_times_a_direction() -> None:
    found = explain_expression("x*y, sin(x)", {"x": 1.0, "y": 2.0}, direction={"x": 1.0, "y": 0.5})
    assert found.gradients["z1"] == {"x": 2.0, "y": 1.0}
    assert found.derivation.images == {"z1": 2.5, "z2": pytest.approx(math.cos(1.0))}
    assert found.to_json()["jacobian_times_direction"]["z1"] == 2.5


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["__import__('os').system('x')", "x.y", "(lambda: 1)()", "x[0]", "(x := 3)", "f'{x}'", "1j*x",
     "'a'", "x if x else 1", "[x for x in y]", "import os", "x = y = 1", "x +", "print(x)",
     "sin", "sin(x, x)", "sin(*x)", "sin(x=1)", "x < 1", "x ^ 2", "exec('x')", "True", "...", "",
     "_x", "sin = 3", "u = x; x = 2", "1e999*x"],
)  # fmt: skip
def test_what_is_not_arithmetic_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("eval", "exec"):
        monkeypatch.delattr(builtins, name)
    with pytest.raises(ArgumentError):
        parse(text)


@pytest.mark.parametrize("text", ["(" * 5000 + "x" + ")" * 5000, "-" * 3000 + "x", "x" * 5000])
def test_deep_and_long_expressions_are_refused(text: str) -> None:
    with pytest.raises(ArgumentError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "at", "what"),
    [
        (
            "log(x*y)",
            {"x": 0.0, "y": 1.0},
            "u = x * y = 0.0: its value is -inf, and the product has no factor d(log(u))/d(u)",
        ),
        ("1/x", {"x": 0.0}, "x = 0.0"),
        ("sqrt(x - 1)", {"x": 0.0}, "sqrt"),
        ("sqrt(x)", {"x": 0.0}, "1/(2*sqrt(x))"),
        ("x**y", {"x": -1.0, "y": 0.5}, "x"),
        ("9**9**9 * x", {"x": 1.0}, "9"),
        ("exp(exp(x))", {"x": 1000.0}, "exp"),
    ],
)
def test_undefined_points_say_which_factor(text: str, at: dict, what: str) -> None:
    with pytest.raises(ExplanationError, match=re.escape(what)):
        derive(text, at)


@pytest.mark.parametrize(
    ("text", "at", "direction", "what"),
    [
        ("x*y", {"x": 1.0}, None, "y"),
        ("x", {"x": 1.0, "q": 2.0}, None, "q"),
        ("x*2, x", {"x": 1.0}, None, "direction"),
        ("x*2, x", {"x": 1.0}, {"w": 1.0}, "w"),
        ("2 + 3", {}, None, "variable"),
        ("x", {"x": math.nan}, None, "finite"),
    ],
)
def test_wrong_names_and_missing_directions(text: str, at: dict, direction, what: str) -> None:
    with pytest.raises(ArgumentError, match=what):
        derive(text, at, direction=direction)


@pytest.mark.parametrize(("text", "slopes"), [("abs(x)", (-1, 1)), ("relu(x)", (0, 1))])
def test_kinks_are_said(text: str, slopes: tuple[int, int]) -> None:
    found = explain_expression(text, {"x": 0.0})
    assert found.derivation.partials["z", "x"].residuals.kink == pytest.approx(slopes)
    assert "kink" in str(found)


def test_wrong_local_derivative_is_an_error_and_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry["sin"], "math", ("1.001 * cos({0})",))
    with pytest.raises(ExplanationError, match="closed form"):
        explain_expression("sin(x**2)", {"x": 1.3})


def test_wrong_rule_is_found_by_the_finite_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    sin = registry["sin"]
    monkeypatch.setattr(sin, "math", ("1.001 * cos({0})",))
    monkeypatch.setattr(sin, "slope", lambda self, x, y: 1.001 * registry["cos"]()(x))
    with pytest.raises(ExplanationError, match="finite difference"):
        explain_expression("sin(x**2)", {"x": 1.3})


def test_missing_sympy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name == "sympy":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    symbols.library.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    try:
        with pytest.raises(ArgumentError, match="SymPy") as raised:
            explain_expression("sin(x)", {"x": 1.0})
    finally:
        symbols.library.cache_clear()
    assert "chainrule[explain]" in str(raised.value)


# How it is shown ----------------------------------------------------------------------------------


def test_text_has_names_symbols_values_and_residuals() -> None:
    shown = str(explain_expression("sin(x**2)", {"x": 1.3}))
    for line in ("dz/dx = dz/du · du/dx", "= cos(u) · 2·x", "= cos(x²) · 2·x", "= 2·x·cos(x²)",
                 "≈ -0.118922 · 2.6", "≈ -0.309196", "− finite difference"):  # fmt: skip
        assert line in shown


def test_long_products_wrap() -> None:
    text = "x"
    for _ in range(25):
        text = f"sin({text})"
    found = explain_expression(text, {"x": 0.5})
    chain = str(found).split("dz/dx =")[1].split("local derivatives")[0]
    assert max(map(len, chain.splitlines())) <= 110
    assert chain.count("\n") > 1
    assert found.to_latex().count("\\\\") > 5


def test_numbers_are_marked_as_rounded_only_if_they_are() -> None:
    shown = str(explain_expression("x**2 / 4", {"x": 3.0}))
    assert "= 1.5" in shown
    assert "≈ 1.5" not in shown
    assert "≈ 0.333333" in str(explain_expression("log(x)", {"x": 3.0}))


@pytest.mark.parametrize(
    "found",
    [
        explain_expression("sin(x**2) + maximum(x, y)", {"x": 1.3, "y": 0.2}),
        explain_expression("x*y, sin(x)", {"x": 1.0, "y": 2.0}, direction={"x": 1.0}),
    ],
)
def test_json_follows_the_schema(found) -> None:
    document = json.loads(found.dumps())
    assert errors(document, "explanation.json") == []
    broken = {k: v for k, v in document.items() if k != "steps"}
    assert errors(broken, "explanation.json") != []


def test_mathml_is_well_formed_and_latex_balanced() -> None:
    found = explain_expression("q = x + y; f = q*z - sigmoid(x)/y", {"x": -2, "y": 5, "z": -4})
    html = found._repr_html_()
    ElementTree.fromstring(html)
    assert "<math" in html
    assert "<script" not in html
    latex = found._repr_latex_()
    assert latex.startswith("$")
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\begin") == latex.count(r"\end")
    assert "$$" in found.to_markdown()


def test_cases_and_sigmoids_are_written_as_people_do() -> None:
    shown = str(explain_expression("sigmoid(x) * relu(alpha)", {"x": 0.3, "alpha": -1.0}))
    assert "(1 - σ(x))·σ(x)" in shown
    assert "(1 if α > 0 else 0)" in shown
    assert "Piecewise" not in shown
    found = explain_expression("sigmoid(x)", {"x": 0.3})
    assert "sigma" not in found.closed_form["x"], "programs read exp"
    assert r"\sigma" in found.to_latex()
    assert "<mi>σ</mi>" in found.to_html()


def test_latex_is_read_by_another_program_and_cases_are_tables_in_mathml() -> None:
    found = explain_expression("a1 = sigmoid(w1*x); L = (a1 - y)**2/2", {"w1": 0.5, "x": 1, "y": 2})
    formulas = re.findall(r"\$([^$]+)\$", found.to_latex())
    assert len(formulas) > 8
    for formula in formulas:
        MathTextParser("path").parse(f"${formula}$")
    html = explain_expression("relu(x)", {"x": 0.3}).to_html()
    ElementTree.fromstring(html)
    assert "piecewise" not in html
    assert "<mo>{</mo><mtable>" in html
