"""Convergence on quadratics: what is measured, what the update's Jacobian says, and what theory says are one number.

The function is least at 0, so that errors fall without a floor of rounding and can be measured late: where an
eigenvalue is double and defective, as tuned momentum makes it, errors shrink like k ρᵏ, and the k is long seen.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from common import PROPERTY
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import mathdl as md
from mathdl import optim


def quadratic(eigenvalues, seed=0):
    """A symmetric matrix with these eigenvalues, and eigenvectors that are not the axes."""
    n = len(eigenvalues)
    Q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))
    H = Q * np.asarray(eigenvalues) @ Q.T
    return (H + H.T) / 2


def radius(optimizer, H):
    """The spectral radius of the update's Jacobian, by the engine, at the least point."""
    f, z = optim.as_map(optimizer, lambda x: H @ x, np.zeros(len(H)))
    return float(np.abs(np.linalg.eigvals(md.jacobian(f)(z))).max())


def measured(optimizer, gradient, x, rate):
    """By how much the parameters and what is remembered shrink in a step: the mean over many, and late.

    Where an eigenvalue is double, ‖zₖ‖ ~ k ρᵏ; the mean from step K to step 2K is then off by a factor of 2^(1/K).
    """
    late = min(2000, int(280 / abs(math.log10(rate)) / 2)) if rate != 1 else 2000
    state = optimizer.initial(x)
    lengths = []
    for k in range(2 * late):
        step, state = optimizer.update(gradient(x), state, x)
        x = x + step
        if k + 1 in (late, 2 * late):
            velocity = state.get("velocity", np.zeros(1))
            lengths.append(optim.norm([x, velocity]))
    return (lengths[1] / lengths[0]) ** (1 / late)


def roots(optimizer, eigenvalue):
    """The largest root of one direction's characteristic polynomial, from the update on paper."""
    alpha = optimizer.rate
    if isinstance(optimizer, optim.GradientDescent):
        return abs(1 - alpha * eigenvalue)
    beta = optimizer.beta
    if isinstance(optimizer, optim.Momentum):
        return np.abs(np.roots([1, -(1 + beta - alpha * eigenvalue), beta])).max()
    shrunk = 1 - alpha * eigenvalue
    return np.abs(np.roots([1, -(1 + beta) * shrunk, beta * shrunk])).max()


def tuned(mu, L):
    """The best settings for eigenvalues from mu to L, and the rate that they have."""
    q = math.sqrt(L / mu)
    s = math.sqrt(3 * L / mu + 1)
    return {
        "gradient descent": (optim.GradientDescent(2 / (L + mu)), (L - mu) / (L + mu)),
        "heavy ball": (
            optim.Momentum(4 / (math.sqrt(L) + math.sqrt(mu)) ** 2, ((q - 1) / (q + 1)) ** 2),
            (q - 1) / (q + 1),
        ),
        "Nesterov, 1/L": (optim.Nesterov(1 / L, (q - 1) / (q + 1)), 1 - 1 / q),
        "Nesterov, best": (optim.Nesterov(4 / (3 * L + mu), (s - 2) / (s + 2)), 1 - 2 / s),
    }


@pytest.mark.parametrize("kappa", [4.0, 100.0])
@pytest.mark.parametrize("name", tuned(1, 2))
def test_tuned_methods_have_the_rate_of_their_theory(name, kappa):
    """Two of them have a defective block, whose eigenvalue LAPACK knows to half of the digits only."""
    mu = 0.7
    eigenvalues = [mu, *np.linspace(1.3 * mu, 0.8 * kappa * mu, 3), kappa * mu]
    optimizer, theory = tuned(mu, kappa * mu)[name]
    H, x = quadratic(eigenvalues), np.random.default_rng(1).normal(size=5)
    assert radius(optimizer, H) == pytest.approx(theory, rel=1e-6)
    assert measured(optimizer, lambda x: H @ x, x, theory) == pytest.approx(theory, rel=0.01)


@settings(PROPERTY, max_examples=25)
@given(
    seed=st.integers(0, 1000),
    kind=st.sampled_from([optim.GradientDescent, optim.Momentum, optim.Nesterov]),
    rate=st.floats(0.05, 1.2),
    beta=st.floats(0.0, 0.95),
)
def test_random_quadratics_have_the_rate_of_the_jacobian(seed, kind, rate, beta):
    """Whatever the settings, those with which it diverges included."""
    rng = np.random.default_rng(seed)
    eigenvalues = rng.uniform(0.1, 2.0, size=4)
    optimizer = kind(rate) if kind is optim.GradientDescent else kind(rate, beta)
    H = quadratic(eigenvalues, seed)
    by_hand = max(roots(optimizer, eigenvalue) for eigenvalue in eigenvalues)
    assert radius(optimizer, H) == pytest.approx(by_hand, rel=1e-6, abs=1e-6)
    assume(0.05 < by_hand < 0.998 or by_hand > 1.002)
    x = rng.normal(size=4)
    assert measured(optimizer, lambda x: H @ x, x, by_hand) == pytest.approx(by_hand, rel=0.01)


@pytest.mark.parametrize(
    "optimizer", [optim.GradientDescent(0.3), optim.Momentum(0.1, 0.8), optim.Nesterov(0.1, 0.8)], ids=str
)
def test_near_the_least_point_of_any_smooth_function_too(optimizer):
    """Here sum(cosh(A x)), whose Hessian at 0 is Aᵀ A; the Jacobian is that of the update with the true gradient."""
    A = np.array([[1.0, 0.4, 0.0], [0.0, 0.7, -0.5], [0.3, 0.0, 1.2]])
    gradient = lambda x: A.T @ np.sinh(A @ x)  # noqa: E731
    f, z = optim.as_map(optimizer, gradient, np.zeros(3))
    rho = float(np.abs(np.linalg.eigvals(md.jacobian(f)(z))).max())
    assert rho == pytest.approx(radius(optimizer, A.T @ A), rel=1e-12)
    assert measured(optimizer, gradient, np.array([1.0, -2.0, 0.5]), rho) == pytest.approx(rho, rel=0.01)


def test_the_path_of_minimise_has_it_too():
    H = quadratic([0.5, 1.0, 3.0])
    optimizer, rho = tuned(0.5, 3.0)["gradient descent"]
    descent = optim.minimise(lambda x: x @ H @ x / 2, np.array([1.0, 2.0, 3.0]), optimizer, 300)
    assert (descent.values[300] / descent.values[200]) ** (1 / 200) == pytest.approx(rho, rel=0.01)
    assert len(descent.path) == len(descent.values) == 301
    np.testing.assert_array_equal(descent.path[-1], descent.params)
