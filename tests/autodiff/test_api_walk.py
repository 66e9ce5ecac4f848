"""Every public function of NumPy with traced arguments: a right derivative, a constant, or a named error.

What the walk finds must be what `mathdl.autodiff.supported` says, function by function.
"""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
import scipy.special as special

from mathdl import autodiff as ad
from mathdl.autodiff.catalogue import NOT_OF_ARRAYS, PUBLIC, supported
from mathdl.errors import InvalidInput, MathdlError, NotDifferentiable

rng = np.random.default_rng(3)
SQUARE = rng.normal(size=(3, 3)) + 3 * np.eye(3)
SQUARE = SQUARE @ SQUARE.T + 0.1 * rng.normal(size=(3, 3))
VECTOR = np.array([0.31, -0.62, 0.57])
POSITIVE = np.array([0.4, 1.3, 0.7])
OTHER = np.array([1.1, 0.8, -0.3])
FOUR = rng.uniform(0.2, 0.9, size=(4, 4))
OTHER.flags.writeable = False
POINTS = (VECTOR, POSITIVE, SQUARE, FOUR, 1 + POSITIVE)
MASK = np.array([True, False, True])
UFUNCS = {name: f for name, f in PUBLIC.items() if isinstance(f, np.ufunc)}
KIND = {name: kind for kind, names in supported().items() for name in names}

ATTEMPTS = [
    lambda f, x: f(x),
    lambda f, x: f(x, x),
    lambda f, x: f(x, OTHER),
    lambda f, x: f(OTHER, x),
    lambda f, x: f(x, 2),
    lambda f, x: f(2, x),
    lambda f, x: f(x, 1, 0),
    lambda f, x: f(x, 0, 1),
    lambda f, x: f([x, x]),
    lambda f, x: f([x, 2 * x], [x, x]),
    lambda f, x: f(x, (0,)),
    lambda f, x: f(x, (2, 9)),
    lambda f, x: f((6,), x),
    lambda f, x: f(x > 0, x, OTHER),
    lambda f, x: f([x > 0], [x]),
    lambda f, x: f(x, x, x),
    lambda f, x: f(x, 0, 1, 0),
    lambda f, x: f("i->i", x) if x.ndim == 1 else f("ij->j", x),
    lambda f, x: f("ij,jk->ik", x, x),
    lambda f, x: f(x, np.array([0, 2]), 0),
    lambda f, x: f(x, np.argsort(x, axis=-1), -1),
    lambda f, x: f(x, x > 0, x),
    lambda f, x: f(x.copy(), x > 0, 1.0),
    lambda f, x: f(np.zeros(3), x),
    lambda f, x: f(np.zeros(3), x > 0, x),
    lambda f, x: f(np.sum, 0, x),
    lambda f, x: f(np.sum, x, 0),
    lambda f, x: f(lambda row: row * 2, 0, x),
    lambda f, x: f(x[0]),
    lambda f, x: f(3, x[0]),
    lambda f, x: f(x[0], 2.0),
    lambda f, x: f(x[0], x[1], 4),
    lambda f, x: f([x[0], 1.0, x[1]]),
    lambda f, x: f(np.array([0, 1, 1]), x),
    lambda f, x: f([0, 1, 2], [x, x, x]),
    lambda f, x: f(x, [x > 0], [lambda v: v**2]),
    lambda f, x: f(x, [0.0, 1.0, 2.0], OTHER),
    lambda f, x: f(OTHER, [0.0, 1.0, 2.0], x),
    lambda f, x: f(x, x.shape),
    lambda f, x: f(x, (2, *x.shape)),
    lambda f, x: f(x, np.float64),
    lambda f, x: f(x[None, None], [1]),
    lambda f, x: f(x, "float"),
]
KEYWORDS = [
    *({"axis": axis} for axis in (None, 0, -1, (0, 1), (-1,))),
    *({"keepdims": keepdims} for keepdims in (True, False)),
    *({"axis": 0, "keepdims": True}, {"ddof": 1}, {"axis": 1, "ddof": 2}, {"axis": 0, "dtype": float}),
    *({"where": MASK}, {"initial": 0.7}, {"where": MASK, "initial": 0.7}, {"axis": 0, "initial": 9.0}),
    *({"order": order} for order in "CFAK"),
    *({"dtype": np.float32}, {"dtype": float}, {"casting": "unsafe"}, {"subok": False}, {"like": VECTOR}),
    *({"n": 2}, {"axis": 0, "n": 2}, {"prepend": 0.5}, {"append": 0.5}, {"to_end": 3.0}, {"offset": 1}, {"k": 1}),
    *({"mean": 0.5}, {"weights": [1.0, 2.0, 3.0]}, {"correction": 1}, {"bias": True}, {"edge_order": 2}, {"nan": 3.0}),
    *({"ord": order} for order in (1, 2, 3, np.inf, "fro", "nuc")),
    *({"decimals": 1}, {"kind": "stable"}, {"stable": True}, {"descending": True}, {"include_initial": True}),
    *({"UPLO": "U"}, {"compute_uv": False}, {"mode": "r"}, {"full_matrices": False}, {"hermitian": True}),
    *({"min": 0.1}, {"max": 0.5}, {"min": 0.1, "max": 0.5}, {"copy": False}, {"ndmin": 2}, {"increasing": True}),
]

