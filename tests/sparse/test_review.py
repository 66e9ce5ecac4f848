"""What a plan must not do: keep what a caller has changed, drop half of a number, or answer with another's error.

Each case was once wrong. Explained in the chapter *Structure and sparsity*.
"""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy import sparse

import mathdl as md
from mathdl.errors import DensePattern, InvalidInput, NotDifferentiable
from mathdl.sparse import hessian, jacobian, steps

X = np.linspace(1.0, 2.0, 5)


def softly(x):
    return x * np.sum(x)


# ------------------------------------------------------------------------------------------------------------ products
@pytest.mark.parametrize("names", [("u", "v"), ("v", "u"), ("vector", "tangent")])
def test_products_of_functions_whose_arguments_have_the_names_of_directions(names):
    f = eval(f"lambda {', '.join(names)}: {names[0]} ** 2 * {names[1]}")
    plan = jacobian(f, X, X)
    np.testing.assert_allclose(plan.matvec(X, X, np.ones(5)), 2 * X**2)
    np.testing.assert_allclose(plan.rmatvec(X, X, np.ones(5)), 2 * X**2)


def test_a_product_first_asked_for_after_a_captured_number_changed_does_not_keep_it():
    k = 2.0

    def f(x):
        return k * x

    plan = jacobian(f, X)
    k = 3.0
    with pytest.raises(InvalidInput, match="k"):
        plan.matvec(X, np.ones(5))
    k = 2.0
    np.testing.assert_array_equal(plan.matvec(X, np.ones(5)), np.full(5, 2.0))


@pytest.mark.parametrize("vector", [1j * np.ones(5), "abcde", np.array(["a"] * 5), np.ones((5, 1)), None], ids=repr)
def test_vectors_that_are_no_real_vectors_are_refused(vector):
    plan = jacobian(np.sin, X)
    for product in (plan.matvec, plan.rmatvec):
        with pytest.raises(InvalidInput, match=r"real numbers of shape \(5,\)"):
            product(X, vector)


def test_a_vector_of_integers_or_booleans_is_a_vector():
    np.testing.assert_array_equal(
        jacobian(np.sin, X).matvec(X, [True, False, True, False, False]) != 0, np.eye(5)[0] + np.eye(5)[2]
    )
    np.testing.assert_allclose(jacobian(np.sin, X).rmatvec(X, np.arange(5)), np.arange(5) * np.cos(X))


# -------------------------------------------------------------------------------------------------------- shared arrays
def test_the_index_arrays_of_factors_are_shared_and_so_read_only():
    x = np.linspace(1.0, 2.0, 100)
    plan = jacobian(softly, x, method="factored")
    for matrix in plan.factors(x):
        with pytest.raises(ValueError, match="read-only"):
            matrix.indices[0] = 1
        with pytest.raises(ValueError, match="read-only"):
            matrix.indptr[0] = 1


@pytest.mark.parametrize("method", ["bands", "forward", "reverse", "bicoloring", "dense"])
def test_colors_that_are_written_into_are_an_error_and_no_other_plan(method):
    colors = jacobian(np.diff, X, method=method).colors
    for one in colors if isinstance(colors, tuple) else (colors,):
        with pytest.raises(ValueError, match="read-only"):
            one[0] = 7


# ------------------------------------------------------------------------------------------------------ local constants
def stepped(x, size=5, kind="csr"):
    """Three products with one sparse matrix that is written into between them."""
    matrix, results = sparse.csr_array(np.eye(size, dtype=float) + np.eye(size, k=1)).asformat(kind), []
    for k in range(3):
        results.append(matrix @ x + x @ matrix)
        if k < 2:
            (matrix.data if kind != "lil" else matrix)[:] *= 2.0
    return np.concatenate(results)


