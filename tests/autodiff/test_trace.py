"""Where a traced array could be dropped it is followed, or an error names the line. Never a silent zero."""

from __future__ import annotations

import contextlib
import copy
import math
import numbers
import pickle

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
import scipy.special as special

from mathdl import autodiff as ad
from mathdl import numeric
from mathdl.autodiff import trace
from mathdl.autodiff.trace import concrete
from mathdl.errors import InvalidInput, MathdlError, NotDifferentiable

X = np.array([0.4, -0.7, 1.2])
TRANSFORMS = {
    "forward": lambda f, x: ad.jacobian(f, "forward")(x),
    "reverse": lambda f, x: ad.jacobian(f, "reverse")(x),
    "jvp": lambda f, x: ad.jvp(f, (x,), (np.ones_like(x),))[1],
    "vjp": lambda f, x: ad.vjp(f, x)[1](np.ones(3)),
    "grad": lambda f, x: ad.grad(lambda x: np.sum(f(x)))(x),
    "nested": lambda f, x: ad.jacobian(ad.jacobian(f))(x),
}


def agrees(f, x, **how):
    truth = numeric.jacobian(f, x, method="richardson", step=1e-3)
    for mode in ("auto", "forward", "reverse"):
        np.testing.assert_allclose(ad.jacobian(f, mode)(x), truth.value, rtol=1e-7, atol=1e-9)


# --------------------------------------------------------------------------------------------- what must raise, by name
def write_item(x):
    y = np.zeros(3)
    y[0] = x[0]
    return y


def write_slice(x):
    y = np.zeros(3)
    y[:] = x
    return y


def add_into(x):
    y = np.zeros(3)
    y += x
    return y


def write_traced(x):
    x[0] = 1.0
    return x


def write_traced_slice(x):
    y = x * 2
    y[1:] = x[:-1]
    return y


def add_to_argument(x):
    x += 1.0
    return x**2


def add_to_view(x):
    y = x * x
    z = y[1:]
    z *= 2.0
    return y


def add_to_array_with_a_view(x):
    y = x * x
    z = y[1:]
    y *= 2.0
    return z


def fill_list(x):
    return np.array([x[0], 2.0], dtype=float)


