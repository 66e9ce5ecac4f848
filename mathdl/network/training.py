"""Training: batches in random order, a step for each, and what to watch while it goes on.

Explained in the chapter *Backpropagation*.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from mathdl.arrays import describe, is_finite, is_integer, is_number, want_integer
from mathdl.autodiff.trees import leaves, mapped
from mathdl.errors import InvalidInput, NonFinite
from mathdl.layers.classification import CrossEntropy
from mathdl.layers.layer import Loss, Params
from mathdl.network.composition import Network
from mathdl.optim.arena import Arena
from mathdl.optim.first_order import Momentum
from mathdl.optim.optimizer import Optimizer, check_optimizer

__all__ = ["Fitted", "History", "Step", "accuracy", "fit", "predict"]

# What is not finite raises an error that names its place: NumPy's warnings would say less, and come first.
_QUIET: Any = {"over": "ignore", "invalid": "ignore", "divide": "ignore"}


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

    def note(self, *numbers: float) -> None:
        """Append loss and accuracy, and those of the validation; an accuracy of NaN is none."""
        lists = (self.loss, self.accuracy, self.validation_loss, self.validation_accuracy)
        for values, number, is_loss in zip(lists, numbers, (True, False, True, False), strict=False):
            if is_loss or not math.isnan(number):
                values.append(float(number))

    def last(self) -> dict[str, str]:
        """The numbers of the last epoch, for the bar."""
        return {name: f"{values[-1]:.4g}" for name, values in vars(self).items() if isinstance(values, list) and values}


class Fitted(NamedTuple):
    """What `fit` gives back.

    Attributes
    ----------
    network : Network
        For evaluation: nothing is dropped, and batch norms have the statistics averaged over the training. To train
        on, take ``params`` and the network that `fit` was given: this one would drop nothing, and keep its statistics.
    params : dict of str to dict of str to ndarray
    history : History
    state : dict
        Of the whole training after its last full epoch, the optimizer's included: what `fit` takes for ``resume``, and
        `mathdl.optim.save` writes to a file.
    """

    network: Network
    params: dict[str, Any]
    history: History
    state: dict[str, Any]


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
    params: Params | None,
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
    resume: dict[str, Any] | None = None,
) -> Fitted:
    """Train a network: in each epoch all data pass once, in random order, and each batch of them makes one step.

    The same arguments give the same result, bit for bit, on one machine. Batches are as equal as they can be, so that
    none is much smaller than the others. What is not finite stops the training at its batch. An interruption by hand
    (Ctrl-C, or the square button of a notebook) ends it with a warning, and what was trained until then is returned.

    Parameters
    ----------
    network : Network
    params : dict of str to dict of str to ndarray
        To begin with, such as ``network.initial(X.shape, rng=0)``. They are not changed. An array that stands in two
        places is two parameters: each is trained by itself. ``None`` with ``resume``, which has them.
    X : ndarray, shape (N, ...)
    targets : ndarray
        N labels, or whatever the loss takes.
    loss : Loss, optional
        ``CrossEntropy()`` unless told otherwise.
    update : Optimizer, optional
        One of `mathdl.optim`, or whatever has its methods; ``Momentum()`` unless told otherwise.
    epochs, batch : int
        How often all data pass, those before ``resume`` included, and how many make a step: at most so many.
    seed : int
        Of the order of the data, and of what is dropped.
    validation : tuple (X, targets), optional
        Measured after each epoch, and never trained with; all at once.
    patience : int, optional
        Stop when the loss on the validation data has not been better for so many epochs, and go back to the best.
    watch : callable, optional
        Called with a `Step` after each step.
    progress : bool
        Whether to show a bar.
    resume : dict, optional
        The ``state`` of an earlier training, to go on with: with the same data, loss and optimizer the result is, bit
        for bit, that of one training without a break. The order of the data goes on too, whatever the seed.
        Validation must have been there from the first epoch on. Without patience the last parameters are kept.

    Returns
    -------
    Fitted
        The network for evaluation, its parameters, and the history.

    Raises
    ------
    InvalidInput
        If there are no data, targets do not fit them, shapes do not fit the network, a parameter is not finite from the
        start, a number is out of range, the network has several inputs, or a state is of another training or optimizer.
    NonFinite
        If a loss (that of the validation too) or a gradient is infinite or NaN. The message says in which batch, and in
        which layer first.

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
    loss = CrossEntropy() if loss is None else loss
    update = Momentum() if update is None else update
    _check_kinds(network, loss, update)
    for name, value, least in (("epochs", epochs, 1), ("batch", batch, 1), ("seed", seed, 0)):
        want_integer(value, name, least)
    if patience is not None:
        want_integer(patience, "patience", 1)
        if validation is None:
            raise InvalidInput("validation", "None", "data for validation, since there is patience")
    begin: dict[str, Any] = _resumed(resume, params, validation) if resume is not None else {"params": params}
    own, arena = _own(_finite_params(network, begin["params"]), update)
    X, targets = _accepted(network, own, X, targets, loss, "X", "targets")
    if validation is not None:
        if not isinstance(validation, (tuple, list)) or len(validation) != 2:
            raise InvalidInput("validation", describe(validation), "a pair (X, targets)")
        validation = _accepted(network, own, *validation, loss, "validation[0]", "validation[1]")

    run = _Run(network, own, arena, update, loss, np.random.default_rng(seed), watch)
    history, best = History(**begin.get("history", {})), begin.get("best")
    if patience is None:  # the last parameters are kept
        history.best, best = None, None
    if resume is not None:
        run.go_on(begin)
    state = run.state_after(history, best)
    count = math.ceil(len(X) / batch)
    with _bar(progress, epochs * count) as bar, np.errstate(**_QUIET):
        bar.update(len(history.loss) * count)
        try:
            for epoch in range(len(history.loss), epochs):
                if patience is not None and history.best is not None and epoch - 1 - history.best >= patience:
                    break
                trained = run.epoch(X, targets, epoch, count, bar)
                validated = run.validated(*validation, epoch, count) if validation is not None else ()
                history.note(*trained, *validated)
                bar.set_postfix(history.last())
                losses = history.validation_loss
                if patience is not None and (history.best is None or losses[-1] < losses[history.best]):
                    history.best, best = epoch, {"params": mapped(np.copy, own), "measured": run.measured}
                state = run.state_after(history, best)
        except KeyboardInterrupt:
            said = f"interrupted after {run.steps} steps, in epoch {len(history.loss)}: what was trained so far is kept"
            warnings.warn(said, RuntimeWarning, stacklevel=2)
    kept = best or {"params": own, "measured": run.measured}
    return Fitted(network.evaluating(kept["measured"]), kept["params"], history, state)


