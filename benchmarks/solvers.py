"""What a solver needs with a plan as its Jacobian, beside SciPy's own differences with and without the pattern given.

The solution is what is compared and timed; planning is the set-up.
Explained in the chapter *Structure and sparsity*.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.sparse_workloads import bratu, brusselator_case, ladder
from benchmarks.workloads import Case, Workload

__all__ = ["SOLVERS", "ways"]


def _flow(method: str, n: int, end: float = 2.0) -> Case:
    """The Brusselator from a smooth start."""
    from scipy.integrate import solve_ivp

    case = brusselator_case(n)
    f = case.program(np)
    z = np.linspace(0.0, 1.0, n // 2)
    y0 = np.concatenate([1.0 + np.sin(2 * np.pi * z), np.full(n // 2, 3.0)])

    def rhs(t: Any, y: Any) -> Any:
        return f(y)

    def solve(**jacobian: Any) -> Any:
        return solve_ivp(rhs, (0.0, end), y0, method=method, rtol=1e-6, atol=1e-8, **jacobian).y[:, -1]

    def hand(*args: Any) -> Any:
        return solve(jac=lambda t, y: case.hand(y))

    return Case(lambda np: rhs, (0.0, y0), hand, hand, case.pattern, solve=solve)


def _steady(make: Callable[[int], Case], size: int) -> Case:
    """All equations at zero, by least squares."""
    from scipy.optimize import least_squares

    case = make(size)
    f, x0 = case.program(np), np.zeros(case.pattern.shape[1])

    def solve(**jacobian: Any) -> Any:
        return least_squares(f, x0, **jacobian).x

    return Case(
        lambda np: f, (x0,), lambda x: solve(jac=case.hand), lambda: solve(jac=case.hand), case.pattern, solve=solve
    )


def _root(size: int) -> Case:
    """MINPACK takes a full matrix, or calls for one column after the other."""
    from scipy.optimize import root

    case = bratu(size)
    f, x0 = case.program(np), np.zeros(case.pattern.shape[1])

    def solve(jac: Any = None) -> Any:
        return root(f, x0, jac=None if jac is None else lambda x: jac(x).toarray()).x

    return Case(lambda np: f, (x0,), lambda x: solve(case.hand), lambda: solve(case.hand), None, solve=solve)


def ways(case: Case, derivative: str) -> dict[str, Callable[[], Callable[[], Any]] | None]:
    import mathdl as md

    solve = case.solve
    assert solve is not None

    def planned() -> Callable[[], Any]:
        plan = md.sparse.jacobian(case.program(np), *case.args, argnum=len(case.args) - 1)
        return lambda: solve(jac=plan)

    found: dict[str, Callable[[], Callable[[], Any]] | None] = {"floor": lambda: case.floor, "jac=plan": planned}
    if case.pattern is not None:
        pattern = case.pattern.astype(float)
        found["SciPy's differences, jac_sparsity"] = lambda: lambda: solve(jac_sparsity=pattern)
    if case.pattern is None or case.pattern.shape[0] <= 2000:  # else it takes minutes and gigabytes
        found["SciPy's differences"] = lambda: solve
    return found


def _workload(title: str, make: Callable[[], Case]) -> Workload:
    return Workload(title, "solution", "Jacobian by hand", ("solvers",), make, warm=True, long=True)


SOLVERS = {
    "bdf": _workload("solve_ivp, BDF: Brusselator, n = 2·10³, t ≤ 2", partial(_flow, "BDF", 2000)),
    "radau": _workload("solve_ivp, Radau: Brusselator, n = 2·10³, t ≤ 2", partial(_flow, "Radau", 2000)),
    "least_squares": _workload("least_squares: Bratu on a grid 20×20", partial(_steady, bratu, 20)),
    "least_squares4": _workload("least_squares: ladder, n = 10⁴", partial(_steady, ladder, 5000)),
    "root": _workload("root, given a full matrix: Bratu on a grid 20×20", partial(_root, 20)),
}
