"""Each rule in the table alone, against differences: first and second derivatives, forward and reverse."""

from __future__ import annotations

import cases
import numpy as np
import pytest

from mathdl import autodiff as ad
from mathdl import numeric
from mathdl.autodiff.primitives import _SPECIAL, ELEMENTWISE, RULES

CASES = {
    **{f"{f.__name__} {k}": case for f, row in cases.ELEMENTWISE.items() for k, case in enumerate(row)},
    **{f"{f.__module__}.{f.__name__} {k}": case for f, row in cases.OTHER.items() for k, case in enumerate(row)},
    **{f"special.{name} {k}": case for name, row in cases.SPECIAL_CASES.items() for k, case in enumerate(row)},
    **{f"power {k}": case for k, case in enumerate(cases.POWERS)},
    **{f"x[{name}]": case for name, case in cases.INDEXING.items()},
}


def test_every_rule_has_a_case():
    ufuncs = {f for f in ELEMENTWISE if getattr(np, f.__name__, None) is f}
    assert ufuncs == set(cases.ELEMENTWISE)
    aliases = {id(RULES[f].apply) for f in cases.OTHER}
    assert {
        f for f, rule in RULES.items() if callable(f) and f not in cases.OTHER and id(rule.apply) not in aliases
    } == set()
    assert set(_SPECIAL) == set(cases.SPECIAL_CASES)


def close(ours, theirs):
    """Equal up to the error that the differences state, or a little of the largest entry."""
    assert ours.shape == theirs.value.shape
    largest = np.max(np.abs(theirs.value), initial=0.0)
    np.testing.assert_array_less(np.abs(ours - theirs.value), 10 * theirs.error + 1e-9 * largest + 1e-11)
    assert np.max(theirs.error, initial=0.0) <= 1e-5 * max(largest, 1.0)  # the differences say something


@pytest.mark.parametrize("name", CASES)
def test_first_derivatives(name):
    f, x = CASES[name]
    truth = numeric.jacobian(f, x, method="richardson", step=1e-3)
    for mode in ("auto", "forward", "reverse"):
        close(ad.jacobian(f, mode)(x), truth)
    value, _ = ad.vjp(f, x)
    np.testing.assert_allclose(value, f(x), rtol=1e-12, atol=1e-12)
    assert np.shape(value) == np.shape(f(x))


@pytest.mark.parametrize("name", CASES)
def test_second_derivatives(name):
    f, x = CASES[name]
    weights = np.random.default_rng(1).normal(size=np.shape(f(x)))

    def g(x):
        return np.sum(weights * np.sin(f(x)))

    truth = numeric.jacobian(ad.grad(g), x, method="richardson", step=1e-3)
    second = ad.jacobian(ad.grad(g), "forward")(x)
    close(second, truth)
    for outer, inner in (("reverse", "reverse"), ("forward", "forward"), ("reverse", "forward")):
        again = ad.jacobian(ad.jacobian(g, inner), outer)(x)
        np.testing.assert_allclose(again, second, rtol=1e-8, atol=1e-9 * max(1, np.max(np.abs(second))))
    flat = second.reshape(x.size, x.size)
    np.testing.assert_allclose(flat, flat.T, rtol=1e-8, atol=1e-9 * max(1, np.max(np.abs(second))))


@pytest.mark.parametrize("triangle", ["L", "U"])
def test_eigenvectors_have_the_signs_that_numpy_gives_them(triangle):
    """Whichever triangle is read: the derivative belongs to the vectors that the caller sees."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        x, v = rng.normal(size=(2, 6, 6))

        def f(x):
            return np.linalg.eigh(x, triangle)[1]

        y, dy = ad.jvp(f, (x,), (v,))
        np.testing.assert_array_equal(y, f(x))
        np.testing.assert_allclose(dy, (f(x + 1e-6 * v) - f(x - 1e-6 * v)) / 2e-6, rtol=1e-5, atol=1e-5)