@dataclass
class _Run:
    """A training under way."""

    network: Network
    params: dict[str, Any]  # of its own: steps are added in place
    arena: Arena | None  # the memory of all of them, where steps are made in place
    update: Optimizer
    loss: Loss
    rng: np.random.Generator
    watch: Callable[[Step], None] | None = None
    measured: Any = None  # of batch norms, averaged
    steps: int = 0

    def __post_init__(self) -> None:
        self.state = self.update.initial(self.params if self.arena is None else self.arena.vector)
        self.redraws = self.network.redrawn(np.random.default_rng()) is not self.network

    def state_after(self, history: History, best: Any) -> dict[str, Any]:
        """All that the rest of the training depends on, as a tree that can be saved."""
        parts = {"params": self.params, "optimizer": self.state, "measured": self.measured, "steps": self.steps}
        now = {**parts, "rng": self.rng.bit_generator.state, "history": vars(history), "best": best}
        return copy.deepcopy(now)

    def go_on(self, state: dict[str, Any]) -> None:
        self.state, self.measured, self.steps = state["optimizer"], state["measured"], state["steps"]
        self.rng.bit_generator.state = state["rng"]

    def epoch(self, X: Any, targets: Any, epoch: int, count: int, bar: Any) -> tuple[float, float]:
        """All data once, in batches: the mean loss, and the share of right labels (or NaN)."""
        loss = right = 0.0
        for k, rows in enumerate(np.array_split(self.rng.permutation(len(X)), count)):
            one, share = self.step(X[rows], targets[rows], rows, epoch, k)
            loss += one * len(rows)
            right += share * len(rows)
            bar.update()
        return loss / len(X), right / len(X)

    def step(self, x: Any, t: Any, rows: Any, epoch: int, k: int) -> tuple[float, float]:
        """One step, with the rows of these numbers. The loss before it, and the share of right labels (or NaN)."""
        network = self.network.redrawn(self.rng) if self.redraws else self.network
        y, kept = network.value(self.params, x)
        value, of_loss = self.loss.value(y, t)
        measured, stack = network.measured_in(kept), list(kept)
        del kept
        gradient = network.backward(self.params, stack, self.loss.gradient(of_loss))
        if not (math.isfinite(value) and self._finite(gradient)):
            reason = _not_finite(network, self.params, x, t, gradient, rows, ("X", "targets"))
            raise NonFinite(reason[0], reason[1], epoch, k, reason[2])
        self._advance(gradient)
        self._average(measured)
        if self.watch is not None:
            self.watch(Step(epoch, k, float(value), gradient, self.params))
        return float(value), _right(y, t)

    def _finite(self, gradient: Any) -> bool:
        if self.arena is None:
            return _finite(gradient)
        return is_finite(np.concatenate([leaf.ravel() for leaf in leaves(gradient)], out=self.arena.gathered))

    def _advance(self, gradient: Any) -> None:
        if self.arena is None:
            gradient = mapped(lambda g, p: g.astype(p.dtype, copy=False), gradient, self.params)
            step, self.state = self.update.update(gradient, self.state, self.params)
            mapped(np.add, self.params, step, self.params)
        else:
            self.state = self.update.advance(  # type: ignore[attr-defined]
                self.arena.gathered, self.state, self.arena.vector
            )

    def _average(self, measured: Any) -> None:
        """Of the first hundred batches all count alike; later ones fade as they get old."""
        self.steps += 1
        if measured is not None:
            weight = max(1 / self.steps, 0.01)
            old = measured if self.measured is None else self.measured
            self.measured = mapped(lambda a, b: a + weight * (b - a), old, measured)

    def evaluating(self) -> Network:
        return self.network.evaluating(self.measured)

    def validated(self, X: Any, targets: Any, epoch: int, count: int) -> tuple[float, float]:
        """The loss on data that are not trained with, and the share of right labels (or NaN)."""
        network = self.evaluating()
        y = network(self.params, X)
        loss = float(self.loss(y, targets))
        if not math.isfinite(loss):
            names, rows = ("validation[0]", "validation[1]"), np.arange(len(X))
            reason = _not_finite(network, self.params, X, targets, {}, rows, names)
            raise NonFinite(reason[0], reason[1], epoch, count - 1, reason[2])
        return loss, _right(y, targets)


