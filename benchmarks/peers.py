"""Who is measured: for each peer, the ways in which it computes a derivative.

A peer is imported when it is its turn, in a process of its own. A way is made ready by a function without arguments,
whose time is the time to build, and is then a function without arguments that returns the derivative.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from benchmarks import optimizers, solvers, sparse_peers, steps
from benchmarks.workloads import Case

__all__ = ["PEERS", "Peer", "check", "is_installed"]

Ways = dict[str, Callable[[], Callable[[], Any]] | None]  # None: not available


class Peer(NamedTuple):
    module: str
    ways: Callable[[Case, str], Ways]
    tolerance: float = 1e-9  # how far its result may be from the one by hand


def is_installed(peer: Peer) -> bool:
    return importlib.util.find_spec(peer.module) is not None


def _mathdl(case: Case, derivative: str) -> Ways:
    import mathdl as md

    f, hand, args = getattr(md, derivative)(case.program(np)), case.hand, case.args

    def compiled() -> Callable[[], Any]:
        c = md.compile(f, *args)
        return lambda: c(*args)

    return {
        "floor": lambda: case.floor,
        "by hand": lambda: lambda: hand(*args),
        "mathdl, compiled": compiled,
        "mathdl, traced": lambda: lambda: f(*args),
    }


def _autograd(case: Case, derivative: str) -> Ways:
    autograd = importlib.import_module("autograd")
    f = getattr(autograd, derivative)(case.program(importlib.import_module("autograd.numpy")))
    return {"autograd": lambda: lambda: f(*case.args)}


def _jax(case: Case, derivative: str) -> Ways:
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    program = case.program(jax.numpy)
    args = jax.tree.map(jax.numpy.asarray, case.args)

    def jitted(transform: Any) -> Callable[[], Callable[[], Any]]:
        def build() -> Callable[[], Any]:
            f = jax.jit(transform(program))
            jax.block_until_ready(f(*args))
            return lambda: jax.block_until_ready(f(*args))

        return build

    if derivative == "jacobian":
        return {"jax.jacfwd, jit": jitted(jax.jacfwd), "jax.jacrev, jit": jitted(jax.jacrev)}
    return {"jax.value_and_grad, jit": jitted(jax.value_and_grad)}


def _torch_namespace(torch: Any) -> Any:
    def classifier(p: Any, X: Any, y: Any) -> Any:
        h = torch.relu(X @ p[0] + p[1])
        return torch.nn.functional.cross_entropy(torch.relu(h @ p[2] + p[3]) @ p[4] + p[5], y)

    return SimpleNamespace(
        array=torch.stack, asarray=torch.as_tensor, sin=torch.sin, tanh=torch.tanh, mean=torch.mean,
        classifier=classifier,
    )  # fmt: skip


def _torch(case: Case, derivative: str) -> Ways:
    torch = importlib.import_module("torch")
    program = case.program(_torch_namespace(torch))
    if derivative == "jacobian":
        x = torch.tensor(case.args[0])

        def transformed(transform: Any) -> Callable[[], Callable[[], Any]]:
            return lambda: lambda: transform(program)(x)

        return {
            "torch.func.jacfwd": transformed(torch.func.jacfwd),
            "torch.func.jacrev": transformed(torch.func.jacrev),
        }
    parameters = [torch.tensor(part, requires_grad=True) for part in case.args[0]]
    rest = [torch.tensor(part) for part in case.args[1:]]

    def backward() -> Any:
        for part in parameters:
            part.grad = None
        loss = program(parameters, *rest)
        loss.backward()
        return loss.detach(), [part.grad for part in parameters]

    return {"torch, eager": lambda: backward}


def _sympy(case: Case, derivative: str) -> Ways:
    import sympy

    (x,) = case.args
    symbols = sympy.symbols(f"x:{x.size}")
    namespace = SimpleNamespace(array=sympy.Matrix, sin=sympy.sin, exp=sympy.exp)

    def built(**options: Any) -> Callable[[], Callable[[], Any]]:
        def build() -> Callable[[], Any]:
            sympy.core.cache.clear_cache()  # or the second build would find what the first one derived
            f = sympy.lambdify(symbols, case.program(namespace)(symbols).jacobian(symbols), "numpy", **options)
            return lambda: f(*x)

        return build

    return {"SymPy, lambdify": built(), "SymPy, lambdify(cse)": built(cse=True)}


def _scipy(case: Case, derivative: str) -> Ways:
    from scipy.optimize import approx_fprime

    f = case.program(np)
    return {"scipy.optimize.approx_fprime": lambda: lambda: approx_fprime(case.args[0], f)}


def _numdifftools(case: Case, derivative: str) -> Ways:
    numdifftools = importlib.import_module("numdifftools")
    f = numdifftools.Jacobian(case.program(np))
    return {"numdifftools.Jacobian": lambda: lambda: f(case.args[0])}


PEERS = {
    "mathdl": Peer("mathdl", _mathdl),
    "sympy": Peer("sympy", _sympy),
    "jax": Peer("jax", _jax),
    "torch": Peer("torch", _torch),
    "autograd": Peer("autograd", _autograd),
    "scipy": Peer("scipy", _scipy, tolerance=1e-5),  # forward differences
    "numdifftools": Peer("numdifftools", _numdifftools),
    "mathdl.sparse": Peer("mathdl.sparse", sparse_peers.mathdl),
    "asdex": Peer("asdex", sparse_peers.asdex),
    "sparsejac": Peer("sparsejac", sparse_peers.sparsejac),
    "scipy, groups": Peer("scipy", sparse_peers.scipy, tolerance=1e-5),
    "solvers": Peer("mathdl.sparse", solvers.ways, tolerance=1e-5),  # as exact as the solvers are asked to be
    "network": Peer("mathdl.network", steps.mathdl, tolerance=1e-7),  # rounding grows from step to step
    "torch, network": Peer("torch", steps.torch, tolerance=1e-7),
    "optim": Peer("mathdl.optim", optimizers.mathdl),
    "torch, optim": Peer("torch", optimizers.torch),
    "optax": Peer("optax", optimizers.optax),
}


def _arrays(result: Any) -> Iterator[Any]:
    """Those of a tree, JAX's sparse ones as SciPy's."""
    if isinstance(result, (list, tuple)):
        for part in result:
            yield from _arrays(part)
    elif sparse.issparse(result):
        yield result
    elif hasattr(result, "indices"):  # JAX's
        yield sparse.csr_array((np.asarray(result.data), np.asarray(result.indices).T), result.shape)
    else:
        yield np.asarray(result)


def _largest(array: Any) -> float:
    return float(np.max(np.abs(array.tocsr().data if sparse.issparse(array) else array), initial=0.0))


def check(result: Any, truth: Any, tolerance: float) -> None:
    """Refuse, with an AssertionError, a result that is not what was written by hand."""
    for ours, theirs in zip(_arrays(result), _arrays(truth), strict=True):
        if ours.shape != theirs.shape:
            raise AssertionError(f"the shape is {ours.shape}, not {theirs.shape}")
        error = _largest(ours - theirs)
        if not error <= tolerance * max(1.0, _largest(theirs)):  # nor nan
            raise AssertionError(f"the result is off by {error:.1e}")