def by_hand(size):
    once = 2 * np.eye(size) + np.eye(size, k=1) + np.eye(size, k=-1)
    return np.concatenate([once, 2 * once, 4 * once])


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "dia"])
def test_a_sparse_matrix_that_is_written_into_between_products(kind):
    def f(x):
        return stepped(x, kind=kind)

    found = {mode: md.jacobian(f, mode=mode)(X) for mode in ("forward", "reverse")}
    found |= {
        method: jacobian(f, X, method=method)(X).toarray()
        for method in ("bands", "forward", "reverse", "bicoloring", "dense")
    }
    found["compiled"] = md.compile(md.jacobian(f, mode="reverse"), X)(X)
    found["pulled"] = np.stack([md.vjp(f, X)[1](e) for e in np.eye(15)])
    found["twice"] = md.hessian(lambda x: 0.5 * np.sum(f(x) ** 2))(X)
    for name, J in found.items():
        wanted = by_hand(5).T @ by_hand(5) if name == "twice" else by_hand(5)
        np.testing.assert_allclose(J, wanted, rtol=1e-14, err_msg=name)
    np.testing.assert_allclose(md.compile(f, X)(X), f(X))


def test_a_large_sparse_matrix_is_locked_and_a_write_refused_by_name():
    x = np.ones(5000)
    with pytest.raises(NotDifferentiable, match="writ"):
        md.grad(lambda x: np.sum(stepped(x, 5000)))(x)


def test_a_large_sparse_matrix_is_not_copied_for_each_product():
    matrix = sparse.csr_array(sparse.diags_array(np.ones(10**5)))

    def f(x):
        for _ in range(50):
            x = matrix @ x
        return np.sum(x * x)

    x = np.ones(10**5)
    plain = _peak(lambda: md.grad(lambda x: np.sum(x * 1.0))(x))
    assert _peak(lambda: md.grad(f)(x)) < plain + 70 * x.nbytes  # one array for each product, and no matrix
    assert matrix.data.flags.writeable


def _peak(call):
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# ----------------------------------------------------------------------------------------------------- rarely gone ways
W = np.random.default_rng(1).uniform(0.5, 1.5, 30)
RARE = {
    "an array of many numbers": lambda x: np.array([x[k] * x[(k + 1) % 30] for k in range(30)]),
    "an array of many sums": lambda x: np.array([np.sum(x[k : k + 3] ** 2) for k in range(28)]),
    "numbers of a quotient by a sum": lambda x: (lambda y: np.array([y[k] + x[0] for k in range(30)]))(x / np.sum(x)),
    "taken by order from a matrix": lambda x: np.take_along_axis(x.reshape(5, 6), np.argsort(x), axis=None) * x,
    "indexed by order and an ellipsis": lambda x: x.reshape(5, 6)[np.argsort(x[:5]), ...] ** 2,
    "a summed factor": lambda x: np.einsum("i,j->i", x, x),
    "a matrix with a sum": lambda x: np.einsum("ij,jk->i", x.reshape(5, 6), x.reshape(6, 5)),
    "a cumulative sum": lambda x: np.cumsum(x.reshape(5, 6) ** 2, axis=0),
}

DIAGONALS = {  # those that have any, and as which
    ("an array of many numbers", "bands"),
    ("a matrix with a sum", "bands"),
    ("numbers of a quotient by a sum", "factored"),
    ("a summed factor", "factored"),
}


