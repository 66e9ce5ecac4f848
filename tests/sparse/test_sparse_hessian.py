"""Sparse Hessians: patterns by brute force, numbers as `mathdl.hessian`, by every method."""

from __future__ import annotations

import numpy as np
import pieces
import pytest
import structured
from hypothesis import HealthCheck, given, settings
from scipy import optimize, sparse

import mathdl as md
from mathdl.errors import DensePattern, InvalidInput, NotDifferentiable

pytestmark = pytest.mark.filterwarnings("ignore::mathdl.errors.DensePattern")
METHODS = ["auto", "bands", "star", "forward", "dense"]
QUIET = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=30)
N = 10


def planned(f, *args, **how):
    with np.errstate(all="ignore"):
        return md.sparse.hessian(f, *args, **how)


def dense(f, x):
    with np.errstate(all="ignore"):
        return np.asarray(md.hessian(f)(x)).reshape(x.size, x.size)


def close(found, wanted):
    assert found.shape == wanted.shape
    eps = np.finfo(wanted.dtype).eps
    np.testing.assert_allclose(found, wanted, rtol=1e4 * eps, atol=1e3 * eps * np.max(np.abs(wanted), initial=1e-300))


def truss(x):
    stretch = x[structured.EDGES[:, 0] % N] - x[structured.EDGES[:, 1] % N]
    return np.sum(np.log(1 + stretch**2))


def minimal_surface(x):
    u = np.pad(np.reshape(x, (2, 5)), 1)
    return np.sum(np.sqrt(1 + (u[1:, 1:] - u[:-1, 1:]) ** 2 + (u[1:, 1:] - u[1:, :-1]) ** 2))


def logistic(x):
    return np.mean(np.logaddexp(0.0, structured.HOLES[:, :N] @ x)) + 0.1 * np.sum(x**2)


def loss_of_blocks(x):
    y = np.tanh(np.reshape(x, (5, 2)) @ structured.W1[:2, :3])
    return np.sum((y - 1.0) ** 2)


# function, how many entries of the pattern may be superfluous
FUNCTIONS = {
    "rosenbrock": (lambda x: np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2), 0),
    "rosenbrock in pairs": (lambda x: np.sum(100 * (x[1::2] - x[::2] ** 2) ** 2 + (1 - x[::2]) ** 2), 0),
    "separable": (lambda x: np.sum(np.sin(x)), 0),
    "squares": (lambda x: x @ x, 0),
    "tridiagonal": (
        lambda x: np.sum(x[:-1] * x[1:] ** 2),
        1,
    ),  # the last entry of x enters by x² x, the first only linearly
    "chain of three": (lambda x: np.sum(np.exp(x[:-2] * x[1:-1] * x[2:])), 0),
    "energy": (lambda x: np.sum(np.diff(x) ** 2) + np.sum((x**2 - 1) ** 2), 0),
    "periodic": (lambda x: np.sum(np.cos(x - np.roll(x, 2))), 0),
    "arrowhead": (lambda x: x[0] * np.sum(np.sin(x)), 0),
    "full": (lambda x: np.exp(np.sum(x) / 9), 0),
    "quadratic form with zeros": (lambda x: x @ structured.HOLES[:N, :N] @ x, 0),
    "truss": (truss, 0),
    "minimal surface": (minimal_surface, 0),
    "logistic": (logistic, 0),
    "blocks": (loss_of_blocks, 0),
    "huber": (lambda x: np.sum(np.where(np.abs(np.diff(x)) < 1, np.diff(x) ** 2, 2 * np.abs(np.diff(x)) - 1)), 0),
    "relu squared": (lambda x: np.sum(np.maximum(x[1:] - x[:-1], 0) ** 2), 0),
    "linear": (lambda x: np.sum(3 * x), 0),
    "constant": (lambda x: 3.0, 0),
    "of one entry": (lambda x: x[3] ** 4, 0),
    "of two entries": (lambda x: x[2] * x[7], 0),
    "by index": (lambda x: np.sum(x[[0, 0, 3, 9]] * x[[1, 2, 3, 0]]), 0),
    "absolute values": (lambda x: np.sum(np.abs(x)), 0),
    "product of sums": (lambda x: np.sum(x[:3]) * np.sum(x[5:]), 0),
    "logsumexp of pairs": (lambda x: np.sum(np.log(np.sum(np.exp(np.reshape(x, (5, 2))), axis=1))), 0),
}


def points(seed=0):
    rng = np.random.default_rng(seed)
    yield from (np.zeros(N), np.ones(N), rng.integers(-1, 2, N).astype(float))
    for scale in (0.3, 1.0, 3.0, 1.0, 1.0, 1.0):
        yield scale * rng.normal(size=N)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_method_gives_the_hessian(name, method):
    f, extra = FUNCTIONS[name]
    try:
        plan = planned(f, np.linspace(0.1, 2.0, N), method=method)
    except NotDifferentiable as error:
        assert method == "bands"
        assert "diagonals" in str(error)  # noqa: PT017
        return
    needed = np.zeros((N, N), bool)
    for x in points():
        wanted = dense(f, x)
        needed |= wanted != 0
        found = plan(x)
        assert isinstance(found, sparse.csr_array)
        close(found.toarray(), wanted)
        assert found.nnz == plan.pattern.nnz
    pattern = plan.pattern.toarray()
    np.testing.assert_array_equal(pattern, pattern.T)
    assert not np.any(needed & ~pattern)
    assert np.sum(pattern & ~needed) <= extra
    assert plan.shape == (N, N)
    assert method in ("auto", plan.method)


