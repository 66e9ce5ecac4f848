"""Compiled derivatives: the same numbers as the derivative itself, for other arguments than those compiled with."""

from __future__ import annotations

import collections
import dataclasses
import functools
import types
import warnings
from collections import namedtuple

import cases
import numpy as np
import programs
import pytest
from hypothesis import HealthCheck, given, reject, settings

import mathdl as md
from mathdl.autodiff.compiling import cleaning
from mathdl.errors import InvalidInput, NotDifferentiable

CASES = {
    **{f"{f.__name__} {k}": case for f, row in cases.ELEMENTWISE.items() for k, case in enumerate(row)},
    **{f"{f.__module__}.{f.__name__} {k}": case for f, row in cases.OTHER.items() for k, case in enumerate(row)},
    **{f"special.{name} {k}": case for name, row in cases.SPECIAL_CASES.items() for k, case in enumerate(row)},
    **{f"power {k}": case for k, case in enumerate(cases.POWERS)},
    **{f"x[{name}]": case for name, case in cases.INDEXING.items()},
}
# Derivatives whose form depends on values: these cannot be compiled, and say so.
REFUSED = {
    "x[mask of the value]",
    *("numpy.trim_zeros 0", "numpy.polymul 0", "numpy.polymul 1", "numpy.piecewise 0", "numpy.piecewise 1"),
    "numpy.geomspace 0",
}


def nearby(x):
    """Another point of the same shape, not far from the case's own."""
    return x * 1.01 if x.ndim == 0 else x * np.linspace(0.97, 1.03, x.size).reshape(x.shape)


def same(ours, theirs):
    assert np.shape(ours) == np.shape(theirs)
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(
        ours, theirs, rtol=1e-12, atol=1e-13 * max(1.0, float(np.max(np.abs(theirs), initial=0)))
    )


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("name", CASES)
def test_every_rule_compiled(name, mode):
    f, x = CASES[name]
    jacobian = md.jacobian(f, mode)
    if name in REFUSED:
        with pytest.raises(NotDifferentiable):
            md.compile(jacobian, x)
        return
    compiled = md.compile(jacobian, x)
    for point in (x, nearby(x)):
        same(compiled(point), jacobian(point))


@pytest.mark.parametrize("name", CASES)
def test_second_derivatives_compiled(name):
    f, x = CASES[name]
    weights = np.random.default_rng(1).normal(size=np.shape(f(x)))
    hessian = md.hessian(lambda x: np.sum(weights * np.sin(f(x))))
    if name in REFUSED:
        return
    compiled = md.compile(hessian, x)
    for point in (x, nearby(x)):
        same(compiled(point), hessian(point))


# ----------------------------------------------------------------------------------------------------- random programs
@pytest.fixture(params=["as it is", "buffers used again"])
def threshold(request, monkeypatch):
    """Once with the size from which arrays are written over, and once with arrays of all sizes written over."""
    if request.param == "buffers used again":
        monkeypatch.setattr(cleaning, "LARGE", 1)


def compiled_or_refused(derivative, x):
    """A few programs are refused: those that NumPy gives lists of traced numbers to, and looks into these."""
    try:
        return md.compile(derivative, x)
    except NotDifferentiable:
        reject()  # and if these are many, hypothesis complains


LESS = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@LESS
@given(f=programs.STRAIGHT, x=programs.points(), y=programs.points())
def test_random_programs(threshold, f, x, y):
    with np.errstate(all="ignore"):
        for derivative in (md.jacobian(f, "forward"), md.jacobian(f, "reverse"), md.grad(lambda x: np.sum(f(x)))):
            compiled = compiled_or_refused(derivative, x)
            for point in (x, y if y.shape == x.shape else 0.9 * x):
                same(compiled(point), derivative(point))


@LESS
@given(f=programs.STRAIGHT, x=programs.points())
def test_second_derivatives_of_random_programs(threshold, f, x):
    with np.errstate(all="ignore"):
        derivative = md.hessian(lambda x: np.sum(np.sin(f(x))))
        compiled = compiled_or_refused(derivative, x)
        same(compiled(x), derivative(x))
        same(compiled(0.9 * x), derivative(0.9 * x))


# Slopes of np.sign are zero, so that np.sign(x) does not move with x: it is recorded, but not traced, and x[1] is both.
MIXED = {
    "recorded * mixed": lambda x: np.sign(x) * np.array([np.sign(x[0]), x[1]]),
    "mixed * recorded": lambda x: np.array([np.sign(x[0]), x[1]]) * np.sign(x),
    "recorded @ mixed": lambda x: np.sign(x) @ np.array([np.sign(x[0]), x[1]]),
    "concatenated": lambda x: np.concatenate([np.sign(x), [x[0], 1.0]]),
    "concatenated rows": lambda x: np.concatenate([np.sign(x)[None], [[x[0], np.sign(x[1])]]], axis=0),
    "stacked": lambda x: np.stack([np.sign(x), [x[1] * x[0], 3.0]], axis=1),
    "side by side": lambda x: np.hstack([np.sign(x), [x[0]], 2.0]),
    "chosen": lambda x: np.where(np.sign(x) > 0, [[x[0], x[1]], [1.0, x[0]]], np.sign(x)),
    "by name": lambda x: np.append(np.sign(x), values=[x[0] * x[1]]),
    "mixed @ recorded": lambda x: np.array([[np.sign(x[0]), x[1]], [x[0], 2.0]]) @ np.sign(x),
}


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("name", MIXED)
def test_lists_of_numbers_that_move_and_numbers_that_do_not(name, mode):
    f, x = MIXED[name], np.array([1.3, -0.7])
    compiled = md.compile(md.jacobian(f, mode), x)
    for point in (x, x + 0.1, -x):
        np.testing.assert_array_equal(compiled(point), md.jacobian(f)(point))