# Functions that none of these calls fits.
ARRAY3 = rng.normal(size=(2, 3, 4))
PARTICULAR = {
    "einsum": [lambda x: np.einsum(x, [0], [0]), lambda x: np.einsum("i,i", x, x, dtype=float)],
    "interp": [
        lambda x: np.interp(x, OTHER.cumsum(), [1.0, 5.0, 2.0], 7.0, x[0]),
        lambda x: np.interp(x, [0.0, 1.0, 2.0], OTHER, period=3.0),
        lambda x: np.interp(x[0], x.cumsum(), OTHER),
    ],
    "pad": [
        lambda x: np.pad(x, 2, mode="linear_ramp"),
        lambda x: np.pad(x, 2, mode="mean"),
        lambda x: np.pad(x, 1, constant_values=x[0]),
    ],
    "take": [lambda x: np.take(x, [0, 7], mode="wrap"), lambda x: np.take(x, [0, 7], mode="clip")],
    "choose": [
        lambda x: np.choose([0, 2, 1], [x, 2 * x, x * x]),
        lambda x: np.choose([0, 7], [x[:2], x[1:3]], mode="wrap"),
    ],
    "quantile": [lambda x: np.quantile(x, 0.3, method="nearest"), lambda x: np.quantile(x, [0.2, x[0]])],
    "percentile": [lambda x: np.percentile(x, 30, axis=-1, keepdims=True)],
    "cov": [lambda x: np.cov(x, fweights=[1, 2, 3]), lambda x: np.cov(x, OTHER, False)],
    "searchsorted": [
        lambda x: np.searchsorted(np.sort(x), 0.5),
        lambda x: np.searchsorted([0.1, 0.2], x, side="right"),
    ],
    "lexsort": [lambda x: np.lexsort((x, x))],
    "linalg.tensorinv": [lambda x: np.linalg.tensorinv(x, ind=1)],
    "linalg.tensorsolve": [lambda x: np.linalg.tensorsolve(x, OTHER)],
    "linalg.lstsq": [lambda x: np.linalg.lstsq(x, OTHER), lambda x: np.linalg.lstsq(x[:, :2], OTHER, rcond=1e-3)],
    "linalg.multi_dot": [lambda x: np.linalg.multi_dot([x, x, x])],
    "concatenate": [
        lambda x: np.concatenate([x, x], dtype=np.float32),
        lambda x: np.concatenate([x, x], out=np.zeros(6)),
    ],
    "stack": [lambda x: np.stack([x, x], dtype=float), lambda x: np.stack([x, x], casting="unsafe")],
    "dsplit": [lambda x: np.dsplit(x[None, None], [1])],
    "histogram": [lambda x: np.histogram(x), lambda x: np.histogram(OTHER, weights=x)],
    "histogram2d": [lambda x: np.histogram2d(x, OTHER)],
    "histogramdd": [lambda x: np.histogramdd(np.stack([x, x], -1))],
    "arange": [lambda x: np.arange(x[0]), lambda x: np.arange(0.0, 2.0, abs(x[1]))],
    "full": [lambda x: np.full(3, x[0]), lambda x: np.full((2, 3), x), lambda x: np.full(3, x[0], dtype=float)],
    "mintypecode": [],
    "kaiser": [lambda x: np.kaiser(5, x[0])],
    "polyfit": [lambda x: np.polyfit(x, OTHER, 1), lambda x: np.polyfit(x, OTHER, 1, full=True)],
    "polyint": [lambda x: np.polyint(x, k=x[0])],
    "polyder": [lambda x: np.polyder(np.poly1d([1.0, 2.0, 3.0]) * x[0])],
    "vander": [lambda x: np.vander(x, 5, increasing=True)],
    "unwrap": [lambda x: np.unwrap(9 * x, discont=4.0)],
    "bincount": [lambda x: np.bincount([0, 1, 1], x), lambda x: np.bincount([0, 1, 1], weights=x * x, minlength=4)],
    "put": [lambda x: _written(np.put, [0, 1, 2], x), lambda x: np.put(x, [0], 1.0)],
    "place": [lambda x: _written(np.place, MASK, x), lambda x: np.place(x, x > 0, 1.0)],
    "putmask": [lambda x: _written(np.putmask, MASK, x), lambda x: np.putmask(x, x > 0, 1.0)],
    "copyto": [lambda x: _written(np.copyto, x), lambda x: np.copyto(x, 1.0)],
    "put_along_axis": [lambda x: _written(np.put_along_axis, np.array([0, 1, 2]), x, 0)],
    "fill_diagonal": [lambda x: np.fill_diagonal(x, 1.0), lambda x: np.fill_diagonal(np.zeros((3, 3)), x)],
    "asmatrix": [lambda x: np.asmatrix(x), lambda x: np.asmatrix([x[0], x[1]])],
    "geomspace": [lambda x: np.geomspace(abs(x[0]), 3.0, 4), lambda x: np.geomspace(-1.0, -abs(x), 4)],
    "logspace": [lambda x: np.logspace(x, 1.0, 3, base=abs(x[0])), lambda x: np.logspace(x[0], 1.0, 3, endpoint=False)],
    "linspace": [
        lambda x: np.linspace(x[0], x, 4, retstep=True),
        lambda x: np.linspace(0.0, x, 4, endpoint=False, axis=-1),
    ],
    "nan_to_num": [lambda x: np.nan_to_num(np.where(x > 0.35, x, np.nan), nan=1.0)],
    "clip": [lambda x: np.clip(x, 0.35, None), lambda x: np.clip(0.5, x[0], x), lambda x: np.clip(x, -x, x)],
    "piecewise": [lambda x: np.piecewise(x, [x > 0, x > 0.5], [1.0, lambda v, k: k * v], 3.0)],
    "select": [lambda x: np.select([x > 0.5, x > 0], [x, x**2], default=x[0])],
    "apply_along_axis": [lambda x: np.apply_along_axis(lambda v, k: k * v, 0, x, k=2.0)],
    "apply_over_axes": [lambda x: np.apply_over_axes(np.sum, x, [0])],
    "insert": [lambda x: np.insert(x, [0, 2], x[:2]), lambda x: np.insert(OTHER, 1, x)],
    "can_cast": [lambda x: np.can_cast(x.dtype, np.float32)],
    "result_type": [lambda x: np.result_type(x, np.float32)],
    "min_scalar_type": [lambda x: np.min_scalar_type(x[0])],
    "common_type": [lambda x: np.common_type(x)],
    "ravel": [lambda x: np.ravel(x, order="F")],
    "roll": [lambda x: np.roll(x, (1, -1), (0, -1))],
    "diff": [lambda x: np.diff(x, 2, prepend=x[:1])],
    "trapezoid": [lambda x: np.trapezoid(x, x**3), lambda x: np.trapezoid(x, dx=x[0])],
    "average": [lambda x: np.average(x, weights=x, returned=True), lambda x: np.average(x, axis=0, weights=OTHER)],
    "meshgrid": [lambda x: np.meshgrid(x, OTHER, sparse=True), lambda x: np.meshgrid(x, OTHER, copy=False)],
    "ldexp": [lambda x: np.ldexp(x, np.array([1, -1, 3])), lambda x: np.ldexp(x, 2)],
    "matrix_power": [lambda x: np.linalg.matrix_power(x, 0)],
    "bitwise_count": [lambda x: np.bitwise_count(x)],
    "isfortran": [lambda x: np.isfortran(x)],
    "ix_": [lambda x: np.ix_(x, x)],
    **{name: [lambda x, name=name: getattr(np, name)(x, 1), lambda x, name=name: getattr(np, name)(2, x)]
       for name in """bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift left_shift right_shift
       gcd lcm busday_count busday_offset""".split()},
    **{name: [lambda x, name=name: getattr(np, name)(x)]
       for name in "bitwise_invert bitwise_not invert packbits unpackbits isnat is_busday".split()},
}  # fmt: skip


