"""The named errors of mathdl: each message says what came, what was wanted, and what to do instead.

Every module raises these and no bare ``ValueError``; the book's promise "right, or a named error" rests on them.
Explained in the chapter *Jacobians as differences*.
"""

from __future__ import annotations

__all__ = [
    "DensePattern",
    "InvalidInput",
    "MathdlError",
    "NonFinite",
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


class NonFinite(MathdlError, FloatingPointError):
    """Infinity or NaN came up while a network was trained; the parameters are as they were before the batch.

    Parameters
    ----------
    layer : str
        The first layer whose output, or whose parameters' gradient, is not finite; "" where it is the loss.
    came : str
        What was found there.
    epoch, batch : int
        When, counted from 0.
    remedy : str
        What to do about it.

    Examples
    --------
    >>> raise NonFinite("hidden", "NaN in its output", 0, 3, "leave out row 17 of X")
    Traceback (most recent call last):
    mathdl.errors.NonFinite: epoch 0, batch 3: layer 'hidden': NaN in its output. Remedy: leave out row 17 of X
    """

    def __init__(self, layer: str, came: str, epoch: int, batch: int, remedy: str) -> None:
        self.layer, self.came, self.epoch, self.batch, self.remedy = layer, came, epoch, batch, remedy
        place = f"layer {layer!r}" if layer else "the loss"
        super().__init__(f"epoch {epoch}, batch {batch}: {place}: {came}. Remedy: {remedy}")


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