def predict(network: Network, params: Params, X: Any) -> Any:
    """The label that a network gives to each row: the place of its largest output.

    Parameters
    ----------
    network : Network
        Nothing is dropped, whether it is for training or for evaluation. Batch norms without statistics take those of
        X: `Fitted` has the network to use.
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
        If there are no rows, or the labels are not one integer for each.

    Examples
    --------
    >>> from mathdl.layers import Softmax
    >>> accuracy(Network(p=Softmax()), {}, np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([1, 1]))
    0.5
    """
    X, labels = _data(X, labels, "X", "labels")
    found = predict(network, params, X)
    if labels.dtype.kind not in "iu" or labels.shape != found.shape:
        raise InvalidInput("labels", describe(labels), f"integers with shape {found.shape}")
    return float(np.mean(found == labels))


# ------------------------------------------------------------------------------------------------------------- the data
def _data(X: Any, targets: Any, name: str, targets_name: str) -> tuple[Any, Any]:
    X, targets = _array(X, name), _array(targets, targets_name)
    if X.ndim == 0 or len(X) == 0:
        raise InvalidInput(name, f"no rows, shape {X.shape}", "at least one row of data")
    if targets.ndim == 0 or len(targets) != len(X):
        raise InvalidInput(targets_name, describe(targets), f"one for each of the {len(X)} rows of {name}")
    return X, targets


def _array(value: Any, name: str) -> Any:
    try:
        return np.asarray(value)
    except ValueError as error:
        raise InvalidInput(name, "a ragged nest of sequences", "an array with rows of one length") from error


def _finite_params(network: Network, params: Params) -> dict[str, Any]:
    checked = dict(network._params(params))
    for path in network.paths:
        value: Any = checked
        for name in path.split("/"):
            value = value[name]
        if not np.all(np.isfinite(value)):
            raise InvalidInput("params", f"a number that is not finite in {path}", "finite numbers to begin with")
    return checked


def _own(params: dict[str, Any], update: Any) -> tuple[dict[str, Any], Arena | None]:
    """A copy of the parameters, in one vector where the optimizer makes steps in place, and they have one type."""
    if not hasattr(update, "advance") or len({np.asarray(array).dtype for array in leaves(params)}) != 1:
        return mapped(np.array, params), None
    arena = Arena(params)
    return arena.params, arena


def _accepted(
    network: Network, params: Params, X: Any, targets: Any, loss: Loss, name: str, targets_name: str
) -> tuple[Any, Any]:
    """The data, and the targets as the loss takes them; what cannot be used is refused before the first step."""
    X, targets = _data(X, targets, name, targets_name)
    if X.dtype.kind == "c":
        raise InvalidInput(name, describe(X), "real numbers")
    try:
        network._input(X)
    except InvalidInput as error:
        raise InvalidInput(name, error.came, error.wanted) from error
    try:
        with np.errstate(**_QUIET):
            y = network.evaluating()(params, X[:2])
    except InvalidInput as error:
        raise InvalidInput(f"{name}[:2]: {error.argument}", error.came, error.wanted) from error
    try:
        return X, loss.accept(np.broadcast_to(y[:1], (len(X), *y.shape[1:])), targets)
    except InvalidInput as error:
        raise InvalidInput(targets_name, error.came, error.wanted) from error