def _written(write, *args):
    y = np.zeros(3)
    write(y, *args)
    return y


# ------------------------------------------------------------------------------------------------------------- outcomes
def outputs(y):
    """All numbers in what a function returned, as one vector; None if it is not made of numbers."""
    if isinstance(y, (list, tuple)):
        parts = [outputs(part) for part in y]
        return None if any(part is None for part in parts) or not parts else np.concatenate(parts)
    if y is None or isinstance(y, (str, bytes, type, np.dtype, dict)):
        return None
    if isinstance(y, np.ndarray) and y.dtype.kind not in "fiubcO":
        return None
    try:
        return np.ravel(y) if hasattr(y, "dtype") else np.ravel(np.asarray(y))
    except NotDifferentiable:
        raise
    except Exception:
        return None


def slope(f, x, direction):
    """The derivative along a direction, by differences at two steps; None where they disagree."""
    quotients = []
    for h in (1e-5, 1e-6):
        ahead, behind = (np.asarray(outputs(f(x + s * h * direction))) for s in (1, -1))
        if ahead.shape != behind.shape or ahead.dtype.kind not in "fiub":
            return None
        ahead, behind = ahead.astype(float), behind.astype(float)
        quotients.append((ahead - behind) / (2 * h))
    scale = max(1.0, float(np.max(np.abs(quotients[0]), initial=0.0)))
    return quotients[0] if np.all(np.abs(quotients[0] - quotients[1]) < 1e-3 * scale) else None


