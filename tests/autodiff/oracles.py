"""Other libraries that differentiate array programs, each behind one function.

`ORACLES[name]()` skips the test, by name, where the library is not installed. All compute in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy
import pytest


class Oracle(NamedTuple):
    namespace: Any  # what stands for NumPy in a program
    derivatives: Callable[..., Any]  # (f, g, x) -> f(x), the Jacobian of f, the Hessian of g, at x


def _autograd():
    autograd = pytest.importorskip("autograd")
    namespace = pytest.importorskip("autograd.numpy")
    return Oracle(namespace, lambda f, g, x: (f(x), autograd.jacobian(f)(x), autograd.hessian(g)(x)))


def _jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)

    def derivatives(f, g, x):  # compiled at once, which takes a tenth of the time
        return jax.jit(lambda x: (f(x), jax.jacrev(f)(x), jax.hessian(g)(x)))(x)

    return Oracle(jax.numpy, derivatives)


def _torch():
    torch = pytest.importorskip("torch")
    numpy_like = pytest.importorskip("torch._numpy")  # PyTorch's own imitation of NumPy, made for torch.compile

    def derivatives(f, g, x):
        def of_tensor(f):
            return lambda t: f(numpy_like.asarray(t)).tensor

        t = torch.tensor(x)
        made = of_tensor(f)(t), torch.func.jacrev(of_tensor(f))(t), torch.func.hessian(of_tensor(g))(t)
        return [part.numpy() for part in made]

    return Oracle(numpy_like, derivatives)


ORACLES = {"autograd": _autograd, "jax": _jax, "torch": _torch}


def derivatives(oracle, f, g, x):
    """What an oracle says of two programs, as plain arrays."""
    np = oracle.namespace
    return [numpy.asarray(part) for part in oracle.derivatives(lambda x: f(np, x), lambda x: g(np, x), x)]