def _check_kinds(network: Any, loss: Any, update: Any) -> None:
    if not isinstance(network, Network):
        raise InvalidInput("network", describe(network), "a Network, such as Network(out=Affine(10))")
    if len(network.inputs) > 1:
        raise InvalidInput("network", f"one with the inputs {', '.join(network.inputs)}", "one input: rows of X")
    if not isinstance(loss, Loss):
        raise InvalidInput("loss", describe(loss), "a loss, such as CrossEntropy()")
    check_optimizer(update, "update")


def _resumed(state: Any, params: Any, validation: Any) -> dict[str, Any]:
    """A copy of the state of a training, or `InvalidInput`."""
    parts = {"params", "optimizer", "measured", "steps", "rng", "history", "best"}
    if not isinstance(state, dict) or state.keys() != parts:
        raise InvalidInput("resume", describe(state), "the state of a training: fitted.state")
    if params is not None:
        raise InvalidInput("params", describe(params), "None: they go on from where resume has them")
    good = {"steps": is_integer(state["steps"], 0), "history": _is_history(state), "rng": _is_rng(state)}
    for part, fits in good.items():
        if not fits:
            raise InvalidInput(f"resume[{part!r}]", describe(state[part]), "that of fitted.state")
    before, measured = len(state["history"]["loss"]), len(state["history"]["validation_loss"])
    if validation is not None and measured != before:
        came = f"data for validation, which {before - measured} of {before} epochs before were without"
        raise InvalidInput("validation", came, "as it was in the training that is resumed")
    return copy.deepcopy(state)


def _is_history(state: dict[str, Any]) -> bool:
    """Whether it is a history, and the best epoch one of it, whose parameters are kept too."""
    history, best = state["history"], state["best"]
    if not isinstance(history, dict) or history.keys() != vars(History()).keys():
        return False
    lists = [values for name, values in history.items() if name != "best"]
    if not all(isinstance(values, list) and all(map(is_number, values)) for values in lists):
        return False
    if history["best"] is None or best is None:
        return history["best"] is best
    known = isinstance(best, dict) and best.keys() == {"params", "measured"}
    return known and is_integer(history["best"], 0, len(history["validation_loss"]) - 1)


def _is_rng(state: dict[str, Any]) -> bool:
    try:
        np.random.default_rng().bit_generator.state = state["rng"]
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        return False
    return True


def _right(y: Any, targets: Any) -> float:
    """The share of right labels; NaN where the targets are none."""
    labels = targets.dtype.kind in "iu" and targets.shape == y.shape[:-1]
    return np.count_nonzero(np.argmax(y, axis=-1) == targets) / targets.size if labels else math.nan


# -------------------------------------------------------------------------------------------- when something goes wrong
def _finite(tree: Any) -> bool:
    return all(map(_finite, tree.values())) if isinstance(tree, dict) else is_finite(tree)


def _not_finite(
    network: Network, params: Params, x: Any, t: Any, gradient: Any, rows: Any, names: tuple[str, str]
) -> tuple[str, str, str]:
    """Where infinity or NaN came up first: in data, parameters, the output of a layer, the loss, or a gradient.

    The layer's name ("" for the loss), what was found there, and what to do about it.
    """
    name, kind = _first_not_finite(network, params, x)
    if name and (where := _broken_rows(x, rows)):
        came = f"{kind} in its output, and in row {where} of {names[0]} already"
        return name, came, f"leave those rows out, or fill them: np.isfinite({names[0]}) finds them"
    if name:
        own: Any = params
        for part in name.split("/"):
            own = own.get(part, {})
        source = "data and finite parameters" if all(map(_finite, leaves(own))) else "data, but its parameters are not"
        return name, f"{kind} in its output, from finite {source}", "a lower rate, clipped gradients, or smaller data"
    if where := _broken_rows(t, rows):
        came = f"all outputs are finite, row {where} of {names[1]} is not"
        return "", came, f"leave those rows out, or fill them: np.isfinite({names[1]}) finds them"
    for name in reversed(network.parameters if gradient else ()):
        if not _finite(gradient[name]):
            came = "its output is finite, the gradient of its parameters is not"
            return name, came, "a lower rate, or a loss whose derivative is finite there"
    return "", "it is not finite though all outputs are", "a lower rate, or another loss"


def _broken_rows(array: Any, rows: Any) -> str:
    """The numbers of the first rows that are not finite, or ""."""
    broken = ~np.all(np.isfinite(array.reshape(len(array), -1)), axis=1)
    return ", ".join(map(str, np.sort(rows[broken])[:3]))


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