def test_reductions_by_a_method_go_over_the_first_axis():
    X = np.arange(6.0).reshape(3, 2)
    compiled = md.compile(lambda X: np.add.reduce(X * X) + np.multiply.reduce(X), X)
    np.testing.assert_array_equal(compiled(X + 1), np.add.reduce((X + 1) ** 2) + np.multiply.reduce(X + 1))
    compiled = md.compile(md.grad(lambda X: np.sum(np.sin(np.add.reduce(X)))), X)
    np.testing.assert_allclose(compiled(X), np.tile(np.cos(X.sum(axis=0)), (3, 1)), rtol=1e-15)


# ------------------------------------------------------------------------------------------------- what is an argument
def loss(params, X, y):
    h = np.tanh(X @ params["W"] + params["b"])
    z = h @ params["V"]
    z = z - np.max(z, axis=1, keepdims=True)
    return np.mean(np.log(np.sum(np.exp(z), axis=1)) - z[np.arange(len(y)), y])


rng = np.random.default_rng(5)
PARAMS = {"W": rng.normal(size=(3, 4)), "b": rng.normal(size=4), "V": rng.normal(size=(4, 5))}
X, LABELS = rng.normal(size=(6, 3)), rng.integers(0, 5, 6)


def test_labels_are_an_argument():
    derivative = md.value_and_grad(loss)
    compiled = md.compile(derivative, PARAMS, X, LABELS)
    for y in (LABELS, (LABELS + 1) % 5, np.zeros_like(LABELS)):
        value, gradient = compiled(PARAMS, X, y)
        wanted, slopes = derivative(PARAMS, X, y)
        np.testing.assert_allclose(value, wanted, rtol=1e-13)
        for name in PARAMS:
            same(gradient[name], slopes[name])
    assert list(gradient) == list(PARAMS)


def test_numbers_are_arguments_and_integers_are_compared():
    compiled = md.compile(md.grad(lambda x, a, n: np.sum(a * x**n)), np.ones(3), 2.0, 3)
    np.testing.assert_allclose(compiled(2 * np.ones(3), 5.0, 3), 60.0)
    with pytest.raises(InvalidInput, match=r"n: got the int 2; wanted the int 3"):
        compiled(np.ones(3), 2.0, 2)


@pytest.mark.parametrize(
    ("point", "came"),
    [
        (np.ones(4), "shape \\(4,\\)"),
        (np.ones((1, 3)), "shape \\(1, 3\\)"),
        (np.ones(3, np.float32), "float32"),
        (np.ones(3, int), "int64"),
        (np.ones(3, object), "object"),
        (np.ones(3, complex), "complex128"),
        (np.ma.ones(3), "array"),
        ([1.0, 1.0, 1.0], "a list"),
        (2.0, "the float"),
        (None, "None"),
    ],
)
def test_another_shape_or_type_is_refused(point, came):
    for f in (lambda x: np.sum(np.sin(x)), lambda x: x[0] * x[1] + x[2]):
        compiled = md.compile(md.grad(f), np.ones(3))
        with pytest.raises(InvalidInput, match=came):
            compiled(point)


@pytest.mark.parametrize(
    "params",
    [
        {"W": PARAMS["W"], "b": PARAMS["b"]},
        {**PARAMS, "more": np.ones(1)},
        list(PARAMS.values()),
        {**PARAMS, "b": np.ones(3)},
        {**PARAMS, "b": PARAMS["b"].astype(np.float32)},
        {**PARAMS, "b": [PARAMS["b"]]},
    ],
)
def test_another_structure_is_refused(params):
    compiled = md.compile(md.value_and_grad(loss), PARAMS, X, LABELS)
    with pytest.raises(InvalidInput, match="params"):
        compiled(params, X, LABELS)


def test_structures_come_back_as_they_are():
    Point = namedtuple("Point", "x y")
    for tree in ([np.ones(2), (np.ones(3), {"a": 2.0 * np.ones(1)})], Point(np.ones(2), np.zeros(2)), (np.ones(2),)):
        derivative = md.grad(lambda tree: sum(np.sum(np.exp(leaf)) for leaf in md.flatten(tree)[0][None]))
        found, wanted = md.compile(derivative, tree)(tree), derivative(tree)
        assert type(found) is type(wanted)
        np.testing.assert_allclose(md.flatten(found)[0], md.flatten(wanted)[0], rtol=1e-13)


def test_memory_layouts():
    """Read-only, reversed, transposed, strided arguments, whatever the example was."""
    wide = rng.normal(size=(40, 60))

    def f(x):
        y = np.exp(x.T) * 0.1
        z = np.reshape(y, -1)
        return np.sum(z * np.reshape(np.sin(x), -1)) + np.sum(np.reshape(x, (60, 40)) * y)

    frozen = wide.copy()
    frozen.flags.writeable = False
    layouts = [wide, np.asfortranarray(wide), wide[::-1, ::-1], np.repeat(wide, 2, 1)[:, ::2], frozen]
    for example in layouts:
        compiled = md.compile(md.value_and_grad(f), example)
        for x in layouts:
            kept = x.copy()
            value, gradient = compiled(x)
            wanted, slope = md.value_and_grad(f)(x)
            np.testing.assert_allclose(value, wanted, rtol=1e-12)
            np.testing.assert_allclose(gradient, slope, rtol=1e-12)
            assert np.array_equal(x, kept)


def test_results_belong_to_the_caller():
    """No result shares memory with an argument, a captured array, a constant or another result."""
    captured = np.ones((30, 40))

    def f(x):
        return {"same": x, "view": x[1:], "twice": (x, x), "captured": captured, "fixed": np.eye(3), "new": x + 1.0}

    compiled = md.compile(f, np.ones((30, 40)))
    x = rng.normal(size=(30, 40))
    arrays = [leaf for part in compiled(x).values() for leaf in (part if isinstance(part, tuple) else [part])]
    for k, a in enumerate(arrays):
        assert not np.may_share_memory(a, x)
        assert not np.may_share_memory(a, captured)
        assert not any(np.may_share_memory(a, b) for b in arrays[k + 1 :])
        a += 1.0
    again = compiled(x)
    np.testing.assert_array_equal(again["fixed"], np.eye(3))
    np.testing.assert_array_equal(again["same"], x)