DROPPING = {
    "write item": (write_item, "float"),
    "write slice": (write_slice, "float"),
    "add into": (add_into, "out=|add"),
    "write traced": (write_traced, "writing into a traced array"),
    "write traced slice": (write_traced_slice, "writing into a traced array"),
    "add to argument": (add_to_argument, "in-place"),
    "add to view": (add_to_view, "in-place"),
    "add to array with a view": (add_to_array_with_a_view, "in-place"),
    "dtype=float": (fill_list, "float"),
    "asarray with dtype": (lambda x: np.asarray(x, dtype=float), "float"),
    "asarray of a number": (lambda x: np.asarray(x[0], dtype=np.float32) + x, "float"),
    "float()": (lambda x: x * float(x[0]), "float"),
    "int()": (lambda x: x * int(x[0]), "int"),
    "complex()": (lambda x: x * complex(x[0]).real, "complex"),
    "range": (lambda x: x * len(range(x[0])), "range"),
    "math.sin": (lambda x: x * math.sin(x[0]), "float"),
    "np.float64": (lambda x: x * np.float64(x[0]), "float"),
    "np.full": (lambda x: np.full(3, x[0], dtype=float), "copyto"),
    "astype(int)": (lambda x: x.astype(int) * 1.0, "astype"),
    "astype(bool)": (lambda x: x.astype(bool) * 1.0, "astype"),
    "complex numbers": (lambda x: np.abs(x * 1j), "complex"),
    "complex result": (lambda x: np.exp(1j * 1.0) * x, "complex"),
    "fft": (lambda x: np.abs(np.fft.fft(x)), "numpy.fft"),
    "svd": (lambda x: np.linalg.svd(np.outer(x, x))[1], "numpy.linalg.svd"),
    "eig": (lambda x: np.linalg.eig(np.outer(x, x))[0], "numpy.linalg.eig"),
    "i0": (lambda x: np.i0(x), "numpy.i0"),
    "copyto": (lambda x: np.copyto(np.zeros(3), x), "numpy.copyto"),
    "put": (lambda x: np.put(np.zeros(3), [0, 1, 2], x), "put"),
    "fill_diagonal": (lambda x: np.fill_diagonal(np.outer(x, x), 0.0), "fill_diagonal"),
    "ndarray.sort": (lambda x: x.sort(), "ndarray.sort"),
    "ndarray.fill": (lambda x: x.fill(0.0), "ndarray.fill"),
    "ndarray.partition": (lambda x: x.partition(1), "ndarray.partition"),
    "ndarray.tobytes": (lambda x: np.frombuffer(x.tobytes()), "ndarray.tobytes"),
    "ndarray.view": (lambda x: x.view(np.int64) * 1.0, "ndarray.view"),
    "index of a traced array": (lambda x: (x * 2)[x], "index"),
    "np.add.at": (lambda x: np.add.at(np.zeros(3), [0, 1, 2], x), "at"),
    "np.add.reduceat": (lambda x: np.add.reduceat(x, [0, 1]), "reduceat"),
    "multiply.at of a traced array": (lambda x: np.multiply.at(x, [0], 2.0), "at"),
    "out": (lambda x: np.sin(x, out=np.zeros(3)), "out="),
    "where": (lambda x: np.sqrt(x, where=x > 0), "where="),
    "where in a sum": (lambda x: np.sum(x, where=x > 0), "where="),
    "initial": (lambda x: np.sum(x, initial=3.0), "initial="),
    "dtype in a sum": (lambda x: np.sum(x, dtype=np.float32), "dtype="),
    "matrix": (lambda x: x * np.matrix(np.eye(3)), "matrix"),
    "masked array": (lambda x: x * np.ma.masked_array(X, mask=[True, False, False]), "Masked"),
    "ragged": (lambda x: np.array([x[:1], x[1:]], dtype=object), "ndarray|Traced|not only numbers"),
    "strings": (lambda x: x * np.array([1.0, "a", 2.0], dtype=object), "str"),
    "pickle": (lambda x: pickle.loads(pickle.dumps(x)), "pickle"),
    "random": (lambda x: np.random.default_rng(0).normal(x), "float"),
    "frompyfunc": (lambda x: np.frompyfunc(lambda v: v * v, 1, 1)(x), "no derivative rule"),
    "sum of a sparse matrix": (lambda x: scipy.sparse.csr_array(np.eye(3)) + x, "holds a csr_array"),
    "dot of a sparse matrix": (lambda x: scipy.sparse.coo_array(np.eye(3)).dot(x), "traced array cannot"),
    "logsumexp": (special.logsumexp, "traced array cannot"),
    "scipy.linalg": (lambda x: scipy.linalg.solve(np.eye(3), x), "traced array cannot"),
    "ravel in memory order": (lambda x: np.outer(x, x).T.ravel("K"), "order="),
    "not finished": (lambda x: None, "None"),
    "a word": (lambda x: "x", "str"),
    "negative base": (lambda x: np.array([-1.0, 1.0, 1.0]) ** x, "power"),
    "singular det": (lambda x: np.linalg.det(np.outer(x, x) * 0.0), "det"),
    "logical_and of lists": (lambda x: np.logical_and([x[0], x[1]], [x[1], x[2]]), "truth of a traced number"),
    "logical_or of objects": (lambda x: np.logical_or(np.array([x[0], x[1]]), 0.0), "truth of a traced number"),
    "logical_and.reduce": (lambda x: np.logical_and.reduce([x[0], x[1]]), "truth of a traced number"),
    "logical_xor of lists": (lambda x: np.logical_xor([x[0], x[1]], [x[1], x[2]]), "logical_xor"),
    "bool()": (lambda x: x * bool(x[0]), "truth of a traced number"),
    "equal eigenvalues": (lambda x: np.linalg.eigvalsh(np.eye(3) * x[0]), "eigenvalues"),
}


