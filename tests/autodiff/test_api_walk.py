"""Every public function of NumPy with traced arguments: a right derivative, a constant, or a named error."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest

from mathdl import autodiff as ad
from mathdl.errors import InvalidInput, NotDifferentiable

rng = np.random.default_rng(3)
SQUARE = rng.normal(size=(3, 3)) + 3 * np.eye(3)
SQUARE = SQUARE @ SQUARE.T + 0.1 * rng.normal(size=(3, 3))
VECTOR = np.array([0.31, -0.62, 0.57])
POSITIVE = np.array([0.4, 1.3, 0.7])
OTHER = np.array([1.1, 0.8, -0.3])
FOUR = rng.uniform(0.2, 0.9, size=(4, 4))

NAMESPACES = {"numpy": np, "numpy.linalg": np.linalg, "numpy.fft": np.fft}
FUNCTIONS = {
    f"{space}.{name}": getattr(module, name)
    for space, module in NAMESPACES.items()
    for name in sorted(dir(module))
    if not name.startswith("_") and callable(getattr(module, name)) and not inspect.isclass(getattr(module, name))
}
UFUNCS = {name: f for name, f in FUNCTIONS.items() if isinstance(f, np.ufunc)}
# No functions of arrays: they read files, print, configure, or give uninitialised memory.
NOT_OF_ARRAYS = set(
    """
    numpy.save numpy.savez numpy.savez_compressed numpy.savetxt numpy.load numpy.loadtxt numpy.genfromtxt
    numpy.fromfile numpy.fromregex numpy.info numpy.show_config numpy.show_runtime numpy.test numpy.seterr
    numpy.geterr numpy.seterrcall numpy.geterrcall numpy.setbufsize numpy.getbufsize numpy.set_printoptions
    numpy.get_printoptions numpy.get_include numpy.linalg.test numpy.fft.test numpy.memmap numpy.from_dlpack
    numpy.frompyfunc numpy.fromfunction numpy.fromiter numpy.fromstring numpy.frombuffer numpy.empty_like
    numpy.printoptions numpy.errstate
    """.split()
)


def attempts(f):
    """Ways to call a function with an array x; those that NumPy itself accepts are tested."""
    return [
        lambda x: f(x),
        lambda x: f(x, x),
        lambda x: f(x, OTHER),
        lambda x: f(OTHER, x),
        lambda x: f(x, 2),
        lambda x: f(2, x),
        lambda x: f(x, 1, 0),
        lambda x: f(x, 0, 1),
        lambda x: f([x, x]),
        lambda x: f(x, (0,)),
        lambda x: f(x, (2, 9)),
        lambda x: f((6,), x),
        lambda x: f(x > 0, x, OTHER),
        lambda x: f([x > 0], [x]),
        lambda x: f(x, x, x),
        lambda x: f(x, 0, 1, 0),
        lambda x: f("i->i", x) if x.ndim == 1 else f("ij->j", x),
        lambda x: f("ij,jk->ik", x, x),
        lambda x: f(x, np.array([0, 2]), 0),
        lambda x: f(x, np.argsort(x, axis=-1), -1),
        lambda x: f(x, x > 0, x),
        lambda x: f(x.copy(), x > 0, 1.0),
        lambda x: f(np.zeros(3), x),
        lambda x: f(np.zeros(3), x > 0, x),
        lambda x: f(np.sum, 0, x),
        lambda x: f(lambda row: row * 2, 0, x),
        lambda x: f(x[0]),
        lambda x: f(3, x[0]),
        lambda x: f(x[0], 2.0),
        lambda x: f(np.array([0, 1, 1]), x),
        lambda x: f([0, 1, 2], [x, x, x]),
        lambda x: f(x, [x > 0], [lambda v: v**2]),
    ]


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


def outcome(call, x):
    """'skipped' if NumPy does not accept the call; else 'derivative', 'constant' or 'refused', after checking."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            before = x.copy()
            plain = outputs(call(x.copy()))
            again = outputs(call(x.copy()))
        except NotDifferentiable:
            raise
        except Exception:
            return "skipped"
        if plain is None or plain.dtype.kind in "OSU" or not np.array_equal(plain, again, equal_nan=True):
            return "skipped"  # files, strings, random or uninitialised numbers
        assert np.array_equal(before, x)
        direction = rng.normal(size=x.shape)
        try:
            y, dy = ad.jvp(lambda x: outputs(call(x)), (x,), (direction,))
            value, pull = ad.vjp(lambda x: outputs(call(x)), x)
        except (NotDifferentiable, InvalidInput):
            return "refused"
        except (TypeError, ValueError, AttributeError, IndexError) as error:
            return "error: " + repr(error)
        truth = slope(call, x, direction)
        for found in (y, value):
            np.testing.assert_allclose(np.asarray(found, float), np.asarray(plain, float), rtol=1e-11, atol=1e-12)
        if truth is None or plain.dtype.kind == "c":
            return "at a jump"
        np.testing.assert_allclose(dy, truth, rtol=2e-4, atol=2e-6)
        cotangent = rng.normal(size=np.shape(y))
        np.testing.assert_allclose(np.sum(pull(cotangent) * direction), np.sum(cotangent * dy), rtol=1e-9, atol=1e-10)
        return "derivative" if np.any(dy) else "constant"