def test_arguments_that_are_the_same_array():
    compiled = md.compile(md.grad(lambda x, y: np.sum(np.exp(x) * y)), np.ones((50, 50)), np.ones((50, 50)))
    x = rng.normal(size=(50, 50))
    np.testing.assert_allclose(compiled(x, x), np.exp(x) * x, rtol=1e-13)


def test_single_precision():
    x = rng.normal(size=(3, 4)).astype(np.float32)
    derivative = md.value_and_grad(lambda x: np.sum(np.tanh(x) ** 2) / 3)
    value, gradient = md.compile(derivative, x)(x)
    assert value.dtype == gradient.dtype == np.float32
    np.testing.assert_allclose(gradient, derivative(x)[1], rtol=1e-6)


# -------------------------------------------------------------------------------------------- what a function captures
SCALE, WEIGHT, SETTINGS, SHIFTS = 2.0, np.array([1.0, 2.0, 3.0]), {"power": 2, "on": True}, [np.ones(3)]


def of_globals(x):
    y = WEIGHT * x if SETTINGS["on"] else x
    return np.sum(SCALE * y ** SETTINGS["power"] + SHIFTS[0] * x)


def helper(x):
    return SCALE * np.sum(WEIGHT * x)


@pytest.fixture
def _restored(monkeypatch):
    for name, value in (
        ("SCALE", SCALE),
        ("WEIGHT", WEIGHT.copy()),
        ("SETTINGS", dict(SETTINGS)),
        ("SHIFTS", [np.ones(3)]),
    ):
        monkeypatch.setitem(globals(), name, value)


def globally(name, value):
    globals()[name] = value


CHANGES = {
    "an array, in place": lambda: WEIGHT.__setitem__(0, 7.0),
    "an array, anew": lambda: globally("WEIGHT", np.array([4.0, 5.0, 6.0])),
    "an array in a list, in place": lambda: SHIFTS[0].__setitem__(slice(None), 9.0),
    "an array in a list, anew": lambda: SHIFTS.__setitem__(0, np.array([1.0, 0.0, 2.0])),
    "a list": lambda: globally("SHIFTS", [np.array([3.0, 0.0, 2.0])]),
}
REFUSED_CHANGES = {
    "a number": lambda: globally("SCALE", 3.0),
    "a flag in a dict": lambda: SETTINGS.__setitem__("on", False),
    "an integer in a dict": lambda: SETTINGS.__setitem__("power", 3),
    "the shape": lambda: globally("WEIGHT", np.ones(1)),
    "the type": lambda: globally("WEIGHT", np.ones(3, np.float32)),
    "an array to a number": lambda: globally("WEIGHT", 2.0),
    "a longer list": lambda: SHIFTS.append(np.ones(3)),
}


@pytest.mark.usefixtures("_restored")
@pytest.mark.parametrize("change", CHANGES)
def test_captured_arrays_are_read_anew(change):
    x = np.array([0.5, -1.0, 2.0])
    compiled = md.compile(md.grad(of_globals), x)
    same(compiled(x), md.grad(of_globals)(x))
    before = compiled(x)
    CHANGES[change]()
    same(compiled(x), md.grad(of_globals)(x))
    assert not np.array_equal(compiled(x), before)


@pytest.mark.usefixtures("_restored")
@pytest.mark.parametrize("change", REFUSED_CHANGES)
def test_other_captured_values_may_not_change(change):
    x = np.array([0.5, -1.0, 2.0])
    compiled = md.compile(md.grad(of_globals), x)
    compiled(x)
    REFUSED_CHANGES[change]()
    with pytest.raises(InvalidInput, match="compile"):
        compiled(x)


@pytest.mark.usefixtures("_restored")
def test_what_helpers_capture_counts_too():
    x = np.array([0.5, -1.0, 2.0])
    functions = [
        lambda x: helper(x) ** 2,
        functools.partial(lambda a, x: a * helper(x), 2.0),
        Model(WEIGHT).energy,
        Model(WEIGHT),
        lambda x, f=helper: f(x) ** 2,
        lambda x: md.grad(helper)(x) @ x,
        lambda x: sum(helper(part) for part in (x, x**2)),
    ]
    for f in functions:
        compiled = md.compile(md.grad(f), x)
        compiled(x)
        globally("SCALE", 3.0)
        with pytest.raises(InvalidInput, match="SCALE"):
            compiled(x)
        globally("SCALE", 2.0)
        same(compiled(x), md.grad(f)(x))
        WEIGHT[0] += 1.0
        try:
            same(compiled(x), md.grad(f)(x))
        except InvalidInput as error:
            assert "compile" in str(error)  # noqa: PT017


class Model:
    def __init__(self, weight):
        self.weight, self.power = weight, 2

    def energy(self, x):
        return SCALE * np.sum(self.weight * x**self.power)

    __call__ = energy


def test_objects_may_not_change():
    x = np.array([0.5, -1.0, 2.0])
    for change in (
        lambda model: setattr(model, "power", 3),
        lambda model: setattr(model, "weight", np.zeros(3)),
        lambda model: model.weight.__setitem__(0, 5.0),
    ):
        for way in (lambda model: model.energy, lambda model: lambda x: model.energy(x), lambda model: model):
            model = Model(np.array([1.0, 2.0, 3.0]))
            compiled = md.compile(md.grad(way(model)), x)
            same(compiled(x), md.grad(model.energy)(x))
            change(model)
            with pytest.raises(InvalidInput, match="compile"):
                compiled(x)