@pytest.mark.parametrize("name", DROPPING)
@pytest.mark.parametrize("transform", ["forward", "reverse", "nested", "jvp", "vjp", "grad"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::PendingDeprecationWarning")
def test_what_would_drop_the_derivative_raises(name, transform):
    f, word = DROPPING[name]
    if transform == "grad" and name in ("a word", "ragged"):
        return  # np.sum of it is the error
    with pytest.raises(MathdlError, match=word) as caught:
        TRANSFORMS[transform](f, X)
    if isinstance(caught.value, NotDifferentiable) and name not in ("ragged", "strings"):
        assert "Instead: " in str(caught.value)


TIES = {
    "max": (lambda a, b: np.max([a, b]), np.maximum),
    "min": (lambda a, b: np.min([a, b]), np.minimum),
    "maximum": (lambda a, b: np.maximum([a], [b])[0], np.maximum),
    "fmin": (lambda a, b: np.fmin([a], [b])[0], np.minimum),
    "maximum of an object array": (lambda a, b: np.maximum(np.array([a, 0.0]), b)[0], np.maximum),
    "minimum.accumulate": (lambda a, b: np.minimum.accumulate([a, b])[1], np.minimum),
    "sort": (lambda a, b: np.sort([a, b])[1], np.maximum),
    "clip": (lambda a, b: np.clip(np.array([a]), b, 9.0)[0], np.maximum),
    "partition": (lambda a, b: np.partition([a, b, -9.0], 1)[1], np.minimum),
    "built-in max": (lambda a, b: max(a, b), np.maximum),
    "sorted": (lambda a, b: sorted([a, b])[0], np.minimum),
}


@pytest.mark.parametrize("name", TIES)
@pytest.mark.parametrize("transform", ["forward", "reverse", "nested"])
@pytest.mark.parametrize("other", ["traced", "number", "numpy number", "first", "first numpy number"])
def test_a_tie_in_a_list_is_refused(name, transform, other):
    """Python's comparison would give the whole derivative to one of two equal numbers; an exact tie shares it."""
    f, truth = TIES[name]

    def ordered(of, x):
        a, b = x[0] * x[2], x[1]
        constant = float(concrete(b)) if "numpy" not in other else np.float64(concrete(b))
        return of(constant, a) if "first" in other else of(a, b if other == "traced" else constant)

    apart, equal = np.array([0.3, 0.7, 1.5]), np.array([0.5, 0.75, 1.5])
    how = TRANSFORMS[transform]
    np.testing.assert_array_equal(how(lambda x: ordered(f, x), apart), how(lambda x: ordered(truth, x), apart))
    for x in (equal, np.array([np.nan, 0.5, 1.0])):
        if name in ("clip", "maximum of an object array") and other not in ("number", "numpy number"):
            # Here the traced number is an operand by itself, and the rule is applied.
            np.testing.assert_array_equal(how(lambda x: ordered(f, x), x), how(lambda x: ordered(truth, x), x))
            continue
        with pytest.raises(NotDifferentiable, match=r"equal.*test_trace.py:\d+.* Instead: np.max\(np.stack"):
            how(lambda x: ordered(f, x), x)


def test_an_if_may_ask_at_a_tie():
    x = np.array([0.5, 0.5])

    def f(x):
        larger = x[0] if x[0] >= x[1] else x[1]
        smaller = x[0] if not x[1] < x[0] and x[0] <= x[1] else x[1]
        return larger * 2 + smaller * (x[0] > x[1]) + np.where(x[0] >= 0.5, x[1], 0.0)

    np.testing.assert_array_equal(ad.grad(f)(x), [2.0, 1.0])
    hessian = ad.hessian(lambda x: np.maximum(x[0], x[1]) ** 2 + np.maximum(x[0] - x[1], 0.0))(x)
    assert np.all(np.isfinite(hessian))


def test_the_message_names_function_line_and_remedy():
    line = test_the_message_names_function_line_and_remedy.__code__.co_firstlineno + 4

    def f(x):
        return np.linalg.svd(np.outer(x, x))

    with pytest.raises(NotDifferentiable, match=rf"numpy.linalg.svd: .*test_trace.py:{line}.* Instead: ") as caught:
        ad.jacobian(f)(X)
    assert caught.value.function == "numpy.linalg.svd"
    with pytest.raises(NotDifferentiable, match=r"sum.*where=.*test_trace.py:\d+"):
        ad.jacobian(lambda x: x.sum(where=x > 0))(X)


@pytest.mark.parametrize("x", [np.arange(3), np.array([True]), np.array([1j]), 3, True, 1j], ids=str)
def test_integers_and_complex_numbers_are_refused(x):
    for call in (
        lambda: ad.jacobian(np.sin)(x),
        lambda: ad.grad(np.sum)(x),
        lambda: ad.vjp(np.sin, x),
        lambda: ad.jvp(np.sin, (x,), (x,)),
        lambda: ad.hvp(np.sum, x, x),
        lambda: ad.flatten({"a": x}),
    ):
        with pytest.raises(NotDifferentiable, match=r"integers|complex"):
            call()


def test_strange_inputs_and_outputs_are_named():
    for wrong in ("x", None, {1, 2}, object()):
        with pytest.raises(InvalidInput):
            ad.jacobian(np.sin)(wrong)
    with pytest.raises(InvalidInput, match="function"):
        ad.grad(3)
    with pytest.raises(InvalidInput, match="mode"):
        ad.jacobian(np.sin, "sideways")
    with pytest.raises(InvalidInput, match="argnum"):
        ad.grad(np.sin, 2)(1.0)
    with pytest.raises(InvalidInput, match="single number"):
        ad.grad(np.sin)(X)
    with pytest.raises(InvalidInput, match="primals"):
        ad.jvp(np.sin, X, X)
    with pytest.raises(InvalidInput, match="directions"):
        ad.jvp(np.sin, (X,), (X[:2],))
    with pytest.raises(InvalidInput, match="directions"):
        ad.vjp(np.sin, X)[1](np.ones(2))
    with pytest.raises(InvalidInput, match="lengths"):
        ad.jacobian(lambda x: [x, x[:1]])(X)
    with pytest.raises(NotDifferentiable, match="complex"):
        ad.jacobian(lambda x: np.array([1j]))(X)


def caught_write(x):
    y = x * 2
    with contextlib.suppress(TypeError):
        y[0] = 1.0
    return y


def caught_float(x):
    try:
        return np.array([float(v) for v in x])
    except Exception:
        return x * 0.0


def caught_branch(x):
    try:
        np.linalg.eig(np.outer(x, x))
    except TypeError:
        return x
    return 2 * x


@pytest.mark.parametrize("f", [caught_write, caught_float, caught_branch])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_refusal_that_the_function_catches_is_still_raised(f, transform):
    """With plain arrays there is no error, and the function does something else."""
    with pytest.raises(NotDifferentiable, match=r"test_trace.py:\d+"):
        TRANSFORMS[transform](f, X)
    ad.jacobian(np.sin)(X)  # the next run knows nothing of it


def test_an_error_of_an_inner_derivative_may_be_caught():
    """It comes with plain arrays too, so that the function does the same."""

    def f(x):
        try:
            ad.grad(lambda z: np.sum(np.linalg.eig(np.outer(z, z))[0]))(np.ones(3))
        except NotDifferentiable:
            return x**2
        return x

    agrees(f, X)


def test_errors_of_the_function_itself_stay_its_own():
    def wrong(x):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        ad.jacobian(wrong)(X)
    with pytest.raises(ValueError, match=r"could not be broadcast"):
        ad.jacobian(lambda x: x + np.ones(2))(X)
    with pytest.raises(IndexError):
        ad.jacobian(lambda x: x[7])(X)
    with pytest.raises(np.linalg.LinAlgError):
        ad.jacobian(lambda x: np.linalg.inv(np.outer(x, x) * 0))(X)


def test_what_works_only_with_plain_arrays_is_named():
    with pytest.raises(NotDifferentiable, match=r"test_trace.py:\d+.*arctan2"):
        ad.jacobian(lambda x: np.arctan2([2, 3, 4], [x[0], x[1], x[2]]))(X)


# ------------------------------------------------------------------------------------------------ what must be followed
UNARY = "exp log1p sqrt tanh arctan cbrt expm1 exp2 log log2 log10 square abs reciprocal degrees arcsinh sin cos tan"
OBJECTS = {
    "array": lambda x: np.array([x[0] * x[1], np.sin(x[2]), 1.0]),
    "array of arrays": lambda x: np.array([x, x**2]),
    "matrix": lambda x: np.array([[x[0], 0.0], [x[1] ** 2, x[2]]]),
    "array of an array": lambda x: np.array(x) * 2,
    "asarray": lambda x: np.asarray(x) ** 2,
    "list": lambda x: [x[0] * x[1], x[2], 1],
    "list of rows": lambda x: [x, 2 * x],
    "tuple": lambda x: (x[0], x[1] * x[2]),
    "sin of an object array": lambda x: np.sin(np.array([x[0], x[1] * x[2]])),
    "functions of an object array": lambda x: sum(getattr(np, f)(np.array([x[0], x[2]]) * 0.5) for f in UNARY.split()),
    "two arguments": lambda x: np.arctan2(np.array([x[0], x[1]]), np.array([x[2], 2 * x[2]])),
    "object @ array": lambda x: np.array([x[0], x[1]]) @ np.ones((2, 2)),
    "array @ object": lambda x: np.arange(6.0).reshape(3, 2) @ np.array([x[0], x[1] * x[2]]),
    "object @ object": lambda x: np.array([x[0], x[1]]) @ np.array([x[2], x[1]]),
    "object + traced": lambda x: np.array([x[0], x[1], 0.0]) + x,
    "traced * object": lambda x: x * np.array([x[0], x[1], 0.0]),
    "traced @ object": lambda x: x @ np.array([x[0], x[1], 0.0]),
    "where with objects": lambda x: np.where([True, False, True], np.array([x[0], x[1], 0.0]), x),
    "concatenate objects": lambda x: np.concatenate([np.array([x[0], 1.0]), x]),
    "sum of a list": lambda x: np.sum([x[0], x[1] * x[2]]),
    "mean of a list": lambda x: np.mean([x, x**2], axis=0),
    "stack of a list": lambda x: np.stack([x[0], x[1]]) * 1.0,
    "builtin sum": lambda x: sum(x * x),
    "comprehension": lambda x: np.array([v**2 for v in x]),
    "zip": lambda x: np.array([a * b for a, b in zip(x, x[::-1], strict=True)]),
    "object buffer": lambda x: _filled(x),
    "vectorize": lambda x: np.vectorize(lambda v: v * v)(x),
    "r_": lambda x: np.r_[x[0], 1.0, x[1] ** 2],
    "c_": lambda x: np.c_[x, x**2],
    "sorted": lambda x: np.array(sorted(x, key=lambda v: v**2)),
    "max of numbers": lambda x: max(x[0], x[1]) * min(x) * x,
    "if": lambda x: x**2 if x[0] > 0 else -x,
    "while": lambda x: _halved(x),
    "abs": lambda x: abs(x) * abs(x[1]),
    "divmod-free": lambda x: (x % 0.5) * x[0] - (x // 0.5),
    "item": lambda x: x[0].item() * x.item(1) * x[2:].item(),
    "tolist": lambda x: np.array(x.tolist()) ** 2,
    "flat": lambda x: np.array(list(x.flat)) ** 2,
    "copy": lambda x: copy.copy(x) * copy.deepcopy(x) * x.copy(),
    "round": lambda x: x * round(x[0]) + x * math.floor(x[2]) + x * math.ceil(x[2]) + x * math.trunc(x[1]),
    "unpacking": lambda x: (lambda a, b, c: np.array([a * b, c]))(*x),
    "np.float64 * traced": lambda x: np.float64(2.0) * x[0] + np.ones(2) * x[1] - np.float64(3.0) / x[2],
    "array * number": lambda x: X * x[0] + X / x[1] - X**2 * x,
    "right operators": lambda x: 2 - x + 3 / x + 2.0 ** x[0] + X - x,
    "reverse matmul": lambda x: np.ones((2, 3)) @ x,
    "list operand": lambda x: x * [1.0, 2.0, 3.0] + [x[0], 1.0, 2.0],
    "expit": special.expit,
    "identity": lambda x: x,
    "constant": lambda x: np.ones(4),
    "number": lambda x: 3.0,
    "zeros_like": lambda x: np.zeros_like(x) + x,
    "ones_like": lambda x: np.ones_like(x) * x[0],
    "full_like": lambda x: np.full_like(x, 2.0) * x,
    "heaviside": lambda x: np.heaviside(x, 0.5) * x,
    "argmax": lambda x: x[np.argmax(x)] * x[x.argmin()],
    "argsort": lambda x: x[np.argsort(x)] * x[x.argsort()],
    "nonzero": lambda x: x[np.nonzero(x > 0)],
    "any and all": lambda x: x * (1.0 if np.any(x > 1) and not np.all(x > 1) else 2.0),
    "iterator": lambda x: np.stack(list(iter(x))),
    "axes of a number": lambda x: x[0][None] * x[1][..., None] + x[2][()] * x[0][...] + x[2][None, None][0],
    "enumerate": lambda x: np.stack([k * v for k, v in enumerate(x)]),
}


def _filled(x):
    y = np.empty(3, dtype=object)
    for k in range(3):
        y[k] = x[k] * k
    y[0] = y[1] + x[0]
    return y


def _halved(x):
    while np.sum(x**2) > 0.3:
        x = 0.5 * x
    return x**2


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_plain_python_and_object_arrays_are_followed(name):
    f = OBJECTS[name]
    x = np.array([0.45, 0.7, 1.2]) if name == "functions of an object array" else X

    def g(x):
        return np.asarray(f(x))

    truth = numeric.jacobian(lambda x: np.asarray(f(x), dtype=float), x, method="richardson", step=1e-4)
    for mode in ("auto", "forward", "reverse"):
        ours = ad.jacobian(f, mode)(x)
        assert ours.dtype == np.float64
        np.testing.assert_allclose(ours, truth.value, rtol=1e-7, atol=1e-8)

    def weighted(x):
        return np.sum(np.asarray(f(x)) ** 2)

    second = ad.jacobian(ad.grad(weighted))(x)
    truth = numeric.jacobian(ad.grad(weighted), x, method="richardson", step=1e-4)
    np.testing.assert_allclose(second, truth.value, rtol=1e-6, atol=1e-6)


def test_in_place_operators_change_every_name_of_an_array():
    def f(x):
        y = x * x
        z = y
        y += x[0]
        y *= 2.0
        y -= 1.0
        y /= 3.0
        y **= 2
        return z

    agrees(f, X)

    def single(x):
        y = x * np.float32(2.0)
        y += np.ones(3)
        return y

    assert single(X.astype(np.float32)).dtype == np.float32
    assert ad.vjp(single, X.astype(np.float32))[0].dtype == np.float32

    def number(x):
        y = s = x[0]
        s += 1.0
        s *= x[1]
        return s * y

    agrees(number, X)
    for wrong in (lambda y, x: y.__iadd__(np.ones((2, 3))), lambda y, x: y.__ifloordiv__(2.0)):
        with pytest.raises(NotDifferentiable, match="in-place"):
            ad.jacobian(lambda x, wrong=wrong: wrong(x * 2, x))(X)


def test_in_place_operators_on_an_outer_trace():
    def f(w):
        h = w * 2.0

        def inner(x):
            nonlocal h
            y = x * h
            h += 1.0
            return np.sum(y * x)

        return ad.grad(inner)(np.array([1.0, 2.0, 3.0]))

    np.testing.assert_allclose(ad.jacobian(f)(X), np.diag(4 * np.array([1.0, 2.0, 3.0])))


# -------------------------------------------------------------------------- constants that change while a trace is open
def test_a_small_constant_may_be_overwritten():
    def f(x):
        buffer = np.zeros(3)
        y = 0.0
        for k in range(3):
            buffer[:] = k + 1
            y = y + x * buffer + np.where(buffer > 1, x, 0.0)
        buffer[:] = np.nan
        return y

    agrees(f, X)
    mask = np.array([True, False, True])

    def g(x):
        y = x[mask]
        z = np.where(mask, x, 0.0)[0] * y
        mask[:] = ~mask
        mask[:] = ~mask
        return z

    agrees(g, X)


def test_a_large_constant_that_is_overwritten_is_refused_and_unlocked():
    n = 10_000
    buffer = np.ones(n)
    x = np.linspace(0.1, 1.0, n)

    def f(x):
        y = x * buffer[:]
        buffer[0] = 7.0
        return np.sum(y)

    with pytest.raises(NotDifferentiable, match=r"f: it writes into .*test_trace.py:\d+"):
        ad.grad(f)(x)
    assert buffer.flags.writeable
    assert not np.any(ad.grad(lambda x: np.sum(x * buffer))(x) - buffer)
    assert buffer.flags.writeable
    frozen = np.ones(n)
    frozen.flags.writeable = False
    ad.grad(lambda x: np.sum(x * frozen))(x)
    assert not frozen.flags.writeable

    def nested(x):
        return np.sum(ad.grad(lambda z: np.sum(z * z * buffer * x))(x) * buffer)

    np.testing.assert_allclose(ad.grad(nested)(x), 4 * x * buffer**2)
    assert buffer.flags.writeable


@pytest.mark.parametrize(
    "key", [0, -1, slice(None), slice(0, 100), (slice(None), 3), (slice(None), slice(0, 1))], ids=str
)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("which", ["constant", "input"])
def test_a_large_array_written_through_an_earlier_view_is_refused(key, order, which):
    """The lock does not reach such a view. Most writes are noticed by the entries that were noted."""
    W = np.array(np.random.default_rng(0).normal(size=(128, 48)), order=order)
    view = W[:]
    x = W if which == "input" else np.linspace(0.1, 1.0, 48)

    def f(x):
        y = x**2 @ np.ones(48) if which == "input" else W @ x
        view[key] = view[key] + 1.0
        return np.sum(y * y)

    for derivative in (ad.grad(f), ad.jacobian(f)):
        with pytest.raises(NotDifferentiable, match=r"f: it writes into .* through a view"):
            derivative(x)
        assert W.flags.writeable
    assert trace._locks == {}


def test_views_are_unlocked_when_the_last_trace_that_needs_them_ends():
    n = 10_000
    buffer = np.ones(n)
    view = buffer[:]
    x = np.full(n, 0.5)

    def f(x):
        y = np.sum(x * buffer)
        ad.grad(lambda z: np.sum(z * view))(np.ones(n))
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 3.0
        return y

    np.testing.assert_array_equal(ad.grad(f)(x), buffer)
    view[0] = 3.0
    assert buffer[0] == 3.0
    assert trace._locks == {}


def test_pull_does_not_see_later_changes():
    weights = np.ones((200, 3))
    x = X.copy()
    y, pull = ad.vjp(lambda x: np.tanh(weights @ x), x)
    expected = pull(np.ones(200))
    weights[:] = 0.0
    x[:] = 0.0
    y[:] = 0.0
    first = pull(np.ones(200))
    np.testing.assert_array_equal(first, expected)
    first[:] = 0.0
    np.testing.assert_array_equal(pull(np.ones(200)), expected)


def test_results_are_the_caller_s_own():
    a = np.arange(6.0).reshape(2, 3)
    before = a.copy()
    for mode in ("auto", "forward", "reverse"):
        jacobian = ad.jacobian(lambda x: a @ x, mode)(X)
        jacobian[:] = -1.0
    v = X.copy()
    _, dy = ad.jvp(lambda x: x, (X,), (v,))
    dy[:] = 0.0
    g = np.ones(3)
    _, pull = ad.vjp(lambda x, y: x + y, X, X)
    one, two = pull(g)
    one[:] = 5.0
    assert np.all(two == 1.0)
    assert np.all(g == 1.0)
    np.testing.assert_array_equal(a, before)
    np.testing.assert_array_equal(v, X)
    identity = ad.jacobian(lambda x: x)(X)
    identity[:] = 2.0


def test_traced_arrays_that_outlive_their_call_are_refused():
    kept = []

    def leak(x):
        kept.append(x)
        return x * 2

    ad.jacobian(leak)(X)
    with pytest.raises(NotDifferentiable, match="has ended"):
        ad.jacobian(lambda x: x * kept[0])(X)
    with pytest.raises(NotDifferentiable, match="earlier call"):
        ad.jacobian(lambda x: kept[0])(X)


# --------------------------------------------------------------------------------------- what a traced array looks like
def test_attributes_of_a_traced_array():
    def f(x):
        assert (x.shape, x.ndim, x.size, x.dtype, len(x), x.itemsize, x.nbytes) == ((3,), 1, 3, np.float64, 3, 8, 24)
        assert np.shape(x) == (3,)
        assert np.ndim(x) == 1
        assert np.size(x) == 3
        assert not issubclass(type(x), np.ndarray)
        assert not hasattr(x, "__array__")
        assert not hasattr(x[0], "__len__")
        assert isinstance(x[0], numbers.Number)
        assert np.isscalar(x[0])
        assert not np.isscalar(x)
        assert repr(x) == "Traced(array([ 0.4, -0.7,  1.2]))"
        assert f"{x[0]:.2f}" == "traced 0.40"
        assert x[0] > 0
        assert x[0] >= 0.4
        assert x[1] < x[0] <= 0.4
        assert x[0]
        assert not x[0] - x[0]
        assert x[0] == 0.4
        assert x[0] != 0.5
        assert np.all((x > 0) == [True, False, True])
        assert not np.any(x.imag)
        assert x.real is x
        assert np.iscomplexobj(x) is False
        with pytest.raises(TypeError, match="unhashable"):
            {x}  # noqa: B018
        with pytest.raises(AttributeError):
            x.nonsense  # noqa: B018
        with pytest.raises(ValueError, match="ambiguous"):
            bool(x)
        with pytest.raises(IndexError):
            x[0][0]
        with pytest.raises(TypeError, match="not iterable"):
            iter(x[0])
        return x

    ad.jacobian(f)(X)


def test_kinks():
    zero = np.zeros(2)
    half = np.full(2, 0.5)
    for relu in (lambda x: np.maximum(x, 0), lambda x: np.maximum(0.0, x), lambda x: np.maximum(x, np.zeros(2))):
        assert not np.any(ad.jacobian(relu)(zero))
    for relu in (lambda x: np.minimum(x, 0.0), lambda x: np.fmax(0, x), lambda x: np.clip(x, 0.0, 1.0)):
        assert not np.any(ad.jacobian(relu)(zero))
    np.testing.assert_array_equal(np.diag(ad.jacobian(lambda x: np.maximum(x, 1.0))(np.ones(2))), half)
    np.testing.assert_array_equal(ad.jacobian(lambda x: np.maximum(x[0], x[1]))(zero), half)
    np.testing.assert_array_equal(ad.jacobian(lambda x: np.minimum(x[0], x[1]))(zero), half)
    np.testing.assert_array_equal(ad.grad(np.max)(np.array([1.0, 3.0, 3.0])), [0, 0.5, 0.5])
    np.testing.assert_array_equal(ad.grad(np.min)(zero), half)
    for f in (np.abs, np.fabs, np.sign, np.linalg.norm, np.std):
        assert not np.any(ad.jacobian(f)(zero))
    assert not np.any(ad.jacobian(lambda x: np.hypot(x[0], x[1]))(zero))
    np.testing.assert_array_equal(ad.jacobian(np.sinc)(np.float64(0.0)), 0.0)
    np.testing.assert_array_equal(ad.hessian(np.sinc)(np.float64(0.0)), -(np.pi**2) / 3)
    with np.errstate(divide="ignore"):
        assert ad.grad(np.sqrt)(0.0) == np.inf
        assert ad.grad(lambda x: x**0.5)(0.0) == np.inf
    assert ad.grad(lambda x: 0.0**x)(2.0) == 0.0
    assert ad.grad(lambda x: x**0)(0.0) == 0.0
    np.testing.assert_array_equal(
        ad.jacobian(lambda x: x ** np.array([0, 1, 2]))(np.zeros(3)), np.diag([0.0, 1.0, 0.0])
    )
    mixed = ad.hessian(lambda x: x[0] ** x[1])(np.array([2.0, 0.0]))
    np.testing.assert_allclose(mixed, [[0.0, 0.5], [0.5, np.log(2.0) ** 2]])
