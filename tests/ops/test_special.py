"""Special functions against 30 digits of mpmath, over their whole range and at their limits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import chainrule as cr
from chainrule import special
from chainrule.errors import ArgumentError, GradientError

INF, NAN = math.inf, math.nan
RNG = np.random.default_rng(3)
POSITIVE = np.concatenate([RNG.uniform(0.01, 3, 25), RNG.uniform(3, 40, 25), [1e-8, 1e-3, 500.0]])
AROUND = np.concatenate([POSITIVE, -POSITIVE])
INSIDE = np.concatenate([RNG.uniform(-1, 1, 40), [1e-10, -1e-10, 1 - 1e-10, 1e-10 - 1, 0.5, -0.5]])
LEFT = -(RNG.uniform(0, 60, 30) + 0.3).round(3) - 0.0004

CASES: list[tuple[str, Callable[..., Any], np.ndarray, float]] = [
    ("gammaln", lambda x: mp.log(abs(mp.gamma(x))), np.concatenate([POSITIVE, LEFT]), 4e-14),
    ("digamma", mp.digamma, np.concatenate([POSITIVE, LEFT]), 2e-13),
    ("erfcx", lambda x: mp.exp(x * x) * mp.erfc(x), np.clip(AROUND, -20, None), 1e-14),
    ("erfinv", mp.erfinv, INSIDE, 1e-14),
    ("ndtr", lambda x: mp.erfc(-x / mp.sqrt(2)) / 2, RNG.uniform(-30, 9, 50), 2e-13),
    ("log_ndtr", lambda x: mp.log(mp.erfc(-x / mp.sqrt(2)) / 2), RNG.uniform(-300, 9, 50), 1e-13),
    ("i0e", lambda x: mp.exp(-abs(x)) * mp.besseli(0, x), AROUND, 1e-14),
    ("i1e", lambda x: mp.exp(-abs(x)) * mp.besseli(1, x), AROUND, 1e-14),
    ("i0", lambda x: mp.besseli(0, x), AROUND, 1e-13),
    ("i1", lambda x: mp.besseli(1, x), AROUND, 1e-13),
    ("modified_bessel_k0", lambda x: mp.besselk(0, x), POSITIVE, 1e-13),
    ("modified_bessel_k1", lambda x: mp.besselk(1, x), POSITIVE, 1e-13),
    ("scaled_modified_bessel_k0", lambda x: mp.exp(x) * mp.besselk(0, x), POSITIVE, 1e-14),
    ("scaled_modified_bessel_k1", lambda x: mp.exp(x) * mp.besselk(1, x), POSITIVE, 1e-14),
    ("spherical_bessel_j0", lambda x: mp.sin(x) / x, AROUND, 1e-12),
    ("entr", lambda x: -x * mp.log(x), POSITIVE, 1e-13),
]  # fmt: skip
WAVES: list[tuple[str, Callable[..., Any], np.ndarray]] = [
    ("bessel_j0", lambda x: mp.besselj(0, x), AROUND),
    ("bessel_j1", lambda x: mp.besselj(1, x), AROUND),
    ("bessel_y0", lambda x: mp.bessely(0, x), POSITIVE),
    ("airy_ai", mp.airyai, np.clip(AROUND, -50, None)),
    ("sinc", mp.sincpi, AROUND),
]


def value(name: str, *args: Any) -> np.ndarray:
    given = [cr.tensor(np.asarray(a)) for a in args]
    return np.asarray(getattr(special, name)(*given).numpy())


def exact(f: Callable[..., Any], *points: np.ndarray) -> np.ndarray:
    with mp.workdps(30):
        return np.array(
            [float(f(*[mp.mpf(float(x)) for x in xs])) for xs in zip(*points, strict=True)]
        )


@pytest.mark.parametrize(("name", "f", "points", "rtol"), CASES, ids=[case[0] for case in CASES])
def test_value_is_right_relative_to_itself(
    name: str, f: Callable[..., Any], points: np.ndarray, rtol: float
) -> None:
    want = exact(f, points)
    np.testing.assert_allclose(value(name, points), want, rtol=rtol, atol=1e-300)


@pytest.mark.parametrize(("name", "f", "points"), WAVES, ids=[case[0] for case in WAVES])
def test_oscillating_function_is_right_relative_to_its_amplitude(
    name: str, f: Callable[..., Any], points: np.ndarray
) -> None:
    np.testing.assert_allclose(value(name, points), exact(f, points), rtol=2e-13, atol=1e-14)


def test_lgamma_keeps_its_digits_where_it_is_zero() -> None:
    points = np.array([1 + 1e-9, 1 - 1e-7, 2 + 1e-9, 2 - 1e-7])
    want = exact(mp.loggamma, points)
    np.testing.assert_allclose(value("gammaln", points), want, rtol=1e-14)


def test_ndtri_inverts_far_tails() -> None:
    p = np.array([1e-300, 1e-100, 1e-20, 1e-5, 0.3, 0.5, 0.9, 1 - 1e-12])
    with mp.workdps(400):
        want = [float(mp.sqrt(2) * mp.erfinv(2 * mp.mpf(float(x)) - 1)) for x in p]
    np.testing.assert_allclose(value("ndtri", p), want, rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_polygamma_is_right_on_both_sides_of_zero(n: int) -> None:
    points = np.concatenate([POSITIVE[:-3], LEFT, [-1000.25]])
    want = exact(lambda x: mp.polygamma(n, x), points)
    found = special.polygamma(n, cr.tensor(points)).numpy()
    np.testing.assert_allclose(found, want, rtol=1e-11, atol=1e-9)


def test_zeta_for_many_orders() -> None:
    s, q = np.meshgrid([1.05, 1.5, 2.0, 7.0, 30.0], [0.2, 1.0, 2.5, 40.0])
    want = exact(mp.zeta, s.ravel(), q.ravel()).reshape(s.shape)
    np.testing.assert_allclose(value("zeta", s, q), want, rtol=3e-13)


@pytest.mark.parametrize("upper", [False, True])
def test_incomplete_gamma_for_small_and_large_orders(upper: bool) -> None:
    a, x = np.meshgrid([0.1, 1.0, 3.5, 40.0, 800.0], [1e-3, 0.5, 2.0, 30.0, 820.0])
    limits = (lambda b, z: (z, mp.inf)) if upper else (lambda b, z: (0, z))
    want = exact(
        lambda b, z: mp.gammainc(b, *limits(b, z), regularized=True), a.ravel(), x.ravel()
    ).reshape(a.shape)
    found = value("gammaincc" if upper else "gammainc", a, x)
    np.testing.assert_allclose(found, want, rtol=3e-12, atol=1e-16)


def test_incomplete_gammas_add_up_to_one() -> None:
    a, x = RNG.uniform(0.1, 50, 60), RNG.uniform(0, 80, 60)
    np.testing.assert_allclose(value("gammainc", a, x) + value("gammaincc", a, x), 1, rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "points", "want"),
    [
        ("gammaln", [0.0, -0.0, -3.0, INF, -INF, NAN], [INF, INF, INF, INF, INF, NAN]),
        ("digamma", [0.0, -0.0, -2.0, INF, NAN], [-INF, INF, NAN, INF, NAN]),
        ("erfcx", [INF, -INF, NAN, 1e200], [0, INF, NAN, 1 / math.sqrt(math.pi) / 1e200]),
        ("erfinv", [0.0, 1.0, -1.0, 1.5, NAN], [0, INF, -INF, NAN, NAN]),
        ("ndtri", [0.0, 1.0, -0.1, 1.1, 0.5], [-INF, INF, NAN, NAN, 0]),
        ("log_ndtr", [INF, -INF, NAN], [0, -INF, NAN]),
        ("entr", [0.0, -1.0, NAN, INF], [0, -INF, NAN, -INF]),
        ("logit", [0.0, 1.0, 0.5, 2.0], [-INF, INF, 0, NAN]),
        ("sinc", [0.0, 1.0], [1, 0]),
        ("bessel_y0", [0.0, -1.0, NAN], [-INF, NAN, NAN]),
        ("bessel_y1", [0.0, -1.0, INF], [-INF, NAN, 0]),
        ("modified_bessel_k0", [0.0, -1.0, NAN, 800.0], [INF, NAN, NAN, 0]),
        ("modified_bessel_k1", [0.0, -1.0, NAN], [INF, NAN, NAN]),
        ("bessel_j0", [0.0, INF, -INF, NAN], [1, 0, 0, NAN]),
        ("airy_ai", [INF, -INF, NAN], [0, 0, NAN]),
        ("i0", [0.0, INF, NAN], [1, INF, NAN]),
        ("i1e", [0.0, NAN], [0, NAN]),
    ],
)
def test_limits(name: str, points: list[float], want: list[float]) -> None:
    np.testing.assert_allclose(value(name, np.array(points)), want, atol=1e-16)


def test_incomplete_gamma_at_the_ends() -> None:
    a, x = np.array([0.0, 2.0, 2.0, -1.0, 0.0, INF]), np.array([1.0, 0.0, INF, 1.0, 0.0, 3.0])
    np.testing.assert_array_equal(value("gammainc", a, x), [1, 0, 1, NAN, NAN, 0])
    np.testing.assert_array_equal(value("gammaincc", a, x), [0, 1, 0, NAN, NAN, 1])


def test_xlogy_is_zero_for_zero_times_log_zero_and_so_are_its_gradients() -> None:
    x = cr.tensor([0.0, 0.0, 2.0], requires_grad=True)
    z = cr.tensor([0.0, NAN, 0.5])
    y = cr.xlogy(x, z)
    np.testing.assert_allclose(y.detach().numpy(), [0, NAN, 2 * math.log(0.5)], rtol=1e-6)
    cr.sum(cr.xlogy(x, cr.tensor([0.0, 1.0, 0.5]))).backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), [0, 0, math.log(0.5)], rtol=1e-6)


def test_sinc_has_the_right_derivatives_next_to_zero() -> None:
    x = cr.tensor(np.array([0.0, 1e-9, 1e-4, 0.009, 0.011]), requires_grad=True)
    (slope,) = cr.gradients([cr.sum(cr.sinc(x))], [x], create_graph=True)
    (bend,) = cr.gradients([cr.sum(slope)], [x])
    points = x.detach().numpy()
    with mp.workdps(40):
        first = [float(mp.diff(mp.sincpi, mp.mpf(float(p)) or mp.mpf("1e-15"))) for p in points]
    np.testing.assert_allclose(slope.detach().numpy(), first, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(bend.numpy(), [-(math.pi**2) / 3] * 5, rtol=2e-3)


POLYNOMIALS: dict[str, Callable[..., Any]] = {
    "chebyshev_polynomial_t": lambda n, x: mp.chebyt(n, x),
    "chebyshev_polynomial_u": lambda n, x: mp.chebyu(n, x),
    "chebyshev_polynomial_v": lambda n, x: mp.chebyu(n, x) - (mp.chebyu(n - 1, x) if n else 0),
    "chebyshev_polynomial_w": lambda n, x: mp.chebyu(n, x) + (mp.chebyu(n - 1, x) if n else 0),
    "shifted_chebyshev_polynomial_t": lambda n, x: mp.chebyt(n, 2 * x - 1),
    "shifted_chebyshev_polynomial_u": lambda n, x: mp.chebyu(n, 2 * x - 1),
    "hermite_polynomial_h": lambda n, x: mp.hermite(n, x),
    "hermite_polynomial_he": lambda n, x: mp.hermite(n, x / mp.sqrt(2)) * mp.mpf(2) ** (-n / 2),
    "laguerre_polynomial_l": lambda n, x: mp.fsum(
        mp.binomial(n, k) * (-x) ** k / mp.factorial(k) for k in range(n + 1)
    ),
    "legendre_polynomial_p": lambda n, x: mp.legendre(n, x),
}


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_polynomials_of_every_degree_in_one_call(name: str) -> None:
    n, x = np.meshgrid([0, 1, 2, 5, 9], [-0.9, 0.1, 0.7, 1.0])
    want = exact(lambda k, z: POLYNOMIALS[name](int(k), z), n.ravel(), x.ravel()).reshape(n.shape)
    np.testing.assert_allclose(value(name, x, n), want, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(value(name, x, np.full(n.shape, -1)), 0 * x)


def test_polynomials_have_derivatives() -> None:
    x = cr.tensor(np.array([0.3]), requires_grad=True)
    cr.sum(special.legendre_polynomial_p(x, 2)).backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), [0.9])


def test_multivariate_gamma_is_a_sum() -> None:
    x = cr.tensor(np.array([3.0, 5.5]))
    want = 3 * 2 / 4 * math.log(math.pi) + sum(
        cr.lgamma(x - j / 2).numpy() for j in range(3)
    )  # fmt: skip
    np.testing.assert_allclose(cr.mvlgamma(x, 3).numpy(), want, rtol=1e-14)


def test_float32_stays_float32_and_integers_become_floats() -> None:
    assert special.i0(cr.tensor([1.0])).dtype == np.float32
    assert cr.lgamma(cr.tensor([3, 4])).dtype == np.float32
    assert special.zeta(2.0, cr.tensor([1.0])).dtype == np.float32


def test_wrong_arguments_are_named() -> None:
    x = cr.tensor([1.0], requires_grad=True)
    with pytest.raises(ArgumentError, match="n >= 0"):
        cr.polygamma(-1, x)
    with pytest.raises(ArgumentError, match="p >= 1"):
        cr.mvlgamma(x, 0)
    with pytest.raises(GradientError, match="first argument"):
        cr.sum(special.zeta(x, 2.0)).backward()
    with pytest.raises(GradientError, match="first input"):
        cr.sum(cr.igamma(x, 2.0)).backward()


def test_special_functions_run_inside_compiled_functions() -> None:
    @cr.compile
    def f(x: cr.Tensor) -> cr.Tensor:
        return cr.sum(cr.lgamma(x) * special.i0e(x) + cr.asinh(x))

    x = cr.tensor([0.5, 1.5, 4.0])
    eager = cr.sum(cr.lgamma(x) * special.i0e(x) + cr.asinh(x))
    np.testing.assert_allclose(f(x).numpy(), eager.numpy(), rtol=1e-6)