def test_values_of_captured_arrays_may_be_asked_for():
    """Then they must stay what they are."""
    weight = np.array([1.0, 2.0, 3.0])

    def f(x):
        scale = float(weight[0]) if weight.sum() > 0 else 0.0
        return scale * np.sum(np.asarray(weight) * x)

    x = np.ones(3)
    compiled = md.compile(md.grad(f), x)
    same(compiled(x), md.grad(f)(x))
    weight[1] = 7.0
    with pytest.raises(InvalidInput, match="weight"):
        compiled(x)


def test_what_is_made_of_captured_arrays_is_made_anew():
    weight = rng.normal(size=(3, 3))

    def f(x):
        gram = weight.T @ weight
        return x @ gram @ x + np.linalg.norm(weight) * np.sum(x)

    x = np.ones(3)
    compiled = md.compile(md.grad(f), x)
    weight[0] = 5.0
    same(compiled(x), md.grad(f)(x))


def test_functions_may_not_be_exchanged():
    def inner(x):
        return x**2

    def f(x):
        return np.sum(inner(x))

    compiled = md.compile(md.grad(f), np.ones(2))

    def inner(x):  # noqa: F811
        return x**3

    with pytest.raises(InvalidInput, match="inner"):
        compiled(np.ones(2))


def test_captured_variables_are_restored_and_may_not_be_assigned():
    weight = np.ones(3)
    state = {"mean": np.zeros(3)}

    def f(x):
        nonlocal weight
        weight = weight * 0.5
        return np.sum(weight * x)

    with pytest.raises(NotDifferentiable, match="weight"):
        md.compile(md.grad(f), np.ones(3))
    assert weight.__class__ is np.ndarray

    def g(x):
        state["mean"] = 0.9 * state["mean"] + 0.1 * x
        return np.sum(x**2)

    with pytest.raises(NotDifferentiable, match="state"):
        md.compile(g, np.ones(3))
    assert state["mean"].__class__ is np.ndarray

    def broken(x):
        return np.sum(weight * x) + undefined  # noqa: F821

    with pytest.raises(NameError):
        md.compile(md.grad(broken), np.ones(3))
    assert weight.__class__ is np.ndarray


class Meta(type):
    exponent = 2


class Scaled(metaclass=Meta):
    factor = 2.0

    def plain(self, x):
        return SCALE * x**2

    @staticmethod
    def of(x):
        return SCALE * x

    def __init__(self):
        self.weight = np.ones(3)

    def energy(self, x):
        return np.sum(self.factor * self.weight * x**2)


@dataclasses.dataclass(slots=True)
class Slotted:
    scale: object = 2.0


def nested(x):
    """The array ``x`` as an attribute of an attribute, and so on."""
    for _ in range(9):
        x = Slotted(x)
    return x


def innermost(x):
    while isinstance(x, Slotted):
        x = x.scale
    return x


def weighted(x, weight):
    return np.sum(weight * x**2)


def attributed(x):
    return np.sum(attributed.scale * x**2)


ACTIVATE = np.sin
SCALED, SLOTTED, NESTED, LISTED = Scaled(), Slotted(), nested(np.ones(3)), [Scaled(), Scaled()]
PARTIAL, METHOD, VECTORIZED = functools.partial(weighted, weight=np.ones(3)), SCALED.energy, np.vectorize(Scaled.of)
QUEUE, BYTES, DEEP = collections.deque([2.0]), bytearray(b"\x02"), [[[[[[[[np.ones(3)]]]]]]]]
MODULE = types.ModuleType("settings")
MODULE.inner = types.ModuleType("settings.inner")
# what a function uses, and what happens to it after compiling
STATES = {
    "an attribute of the class": (lambda x: SCALED.energy(x), lambda: setattr(Scaled, "factor", 3.0)),
    "of the class of a method": (SCALED.energy, lambda: setattr(Scaled, "factor", 3.0)),
    "a class that holds settings": (lambda x: np.sum(Scaled.factor * x**2), lambda: setattr(Scaled, "factor", 3.0)),
    "an attribute of a metaclass": (lambda x: np.sum(x**Scaled.exponent), lambda: setattr(Meta, "exponent", 3)),
    "another method": (lambda x: SCALED.energy(x), lambda: setattr(Scaled, "energy", Scaled.plain)),
    "a slot": (lambda x: np.sum(SLOTTED.scale * x**2), lambda: setattr(SLOTTED, "scale", 3.0)),
    "another ufunc": (lambda x: np.sum(ACTIVATE(x)), lambda: globally("ACTIVATE", np.cos)),
    "another partial": (lambda x: PARTIAL(x), lambda: globally("PARTIAL", functools.partial(weighted, weight=5.0))),
    "an array of a partial": (lambda x: PARTIAL(x), lambda: PARTIAL.keywords["weight"].fill(3.0)),
    "the object of a method": (lambda x: METHOD(x), lambda: SCALED.weight.fill(3.0)),
    "a global of a static method": (lambda x: np.sum(Scaled.of(x) ** 2), lambda: globally("SCALE", 3.0)),
    "a global of a class used inside": (lambda x: np.sum(Scaled().plain(x)), lambda: globally("SCALE", 3.0)),
    "a global of objects in a list": (lambda x: np.sum(LISTED[0].plain(x)), lambda: globally("SCALE", 3.0)),
    "a global of what is vectorized": (lambda x: np.sum(VECTORIZED(x) ** 2), lambda: globally("SCALE", 3.0)),
    "far down in objects": (lambda x: np.sum(innermost(NESTED) * x**2), lambda: innermost(NESTED).fill(3.0)),
    "a deque": (lambda x: np.sum(QUEUE[0] * x**2), lambda: QUEUE.__setitem__(0, 3.0)),
    "bytes": (lambda x: np.sum(BYTES[0] * x**2), lambda: BYTES.__setitem__(0, 3)),
    "a module in a module": (lambda x: np.sum(MODULE.inner.scale * x**2), lambda: setattr(MODULE.inner, "scale", 3.0)),
    "an attribute of a function": (attributed, lambda: setattr(attributed, "scale", 3.0)),
    "a key more": (lambda x: np.sum(sum(MODULE.weights.values()) * x), lambda: MODULE.weights.update(b=np.ones(3))),
}  # fmt: skip