def test_logical_functions_of_lists_are_python_s_and_or():
    """NumPy calls Python's ``and`` on object arrays, which gives an operand; beside a boolean it is refused."""
    x = np.array([0.5, -0.5])
    with pytest.raises(NotDifferentiable, match="holds a bool"):
        ad.jacobian(lambda x: np.logical_or([x > 0], [x]))(x)
    assert not np.any(ad.jacobian(lambda x: np.logical_or(x > 0, x))(x))


def walk(f):
    found = {}
    for k, call in enumerate(attempts(f)):
        if f in (np.logical_and, np.logical_or) and k in (8, 13, 30):  # with lists
            continue  # see the test above
        for j, x in enumerate((VECTOR, POSITIVE, SQUARE, FOUR, 1 + POSITIVE)):
            try:
                found[k, j] = outcome(call, x)
            except AssertionError as error:
                raise AssertionError(f"attempt {k} at x = {x}") from error
    return found


@pytest.fixture(scope="module")
def verdicts():
    return {}


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - NOT_OF_ARRAYS))
def test_a_right_derivative_or_a_named_error(name, verdicts):
    found = set(walk(FUNCTIONS[name]).values()) - {"skipped", "at a jump"}
    errors = {verdict for verdict in found if verdict.startswith("error")}
    assert not errors
    verdicts[name] = found


def test_the_walk_reached_nearly_everything(verdicts):
    silent = {name for name, found in verdicts.items() if not found}
    supported = sorted(name for name, found in verdicts.items() if "derivative" in found)
    constant = sorted(name for name, found in verdicts.items() if "derivative" not in found and "constant" in found)
    refused = sorted(name for name, found in verdicts.items() if found == {"refused"})
    print(f"\n{len(supported)} functions with derivatives, {len(constant)} constant, {len(refused)} refused by name,")
    print(f"{len(silent)} not called with arrays: {' '.join(sorted(silent))}")
    print("constant:", *constant)
    print("refused:", *refused)
    if len(verdicts) == len(set(FUNCTIONS) - NOT_OF_ARRAYS):  # not when the tests are shared out among processes
        assert len(supported) >= 200
        assert len(silent) <= 60


METHODS = {
    "reduce": [lambda f, x: f.reduce(x), lambda f, x: f.reduce(x, 0), lambda f, x: f.reduce(x, axis=None)],
    "accumulate": [lambda f, x: f.accumulate(x), lambda f, x: f.accumulate(x, axis=0)],
    "outer": [lambda f, x: f.outer(x, x), lambda f, x: f.outer(OTHER, x), lambda f, x: f.outer(x, 2.0)],
    "reduceat": [lambda f, x: f.reduceat(x, [0, 1])],
    "at": [lambda f, x: _at(f, x)],
}


def _at(f, x):
    y = np.ones(len(x))
    f.at(y, [0, 1], x[:2]) if f.nin == 2 else f.at(x, [0])
    return y


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", sorted(UFUNCS))
def test_ufunc_methods(name, method):
    for call in METHODS[method]:
        for x in (POSITIVE, SQUARE, 1 + POSITIVE):
            assert not outcome(lambda x, call=call: call(UFUNCS[name], x), x).startswith("error")


ARGUMENTS = {
    "out": lambda f, args, like: f(*args, out=like),
    "out of another array": lambda f, args, like: f(*args, out=(like,)),
    "where": lambda f, args, like: f(*args, where=np.array([True, False, True])),
    "where and out": lambda f, args, like: f(*args, out=like, where=np.array([True, False, True])),
    "dtype": lambda f, args, like: f(*args, dtype=np.float32),
    "casting": lambda f, args, like: f(*args, casting="unsafe"),
    "order": lambda f, args, like: f(*args, order="F"),
    "positional out": lambda f, args, like: f(*args, like),
}


@pytest.mark.parametrize("argument", ARGUMENTS)
@pytest.mark.parametrize("name", sorted(UFUNCS))
def test_ufunc_arguments(name, argument):
    """None may change what is computed without its derivative: refused, unless it says what is so anyway."""
    f = UFUNCS[name]
    call = ARGUMENTS[argument]
    if f.nout > 1 or f.signature is not None:
        return
    for x in (POSITIVE, 1 + POSITIVE):
        args = (x,) * f.nin
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                call(f, args, np.zeros_like(np.asarray(f(*args))))
            except Exception:
                continue
            like = np.zeros_like(np.asarray(f(*args)))
            with pytest.raises(NotDifferentiable, match=r"test_api_walk.py:\d+"):
                ad.jvp(lambda x, like=like: call(f, (x,) * f.nin, like), (x,), (x,))
            assert not np.any(like)


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "max", "min", "cumsum", "std", "var", "clip"])
@pytest.mark.parametrize("as_method", [True, False])
def test_arguments_of_reductions(name, as_method):
    def call(x, *args, **kwargs):
        return getattr(x, name)(*args, **kwargs) if as_method else getattr(np, name)(x, *args, **kwargs)

    args = (0.1, 0.9) if name == "clip" else ()
    y = call(VECTOR, *args)
    for kwargs in ({"out": np.zeros_like(y)}, {"dtype": np.float32}, {"where": np.array([True, False, True])}):
        try:
            call(VECTOR, *args, **kwargs)
        except Exception:
            continue
        with pytest.raises(NotDifferentiable):
            ad.jvp(lambda x, kwargs=kwargs: call(x, *args, **kwargs), (VECTOR,), (VECTOR,))
