"""mathdl.arrays: what becomes a float64 array, and what is refused with its name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mathdl.arrays import as_output, as_point, describe
from mathdl.errors import InvalidInput

PROPERTY = settings(derandomize=True, deadline=None, max_examples=50, database=None)


@PROPERTY
@given(
    arrays(
        st.sampled_from([np.float16, np.float32, np.float64]),
        array_shapes(min_dims=0, max_dims=3, max_side=4),
        elements=st.floats(-100, 100, width=16),
    )
)
def test_a_point_is_a_float64_copy_of_the_same_shape_and_values(x):
    point = as_point(x)
    assert point.dtype == np.float64
    assert point.shape == x.shape
    assert np.array_equal(point, x)
    assert not np.shares_memory(point, x)
    assert point.flags.writeable


def test_numbers_and_sequences_are_points():
    assert as_point(0.5).shape == ()
    assert as_point(np.float32(0.5)).shape == ()
    assert as_point([[0.5, 1.0], [1.5, 2.0]]).shape == (2, 2)
    assert as_point((0.5,)).tolist() == [0.5]
    frozen = np.ones(4)[::2]
    frozen.flags.writeable = False
    assert as_point(frozen).flags.writeable


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            np.array([1, 2]),
            r"x: got an array of int64 with shape \(2,\); wanted floating-point .*: write np.asarray\(x, dtype=float\)",
        ),
        (3, "the int 3"),
        (True, "the bool True"),
        (np.array([True]), "array of bool"),
        ([1, 2], "array of int64"),
        (1j, "complex128.*wanted real numbers"),
        (np.zeros((2, 0)), r"an empty array with shape \(2, 0\); wanted at least one number"),
        ([], "empty"),
        (np.nan, "x: got nan; wanted finite"),
        (np.array([[1.0, np.inf], [2.0, 3.0]]), r"inf at index \(0, 1\); wanted finite"),
        (np.array([np.nan, 0.0, np.nan, -np.inf]), r"nan at index \(0,\) and 2 more not finite"),
        ([[1.0], [1.0, 2.0]], "ragged"),
        ("1.0", "a str of length 3; wanted numbers"),
        (None, "x: got an array of Python objects .from None.; wanted"),
        ({"a": 1.0}, "Python objects"),
        (np.array(["a"]), "numbers"),
        (np.array([1.0, None]), "Python objects"),
        (np.array(["2020"], dtype="datetime64"), "numbers"),
    ],
)
def test_what_is_no_point_is_refused_by_name(value, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        as_point(value)
    assert caught.value.argument == "x"
    with pytest.raises(InvalidInput) as caught:
        as_point(value, "weights")
    assert caught.value.argument == "weights"
    assert str(caught.value).startswith("weights: got ")


def test_an_output_is_a_float64_or_complex128_copy():
    y = np.ones(3)
    assert not np.shares_memory(as_output(y), y)
    for value, dtype in [
        (2, np.float64),
        (np.float32(2), np.float64),
        (np.array([1, 2]), np.float64),
        (True, np.float64),
        (1j, np.complex128),
        (np.zeros(2, np.complex64), np.complex128),
    ]:
        assert as_output(value).dtype == dtype
        assert as_output(value).shape == np.shape(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1.0, 2.0], r"g\(x\): got a list of length 2; wanted an array or a number: return np.array"),
        ((1.0,), "a tuple of length 1"),
        (None, "got None"),
        ({}, "a dict"),
        ({1.0}, "set"),
        ("text", "a str"),
        (np.zeros(0), "empty"),
        (np.array([1.0, np.nan]), r"nan at index \(1,\)"),
        (np.inf, "inf"),
        (object(), "Python objects"),
        (np.array([None]), "Python objects"),
        (len, "Python objects"),
    ],
)
def test_what_is_no_output_is_refused_by_name(value, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        as_output(value, "g")
    assert caught.value.argument == "g(x)"


def test_an_output_that_cannot_become_an_array_is_refused():
    class Stubborn:
        def __array__(self, dtype=None, copy=None):
            raise TypeError("never")

    with pytest.raises(InvalidInput, match="a Stubborn; wanted an array or a number"):
        as_output(Stubborn())


def test_another_shape_than_before_is_refused():
    assert as_output(np.ones(2), shape=(2,)).shape == (2,)
    with pytest.raises(
        InvalidInput,
        match=r"f\(x\): got shape \(3,\) at one point and \(2,\) at another; wanted one shape for every input",
    ):
        as_output(np.ones(3), shape=(2,))
    with pytest.raises(InvalidInput, match=r"\(\) at one point and \(1,\)"):
        as_output(1.0, shape=(1,))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "None"),
        (..., "..."),
        (np.zeros(2), "an array of float64 with shape (2,)"),
        (np.int32(3), "a number of int32"),
        ((), "a tuple of length 0"),
        (2.5, "the float 2.5"),
        (True, "the bool True"),
        (len, "the function len"),
        (object(), "an object"),
        ({1}, "a set"),
        (range(3), "a range"),
    ],
)
def test_describe_says_what_came(value, words):
    assert describe(value) == words
