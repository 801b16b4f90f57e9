"""Random expressions of known functions, away from the edges of their domains."""

from __future__ import annotations

import random

SMOOTH = ("sin", "cos", "tanh", "sigmoid", "atan", "erf", "softplus", "gelu", "silu")
POSITIVE = ("log", "sqrt", "rsqrt", "log1p")


def random_expression(seed: int, most: int = 12) -> tuple[str, dict[str, float], int]:
    """An expression of up to `most` operations, values of its variables, and how many it has."""
    rng = random.Random(seed)
    values = {name: round(rng.uniform(0.3, 1.7), 3) for name in ("x", "y", "t")}
    budget = rng.randint(1, most)
    text, used = _made(rng, budget, list(values))
    while not any(name in values for name in _letters(text)):
        text, used = _made(rng, budget, list(values))
    return text, {n: v for n, v in values.items() if n in _letters(text)}, used


def _letters(text: str) -> set[str]:
    cleaned = "".join(c if c.isalnum() else " " for c in text)
    return set(cleaned.split())


def _made(rng: random.Random, budget: int, names: list[str]) -> tuple[str, int]:
    if budget == 0:
        return (rng.choice(names) if rng.random() < 0.8 else str(rng.randint(1, 4))), 0
    kind = rng.random()
    if kind < 0.35:
        inner, used = _made(rng, budget - 1, names)
        return f"{rng.choice(SMOOTH)}({inner})", used + 1
    if kind < 0.45 and budget >= 3:
        inner, used = _made(rng, budget - 3, names)
        return f"{rng.choice(POSITIVE)}(({inner})**2 + 1)", used + 3
    if kind < 0.55:
        inner, used = _made(rng, budget - 1, names)
        return f"({inner})**{rng.randint(2, 3)}", used + 1
    if kind < 0.6:
        inner, used = _made(rng, budget - 1, names)
        return f"-({inner})", used + 1
    left = rng.randint(0, budget - 1)
    a, used_a = _made(rng, left, names)
    b, used_b = _made(rng, budget - 1 - left, names)
    if kind < 0.7 and budget - used_a - used_b >= 1:
        return f"({a}) / (2 + cos({b}))" if used_a + used_b + 3 <= budget else f"({a}) * ({b})", (
            used_a + used_b + (3 if used_a + used_b + 3 <= budget else 1)
        )
    return f"({a}) {rng.choice('+-*')} ({b})", used_a + used_b + 1
