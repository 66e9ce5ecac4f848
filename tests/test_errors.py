"""mathdl.errors: every message says what came, what was wanted and what to do instead."""

from __future__ import annotations

import pytest

from mathdl.errors import (
    InvalidInput,
    MathdlError,
    NotDifferentiable,
    OraclesDisagree,
    UnknownExercise,
    WrongDerivative,
)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (InvalidInput("x", "a", "b"), ValueError),
        (NotDifferentiable("f", "r", "d"), TypeError),
        (OraclesDisagree("f", "r", "d"), NotDifferentiable),
        (WrongDerivative("m", "transposed"), AssertionError),
        (UnknownExercise("n"), LookupError),
    ],
)
def test_each_error_is_mathdls_and_the_builtin_one_that_fits(error, builtin):
    assert isinstance(error, MathdlError)
    assert isinstance(error, builtin)


def test_the_messages_carry_all_parts_and_the_attributes_too():
    error = InvalidInput("x", "an array of int64", "floats")
    assert str(error) == "x: got an array of int64; wanted floats"
    assert (error.argument, error.came, error.wanted) == ("x", "an array of int64", "floats")
    error = NotDifferentiable("numpy.absolute", "it drops the imaginary part", "use Richardson")
    assert str(error) == "numpy.absolute: it drops the imaginary part. Instead: use Richardson"
    assert (error.function, error.reason, error.remedy) == (
        "numpy.absolute",
        "it drops the imaginary part",
        "use Richardson",
    )
    wrong = WrongDerivative("J is transposed", "transposed")
    assert str(wrong) == "J is transposed"
    assert wrong.diagnosis == "transposed"