@pytest.mark.usefixtures("_restored")
@pytest.mark.parametrize("name", STATES)
def test_no_state_changes_in_silence(name, monkeypatch):
    monkeypatch.setattr(Scaled, "factor", 2.0)
    monkeypatch.setattr(Meta, "exponent", 2)
    monkeypatch.setattr(Scaled, "energy", Scaled.energy)
    monkeypatch.setitem(globals(), "ACTIVATE", np.sin)
    monkeypatch.setitem(globals(), "PARTIAL", functools.partial(weighted, weight=np.ones(3)))
    monkeypatch.setattr(attributed, "scale", 2.0, raising=False)
    monkeypatch.setattr(MODULE.inner, "scale", 2.0, raising=False)
    monkeypatch.setattr(MODULE, "weights", {"a": np.ones(3)}, raising=False)
    f, change = STATES[name]
    x = np.array([0.5, -1.0, 2.0])
    compiled = md.compile(md.grad(f), x)
    same(compiled(2 * x), md.grad(f)(2 * x))
    change()
    with pytest.raises(InvalidInput, match="compile"):
        compiled(x)


def test_arguments_that_are_no_arrays_may_not_change_in_place():
    x = np.array([0.5, -1.0, 2.0])
    settings = Slotted(2.0)
    compiled = md.compile(md.grad(lambda x, settings: np.sum(settings.scale * x**2)), x, settings)
    same(compiled(x, Slotted(2.0)), 4.0 * x)
    settings.scale = 3.0
    with pytest.raises(InvalidInput, match="settings"):
        compiled(x, settings)

    def chain(weights):
        x = 1.0
        for w in weights.values():
            x = w * x + w**2
        return np.sum(x)

    weights = {"a": x, "b": 2 * x}
    compiled = md.compile(md.grad(chain), weights)
    with pytest.raises(InvalidInput, match="'b': array, 'a': array"):
        compiled({"b": x, "a": 2 * x})
    weights["c"] = x
    with pytest.raises(InvalidInput, match=r"wanted the structure \{'a': array, 'b': array\}"):
        compiled(weights)


def test_random_numbers_inside_are_refused():
    generator = np.random.default_rng(0)
    for f in (
        lambda x: np.sum(generator.normal(size=3) * x),
        lambda x: generator.normal() * np.sum(x),
        lambda x: np.sum(np.where(generator.random(3) < 0.5, x, 0.0) * np.arange(1.0, 4.0)) * generator.normal(),
    ):
        with pytest.raises(NotDifferentiable, match="random"):
            md.compile(md.grad(f), np.ones(3))
    steady = md.compile(md.grad(lambda x: np.sum(np.random.default_rng(0).normal(size=3) * x)), np.ones(3))
    same(steady(np.zeros(3)), np.random.default_rng(0).normal(size=3))


# --------------------------------------------------------------------------------------------- what cannot be compiled
def newton(x):
    while abs(x[0]) > 0.1:
        x = x / 2
    return np.sum(x)


BRANCHES = {
    "if": lambda x: np.sum(x) if x[0] > 0 else np.sum(x**2),
    "while": newton,
    "and": lambda x: np.sum(x) if np.all(x > 0) and x[0] < 3 else np.sum(x**2),
    "mask": lambda x: np.sum(x[x > 0]),
    "nonzero": lambda x: np.sum(x[np.nonzero(x > 0)]),
    "where with one argument": lambda x: np.sum(x[np.where(x > 0)[0]]),
    "max of Python": lambda x: max(x[0], x[1]) * x[1],
    "sorted of Python": lambda x: sorted([x[0], x[1]])[0] * x[1],
    "range": lambda x: sum(x[k] for k in range(int(np.argmax(x)) + 1)),
    "unique": lambda x: np.sum(np.unique(np.round(x))) * x[0],
    "allclose": lambda x: x[0] if np.allclose(x, 1.0) else x[1],
    "round": lambda x: x[0] * round(float(np.floor(x[1]))),
    "sort of lists": lambda x: np.max([x[0], x[1]]),
    "index": lambda x: [x[0], x[1]][np.argmin(x)],
}


@pytest.mark.parametrize("name", BRANCHES)
def test_branches_on_values_are_refused(name):
    f = BRANCHES[name]
    for derivative in (f, md.grad(f)):
        with pytest.raises(NotDifferentiable, match=r"test_compile.py:\d+"):
            md.compile(derivative, np.array([1.0, 0.5]))


def test_writing_into_arrays_is_refused():
    def into_zeros(x):
        y = np.zeros(3)
        y[0] = x[0]
        return np.sum(y)

    def in_place(x):
        x += 1.0
        return np.sum(x)

    def with_out(x):
        y = np.zeros(3)
        np.exp(x, out=y)
        return np.sum(y)

    def copyto(x):
        y = np.zeros(3)
        np.copyto(y, x)
        return np.sum(y)

    for f in (into_zeros, in_place, with_out, copyto, lambda x: np.add.at(np.zeros(3), [0], x) or x[0]):
        for derivative in (f, md.grad(f)):
            with pytest.raises(NotDifferentiable):
                md.compile(derivative, np.ones(3))


def test_in_place_operators_on_own_arrays():
    def f(x):
        y = x * 2.0
        z = y
        y += x**2
        return np.sum(z * y)

    derivative = md.grad(f)
    compiled = md.compile(derivative, np.ones(3))
    same(compiled(np.arange(3.0)), derivative(np.arange(3.0)))


