"""What cannot be used is refused by name, before anything is written: gradients, states, trees, types and settings."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import numpy as np
import pytest
from common import ELEMENTWISE, copied, made, same_bits, tree

from mathdl import optim
from mathdl.autodiff import jacobian
from mathdl.errors import InvalidInput

NAMES = list(ELEMENTWISE)
OPTIMIZERS = {
    **{name: [(name, numbers)] for name, numbers in ELEMENTWISE.items()},
    "Clip": [("Clip", {"largest": 1.0})],
    "L2": [("L2", {"weight_decay": 0.1})],
    "Decay": [("Decay", {"amount": 0.1})],
    "Chain": [("Clip", {"largest": 1.0}), ("L2", {"weight_decay": 0.1}), ("Adam", {}), ("Decay", {"amount": 0.1})],
}
COMPOSED = {
    **OPTIMIZERS,
    "Averaged": optim.Averaged(optim.Adam()),
    "Split": optim.Split(matrices=optim.Momentum(), others=optim.Adam()),
}


def optimizer_of(name):
    return COMPOSED[name] if not isinstance(COMPOSED[name], list) else made(COMPOSED[name])


def spoilt(value, *place):
    """A gradient with one number replaced."""
    gradient = tree(1)
    array = gradient
    for key in place[:-1]:
        array = array[key]
    if isinstance(array, np.ndarray):
        array[place[-1]] = value
    else:  # a number in a tuple
        gradient["out"][1] = (value, gradient["out"][1][1])
    return gradient


# --------------------------------------------------------------------------------------------------- gradients
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", COMPOSED)
def test_a_gradient_that_is_not_finite_is_refused_by_the_name_of_its_parameter(name, value):
    optimizer, params = optimizer_of(name), tree(0)
    _, state = optimizer.update(tree(2), optimizer.initial(params), params)
    before = copied((params, state))
    cases = {
        ("hidden", "W", (1, 2)): "gradient['hidden']['W']: got .* at (1, 2)",
        ("hidden", "b", 1): "gradient['hidden']['b']: got .* at (1,)",
        ("out", 0, 3): "gradient['out'][0]: got .* at (3,)",
        ("out", 1, 0): "gradient['out'][1][0]: got ",
    }
    for place, said in cases.items():
        with pytest.raises(InvalidInput, match="^" + re.escape(said).replace(r"\.\*", ".*")) as caught:
            optimizer.update(spoilt(np.float64(value), *place), state, params)
        assert str(np.float64(value)) in str(caught.value)
        assert (" at (" in str(caught.value)) == (len(place) == 3 and place[1] != 1)  # a number alone has no place
    same_bits((params, state), before)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("n", [5, 40_000])
@pytest.mark.parametrize("name", [*NAMES, "clipped", "with L2"])
def test_in_place_too_and_nothing_is_written(name, n, value):
    """The bad number stands last: all before it must be untouched as well."""
    in_front = {"clipped": optim.Clip(1.0), "with L2": optim.L2(0.1)}
    optimizer = made(OPTIMIZERS[name]) if name in NAMES else optim.Chain(in_front[name], optim.Adam())
    params, gradient = np.ones(n), np.full(n, 0.5)
    state = optimizer.advance(gradient.copy(), optimizer.initial(params), params)
    gradient[-1] = value
    before = copied((params, state, gradient))
    with pytest.raises(InvalidInput, match=rf"^gradient: got {value} at \({n - 1},\)"):
        optimizer.advance(gradient, state, params)
    same_bits((params, state, gradient), before)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_whose_squares_overflow_are_finite(name):
    """Only those of infinity and NaN are refused; what an adaptive rule makes of a square that overflows is 0."""
    optimizer, g = made([(name, ELEMENTWISE[name])]), np.array([1e200, 1.0])
    with np.errstate(over="ignore"):
        step, _ = optimizer.update(g, optimizer.initial(g), g)
        params = np.zeros(2)
        optimizer.advance(g.copy(), optimizer.initial(g), params)
    assert not np.any(np.isnan(step))
    assert not np.any(np.isnan(params))


# ------------------------------------------------------------------------------------------------ trees and types
@pytest.mark.parametrize("name", COMPOSED)
@pytest.mark.parametrize(
    ("gradient", "said"),
    [
        ({"hidden": tree(1)["hidden"]}, r"^gradient: got the keys \['hidden'\]; wanted the keys \['hidden', 'out'\]"),
        ({**tree(1), "more": np.ones(1)}, r"^gradient: got the keys \['hidden', 'out', 'more'\]"),
        ([1.0, 2.0], r"^gradient: got a list of length 2; wanted the keys \['hidden', 'out'\]"),
        ({**tree(1), "out": [np.ones(4)]}, r"^gradient\['out'\]: got a list of length 1; wanted 2 parts"),
        ({**tree(1), "hidden": np.ones(9)}, r"^gradient\['hidden'\]: got an array .*; wanted the keys \['W', 'b'\]"),
        ({**tree(1), "out": [[1.0], *tree(1)["out"][1:]]}, r"^gradient\['out'\]\[0\]: got a list of length 1"),
        ({**tree(1), "out": [np.ones((4, 1)), tree(1)["out"][1]]}, r"^gradient\['out'\]\[0\]: .*\(4, 1\).*\(4,\)"),
        (tree(1, np.float32), r"^gradient\['hidden'\]\['W'\]: got an array of float32 .*; wanted an array of float64"),
        ({**tree(1), "out": [np.arange(4), tree(1)["out"][1]]}, r"gradient\['out'\]\[0\]"),
        ({**tree(1), "out": [np.ones(4) * 1j, tree(1)["out"][1]]}, r"gradient\['out'\]\[0\]"),
        ({**tree(1), "out": [None, tree(1)["out"][1]]}, r"gradient\['out'\]\[0\]"),
    ],
)
def test_a_gradient_that_does_not_fit_the_parameters_is_refused(name, gradient, said):
    optimizer, params = optimizer_of(name), tree(0)
    state = optimizer.initial(params)
    before = copied((params, state))
    with pytest.raises((InvalidInput, TypeError), match=said):
        optimizer.update(gradient, state, params)
    same_bits((params, state), before)


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_that_does_not_fit_is_refused(name):
    optimizer, params = made(OPTIMIZERS[name]), np.ones(3)
    state = optimizer.initial(params)
    before = copied((params, state))
    for gradient in (np.ones(4), np.ones((3, 1)), np.ones(1), np.float64(1.0), np.ones(3, np.float32)):
        with pytest.raises(InvalidInput, match=r"^gradient: got a"):
            optimizer.advance(gradient, state, params)
    for other in (np.ones((2, 3)), np.float64(1.0), [1.0, 2.0, 3.0], {"W": np.ones(3)}, None):
        with pytest.raises(InvalidInput, match=r"^params: got .*; wanted a vector, for steps in place"):
            optimizer.advance(other, optimizer.initial(np.ones(np.shape(other) if np.ndim(other) else 3)), other)
    with pytest.raises(InvalidInput, match=r"^gradient: got an array of float64 .*; wanted .*float32"):
        optimizer.advance(np.ones(3), optimizer.initial(params.astype(np.float32)), params.astype(np.float32))
    same_bits((params, state), before)


@pytest.mark.parametrize("name", [name for name in NAMES if made(OPTIMIZERS[name]).moments])
def test_a_state_of_other_parameters_or_of_another_optimizer_is_refused(name):
    optimizer, params = made(OPTIMIZERS[name]), tree(0)
    moment = optimizer.moments[0]
    good = optimizer.initial(params)
    bad = {
        "of another": ({"step": 0, "other": 1}, r"^state: got the keys \['step', 'other'\]; wanted"),
        "without a step": ({key: good[key] for key in good if key != "step"}, "^state: got the keys"),
        "none": (None, "^state: got None"),
        "of one part": (optimizer.initial(tree(0)["hidden"]), rf"^state\['{moment}'\]: got the keys \['W', 'b'\]"),
        "of shape": ({**good, moment: {**good[moment], "out": [np.zeros(3), (np.float64(0), np.zeros((0, 2)))]}},
                     rf"^state\['{moment}'\]\['out'\]\[0\]: got .*\(3,\)"),
        "of type": ({**good, moment: tree(0, np.float32)}, rf"^state\['{moment}'\]\['hidden'\]\['W'\]: .*float32"),
    }  # fmt: skip
    for state, said in bad.values():
        with pytest.raises(InvalidInput, match=said):
            optimizer.update(tree(1), state, params)
    for state in (None, {"step": 0}, {**optimizer.initial(np.ones(3)), moment: np.zeros(4)}):
        vector = np.ones(3)
        with pytest.raises(InvalidInput, match=r"^state"):
            optimizer.advance(np.ones(3), state, vector)
        assert np.all(vector == 1)


@pytest.mark.parametrize("name", COMPOSED)
def test_parameters_must_be_arrays_of_floats(name):
    optimizer = optimizer_of(name)
    for params in ({"W": np.arange(3)}, {"W": "text"}, [None], np.ones(2) * 1j):
        with pytest.raises((InvalidInput, TypeError), match=r"^params"):
            optimizer.initial(params)


# ---------------------------------------------------------------------------------------------------------- settings
SHARES = ("beta", "beta1", "beta2")
BAD = [-0.1, math.nan, math.inf, True, False, "0.1", None, 1j, np.array([0.1])]


@pytest.mark.parametrize("name", NAMES)
def test_settings_out_of_range_are_refused_when_made_and_when_changed(name):
    optimizer = made(OPTIMIZERS[name])
    for setting, good in ELEMENTWISE[name].items():
        others = [1.0, 1.5] if setting in SHARES else [lambda k: 0.1] if setting != "rate" else []
        for value in [*BAD, *others]:
            with pytest.raises(InvalidInput, match=f"^{setting}: got "):
                made([(name, {setting: value})])
            with pytest.raises(InvalidInput, match=f"^{setting}: got "):
                setattr(optimizer, setting, value)
            assert getattr(optimizer, setting) == good
        setattr(optimizer, setting, 0.0)
        setattr(optimizer, setting, np.float32(0.5))
        assert getattr(optimizer, setting) == 0.5
        setattr(optimizer, setting, good)
    with pytest.raises(InvalidInput, match=rf"^{name}\.learning_rate: got .*; wanted a setting: rate"):
        optimizer.learning_rate = 0.1


DEFAULTS = [
    "GradientDescent(rate=0.1)",
    "Momentum(rate=0.1, beta=0.9)",
    "Nesterov(rate=0.1, beta=0.9)",
    "AdaGrad(rate=0.01, epsilon=1e-10)",
    "RMSprop(rate=0.01, beta=0.99, epsilon=1e-08)",
    "Adam(rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-08)",
    "AMSGrad(rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-08)",
    "AdamW(rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-08, weight_decay=0.01)",
    "NAdam(rate=0.002, beta1=0.9, beta2=0.999, epsilon=1e-08, momentum_decay=0.004)",
    "Lion(rate=0.0001, beta1=0.9, beta2=0.99, weight_decay=0.0)",
]


@pytest.mark.parametrize("said", DEFAULTS)
def test_the_defaults_are_pytorchs_or_of_the_paper(said):
    """Those of gradient descent and momentum are of our own: PyTorch has 1e-3, and no momentum."""
    name = said.partition("(")[0]
    assert repr(getattr(optim, name)()) == said
    assert [said.partition("(")[0] for said in DEFAULTS] == NAMES


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, True, "0.1", None])
@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_that_gives_no_rate_is_refused_and_nothing_is_written(name, value):
    optimizer = made([(name, {**ELEMENTWISE[name], "rate": lambda k: value if k else 0.1})])
    params = np.ones(3)
    state = optimizer.advance(np.ones(3), optimizer.initial(params), params)
    before = copied((params, state))
    with pytest.raises(InvalidInput, match=r"^rate\(1\): got "):
        optimizer.update(np.ones(3), state, params)
    with pytest.raises(InvalidInput, match=r"^rate\(1\): got "):
        optimizer.advance(np.ones(3), state, params)
    same_bits((params, state), before)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: optim.Clip(0.0), "^largest: got 0.0; wanted a number, positive"),
        (lambda: optim.Clip(-1.0), "^largest: got -1.0"),
        (lambda: optim.Clip(math.nan), "^largest: got nan"),
        (lambda: optim.Clip(True), "^largest: got True"),
        (lambda: optim.L2(-1.0), "^weight_decay: got -1.0"),
        (lambda: optim.Decay(-0.5), "^amount: got -0.5"),
        (lambda: optim.Decay(1.0), "^amount: got 1.0"),
        (lambda: optim.Averaged(optim.Adam(), beta=1.0), "^beta: got 1.0"),
        (lambda: optim.Averaged(optim.Adam), "^optimizer: got .*; wanted an optimizer"),
        (lambda: optim.Averaged(None), "^optimizer: got None; wanted an optimizer"),
        (lambda: optim.Chain(), "^parts: got none"),
        (lambda: optim.Chain(optim.Adam), r"^parts\[0\]: got .*; wanted an optimizer"),
        (lambda: optim.Chain(optim.Clip(1.0), 0.1), r"^parts\[1\]: got .*; wanted an optimizer"),
        (lambda: optim.Split(matrices=optim.Adam, others=optim.Adam()), "^matrices: got .*; wanted an optimizer"),
        (lambda: optim.Split(matrices=optim.Adam(), others=3), "^others: got .*; wanted an optimizer"),
        (lambda: optim.minimise(np.sum, np.ones(2), None, 3), "^optimizer: got None; wanted an optimizer"),
        (lambda: optim.minimise(np.sum, np.ones(2), optim.Adam(), -1), "^steps: got -1"),
        (lambda: optim.minimise(np.sum, np.ones(2), optim.Adam(), 1.5), "^steps: got 1.5"),
        (lambda: optim.as_map("Adam", lambda x: x, np.ones(2)), "^optimizer: got .*; wanted an optimizer"),
        (lambda: optim.constant(-1.0), "^rate: got -1.0"),
        (lambda: optim.staircase(0.1, every=0), "^every: got 0"),
        (lambda: optim.staircase(0.1, every=2, factor=-1.0), "^factor: got -1.0"),
        (lambda: optim.cosine(math.nan, 10), "^rate: got nan"),
        (lambda: optim.cosine(0.1, 0), "^steps: got 0"),
        (lambda: optim.cosine(0.1, 10, final=-1.0), "^final: got -1.0"),
        (lambda: optim.warm_up(True, 10), "^rate: got True"),
        (lambda: optim.warm_up(0.1, -1), "^steps: got -1"),
        (lambda: optim.one_cycle(-0.1, 10), "^peak: got -0.1"),
        (lambda: optim.one_cycle(0.1, 1), "^steps: got 1"),
        (lambda: optim.one_cycle(0.1, 10, share=0.0), "^share: got 0.0"),
        (lambda: optim.one_cycle(0.1, 10, share=1.0), "^share: got 1.0"),
        (lambda: optim.one_cycle(0.1, 10, start=0.5), "^start: got 0.5"),
        (lambda: optim.one_cycle(0.1, 10, end=0.5), "^end: got 0.5"),
    ],
)  # fmt: skip
def test_what_parts_and_schedules_refuse(make, said):
    with pytest.raises(InvalidInput, match=said):
        make()


def test_a_chain_refuses_a_state_of_another_length():
    chain, x = optim.Chain(optim.Clip(1.0), optim.Adam()), np.ones(2)
    for state in ((), chain.initial(x)[:1], None, {}):
        with pytest.raises(InvalidInput, match=r"^state: got .*; wanted a tuple of 2"):
            chain.update(x, state, x)


# ------------------------------------------------------------------------------------------------------------ states
ONES = np.ones(2)
WITH_STEPS = {
    **{name: (made(OPTIMIZERS[name]), ONES, ONES) for name in [*NAMES, "Decay"]},
    **{name: (getattr(optim, name)(), np.eye(2), np.eye(2)) for name in ("Muon", "Shampoo", "SOAP")},
    "Newton": (optim.Newton(), lambda x: np.sum(x**2), ONES),
    "GaussNewton": (optim.GaussNewton(), lambda x: x**2, ONES),
    "LevenbergMarquardt": (optim.LevenbergMarquardt(), lambda x: x**2, ONES),
}


@pytest.mark.parametrize("step", ["1", -1, 1.5, math.nan, None, True, np.array([1])])
@pytest.mark.parametrize("name", WITH_STEPS)
def test_a_state_counts_its_steps(name, step):
    optimizer, g, params = WITH_STEPS[name]
    state = {**optimizer.initial(params), "step": step}
    with pytest.raises(InvalidInput, match=r"^state\['step'\]: got "):
        optimizer.update(g, state, params)
    if hasattr(optimizer, "advance"):
        params = params.copy()
        with pytest.raises(InvalidInput, match=r"^state\['step'\]: got "):
            optimizer.advance(g, state, params)
        assert np.all(params == 1)


@pytest.mark.parametrize("name", WITH_STEPS)
def test_a_state_with_something_else_in_it_is_of_another_optimizer(name):
    """The moments of AMSGrad contain those of Adam, whose contain those of RMSprop."""
    optimizer, g, params = WITH_STEPS[name]
    state = {**optimizer.initial(params), "more": 0}
    with pytest.raises(InvalidInput, match=rf"^state: got the keys .*'more'.*wanted what {type(optimizer).__name__}"):
        optimizer.update(g, state, params)
    if hasattr(optimizer, "advance"):
        with pytest.raises(InvalidInput, match=r"^state: got the keys"):
            optimizer.advance(g, state, params.copy())


@pytest.mark.parametrize("n", [3, 40_000])
@pytest.mark.parametrize("name", NAMES)
def test_arrays_for_reading_only_are_not_half_written(name, n):
    optimizer = made(OPTIMIZERS[name])
    params, gradient = np.ones(n), np.ones(n)
    state = optimizer.advance(gradient, optimizer.initial(params), params)
    arrays = {"params": params, **{f"state['{moment}']": state[moment] for moment in optimizer.moments}}
    for place, array in arrays.items():
        before = copied((params, state))
        array.flags.writeable = False
        with pytest.raises(InvalidInput, match=f"^{re.escape(place)}: got an array of float64 .*, for reading only"):
            optimizer.advance(gradient, state, params)
        array.flags.writeable = True
        same_bits((params, state), before)


@pytest.mark.parametrize("product", ["1", math.nan, -1.0, None, np.ones(2)])
def test_the_product_of_nadam_is_a_number(product):
    nadam = optim.NAdam()
    state = {**nadam.initial(ONES), "product": product}
    for step in (nadam.update, nadam.advance):
        with pytest.raises(InvalidInput, match=r"^state\['product'\]: got "):
            step(ONES, state, np.ones(2))


@pytest.mark.parametrize(
    ("optimizer", "state", "said"),
    [
        (optim.Decay(0.1), None, "^state: got None; wanted what Decay"),
        (optim.Averaged(optim.Adam()), None, "^state: got None; wanted what Averaged"),
        (optim.Averaged(optim.GradientDescent()), {"optimizer": {"step": 0}, "average": np.ones((2, 1))},
         r"^state\['average'\]: got .*\(2, 1\)"),
        (optim.Averaged(optim.GradientDescent()), {"optimizer": {"step": 0}, "average": 1.0}, r"^state\['average'\]"),
        (optim.Split(matrices=optim.Muon(), others=optim.Adam()), {}, r"^state: got the keys \[\]; wanted what Split"),
        (optim.LevenbergMarquardt(), {"step": 0, "damping": -1.0, "accepted": 0}, "^state: got the damping -1.0"),
        (optim.LevenbergMarquardt(), {"step": 0, "damping": "1", "accepted": 0}, "^state: got the damping '1'"),
        (optim.LevenbergMarquardt(), {"step": 0, "damping": 1.0, "accepted": None}, "^state: .*accepted None"),
    ],
)  # fmt: skip
def test_states_of_other_parts_that_cannot_be_used(optimizer, state, said):
    function = (lambda x: x**2) if isinstance(optimizer, optim.LevenbergMarquardt) else ONES
    with pytest.raises(InvalidInput, match=said):
        optimizer.update(function, state, ONES)
    if isinstance(optimizer, optim.Averaged):
        with pytest.raises(InvalidInput, match=r"^state: got \w+"):
            optimizer.average(None)


@pytest.mark.parametrize("amount", [1.0, 5.0, -0.1, None, np.array(0.1)])
def test_the_schedule_of_a_decay_gives_shares(amount):
    with pytest.raises(InvalidInput, match=r"^amount\(0\): got .*; wanted a number, at least 0 and less than 1$"):
        optim.Decay(lambda k: amount).update(ONES, {"step": 0}, ONES)


def test_numbers_that_no_float_can_hold_or_that_are_of_other_kinds():
    with pytest.raises(InvalidInput, match=r"^rate: got 1000"):
        optim.Momentum(rate=10**400)
    with pytest.raises(InvalidInput, match=r"^rate\(0\): got 1000"):
        optim.GradientDescent(rate=lambda k: 10**400).update(ONES, {"step": 0}, ONES)
    for rate in (Fraction(1, 2), np.longdouble(0.5), np.float32(0.5), lambda k: Fraction(1, 2)):
        step, _ = optim.GradientDescent(rate=rate).update(np.float32([1, 2]), {"step": 0}, np.float32([1, 2]))
        assert step.dtype == np.float32
        assert step.tolist() == [-0.5, -1.0]


def test_a_norm_that_overflows_is_not_clipped_to_zero():
    huge = np.full(4, 1.7e308)
    with pytest.raises(InvalidInput, match=r"^gradient: got numbers whose norm overflows"):
        optim.Clip(1.0).update(huge, {}, huge)
    with np.errstate(over="ignore"), pytest.raises(InvalidInput, match=r"^gradient: got numbers whose norm overflows"):
        jacobian(lambda g: optim.Clip(1.0).update(g, {}, g)[0])(huge)
    with pytest.raises(InvalidInput, match=r"^G: got a matrix with the norm inf"):
        optim.orthogonalised(huge.reshape(2, 2))
    with pytest.raises(InvalidInput, match=r"^G: got a matrix with the norm nan"):
        optim.orthogonalised(np.array([[np.nan, 1.0]]))


@pytest.mark.parametrize("value", [np.ones(2), np.ones(1), 1j])
def test_what_is_minimised_is_a_real_number(value):
    with pytest.raises(InvalidInput, match=r"^function\(params\): got .*; wanted a real number"):
        optim.minimise(lambda x: value, ONES, optim.Adam(), 1, gradient=lambda x: x)
