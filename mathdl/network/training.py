"""Training: batches in random order, a step for each, and what to watch while it goes on.

Explained in the chapter *Backpropagation*.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from mathdl.arrays import describe
from mathdl.autodiff.trees import build, leaves, mapped
from mathdl.errors import InvalidInput, NonFinite
from mathdl.layers.classification import CrossEntropy
from mathdl.layers.layer import Loss, Params
from mathdl.network.composition import Network

__all__ = ["Fitted", "History", "Momentum", "Optimizer", "Step", "accuracy", "fit", "predict"]

# What is not finite raises an error that names its place: NumPy's warnings would say less, and come first.
_QUIET: Any = {"over": "ignore", "invalid": "ignore", "divide": "ignore"}


class Optimizer(Protocol):
    """What `fit` asks of an optimizer; trees are nested dicts of arrays.

    One that updates each number without looking at the others may have a third method beside these,
    ``advance(gradient, state, params) -> state``, for vectors: it adds the step to ``params`` in place, and may write
    into the gradient and the state. `fit` calls it, if it is there, with all parameters in one vector.
    """

    def initial(self, params: Any) -> Any:
        """The state before the first step."""

    def update(self, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
        """The step, which is added to the parameters, and the next state; nothing is written into."""


@dataclass(frozen=True)
class Momentum:
    """v ← decay v + gradient, step = - rate v: gradient descent that keeps some of its speed.

    With ``decay=0.0`` it is plain gradient descent.

    Parameters
    ----------
    rate : float
        The learning rate, not negative.
    decay : float
        How much of the speed is left after a step, at least 0 and less than 1.

    Raises
    ------
    InvalidInput
        If one is out of its range.

    References
    ----------
    Chapter *Momentum*. B. T. Polyak, USSR Comput. Math. Math. Phys. 4 (1964) 1.

    Examples
    --------
    >>> momentum = Momentum(rate=0.5, decay=0.0)
    >>> x = np.array([4.0])
    >>> step, state = momentum.update(x, momentum.initial(x), x)
    >>> x + step
    array([2.])
    """

    rate: float = 0.1
    decay: float = 0.9

    def __post_init__(self) -> None:
        for name, value, below in (("rate", self.rate, math.inf), ("decay", self.decay, 1.0)):
            if not isinstance(value, (int, float)) or not 0 <= value < below:
                raise InvalidInput(name, repr(value), f"a number, at least 0 and less than {below:g}")

    def initial(self, params: Any) -> Any:
        return mapped(np.zeros_like, params)

    def update(self, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
        velocity = mapped(lambda v, g: self.decay * v + g, state, gradient)
        return mapped(lambda v: -self.rate * v, velocity), velocity

    def advance(self, gradient: Any, state: Any, params: Any) -> Any:
        """The same in place, for one array: the state is the velocity, and the gradient is written over."""
        state *= self.decay
        state += gradient
        params -= np.multiply(state, self.rate, out=gradient)
        return state


@dataclass
class History:
    """Numbers of a training, one for each epoch.

    Attributes
    ----------
    loss : list of float
        The mean over the epoch's batches, each measured before its step.
    accuracy : list of float
        The same for the share of right labels; empty where the targets are no labels.
    validation_loss, validation_accuracy : list of float
        Measured after the epoch on the data for validation; empty without.
    best : int or None
        The epoch whose parameters were kept, where there was ``patience``.
    """

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    best: int | None = None


class Fitted(NamedTuple):
    """What `fit` gives back.

    Attributes
    ----------
    network : Network
        For evaluation: nothing is dropped, and batch norms have the statistics averaged over the training.
    params : dict of str to dict of str to ndarray
    history : History
    """

    network: Network
    params: dict[str, Any]
    history: History


class Step(NamedTuple):
    """What ``watch`` sees after each step; the arrays may be looked at, and copied if they are to be kept.

    Attributes
    ----------
    epoch, batch : int
        Counted from 0.
    loss : float
        Of the batch, before the step.
    gradient, params : dict of str to dict of str to ndarray
        The gradient of the batch, and the parameters after the step.
    """

    epoch: int
    batch: int
    loss: float
    gradient: dict[str, Any]
    params: dict[str, Any]


def fit(
    network: Network,
    params: Params,
    X: Any,
    targets: Any,
    *,
    loss: Loss | None = None,
    update: Optimizer | None = None,
    epochs: int = 30,
    batch: int = 32,
    seed: int = 0,
    validation: tuple[Any, Any] | None = None,
    patience: int | None = None,
    watch: Callable[[Step], None] | None = None,
    progress: bool = True,
) -> Fitted:
    """Train a network: in each epoch all data pass once, in random order, and each batch of them makes one step.

    The same arguments give the same result, bit for bit, on one machine. Batches are as equal as they can be, so that
    none is much smaller than the others. What is not finite stops the training at its batch.

    Parameters
    ----------
    network : Network
    params : dict of str to dict of str to ndarray
        To begin with, such as ``network.initial(X.shape, rng=0)``. They are not changed.
    X : ndarray, shape (N, ...)
    targets : ndarray
        N labels, or whatever the loss takes.
    loss : Loss, optional
        ``CrossEntropy()`` unless told otherwise.
    update : Optimizer, optional
        Has the methods of `Momentum`, which is the default.
    epochs, batch : int
        How often all data pass, and how many make a step: at most so many.
    seed : int
        Of the order of the data, and of what is dropped.
    validation : tuple (X, targets), optional
        Measured after each epoch, and never trained with.
    patience : int, optional
        Stop when the loss on the validation data has not been better for so many epochs, and go back to the best.
    watch : callable, optional
        Called with a `Step` after each step.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    Fitted
        The network for evaluation, its parameters, and the history.

    Raises
    ------
    InvalidInput
        If there are no data, targets do not fit them, shapes do not fit the network, or a number is out of range.
    NonFinite
        If a loss or a gradient is infinite or NaN. The message says in which batch, and in which layer first.

    References
    ----------
    Chapter *Backpropagation*.

    Examples
    --------
    >>> from mathdl.layers import Affine
    >>> X, labels = np.array([[-1.0], [-2.0], [1.0], [2.0]]), np.array([0, 0, 1, 1])
    >>> network = Network(out=Affine(2))
    >>> fitted = fit(network, network.initial(X.shape), X, labels, epochs=20, progress=False)
    >>> accuracy(fitted.network, fitted.params, X, labels)
    1.0
    """
    loss, update = loss or CrossEntropy(), update or Momentum()
    _check_numbers(epochs=epochs, batch=batch, patience=patience)
    if patience is not None and validation is None:
        raise InvalidInput("validation", "None", "data for validation, since there is patience")
    X, targets = _data(X, targets, "X", "targets")
    own, vector = _in_one_vector(dict(network._params(params)))
    targets = _accepted(network, own, X, targets, loss, "targets")
    if validation is not None:
        validation = _data(*validation, "validation[0]", "validation[1]")
        validation = validation[0], _accepted(network, own, *validation, loss, "validation[1]")

    run = _Run(network, own, vector, update, loss, np.random.default_rng(seed))
    history = History()
    best: tuple[int, Network, dict[str, Any]] | None = None
    count = math.ceil(len(X) / batch)
    with _bar(progress, epochs * count) as bar, np.errstate(**_QUIET):
        for epoch in range(epochs):
            sums = np.zeros(2)
            for k, rows in enumerate(np.array_split(run.rng.permutation(len(X)), count)):
                sums += len(rows) * np.array(run.step(X[rows], targets[rows], rows, epoch, k, watch))
                bar.update()
            _note(history.loss, history.accuracy, sums / len(X))
            if validation is not None:
                evaluated = run.evaluating()
                _note(
                    history.validation_loss,
                    history.validation_accuracy,
                    _measured(evaluated, own, *validation, loss),
                )
                if patience is not None:
                    if best is None or history.validation_loss[-1] < history.validation_loss[best[0]]:
                        best = epoch, evaluated, mapped(np.copy, own)
                    elif epoch - best[0] >= patience:
                        break
            bar.set_postfix({name: f"{values[-1]:.4g}" for name, values in vars(history).items() if values})
    if best is None:
        return Fitted(run.evaluating(), own, history)
    history.best = best[0]
    return Fitted(*best[1:], history)


@dataclass
class _Run:
    """A training under way."""

    network: Network
    params: dict[str, Any]  # of its own: steps are added in place
    vector: Any  # the memory of all of them, or None
    update: Optimizer
    loss: Loss
    rng: np.random.Generator
    measured: Any = None  # of batch norms, averaged
    steps: int = 0

    def __post_init__(self) -> None:
        if not hasattr(self.update, "advance"):
            self.vector = None
        self.state = self.update.initial(self.params if self.vector is None else self.vector)
        self.gathered = None if self.vector is None else np.empty_like(self.vector)

    def step(
        self, x: Any, t: Any, rows: Any, epoch: int, k: int, watch: Callable[[Step], None] | None
    ) -> tuple[float, float]:
        """One step, with the rows of these numbers. The loss before it, and the share of right labels (or NaN)."""
        network = self.network.redrawn(self.rng)
        y, kept = network.value(self.params, x)
        value, of_loss = self.loss.value(y, t)
        measured, stack = network.measured_in(kept), list(kept)
        del kept
        gradient = network.backward(self.params, stack, self.loss.gradient(of_loss))
        if not (math.isfinite(value) and self._finite(gradient)):
            raise _not_finite(network, self.params, x, gradient, rows, epoch, k)
        self._advance(gradient)
        self._average(measured)
        if watch is not None:
            watch(Step(epoch, k, float(value), gradient, self.params))
        return float(value), _right(y, t)

    def _finite(self, gradient: Any) -> bool:
        if self.vector is None:
            return _finite(gradient)
        np.concatenate([leaf.ravel() for leaf in leaves(gradient)], out=self.gathered)
        return _finite(self.gathered)

    def _advance(self, gradient: Any) -> None:
        if self.vector is None:
            step, self.state = self.update.update(gradient, self.state, self.params)
            mapped(np.add, self.params, step, self.params)
        else:
            self.state = self.update.advance(self.gathered, self.state, self.vector)  # type: ignore[attr-defined]

    def _average(self, measured: Any) -> None:
        """Of the first hundred batches all count alike; later ones fade as they get old."""
        self.steps += 1
        if measured is not None:
            weight = max(1 / self.steps, 0.01)
            old = measured if self.measured is None else self.measured
            self.measured = mapped(lambda a, b: a + weight * (b - a), old, measured)

    def evaluating(self) -> Network:
        return self.network.evaluating(self.measured)


def predict(network: Network, params: Params, X: Any) -> Any:
    """The label that a network gives to each row: the place of its largest output.

    Parameters
    ----------
    network : Network
        Nothing is dropped, whether it is for training or for evaluation.
    params : dict of str to dict of str to ndarray
    X : ndarray, shape (N, ...)

    Returns
    -------
    ndarray of int, shape (N,)

    Raises
    ------
    InvalidInput
        As the layers.

    Examples
    --------
    >>> from mathdl.layers import Softmax
    >>> predict(Network(p=Softmax()), {}, np.array([[1.0, 2.0], [2.0, 1.0]]))
    array([1, 0])
    """
    return np.argmax(network.evaluating()(params, X), axis=-1)


def accuracy(network: Network, params: Params, X: Any, labels: Any) -> float:
    """The share of rows to which a network gives the right label.

    Parameters
    ----------
    network, params, X
        As in `predict`.
    labels : ndarray of int, shape (N,)

    Raises
    ------
    InvalidInput
        If there are no rows, or not as many labels.

    Examples
    --------
    >>> from mathdl.layers import Softmax
    >>> accuracy(Network(p=Softmax()), {}, np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([1, 1]))
    0.5
    """
    X, labels = _data(X, labels, "X", "labels")
    return float(np.mean(predict(network, params, X) == labels))


# ------------------------------------------------------------------------------------------------------------- the data
def _data(X: Any, targets: Any, name: str, targets_name: str) -> tuple[Any, Any]:
    X, targets = np.asarray(X), np.asarray(targets)
    if X.ndim == 0 or len(X) == 0:
        raise InvalidInput(name, f"no rows, shape {X.shape}", "at least one row of data")
    if targets.ndim == 0 or len(targets) != len(X):
        raise InvalidInput(targets_name, describe(targets), f"one for each of the {len(X)} rows of {name}")
    return X, targets


def _in_one_vector(params: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """A copy of the parameters whose arrays share one vector, and the vector; None where they have several types.

    An update is then a few passes over one array, however many layers there are.
    """
    arrays = leaves(params)
    if len({array.dtype for array in arrays}) != 1:
        return mapped(np.array, params), None
    vector = np.concatenate([np.ravel(array) for array in arrays])
    ends = np.cumsum([array.size for array in arrays])
    views = zip(np.split(vector, ends[:-1]), arrays, strict=True)
    return build(params, iter([view.reshape(array.shape) for view, array in views])), vector


def _accepted(network: Network, params: Params, X: Any, targets: Any, loss: Loss, name: str) -> Any:
    """The targets as the loss takes them; what it cannot use is refused before the first step, not in mid-epoch."""
    with np.errstate(**_QUIET):
        y = network.evaluating()(params, X[:2])
    try:
        return loss.accept(np.broadcast_to(y[:1], (len(X), *y.shape[1:])), targets)
    except InvalidInput as error:
        raise InvalidInput(name, error.came, error.wanted) from error


def _check_numbers(**numbers: int | None) -> None:
    for name, value in numbers.items():
        if name == "patience" and value is None:
            continue
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
            raise InvalidInput(name, repr(value), "an integer, at least 1")


def _measured(network: Network, params: Params, X: Any, targets: Any, loss: Loss) -> tuple[float, float]:
    y = network(params, X)
    return float(loss(y, targets)), _right(y, targets)


def _right(y: Any, targets: Any) -> float:
    """The share of right labels; NaN where the targets are none."""
    labels = targets.dtype.kind in "iu" and targets.shape == y.shape[:-1]
    return np.count_nonzero(np.argmax(y, axis=-1) == targets) / targets.size if labels else math.nan


def _note(losses: list[float], accuracies: list[float], numbers: Any) -> None:
    losses.append(float(numbers[0]))
    if not math.isnan(numbers[1]):
        accuracies.append(float(numbers[1]))


# -------------------------------------------------------------------------------------------- when something goes wrong
def _finite(tree: Any) -> bool:
    """Whether all numbers are finite; their squares tell in one pass, unless they overflow, which is looked into."""
    if isinstance(tree, dict):
        return all(map(_finite, tree.values()))
    return math.isfinite(np.vdot(tree, tree)) or bool(np.all(np.isfinite(tree)))


def _not_finite(network: Network, params: Params, x: Any, gradient: Any, rows: Any, epoch: int, k: int) -> NonFinite:
    """Where infinity or NaN came up first: in the data, in the output of a layer, in the loss, or in a gradient."""
    broken = np.flatnonzero(~np.all(np.isfinite(x.reshape(len(x), -1)), axis=1))
    name, kind = _first_not_finite(network, params, x)
    if name and len(broken):
        where = ", ".join(map(str, np.sort(rows[broken])[:3]))
        came = f"{kind} in its output, and in row {where} of X already"
        return NonFinite(name, came, epoch, k, "leave those rows out, or fill them: np.isfinite(X) finds them")
    if name:
        came = f"{kind} in its output, from finite data and finite parameters"
        return NonFinite(name, came, epoch, k, "a lower rate, clipped gradients, or smaller data")
    for name in reversed(network.parameters):
        if not _finite(gradient[name]):
            came = "its output is finite, the gradient of its parameters is not"
            return NonFinite(name, came, epoch, k, "a lower rate, or a loss whose derivative is finite there")
    return NonFinite("", "it is not finite though all outputs are", epoch, k, "a lower rate, or another loss")


def _first_not_finite(network: Network, params: Params, x: Any) -> tuple[str, str]:
    """The way to the first layer whose output is not finite, into networks in it too, and what is there."""
    for name, y in network.outputs(params, x).items():
        if not np.all(np.isfinite(y)):
            layer = network.layers[name]
            inside = _first_not_finite(layer, params.get(name, {}), x)[0] if isinstance(layer, Network) else ""
            return f"{name}/{inside}" if inside else name, "NaN" if np.any(np.isnan(y)) else "infinity"
        x = y
    return "", ""


def _bar(progress: bool, total: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, unit="batch", disable=not progress, leave=True)
