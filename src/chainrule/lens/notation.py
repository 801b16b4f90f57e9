"""Formulas in three notations at once: text for terminals, LaTeX, and MathML for notebooks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

DIGITS: Final = 6
"""Significant digits of a number that is shown; what is more is rounded and marked with ≈."""

_GREEK: Final = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "theta": "θ",
    "lambda": "λ", "mu": "μ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ",
    "omega": "ω",
}  # fmt: skip
_LATIN: Final = {letter: name for name, letter in _GREEK.items()}
SUPERSCRIPTS: Final = str.maketrans("0123456789-+()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺⁽⁾ⁿ")


class Math(NamedTuple):
    """A formula as text, LaTeX and presentation MathML (without the ``math`` element)."""

    text: str
    latex: str
    mathml: str


def symbol(name: str) -> Math:
    r"""A variable; digits at the end of its name become an index.

    >>> symbol("u1").latex, symbol("delta").text
    ('u_{1}', 'δ')
    """
    match = re.fullmatch(r"([A-Za-z]+|[^\W\d_]+)_?(\w*)", name)
    letter, index = match.groups() if match else (name, "")
    if match and (len(letter) > 1 or (index and not index.isdigit())) and letter not in _GREEK:
        return Math(name, rf"\mathrm{{{_latex_escaped(name)}}}", f"<mi>{escape(name)}</mi>")
    greek = _GREEK.get(letter, letter)
    latin = _LATIN.get(greek)
    latex = rf"\{latin}" if latin else letter
    if not index:
        return Math(greek, latex, f"<mi>{escape(greek)}</mi>")
    mathml = f"<msub><mi>{escape(greek)}</mi><mn>{index}</mn></msub>"
    return Math(f"{greek}{index}", f"{latex}_{{{index}}}", mathml)


def words(text: str) -> Math:
    """Plain words within a formula."""
    return Math(text, rf"\text{{{_latex_escaped(text)}}}", f"<mtext>{escape(text)}</mtext>")


def _latex_escaped(text: str) -> str:
    return re.sub(r"([\\{}_$&#%^~])", lambda m: "\\" + m[1] if m[1] not in "\\^~" else " ", text)


def number(x: float, digits: int = DIGITS) -> Math:
    """A number with at most so many significant digits.

    >>> number(-0.25).text, number(1 / 3).text, number(1e-7).latex
    ('-0.25', '0.333333', '10^{-7}')
    """
    text = rounded(x, digits)
    mantissa, e, exponent = text.partition("e")
    if not e:
        return Math(text, text.replace("inf", r"\infty"), _mathml_number(text))
    power = str(int(exponent))
    raised = f"<msup><mn>10</mn>{_mathml_number(power)}</msup>"
    if mantissa in ("1", "-1"):
        sign = mantissa[:-1]
        minus = "<mo>-</mo>" if sign else ""
        return Math(text, f"{sign}10^{{{power}}}", f"<mrow>{minus}{raised}</mrow>")
    return Math(
        text,
        rf"{mantissa} \cdot 10^{{{power}}}",
        f"<mrow>{_mathml_number(mantissa)}<mo>·</mo>{raised}</mrow>",
    )


def _mathml_number(text: str) -> str:
    body = f"<mn>{text.lstrip('-')}</mn>"
    return f"<mrow><mo>-</mo>{body}</mrow>" if text.startswith("-") else body


def rounded(x: float, digits: int = DIGITS) -> str:
    """A number as text; no sign on zero.

    >>> rounded(2.0), rounded(1234567.0), rounded(-0.0)
    ('2', '1.23457e+06', '0')
    """
    return f"{x + 0.0:.{digits}g}"


def is_exact(x: float, digits: int = DIGITS) -> bool:
    """Whether the number that is shown is the number itself."""
    return float(rounded(x, digits)) == x


def relation(*values: float) -> str:
    """``=`` if all numbers are shown as they are, else ``≈``."""
    return "=" if all(is_exact(x) for x in values) else "≈"


def product(parts: Sequence[Math], sign: str = "·") -> Math:
    """Factors (or with ``⊙`` matrices, elementwise) side by side; sums among them in brackets."""
    latex = {"·": r" \cdot ", "⊙": r" \odot ", "×": r" \times "}[sign]
    if not parts:
        return number(1)
    shown = [bracketed(p) if len(parts) > 1 and needs_brackets(p.text, i) else p
             for i, p in enumerate(parts)]  # fmt: skip
    return joined(shown, f" {sign} ", latex, f"<mo>{sign}</mo>")


def total(parts: Sequence[Math]) -> Math:
    """Terms added up; those that begin with a minus are subtracted."""
    if not parts:
        return number(0)
    text, latex, mathml = parts[0]
    for part in parts[1:]:
        if part.text.startswith("-"):
            text += f" - {part.text[1:].lstrip()}"
            latex += f" {part.latex}"
            mathml += part.mathml
        else:
            text += f" + {part.text}"
            latex += f" + {part.latex}"
            mathml += f"<mo>+</mo>{part.mathml}"
    return Math(text, latex, f"<mrow>{mathml}</mrow>")


def joined(parts: Sequence[Math], text: str, latex: str, mathml: str) -> Math:
    """Formulas with something between them."""
    return Math(
        text.join(p.text for p in parts),
        latex.join(p.latex for p in parts),
        f"<mrow>{mathml.join(p.mathml for p in parts)}</mrow>",
    )


def equation(left: Math, right: Math, sign: str = "=") -> Math:
    """``left = right``."""
    latex = {"=": " = ", "≈": r" \approx "}[sign]
    return joined((left, right), f" {sign} ", latex, f"<mo>{sign}</mo>")


def bracketed(x: Math) -> Math:
    """(x)."""
    return Math(
        f"({x.text})", rf"\left({x.latex}\right)", f"<mrow><mo>(</mo>{x.mathml}<mo>)</mo></mrow>"
    )


def needs_brackets(text: str, position: int) -> bool:
    """Whether a text is a sum, or negative and not the first factor.

    >>> needs_brackets("a + b", 0), needs_brackets("sin(a + b)", 0), needs_brackets("-2", 1)
    (True, False, True)
    """
    depth = 0
    for i, letter in enumerate(text):
        depth += (letter in "([") - (letter in ")]")
        if depth == 0 and letter in "+-" and i and text[i - 1] == " ":
            return True
    return position > 0 and text.startswith("-")


def derivative(of: Math, by: Math, *, partial: bool = False) -> Math:
    """d of / d by, or with ∂."""
    d, latin = ("∂", r"\partial ") if partial else ("d", "d")
    return Math(
        f"{d}{of.text}/{d}{by.text}",
        rf"\frac{{{latin}{of.latex}}}{{{latin}{by.latex}}}",
        f"<mfrac><mrow><mi>{d}</mi>{of.mathml}</mrow><mrow><mi>{d}</mi>{by.mathml}</mrow></mfrac>",
    )


def raised(base: Math, exponent: str) -> Math:
    """A superscript, such as a layer's number or ᵀ.

    >>> raised(symbol("W"), "T").text, raised(symbol("delta"), "12").text
    ('Wᵀ', 'δ¹²')
    """
    if exponent == "T":
        return Math(
            f"{base.text}ᵀ", rf"{{{base.latex}}}^{{\top}}",
            f"<msup>{base.mathml}<mi>T</mi></msup>",
        )  # fmt: skip
    if exponent == "′":
        return Math(f"{base.text}′", f"{base.latex}'", f"<msup>{base.mathml}<mo>′</mo></msup>")
    shown = exponent.translate(SUPERSCRIPTS)
    return Math(
        f"{base.text}{shown}", f"{base.latex}^{{{exponent}}}",
        f"<msup>{base.mathml}<mn>{escape(exponent)}</mn></msup>",
    )  # fmt: skip


def applied(function: Math, *arguments: Math) -> Math:
    """function(arguments)."""
    inside = joined(arguments, ", ", ", ", "<mo>,</mo>")
    return Math(
        f"{function.text}({inside.text})",
        rf"{function.latex}\left({inside.latex}\right)",
        f"<mrow>{function.mathml}<mo>(</mo>{inside.mathml}<mo>)</mo></mrow>",
    )