def test_buffers_may_be_written_into_between_steps():
    """The example hides it: all products are zero."""

    def f(x):
        buffer, y = np.zeros(x.size), 0.0
        for k in range(3):
            buffer[:] = k
            y = y + x * buffer
        return np.sum(y)

    for size in (3, 10_000):
        same(md.compile(f, np.zeros(size))(np.ones(size)), f(np.ones(size)))


def test_what_a_program_catches_is_refused_all_the_same():
    def branch(x):
        try:
            scale = 2.0 if x[0] > 0 else 3.0
        except Exception:
            scale = 2.0
        return scale * np.sum(x**2)

    def conversion(x):
        try:
            return np.sum(x) * 0.0 + float(np.sum(x))
        except TypeError:
            return np.sum(x) * 0.0 + 6.0

    x = np.array([1.0, 2.0, 3.0])
    for f in (branch, conversion):
        for derivative in (f, md.grad(f)):
            with pytest.raises(NotDifferentiable):
                md.compile(derivative, x)


def test_what_only_plain_arrays_can_do_is_refused_by_name():
    table = np.eye(3)
    for f in (
        lambda x, y: np.sum(np.arange(9.0).reshape(3, 3)[y] * x),
        lambda x, y: x[0] * float(np.asarray(memoryview(y))[0]),
    ):
        with pytest.raises(NotDifferentiable, match=r"test_compile.py:\d+"):
            md.compile(md.grad(f), np.ones(3), np.array([0, 2, 1]))
    compiled = md.compile(md.grad(lambda x, y: np.sum(table[y] @ x)), np.ones(3), np.array([0, 2, 1]))
    np.testing.assert_array_equal(compiled(np.ones(3), np.array([0, 0, 1])), [2.0, 1.0, 0.0])


def test_compiling_inside_and_following_what_is_compiled():
    compiled = md.compile(lambda x: np.sum(x**2), np.ones(3))
    assert compiled(np.arange(3.0)) == 5.0
    with pytest.raises(NotDifferentiable, match="compile the derivative"):
        md.grad(compiled)(np.ones(3))
    with pytest.raises(NotDifferentiable, match=r"mathdl\.compile"):
        md.grad(lambda x: md.compile(lambda y: np.sum(y**2), x)(x))(np.ones(3))
    with pytest.raises(InvalidInput, match="function"):
        md.compile(3)
    with pytest.raises(InvalidInput, match="result"):
        md.compile(lambda x: md.vjp(np.sin, x), np.ones(2))


# ---------------------------------------------------------------------------------------------------------- the source
EXAMPLE = np.array([3.0, 0.5])


def two_by_two(x):
    return np.array([x[0] ** 2 * x[1], 5 * x[0] + np.sin(x[1])])


def test_the_example_of_the_course_is_short():
    compiled = md.compile(md.jacobian(two_by_two), EXAMPLE)
    assert compiled.source.splitlines()[3:] == [
        "",
        "def jacobian_two_by_two(x):",
        "    x0, x1 = x.tolist()",
        "    return np.array([[2.0 * x0 * x1, x0 * x0], [5.0, cos(x1)]])",
    ]


def test_names_come_from_the_program():
    def mse(params, X, y):
        W1, b1, W2, b2 = params
        z1 = X @ W1 + b1
        h1 = np.tanh(z1)
        z2 = h1 @ W2 + b2
        return np.mean((z2 - y) ** 2)

    params = [rng.normal(size=s) for s in ((2, 8), (8,), (8, 1), (1,))]
    compiled = md.compile(md.value_and_grad(mse), params, rng.normal(size=(5, 2)), rng.normal(size=(5, 1)))
    lines = [line.strip() for line in compiled.source.splitlines()]
    for line in (
        "z1 = X @ W1 + b1",
        "h1 = np.tanh(z1)",
        "dW2 = h1.T @ dz2",
        "dW1 = X.T @ dz1",
        "db1 = dz1.sum(axis=0)",
    ):
        assert line in lines
    assert len(lines) < 25


def test_the_source_runs_by_itself():
    compiled = md.compile(md.value_and_grad(loss), PARAMS, X, LABELS)
    space = dict(compiled.constants)
    exec(compiled.source, space)
    value, gradient = space["value_and_grad_loss"](PARAMS, X, LABELS)
    assert value == compiled(PARAMS, X, LABELS)[0]
    np.testing.assert_array_equal(gradient["W"], compiled(PARAMS, X, LABELS)[1]["W"])


