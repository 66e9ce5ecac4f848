"""The named errors of mathdl: each message says what came, what was wanted, and what to do instead.

Every module raises these and no bare ``ValueError``; the book's promise "right, or a named error" rests on them.
Explained in the chapter *Jacobians as differences*.
"""

from __future__ import annotations

__all__ = [
    "DensePattern",
    "InvalidInput",
    "MathdlError",
    "NotDifferentiable",
    "OraclesDisagree",
    "UnknownExercise",
    "WrongDerivative",
]


class MathdlError(Exception):
    """What all errors of mathdl have in common."""


class InvalidInput(MathdlError, ValueError):
    """An argument that cannot be used as it came.

    Parameters
    ----------
    argument : str
        The name of the argument, as the caller wrote it.
    came : str
        What was received.
    wanted : str
        What would have been accepted, and how to get there.

    Examples
    --------
    >>> raise InvalidInput("x", "an array of int64", "floating-point numbers: write x.astype(float)")
    Traceback (most recent call last):
    mathdl.errors.InvalidInput: x: got an array of int64; wanted floating-point numbers: write x.astype(float)
    """

    def __init__(self, argument: str, came: str, wanted: str) -> None:
        self.argument, self.came, self.wanted = argument, came, wanted
        super().__init__(f"{argument}: got {came}; wanted {wanted}")


class NotDifferentiable(MathdlError, TypeError):
    """A function whose derivative cannot be computed in the way asked for.

    Parameters
    ----------
    function : str
        What stands in the way: a function's name, or a property of it.
    reason : str
        Why it has no derivative here.
    remedy : str
        What to write instead.

    Examples
    --------
    >>> raise NotDifferentiable("numpy.absolute", "it drops the imaginary part", "use method='richardson'")
    Traceback (most recent call last):
    mathdl.errors.NotDifferentiable: numpy.absolute: it drops the imaginary part. Instead: use method='richardson'
    """

    def __init__(self, function: str, reason: str, remedy: str) -> None:
        self.function, self.reason, self.remedy = function, reason, remedy
        super().__init__(f"{function}: {reason}. Instead: {remedy}")


class OraclesDisagree(NotDifferentiable):
    """Independent ways to one derivative that contradict each other: nothing can be checked against them."""


class WrongDerivative(MathdlError, AssertionError):
    """A claimed derivative that does not agree with the function; ``diagnosis`` says what is wrong with it."""

    def __init__(self, message: str, diagnosis: str) -> None:
        self.diagnosis = diagnosis
        super().__init__(message)


class UnknownExercise(MathdlError, LookupError):
    """A name that no exercise has; the message lists the nearest ones."""


class DensePattern(UserWarning):
    """A sparse Jacobian was asked for, and there is no structure that would pay; the message names the density."""
