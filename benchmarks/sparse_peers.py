"""Who computes sparse derivatives, and how each is used where it is fastest.

mathdl and asdex find the structure themselves, sparsejac and SciPy are given it: its cost is no part of their time.
Explained in the chapter *Structure and sparsity*.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.workloads import Case

__all__ = ["Evaluation", "SparseWays", "asdex", "mathdl", "scipy", "sparsejac"]


@dataclass(frozen=True)
class Evaluation:
    """What is timed, and in how many directions it differentiates."""

    evaluate: Callable[[], Any]
    sweeps: int
    how: str

    def __call__(self) -> Any:
        return self.evaluate()


SparseWays = dict[str, Callable[[], Callable[[], Any]] | None]


def mathdl(case: Case, derivative: str) -> SparseWays:
    """The chosen method, and colouring with forward sweeps, which needs no slices in the program."""
    import mathdl as md

    make = getattr(md.sparse, derivative.split()[1])

    def planned(**options: Any) -> Callable[[], Evaluation]:
        def build() -> Evaluation:
            plan = make(case.program(np), *case.args, **options)
            return Evaluation(lambda: plan(*case.args), plan.sweeps, plan.method)

        return build

    coloured = "star" if derivative == "sparse hessian" else "forward"
    return {
        "floor": lambda: case.floor,
        "by hand": lambda: lambda: case.hand(*case.args),
        "mathdl, auto": planned(),
        f"mathdl, {coloured}": planned(method=coloured),
    }


def _jax() -> Any:
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    return jax


def _jitted(jax: Any, function: Any, x: Any) -> Callable[[], Any]:
    jitted = jax.jit(function)
    jax.block_until_ready(jitted(x))
    return lambda: jax.block_until_ready(jitted(x))


def asdex(case: Case, derivative: str) -> SparseWays:
    """Detection, colouring and compilation are its set-up; its result stays in JAX's own format."""
    jax, module = _jax(), importlib.import_module("asdex")
    kind = derivative.split()[1]
    x = jax.numpy.asarray(case.args[0])

    def build() -> Evaluation:
        program = case.program(jax.numpy)
        coloring = getattr(module, f"{kind}_coloring")(program, x)
        evaluate = _jitted(jax, getattr(module, f"{kind}_from_coloring")(program, coloring), x)
        return Evaluation(evaluate, coloring.num_colors, coloring.mode)

    return {"asdex, jit": build}


def sparsejac(case: Case, derivative: str) -> SparseWays:
    """It is given the pattern; colouring and compilation are its set-up."""
    jax, module = _jax(), importlib.import_module("sparsejac")
    bcoo = importlib.import_module("jax.experimental.sparse").BCOO
    x = jax.numpy.asarray(case.args[0])

    def transformed(transform: Any) -> Callable[[], Callable[[], Any]]:
        pattern = bcoo.from_scipy_sparse(case.pattern.astype(float))
        return lambda: _jitted(jax, transform(case.program(jax.numpy), pattern), x)

    return {f"sparsejac.{name}, jit": transformed(getattr(module, name)) for name in ("jacfwd", "jacrev")}


def scipy(case: Case, derivative: str) -> SparseWays:
    """Differences by groups of columns; the set-up is the grouping alone."""
    from scipy.optimize._numdiff import approx_derivative, group_columns
    from scipy.sparse import csr_matrix

    f = case.gradient or case.program(np)

    def differences(method: str) -> Callable[[], Evaluation]:
        def build() -> Evaluation:
            pattern = csr_matrix(case.pattern.astype(float))
            groups = group_columns(pattern)
            return Evaluation(
                lambda: approx_derivative(f, case.args[0], method=method, sparsity=(pattern, groups)),
                int(groups.max()) + 1,
                "differences",
            )

        return build

    return {f"SciPy, {method}": differences(method) for method in ("2-point", "3-point", "cs")}
