"""Products with a constant sparse matrix: as those with the same matrix written out, in every mode and compiled."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import mathdl as md
from mathdl.errors import InvalidInput

RNG = np.random.default_rng(0)
DENSE = RNG.normal(size=(4, 5)) * (RNG.random((4, 5)) < 0.5)
FORMATS = ("csr", "csc", "dia")
VECTOR, MATRIX = RNG.normal(size=5), RNG.normal(size=(5, 3))

PROGRAMS = {
    "L @ x": (lambda m, x: m @ x, VECTOR),
    "sin(L @ x)": (lambda m, x: np.sin(m @ x) * (m @ x), VECTOR),
    "L.dot(x)": (lambda m, x: m.dot(x) ** 2, VECTOR),
    "x @ L.T": (lambda m, x: (x @ m.T) ** 2, VECTOR),
    "L @ X": (lambda m, x: (m @ x) ** 2, MATRIX),
    "X.T @ L.T": (lambda m, x: np.tanh(x.T @ m.T), MATRIX),
    "L.T @ (L @ x)": (lambda m, x: m.T @ (m @ x) ** 3, VECTOR),
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_jacobian(name: str, kind: str, mode: str) -> None:
    program, x = PROGRAMS[name]
    matrix = sparse.coo_array(DENSE).asformat(kind)
    found = md.jacobian(lambda x: program(matrix, x), mode=mode)(x)
    np.testing.assert_allclose(found, md.jacobian(lambda x: program(DENSE, x))(x), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", PROGRAMS)
def test_compiled_and_second_derivatives(name: str) -> None:
    program, x = PROGRAMS[name]
    matrix = sparse.csr_array(DENSE)

    def f(x):
        return np.sum(program(matrix, x) ** 2)

    def g(x):
        return np.sum(program(DENSE, x) ** 2)

    for derivative in (md.grad, md.hessian):
        wanted = derivative(g)(2 * x)
        np.testing.assert_allclose(derivative(f)(2 * x), wanted, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(md.compile(derivative(f), x)(2 * x), wanted, rtol=1e-12, atol=1e-12)
    compiled = md.compile(lambda x: program(matrix, x), x)
    np.testing.assert_allclose(compiled(2 * x), program(DENSE, 2 * x), rtol=1e-13)


@pytest.mark.parametrize("name", PROGRAMS)
def test_planned(name: str) -> None:
    program, x = PROGRAMS[name]
    matrix = sparse.csr_array(DENSE)
    plan = md.sparse.jacobian(lambda x: program(matrix, x), x, method="forward")
    wanted = md.jacobian(lambda x: program(DENSE, x))(x).reshape(plan.shape)
    np.testing.assert_allclose(plan(x).toarray(), wanted, rtol=1e-13, atol=1e-13)
    assert plan.pattern.nnz == np.count_nonzero(wanted)


def test_a_changed_matrix_is_seen() -> None:
    matrix = sparse.csr_array(DENSE)
    compiled = md.compile(md.jacobian(lambda x: matrix @ x), VECTOR)
    matrix.data[0] += 1
    with pytest.raises(InvalidInput, match="matrix"):
        compiled(VECTOR)


def test_it_is_named_in_the_source() -> None:
    matrix = sparse.csr_array(DENSE)
    source = md.compile(lambda x: matrix @ x, VECTOR).source
    assert "c1 @ x" in source
    assert "# c1: a constant sparse matrix of float64, shape (4, 5)" in source
