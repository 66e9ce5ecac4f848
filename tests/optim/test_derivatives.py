"""An update is a map, and the engine differentiates it: by the gradient, the parameters, the moments, the settings."""

from __future__ import annotations

import numpy as np
import pytest
from common import ELEMENTWISE, made

import mathdl as md
from mathdl import optim

NAMES = list(ELEMENTWISE)
RNG = np.random.default_rng(0)
P, G, V = RNG.normal(size=(3, 3))
SMOOTH = [name for name in NAMES if name != "Lion"]  # a sign has no derivative at 0, and the derivative 0 elsewhere


def moved(optimizer, g, p, moments):
    """The step and the next moments, as one vector, two steps after the beginning."""
    state = {**optimizer.initial(np.zeros(3)), "step": 2, **dict(zip(optimizer.moments, moments, strict=True))}
    step, state = optimizer.update(g, state, p)
    return np.concatenate([step, *(state[name] for name in optimizer.moments)])


def moments_of(optimizer):
    """Positive where a root is taken of them; v_max is larger than v in one place and smaller in others."""
    some = {"velocity": V, "m": V, "v": V**2 + 0.3, "sum": V**2 + 0.3, "v_max": np.array([9.0, 0.01, 9.0])}
    return [some[name] for name in optimizer.moments]


def difference(f, x):
    """The derivative at a number, by central differences of the fourth order."""
    h = 1e-3 * x
    return (8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h)


@pytest.mark.parametrize("name", NAMES)
def test_by_the_gradient_the_parameters_and_the_moments(name):
    optimizer = made([(name, ELEMENTWISE[name])])
    moments = moments_of(optimizer)
    n = 3 * (2 + len(moments))

    def f(z):
        g, p, *rest = (z[k : k + 3] for k in range(0, n, 3))
        return moved(optimizer, g, p, rest)

    z = np.concatenate([G, P, *moments])
    estimate = md.numeric.jacobian(f, z)
    for mode in ("forward", "reverse"):
        J = md.jacobian(f, mode=mode)(z)
        np.testing.assert_allclose(J, estimate.value, rtol=1e-6, atol=1e-8)
    y, dy = md.jvp(f, (z,), (np.cos(z),))
    np.testing.assert_array_equal(y, f(z))
    np.testing.assert_allclose(dy, J @ np.cos(z), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "setting"), [(name, setting) for name in SMOOTH for setting in ELEMENTWISE[name]]
)  # fmt: skip
def test_by_each_setting(name, setting):
    """The derivative of two steps by a rate, a share, an epsilon: what a hypergradient is made of."""

    def f(value):
        optimizer = made([(name, {**ELEMENTWISE[name], setting: value})])
        p, state = P, optimizer.initial(P)
        for g in (G, V):
            step, state = optimizer.update(g, state, p)
            p = p + step
        return p

    x = ELEMENTWISE[name][setting]
    J = md.jacobian(f)(np.float64(x))
    assert np.any(J != 0)
    np.testing.assert_allclose(J, difference(f, x), rtol=1e-7, atol=1e-9)


def test_by_the_rate_of_lion():
    def f(rate):
        lion = optim.Lion(rate, weight_decay=0.2)
        return lion.update(G, lion.initial(P), P)[0]

    np.testing.assert_allclose(md.jacobian(f)(np.float64(0.1)), -(np.sign(G) + 0.2 * P), rtol=1e-14)


def test_through_many_steps_of_a_descent():
    """The derivative of where a run ends, by its learning rate: the hypergradient of ten steps, beside differences."""

    def f(rate):
        adam = optim.Adam(rate, epsilon=0.1)
        p, state = P, adam.initial(P)
        for _ in range(10):
            step, state = adam.update(np.sinh(p), state, p)
            p = p + step
        return np.sum(p**2)

    np.testing.assert_allclose(md.grad(f)(np.float64(0.05)), difference(f, 0.05), rtol=1e-7)


PARTS = {
    "clipped": optim.Chain(optim.Clip(0.5), optim.Momentum(0.3, 0.7)),
    "not clipped": optim.Chain(optim.Clip(50.0), optim.Momentum(0.3, 0.7)),
    "with L2": optim.Chain(optim.L2(0.3), optim.Adam(0.3, epsilon=0.1)),
    "with decay": optim.Chain(optim.Adam(0.3, epsilon=0.1), optim.Decay(0.2)),
    "averaged": optim.Averaged(optim.Nesterov(0.3, 0.7), beta=0.9),
}


@pytest.mark.parametrize("name", PARTS)
def test_of_composed_optimizers(name):
    optimizer = PARTS[name]
    _, state = optimizer.update(V, optimizer.initial(P), P)
    f, z = optim.as_map(optimizer, np.sinh, P, state)
    estimate = md.numeric.jacobian(f, z)
    np.testing.assert_allclose(md.jacobian(f)(z), estimate.value, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_as_map_is_one_step(name):
    """On a tree: the vector it takes is the parameters and the moments, and what it gives is those after a step."""
    optimizer, params = made([(name, ELEMENTWISE[name])]), {"W": P[:2].reshape(1, 2), "b": P[2:]}
    gradient = lambda p: {"W": np.sinh(p["W"]), "b": p["b"] ** 3}  # noqa: E731
    _, state = optimizer.update(gradient(params), optimizer.initial(params), params)
    f, z = optim.as_map(optimizer, gradient, params, state)
    leaves = [key for key in state if key != "step"]
    flat = lambda p, s: np.concatenate(  # noqa: E731
        [np.ravel(p["W"]), np.ravel(p["b"])]
        + [np.ravel(a) for key in leaves for a in (s[key].values() if isinstance(s[key], dict) else [s[key]])]
    )
    np.testing.assert_array_equal(z, flat(params, state))
    step, after = optimizer.update(gradient(params), state, params)
    np.testing.assert_array_equal(f(z), flat({key: params[key] + step[key] for key in params}, after))
    if name in SMOOTH:
        np.testing.assert_allclose(md.jacobian(f)(z), md.numeric.jacobian(f, z).value, rtol=1e-5, atol=1e-8)