SHORT, NARROW = np.array([0.3, 0.8, 1.4]), np.ones(3, np.float32)
# program, example, other arguments: here another order of the same operations gives something else
ROUNDED = {
    "a + (b - a)": (lambda x: x[0] + (x[1] - x[0]), SHORT, np.array([1e16, 1.0, 0.0])),
    "a * (b * c)": (lambda x: x[0] * (x[1] * x[2]), SHORT, np.array([1e200, 1e200, 1e-200])),
    "small factors": (lambda x: (1e-200 * x[0]) * (1e-200 * x[1]), SHORT, np.array([1e200, 1e200, 0.0])),
    "factors below 1": (lambda x: (1e-9 * x[0]) * (1e-9 * x[1]), SHORT, np.array([1e160, 1e155, 0.0])),
    "a small factor twice": (lambda x: 1e-200 * (1e-200 * (x[0] * x[0])), SHORT, np.array([1e154, 0.0, 0.0])),
    "of an array": (lambda x: 1e-200 * (1e-200 * (np.cumsum(x) * 1e160 * 1e100)), SHORT, np.ones(3)),
    "integers that overflow": (lambda x: 2.0 * (100 * x), np.ones(3, np.int8), np.array([1, 2, 3], np.int8)),
    "a double number": (lambda x: x * np.float64(10.0) / np.float64(10.0), NARROW, np.float32([1e38, 2e38, 3e38])),
    "doubles": (lambda x: x * np.full(3, 10.0) / np.full(3, 10.0), NARROW, np.float32([1e38, 2e38, 3e38])),
    "keepdims=1": (lambda x: x / np.sum(x, axis=1, keepdims=1), np.ones((3, 3)), np.arange(9.0).reshape(3, 3) + 1.0),
    "an axis of NumPy's": (lambda x: np.sum(x, axis=np.int64(0)), np.ones((3, 3)), np.arange(9.0).reshape(3, 3)),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_operations_keep_their_order_and_type(name):
    f, x, other = ROUNDED[name]
    same(md.compile(f, x)(other), f(other))


LENGTHS = {
    "a slice": lambda x, n: np.mean(x[:n]),
    "repeat": lambda x, n: np.mean(np.repeat(x, n)),
    "reshape": lambda x, n: np.sum(np.mean(np.reshape(x, (n, -1)), axis=0) ** 2),
    "an axis": lambda x, n: np.mean(np.sum(np.reshape(x, (1, 6)), axis=n) ** 2),
    "split": lambda x, n: np.mean(np.split(x, (n,))[0]),
    "delete": lambda x, n: np.mean(np.delete(x, np.stack([n, 0]))),
    "bincount": lambda x, n: np.sum(np.bincount(np.stack([n, 1]))) * np.bincount(np.stack([n, 1])).size * np.sum(x),
}


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("way", [md.grad, lambda f: f])
def test_shapes_do_not_depend_on_arguments(name, way):
    with pytest.raises(NotDifferentiable):
        md.compile(way(LENGTHS[name]), np.ones(6), np.int64(1))


def shadowing(x, sin):
    return sin[0] * np.sin(x[0] * x[1]) ** 2


def capturing(x):
    def g(y):
        return np.sin(x[0] * y[1]) * x[1]

    return lambda x: g(x) * x[0]


PAIR, TRIPLE = np.array([0.4, 1.2]), np.array([0.3, 0.8, 1.4])
# programs on numbers, in which the entries of an array could be called what something else is called
ENTRIES = {
    "temporaries": (lambda t: np.sin(t[0] * t[1]) * t[0] + np.sin(t[0] * t[1]), PAIR),
    "an argument": (lambda x, x1: np.sin(x[0] * x[1]) * x1 + x1 * x[1], PAIR, 3.0),
    "an argument before": (lambda x1, x: np.sin(x[0] * x[1]) * x1 + x1 * x[1], 3.0, PAIR),
    "a function": (shadowing, PAIR, PAIR),
    "log2": (lambda log: np.log2(log[0]) * np.log(log[1]) * log[2], TRIPLE),
    "expm1": (lambda expm: np.expm1(expm[0]) * expm[1], PAIR),
    "a key": (lambda p: np.sin(p["x"][0] * p["x"][1]) * p["x1"], {"x": PAIR, "x1": 3.0}),
    "an argument and a part": (lambda p, p0: np.sin(p[0][0] * p[1][1]) * p0[0], [PAIR, PAIR], PAIR),
    "arrays, an argument and a part": (lambda p, p0: np.sum(np.tanh(p[0] * p[1]) * p0), [PAIR, PAIR], PAIR),
    "an argument and a key": (lambda p, W: np.sum(np.tanh(p["W"] * W)), {"W": PAIR}, PAIR),
    "a captured array": (capturing(PAIR), PAIR),
    "a captured array x0": ((lambda x0: lambda x: np.sin(x[0] * x[1]) * x0[1] * x0[0])(PAIR), PAIR),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_names_of_entries_do_not_collide(name):
    f, *args = ENTRIES[name]
    wanted = md.grad(f)(*args)
    found = md.compile(md.grad(f), *args)(*args)
    for ours, theirs in zip(md.autodiff.trees.leaves(found), md.autodiff.trees.leaves(wanted), strict=True):
        same(ours, theirs)


@pytest.mark.parametrize("name", ["x", "np", "t1", "lambda_", "dx", "c1", "value_and_grad_f", "sin"])
def test_names_do_not_collide(name):
    space = {"np": np, "sin": np.sin}
    exec(
        f"def f({name}):\n    t1 = {name}[0]\n    dx = t1 * {name}\n    c1 = np.sin(dx)\n    return np.sum(c1 * dx)",
        space | {},
    )
    scope = {"np": np}
    text = f"def f({name}):\n    t1 = {name} + 0.0\n    dx = t1 * {name}\n    c1 = N.sin(dx)\n    return N.sum(c1 * dx)"
    exec(text, {"N": np}, scope)
    x = np.linspace(0.1, 1.0, 40)
    derivative = md.value_and_grad(scope["f"])
    compiled = md.compile(derivative, x)
    np.testing.assert_allclose(compiled(x)[1], derivative(x)[1], rtol=1e-13)


# ------------------------------------------------------------------------------------------------- programs on numbers
NUMBERS = {
    "log": lambda x: np.log(x[0]) * x[1],
    "sqrt": lambda x: np.sqrt(x[0]) + x[1],
    "quotient": lambda x: x[1] / x[0],
    "power": lambda x: x[0] ** -2 + x[1] ** 0.5,
    "exponential": lambda x: np.exp(800 * x[0]) * x[1],
    "large": lambda x: x[0] ** 200 * x[1] ** 3,
    "arcsin": lambda x: np.arcsin(x[0]) + np.arctan2(x[1], x[0]),
    "zero times": lambda x: 0.0 * x[0] + x[1],
    "difference": lambda x: x[0] - (x[1] - (x[0] - x[1])) - -x[0],
    "quotients": lambda x: x[0] / (x[1] / (x[0] / x[1])) / x[0],
    "powers": lambda x: (-x[0]) ** 2 - x[1] ** 2 * (x[0] * x[1]) ** 3,
    "cosh": lambda x: np.cosh(x[0]) / (1.0 + np.expm1(x[1])),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_meet_the_edges_of_their_domains_as_in_numpy(name):
    f = NUMBERS[name]
    for derivative in (md.value_and_grad(f), md.jacobian(lambda x: np.array([f(x), x[0] * x[1]])), md.hessian(f)):
        compiled = md.compile(derivative, np.array([0.5, 0.25]))
        assert ".tolist()" in compiled.source
        for point in (
            [0.5, 0.25],
            [0.0, 0.0],
            [-0.5, 2.0],
            [2.0, 1e200],
            [1e308, 1e10],
            [np.inf, 1.0],
            [np.nan, 0.0],
            [0.3, -1.0],
        ):
            x = np.array(point)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    wanted = derivative(x)
                except NotDifferentiable:
                    continue
                found = compiled(x)
            for a, b in zip(md.autodiff.trees.leaves(found), md.autodiff.trees.leaves(wanted), strict=True):
                assert np.shape(a) == np.shape(b)
                # Where NumPy computes 0 * inf = nan, nothing was to be computed: such entries are zero here.
                finite = np.isfinite(b)
                np.testing.assert_allclose(np.where(finite, a, 0), np.where(finite, b, 0), rtol=1e-12)
                assert np.all(finite | ~np.isfinite(a) | (a == 0) | np.isnan(b))


def test_what_is_better_written_with_arrays_is():
    assert ".tolist()" not in md.compile(md.jacobian(lambda x: np.exp(x) / np.sum(np.exp(x))), np.ones(3)).source
    assert ".tolist()" in md.compile(md.hessian(lambda x: x[0] ** 2 * x[1]), np.ones(2)).source


def test_a_part_is_added_to_what_an_expression_gives():
    """``t = (a + b * 0.0).copy()``, or without the copy, and not ``a + b * 0.0.copy()``, which fails."""
    x = np.array([0.1, 0.3, -0.27])
    jacobian = md.jacobian(lambda x: np.polyval(x, 1.5) * np.polyval(x, x))
    compiled = md.compile(jacobian, x)
    assert "0.0.copy()" not in compiled.source
    same(compiled(nearby(x)), jacobian(nearby(x)))


def test_names_in_loops():
    """One name used for every layer is numbered, and a derivative is called after the layer that it belongs to."""

    def mlp(params, X, y):
        h = X
        for W, b in params[:-1]:
            h = np.tanh(h @ W + b)
        W, b = params[-1]
        z = h @ W + b
        return np.mean((z - y) ** 2)

    sizes = [(2, 8), (8, 8), (8, 1)]
    params = [(rng.normal(size=size), rng.normal(size=size[1])) for size in sizes]
    X, y = rng.normal(size=(5, 2)), rng.normal(size=(5, 1))
    compiled = md.compile(md.value_and_grad(mlp), params, X, y)
    lines = [line.strip() for line in compiled.source.splitlines()]
    for line in (
        "(W1, b1), (W2, b2), (W3, b3) = params",
        "h2 = np.tanh(h1 @ W2 + b2)",
        "dW3 = h2.T @ dz",
        "dh2_in = (dz @ W3.T) * (1 - h2 * h2)",  # by what h2 is the tanh of
        "dW1 = X.T @ dh1_in",
    ):
        assert line in lines
    value, gradient = md.value_and_grad(mlp)(params, X, y)
    again, ours = compiled(params, X, y)
    np.testing.assert_allclose(again, value, rtol=1e-13)
    np.testing.assert_allclose(md.flatten(ours)[0], md.flatten(gradient)[0], rtol=1e-11)


def test_the_source_keeps_products_apart():
    """A product of matrices beside one of entries has parentheses, whatever Python needs."""
    A, B = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    programs_ = [
        (lambda x: (x * 2.0) @ A @ B - A @ (B * x), "(x * 2.0) @ A @ B - A @ (B * x)"),
        (lambda x: (A @ x) * B / x, "(A @ x) * B / x"),
        (lambda x: A - (B - x) - (-x) ** 2, "A - (B - x) - (-x)**2"),
        (lambda x: A @ (B @ x), "A @ (B @ x)"),
        (lambda x: x / (A / (B * x)), "x / (A / (B * x))"),
        (lambda x: np.where((x > 0) == (A > B), x, -(A @ x)), "np.where((x > 0) == (A > B), x, -(A @ x))"),
    ]
    for f, text in programs_:
        x = rng.normal(size=(3, 3))
        compiled = md.compile(f, x)
        assert f" {text}\n" in compiled.source
        np.testing.assert_array_equal(compiled(x), f(x))


def test_the_example_may_be_a_point_without_a_derivative():
    """There the derivative is nan where zero meets infinity; what is compiled holds for other points all the same."""
    derivative = md.jacobian(lambda x: np.array([np.log(x[0]) * x[1], np.sqrt(x[0]) / x[1]]))
    with np.errstate(all="ignore"):
        compiled = md.compile(derivative, np.array([0.0, 0.0]))
    same(compiled(np.array([2.0, 3.0])), derivative(np.array([2.0, 3.0])))


@pytest.mark.parametrize("directions", [1, 4])
def test_pushes_and_pulls(directions):
    """Tangents and cotangents are arguments too, K of them at once or one alone."""

    def f(x):
        return np.tanh(x) * np.sum(x**2)

    def push(x, v):
        return md.jvp(f, (x,), (v,))

    def pull(x, g):
        return md.vjp(f, x)[1](g)

    x, v = rng.normal(size=3), rng.normal(size=(directions, 3) if directions > 1 else 3)
    for function in (push, pull, lambda x, v: md.hvp(lambda x: np.sum(f(x)), x, v if v.ndim == 1 else v[0])):
        compiled = md.compile(function, x, v)
        for a, b in zip(
            md.autodiff.trees.leaves(compiled(2 * x, 3 * v)),
            md.autodiff.trees.leaves(function(2 * x, 3 * v)),
            strict=True,
        ):
            same(a, b)
