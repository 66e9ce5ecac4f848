"""Compiled derivatives: the same numbers as the derivative itself, for other arguments than those compiled with."""

from __future__ import annotations

import cases
import numpy as np
import pytest

import mathdl as md
from mathdl.errors import InvalidInput, NotDifferentiable

CASES = {
    **{f"{f.__name__} {k}": case for f, row in cases.ELEMENTWISE.items() for k, case in enumerate(row)},
    **{f"{f.__module__}.{f.__name__} {k}": case for f, row in cases.OTHER.items() for k, case in enumerate(row)},
    **{f"special.{name} {k}": case for name, row in cases.SPECIAL_CASES.items() for k, case in enumerate(row)},
    **{f"power {k}": case for k, case in enumerate(cases.POWERS)},
    **{f"x[{name}]": case for name, case in cases.INDEXING.items()},
}
# Derivatives whose form depends on values: these cannot be compiled, and say so.
REFUSED = {"x[mask of the value]", "numpy.trim_zeros 0"}


def nearby(x):
    """Another point of the same shape, not far from the case's own."""
    return x * 1.01 if x.ndim == 0 else x * np.linspace(0.97, 1.03, x.size).reshape(x.shape)


def same(ours, theirs):
    assert np.shape(ours) == np.shape(theirs)
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(
        ours, theirs, rtol=1e-12, atol=1e-13 * max(1.0, float(np.max(np.abs(theirs), initial=0)))
    )


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("name", CASES)
def test_every_rule_compiled(name, mode):
    f, x = CASES[name]
    jacobian = md.jacobian(f, mode)
    if name in REFUSED:
        with pytest.raises(NotDifferentiable):
            md.compile(jacobian, x)
        return
    compiled = md.compile(jacobian, x)
    for point in (x, nearby(x)):
        same(compiled(point), jacobian(point))


@pytest.mark.parametrize("name", CASES)
def test_second_derivatives_compiled(name):
    f, x = CASES[name]
    weights = np.random.default_rng(1).normal(size=np.shape(f(x)))
    hessian = md.hessian(lambda x: np.sum(weights * np.sin(f(x))))
    if name in REFUSED:
        return
    compiled = md.compile(hessian, x)
    for point in (x, nearby(x)):
        same(compiled(point), hessian(point))