# What stands in the way of lists and object arrays, of which NumPy's compiled code does not say for whom it works.
OBSTACLES = {
    "the truth of a traced number",
    "max, min or sort of a list",
    "an array of Python objects",
    "float()",
    "int()",
    "numpy.matrix",
    "it does what a traced array cannot do",
}


def says_all(error, names):
    """A refusal names the function, the line of the caller, and what to write instead."""
    message = str(error)
    names = names | OBSTACLES
    assert any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", message) for name in names), message
    assert re.search(r"test_api_walk\.py:\d+", message), message
    assert message.partition(" Instead: ")[2].strip(), message
    return "refused"


def follows(call, x, names):
    """Both modes along one direction: value and derivative, or 'refused' with a message that says all."""
    direction = rng.normal(size=x.shape)
    try:
        y, dy = ad.jvp(lambda x: outputs(call(x)), (x,), (direction,))
        value, pull = ad.vjp(lambda x: outputs(call(x)), x)
    except NotDifferentiable as error:
        return says_all(error, names)
    np.testing.assert_allclose(np.asarray(y, float), np.asarray(value, float), rtol=1e-13, atol=1e-14)
    cotangent = rng.normal(size=np.shape(y))
    np.testing.assert_allclose(np.sum(pull(cotangent) * direction), np.sum(cotangent * dy), rtol=1e-9, atol=1e-10)
    return direction, y, dy