@QUIET
@given(f=pieces.PROGRAMS, n=pieces.LENGTHS)
def test_random_sums(f, n):
    def g(x):
        return np.sum(np.sin(f(x)))

    draw = np.random.default_rng(1)
    xs = [draw.normal(size=n), np.zeros(n), draw.integers(-1, 2, n).astype(float)]
    with np.errstate(all="ignore"):
        wanted = [dense(g, x) for x in xs]
    for method in METHODS:
        try:
            plan = planned(g, xs[0], method=method)
        except NotDifferentiable as error:
            if method != "bands":
                raise
            assert "diagonals" in str(error)  # noqa: PT017
            continue
        for x, w in zip(xs, wanted, strict=True):
            if np.isfinite(w).all():
                assert not np.any((w != 0) & ~plan.pattern.toarray())
                close(plan(x).toarray(), w)


def test_star_colouring_saves_sweeps():
    """An arrowhead has a full row, so that columns need n colours; by symmetry two are enough."""
    f = FUNCTIONS["arrowhead"][0]
    x = np.linspace(0.1, 2.0, N)
    star, forward = planned(f, x, method="star"), planned(f, x, method="forward")
    assert star.sweeps == 2
    assert forward.sweeps == N
    assert star.sweeps == star.colors.max() + 1


@pytest.mark.parametrize("name", FUNCTIONS)
def test_star_colours_read_off_each_entry(name):
    """Proper, and no path of four with two colours: then each entry stands alone in its own row or its mirrored one."""
    plan = planned(FUNCTIONS[name][0], np.linspace(0.1, 2.0, N), method="star")
    pattern, colors = plan.pattern.toarray(), plan.colors
    for i, j in zip(*plan.pattern.nonzero(), strict=True):
        alone = np.sum(pattern[i] & (colors == colors[j])) == 1
        mirrored = np.sum(pattern[j] & (colors == colors[i])) == 1
        assert alone or mirrored


def test_products():
    f = FUNCTIONS["rosenbrock"][0]
    x, v = np.linspace(0.1, 2.0, N), np.cos(np.arange(N))
    wanted = dense(f, x) @ v
    for method in METHODS:
        plan = planned(f, x, method=method)
        for found in (plan.matvec(x, v), plan.rmatvec(x, v), plan.linear_operator(x) @ v, plan(x) @ v):
            close(found, wanted)


def test_several_arguments_and_dimensions():
    def energy(k, x, ends):
        y = np.concatenate([ends[:1], np.ravel(x), ends[1:]])
        return k * np.sum(np.diff(y) ** 4)

    x, ends = np.arange(6.0).reshape(2, 3) ** 1.5, np.array([0.0, 0.5])
    plan = planned(energy, 0.0, x, ends, argnum=1)
    found = plan(2.0, x, ends)
    close(found.toarray(), dense(lambda x: energy(2.0, x, ends), x))
    assert found.nnz == 16


def test_single_precision():
    x = np.linspace(0.1, 2.0, N).astype(np.float32)
    for method in METHODS:
        found = planned(FUNCTIONS["rosenbrock"][0], x, method=method)(x)
        assert found.dtype == np.float32
        close(found.toarray(), dense(FUNCTIONS["rosenbrock"][0], x))


def test_repr():
    text = repr(planned(FUNCTIONS["rosenbrock"][0], np.ones(N), method="star"))
    assert "Hessian" in text
    assert "star" in text
    assert any("⠀" < letter <= "⣿" for letter in text)


def test_wrong_use():
    with pytest.raises(InvalidInput, match="number"):
        md.sparse.hessian(np.diff, np.ones(4))
    with pytest.raises(InvalidInput, match="'star'"):
        md.sparse.hessian(np.sum, np.ones(4), method="reverse")
    with pytest.raises(NotDifferentiable, match=r"test_sparse_hessian.py:\d+"):
        md.sparse.hessian(lambda x: np.sum(x) if x[0] > 0 else np.sum(x**2), np.ones(4))
    plan = planned(FUNCTIONS["rosenbrock"][0], np.ones(4))
    with pytest.raises(InvalidInput, match=r"\(5,\)"):
        plan(np.ones(5))


def test_dense_hessians_are_named():
    with pytest.warns(DensePattern, match="density of 1"):
        plan = md.sparse.hessian(lambda x: np.log(np.linalg.det(np.outer(x, x) + np.eye(5))), np.ones(5))
    assert plan.method == "dense"


def test_newton():
    f = FUNCTIONS["energy"][0]
    x = np.linspace(0.8, 1.6, N)
    plan = planned(f, x)
    found = optimize.minimize(f, x, jac=md.grad(f), hess=plan, method="trust-constr", options={"gtol": 1e-9})
    np.testing.assert_allclose(found.x, 1.0, rtol=1e-5)
    for _ in range(9):
        x = x - sparse.linalg.spsolve(plan(x).tocsc(), md.grad(f)(x))
    np.testing.assert_allclose(md.grad(f)(x), 0.0, atol=1e-10)


def test_few_entries_are_superfluous():
    """A part that is dropped leaves zeros behind, which the pattern multiplies as if they were values; not often."""
    superfluous, all_needed, rng = 0, 0, np.random.default_rng(2)
    for seed in range(60):
        f, n = pieces.program(seed, 1 + seed % 6, pieces.STRAIGHT_PIECES), 1 + seed % 9

        def g(x, f=f):
            return np.sum(np.exp(0.1 * f(x)))

        with np.errstate(all="ignore"):
            found = [dense(g, rng.normal(size=n)) for _ in range(3)]
        if all(np.isfinite(h).all() for h in found):
            needed = np.any([h != 0 for h in found], axis=0)
            pattern = planned(g, rng.normal(size=n), method="star").pattern.toarray()
            assert not np.any(needed & ~pattern)
            superfluous += np.sum(pattern & ~needed)
            all_needed += np.sum(needed)
    assert all_needed > 500
    assert superfluous <= 0.15 * all_needed