@pytest.mark.filterwarnings("ignore::mathdl.errors.DensePattern")
@pytest.mark.parametrize("method", ["auto", "bands", "factored", "forward", "reverse", "bicoloring", "dense"])
@pytest.mark.parametrize("name", RARE)
def test_rarely_gone_ways_lead_to_the_same_numbers(name, method, monkeypatch):
    monkeypatch.setattr(steps, "_LARGEST", 50)  # so that what is large is small
    f, x = RARE[name], np.random.default_rng(2).uniform(0.5, 1.5, 30)
    if method in ("bands", "factored") and (name, method) not in DIAGONALS:
        with pytest.raises(NotDifferentiable, match="no diagonals"):
            jacobian(f, W, method=method)
        return
    plan = jacobian(f, W, method=method)
    J = md.jacobian(f)(x).reshape(-1, 30)
    np.testing.assert_allclose(plan(x).toarray(), J, rtol=1e-12, atol=1e-14)
    if plan.method == "factored":
        S, U, V = plan.factors(x)
        np.testing.assert_allclose((S + U @ V).toarray(), J, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("method", ["star", "forward", "dense"])
def test_the_hessian_of_what_values_have_ordered(method):
    def f(x):
        return np.sum(x[np.argsort(x)] ** 3 * W)

    x = W[::-1].copy()
    np.testing.assert_allclose(hessian(f, W, method=method)(x).toarray(), md.hessian(f)(x), rtol=1e-12)


def test_what_is_too_large_is_said_of_each_thing_asked_for():
    x = np.linspace(1.0, 2.0, 8000)
    plan = jacobian(lambda x: x / np.sum(x), x)
    assert (plan.method, plan.density) == ("factored", 1.0)
    assert "8000 x 8000" in repr(plan)
    for ask in (lambda: plan.pattern, lambda: plan.colors, lambda: plan.empty_rows, lambda: plan(x)):
        with pytest.raises(InvalidInput, match=r"plan\.factors\(x\)"):
            ask()


# ------------------------------------------------------------------------------------------------------------- messages
@pytest.mark.parametrize("argnum", [0.0, "x", None, (0, 1)], ids=repr)
def test_argnum_is_an_integer(argnum):
    with pytest.raises(InvalidInput, match="argnum"):
        jacobian(np.sin, X, argnum=argnum)


def test_an_integer_of_numpy_is_an_argnum():
    assert jacobian(np.multiply, X, X, argnum=np.int64(-1)).shape == (5, 5)


@pytest.mark.parametrize("tree", [{"a": X}, [X], (X, X)], ids=["dict", "list", "tuple"])
def test_what_is_differentiated_by_is_one_array(tree):
    with pytest.raises(InvalidInput, match=r"^x: .* wanted one array: .*md\.flatten"):
        jacobian(lambda p: np.sin(X), tree)


@pytest.mark.parametrize("method", ["auto", "forward"])
def test_a_captured_traced_array_is_refused_by_name(method):
    def entries(a):
        return jacobian(lambda x: x * a, X, method=method)(X).data

    with pytest.raises(NotDifferentiable, match=r"a \(captured\).*make the plan outside"):
        md.jacobian(entries)(X)


def test_another_number_of_arguments_is_named():
    plan = jacobian(np.multiply, X, X)
    for call, wanted in (
        (plan, "2 arguments: x1, x2"),
        (plan.linear_operator, "2 arguments: x1, x2"),
        (plan.rmatvec, "3 arguments: x1, x2, u"),
    ):
        with pytest.raises(InvalidInput, match=f"got 1 argument; wanted {wanted}$"):
            call(X)


def test_factors_of_another_number_of_arguments():
    x = np.linspace(1.0, 2.0, 100)
    with pytest.raises(InvalidInput, match="1 argument"):
        jacobian(softly, x, method="factored").factors(x, x)


def test_a_dense_hessian_is_warned_of_as_a_hessian():
    with pytest.warns(DensePattern, match=r"6 x 6 Hessian .*mathdl\.hessian"):
        hessian(lambda x: np.sum(x) ** 3, np.ones(6))
    with pytest.warns(DensePattern, match=r"6 x 6 Jacobian .*mathdl\.jacobian"):
        jacobian(lambda x: np.outer(x, x) @ x, np.ones(6))


@pytest.mark.parametrize(
    ("f", "method", "why"),
    [
        (np.sin, "factored", "no step spreads few entries over many"),
        (np.sort, "bands", r"gather.*leaves no diagonals .at test_review"),
        (lambda x: sum(np.roll(np.tile(x, 10), k) for k in range(210)), "bands", "more than 400"),
        (lambda x: x / np.sum(x), "bands", "a step that spreads few entries over many"),
    ],
)
def test_what_is_not_of_a_form_is_told_why(f, method, why):
    with pytest.raises(NotDifferentiable, match=why):
        jacobian(f, np.linspace(1.0, 2.0, 50), method=method)


@pytest.mark.parametrize("f", [lambda x1, *rest: x1 * rest[0], lambda np, x1: np * x1, lambda np, np_: np * np_])
def test_arguments_get_names_of_their_own(f):
    for compiled in (jacobian(f, X, X), md.compile(md.jacobian(f), X, X)):
        J = compiled(X, 2.0 * X)
        np.testing.assert_allclose(J if isinstance(J, np.ndarray) else J.toarray(), np.diag(2.0 * X))


def test_a_captured_array_that_has_other_values_is_said_to_have_other_values():
    a = np.ones(5)
    plan = jacobian(lambda x: a * x, X)
    a[0] = 2.0
    with pytest.raises(InvalidInput, match="other values"):
        plan(X)