def outcome(call, x, names):
    """'skipped' if NumPy does not accept the call; else 'derivative', 'constant' or 'refused', after checking."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            before = x.copy()
            result = call(x.copy())
            plain, again = outputs(result), outputs(call(x.copy()))
        except MathdlError:
            raise
        except Exception:
            return "skipped"
        assert np.array_equal(before, x)
        if isinstance(result, (str, np.dtype, type)):
            found = []
            ad.jvp(lambda x: found.append(call(x)) or x, (x,), (x,))
            assert found == [result] or found == [np.dtype(object)]  # of a list
            return "constant"
        if plain is None or plain.dtype.kind not in "fiubc" or not np.array_equal(plain, again, equal_nan=True):
            return "skipped"  # objects, random or uninitialised numbers
        followed = follows(call, x, names)
        if followed == "refused":
            return "refused"
        direction, y, dy = followed
        truth = slope(call, x, direction)
        assert plain.dtype.kind != "c"
        np.testing.assert_allclose(np.asarray(y, float), np.asarray(plain, float), rtol=1e-11, atol=1e-12)
        if truth is None:
            return "at a jump"
        np.testing.assert_allclose(dy, truth, rtol=2e-4, atol=2e-6)
        return "derivative" if np.any(dy) else "constant"


def refused_by_name(call, x, names):
    """What NumPy itself does not do with floating-point numbers is refused by name as well, and writes nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(MathdlError) as caught:
            ad.jvp(call, (x,), (x,))
    return says_all(caught.value, names)


def names_of(name):
    """The last part of a function's name, and of all that mean the same."""
    also = {"float_power": "power"}.get(PUBLIC[name].__name__, PUBLIC[name].__name__)
    return {other.rpartition(".")[2] for other, f in PUBLIC.items() if f is PUBLIC[name]} | {also}


def walk(name):
    f = PUBLIC[name]
    names = names_of(name)
    calls = [(str(k), lambda x, a=attempt: a(f, x)) for k, attempt in enumerate(ATTEMPTS)]
    calls += [(str(kwargs), lambda x, kwargs=kwargs: f(x, **kwargs)) for kwargs in KEYWORDS]
    particular = PARTICULAR.get(name.removeprefix("numpy."), [])
    calls += [(f"particular {k}", call) for k, call in enumerate(particular)]
    found = {}
    for label, call in calls:
        for j, x in enumerate(POINTS):
            try:
                found[label, j] = outcome(call, x, names)
            except AssertionError as error:
                raise AssertionError(f"{name}, call {label} at x = {x}") from error
    if KIND[name] == "refused":
        for call in particular:
            found[call] = refused_by_name(call, VECTOR, names)
    return found


# --------------------------------------------------------------------------------------------------------------- NumPy
@pytest.fixture(scope="module")
def verdicts():
    return {}


# Each has a test of its own below.
BY_HAND = {"numpy.bmat", "numpy.empty_like", "numpy.logical_and", "numpy.logical_or"}


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - NOT_OF_ARRAYS - BY_HAND))
def test_a_right_derivative_or_a_named_error(name, verdicts):
    found = set(walk(name).values())
    verdicts[name] = found
    if KIND[name] == "derivative":
        assert "derivative" in found
    elif KIND[name] == "constant":
        assert "constant" in found
        assert "derivative" not in found
    else:
        assert "refused" in found


def test_uninitialised_arrays_are_constants():
    y, dy = ad.jvp(lambda x: np.empty_like(x) * 0.0 + x, (np.zeros(3),), (VECTOR,))
    assert y.shape == (3,)
    np.testing.assert_array_equal(dy, VECTOR)


def test_bmat():
    """It asks for lists and ndarrays, and gives None for all else."""
    assert outcome(lambda x: np.bmat([[x, x]]), VECTOR, {"bmat"}) == "derivative"
    assert outcome(lambda x: np.bmat([x, x]), VECTOR, {"bmat"}) == "refused"
    with pytest.raises(InvalidInput, match="got None"):
        ad.jvp(np.bmat, (VECTOR,), (VECTOR,))


@pytest.mark.parametrize("f", [np.logical_and, np.logical_or])
def test_logical_functions(f):
    """Of lists, NumPy makes Python's ``and``, which gives an operand: refused, as soon as a traced number is asked."""
    names = {f.__name__}
    for a, b in ((lambda x: x, lambda x: x), (lambda x: x > 0, lambda x: x), (lambda x: x[0], lambda x: 0.0)):
        for x in POINTS:
            assert outcome(lambda x, a=a, b=b: f(a(x), b(x)), x, names) == "constant"
    for call in (
        lambda x: f([x], [x]),
        lambda x: f([x], [1.0]),
        lambda x: f.reduce([x[0], x[1]]),
        lambda x: f([x, x], 1),
    ):
        assert outcome(call, VECTOR, names) == "refused"


def test_what_the_walk_leaves_out_is_no_function_of_arrays():
    """Exactly these are never called: the tables and the walk agree about all others."""
    walked = set(PUBLIC) - NOT_OF_ARRAYS
    assert {name for name, kind in KIND.items() if kind == "no function of arrays"} == set(PUBLIC) - walked
    for name in sorted(set(PUBLIC) & NOT_OF_ARRAYS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert not isinstance(PUBLIC[name], np.ufunc), name
    assert sum(map(len, supported().values())) == len(PUBLIC)
    assert len(supported()["derivative"]) >= 230


# ---------------------------------------------------------------------------------------------------- methods of ufuncs
METHODS = {
    "reduce": [
        lambda f, x: f.reduce(x),
        lambda f, x: f.reduce(x, 0),
        lambda f, x: f.reduce(x, axis=None),
        lambda f, x: f.reduce(x, axis=-1, keepdims=True),
        lambda f, x: f.reduce(x, axis=0, initial=0.5),
        lambda f, x: f.reduce(x, axis=0, initial=0.5, where=MASK),
        lambda f, x: f.reduce(x, axis=0, dtype=np.float32),
        lambda f, x: f.reduce(x, 0, None, np.zeros(x.shape[1:])),
    ],
    "accumulate": [
        lambda f, x: f.accumulate(x),
        lambda f, x: f.accumulate(x, axis=-1),
        lambda f, x: f.accumulate(x, 0, None, np.zeros(x.shape)),
    ],
    "outer": [
        lambda f, x: f.outer(x, x),
        lambda f, x: f.outer(OTHER, x),
        lambda f, x: f.outer(x, 2.0),
        lambda f, x: f.outer(x, x[0], out=np.zeros(x.shape + x[0].shape)),
    ],
    "reduceat": [lambda f, x: f.reduceat(x, [0, 1]), lambda f, x: f.reduceat(x, [0, 1], axis=-1)],
    "at": [lambda f, x: _at(f, np.ones(len(x)), x[:2]), lambda f, x: _at(f, x.copy(), np.ones(2))],
}


def _at(f, y, x):
    f.at(y, [0, 1], x) if f.nin == 2 else f.at(y, [0])
    return y


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", sorted(UFUNCS))
def test_ufunc_methods(name, method):
    for call in METHODS[method]:
        for x in (POSITIVE, SQUARE, 1 + POSITIVE):
            outcome(lambda x, call=call: call(UFUNCS[name], x), x, names_of(name))


ARGUMENTS = {
    "out": lambda f, args, like: f(*args, out=like),
    "out in a tuple": lambda f, args, like: f(*args, out=(like,)),
    "where": lambda f, args, like: f(*args, where=MASK),
    "where and out": lambda f, args, like: f(*args, out=like, where=MASK),
    "dtype": lambda f, args, like: f(*args, dtype=np.float32),
    "casting": lambda f, args, like: f(*args, casting="unsafe"),
    "order": lambda f, args, like: f(*args, order="F"),
    "subok": lambda f, args, like: f(*args, subok=False),
    "signature": lambda f, args, like: f(*args, signature="d" * f.nin + "->" + "d" * f.nout),
    "positional out": lambda f, args, like: f(*args, like),
}


@pytest.mark.parametrize("argument", ARGUMENTS)
@pytest.mark.parametrize("name", sorted(UFUNCS))
def test_ufunc_arguments(name, argument):
    """None may change what is computed without its derivative: refused, and nothing is written."""
    f = UFUNCS[name]
    call = ARGUMENTS[argument]
    if f.nout > 1:
        return
    for x in (POSITIVE, 1 + POSITIVE):
        args = (x,) * f.nin
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                like = np.zeros_like(np.asarray(f(*args)))
                call(f, args, np.zeros_like(like))
            except Exception:
                continue
            with pytest.raises(NotDifferentiable) as caught:
                ad.jvp(lambda x, like=like: call(f, (x,) * f.nin, like), (x,), (x,))
            says_all(caught.value, names_of(name))
            assert not np.any(like)


# ---------------------------------------------------------------------------------------------------------- ndarray
# How each public attribute of an array is used; those that are not methods are only looked at.
USES = {
    "all": [lambda x: x.all(), lambda x: x.all(axis=0)],
    "argpartition": [lambda x: x.argpartition(1)],
    "astype": [lambda x: x.astype(float), lambda x: x.astype(np.float64, copy=False), lambda x: x.astype(int)],
    "byteswap": [lambda x: x.byteswap()],
    "choose": [lambda x: x.choose([1.0, 2.0])],
    "clip": [lambda x: x.clip(0.0, 0.4), lambda x: x.clip(0.35), lambda x: x.clip(max=x[0])],
    "compress": [lambda x: x.compress([True, False, True]), lambda x: x.compress([0, 1], axis=0)],
    "diagonal": [lambda x: (x[:, None] * x).diagonal()],
    "dot": [lambda x: x.dot(OTHER), lambda x: x.dot(x)],
    "dump": [lambda x: x.dump("/nowhere/at/all")],
    "dumps": [lambda x: x.dumps()],
    "fill": [lambda x: x.fill(1.0)],
    "getfield": [lambda x: x.getfield(float)],
    "item": [lambda x: x.item(0), lambda x: x[:1].item(), lambda x: (x[:, None] * x).item(1, 2), lambda x: x.item(-1)],
    "itemset": [],
    "newbyteorder": [],
    "partition": [lambda x: x.partition(1)],
    "ptp": [],
    "put": [lambda x: x.put([0], 1.0)],
    "repeat": [lambda x: x.repeat(2)],
    "reshape": [lambda x: x.reshape(3, 1), lambda x: x.reshape((1, -1)), lambda x: x.reshape(-1, order="F")],
    "resize": [lambda x: x.resize(6)],
    "round": [lambda x: x.round(), lambda x: x.round(1)],
    "searchsorted": [lambda x: x.searchsorted(0.5)],
    "setfield": [lambda x: x.setfield(1.0, float)],
    "setflags": [lambda x: x.setflags(write=False)],
    "sort": [lambda x: x.sort()],
    "swapaxes": [lambda x: (x[:, None] * x).swapaxes(0, 1)],
    "take": [lambda x: x.take([0, 2]), lambda x: x.take(1)],
    "to_device": [lambda x: x.to_device("cpu")],
    "tofile": [lambda x: x.tofile("/nowhere/at/all")],
    "trace": [lambda x: (x[:, None] * x).trace(), lambda x: (x[:, None] * x).trace(1)],
    "transpose": [lambda x: x.transpose(), lambda x: (x[:, None] * x).transpose(1, 0)],
    "mT": [lambda x: (x[:, None] * x).mT],
    "view": [lambda x: x.view(), lambda x: x.view(np.int64)],
    "flat": [lambda x: np.array(list(x.flat)), lambda x: x.flat[1], lambda x: x.flat[::2], lambda x: len(x.flat)],
    "data": [lambda x: np.asarray(x.data)],
    "ctypes": [lambda x: x.ctypes.data],
    "base": [lambda x: np.zeros(1) if x.base is None else x.base],
    "strides": [lambda x: np.array(x.strides)],
    "flags": [lambda x: np.array(x.flags.writeable)],
    "shape": [lambda x: np.array(x.shape)],
    "dtype": [lambda x: x.dtype],
    "device": [lambda x: x.device],
}
REFUSED = set(
    """astype base byteswap choose ctypes data dump dumps fill flags getfield partition put resize setfield setflags
    sort strides to_device tobytes tofile view""".split()
)
ATTRIBUTES = [name for name in dir(np.ndarray) if not name.startswith("_")]


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_every_attribute_of_an_array(name):
    """Right, constant or refused by name; never missing, and never None."""
    plain = callable(getattr(np.ndarray, name))
    uses = USES.get(name, [(lambda x: getattr(x, name)()) if plain else (lambda x: getattr(x, name))])
    found = set()
    for use in uses:
        x = VECTOR.copy()
        verdict = outcome(use, x, {name})
        if verdict == "skipped":
            verdict = refused_by_name(use, x, {name})
        found.add(verdict)
    assert ("refused" in found) == (name in REFUSED)
    assert "at a jump" not in found


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_every_attribute_of_a_number(name):
    def look(x):
        try:
            getattr(x[0], name)
        except NotDifferentiable as error:
            says_all(error, {name})
        except ValueError:
            with pytest.raises(ValueError, match=r"ndim|dimension"):
                getattr(np.zeros(()), name)
        return x

    ad.jvp(look, (VECTOR,), (VECTOR,))


@pytest.mark.parametrize("name", ["__array__", "__array_interface__", "__array_struct__", "__dlpack__", "__buffer__"])
def test_nothing_can_take_the_numbers_out(name):
    def look(x):
        assert not hasattr(x, name)
        assert not hasattr(x[0], name)
        return x

    ad.jvp(look, (VECTOR,), (VECTOR,))


# -------------------------------------------------------------------------------------------------------------- SciPy
SPECIAL = {name: f for name, f in vars(special).items() if isinstance(f, np.ufunc)}


@pytest.mark.parametrize("name", sorted(SPECIAL))
def test_functions_of_scipy_special(name):
    f = SPECIAL[name]
    x = np.array([0.31, 0.62, 0.57])
    calls = [lambda x: f(*(x,) * f.nin), lambda x: f.reduce(x), lambda x: f(*(x,) * f.nin, np.zeros(3))]
    calls += [lambda x, k=k: f(*(x if j == k else 1.5 + j for j in range(f.nin))) for k in range(f.nin)]
    calls += [lambda x, k=k: f(*(x if j == k else 2 + j for j in range(f.nin))) for k in range(f.nin)]
    for call in calls:
        outcome(call, x, {name, f.__name__})


@pytest.mark.parametrize("f", [special.logsumexp, special.log_softmax])
@pytest.mark.parametrize("x", [VECTOR, SQUARE], ids=str)
def test_python_functions_of_scipy_special_are_refused_by_name(f, x):
    assert outcome(f, x, {f.__name__}) == "refused"
    assert outcome(lambda x: f(x, axis=-1), x, {f.__name__}) == "refused"


def test_log_sum_exp():
    """What the refusal of logsumexp says to write instead."""
    for x in (VECTOR, SQUARE, 700 + SQUARE):
        for axis in (0, -1, None):
            call = lambda x, axis=axis: np.logaddexp.reduce(x, axis=axis)  # noqa: E731
            assert outcome(call, x, set()) == "derivative"
            np.testing.assert_allclose(ad.vjp(call, x)[0], special.logsumexp(x, axis=axis), rtol=1e-14)
    assert outcome(special.softmax, VECTOR, set()) == "derivative"
