"""Whole trainings: `mathdl.network.fit` beside the same loop written by hand in NumPy, and in PyTorch.

All make the same steps in the same order; the parameters after the last one are what is compared.
Explained in the chapter *Backpropagation*.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks.workloads import Case, Workload

__all__ = ["STEPS", "mathdl", "torch"]

Ways = dict[str, Callable[[], Callable[[], Any]] | None]
RATE, DECAY, BATCHES = 0.1, 0.9, 8


def _batches(X: Any, epochs: int) -> Iterator[Any]:
    """The order of the rows that `fit` draws with seed 0."""
    rng = np.random.default_rng(0)
    for _ in range(epochs):
        yield from np.array_split(rng.permutation(len(X)), BATCHES)


def _perceptron(sizes: tuple[int, ...], batch: int, epochs: int) -> Case:
    """Affine layers with ReLU between them, and cross-entropy."""
    from mathdl import layers
    from mathdl.network import Network

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(BATCHES * batch, sizes[0])), rng.integers(0, sizes[-1], BATCHES * batch)
    parts: dict[str, Any] = {}
    for k, width in enumerate(sizes[1:]):
        parts |= {f"affine {k}": layers.Affine(width), f"gate {k}": layers.ReLU()}
    parts.popitem()
    network = Network(**parts)
    begin = network.initial(X.shape)

    def hand(*_: Any) -> Any:
        p = [part[key].copy() for part in begin.values() for key in ("W", "b")]
        v = [np.zeros_like(part) for part in p]
        for rows in _batches(X, epochs):
            h, t, each = [X[rows]], y[rows], np.arange(len(rows))
            for k in range(0, len(p) - 2, 2):
                h.append(np.maximum(h[-1] @ p[k].T + p[k + 1], 0))
            z = h[-1] @ p[-2].T + p[-1]
            z -= z.max(axis=1, keepdims=True)
            g = np.exp(z)
            total = g.sum(axis=1, keepdims=True)
            loss = np.mean(np.log(total[:, 0]) - z[each, t])
            assert math.isfinite(loss)
            g /= total
            g[each, t] -= 1
            g /= len(rows)
            for k in range(len(p) - 2, -1, -2):
                gradients = g.T @ h[k // 2], g.sum(axis=0)
                if k:
                    g = (g @ p[k]) * (h[k // 2] > 0)
                for place, gradient in zip((k, k + 1), gradients, strict=True):
                    v[place] *= DECAY
                    v[place] += gradient
                    p[place] -= RATE * v[place]
        return p

    return Case(lambda np: network, (begin, X, y, epochs), hand, partial(hand, None))


def _convolutional(batch: int, epochs: int) -> Case:
    """Two convolutions on images of 8 by 8; by hand the loop is, and the gradient is the engine's."""
    import mathdl as md
    from mathdl import layers
    from mathdl.network import Network

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(BATCHES * batch, 1, 8, 8)), rng.integers(0, 10, BATCHES * batch)
    network = Network(
        first=layers.Conv2d(8, 3, padding=1), gate=layers.ReLU(), pool=layers.MaxPool2d(2),
        second=layers.Conv2d(16, 3, padding=1), gate2=layers.ReLU(), row=layers.Reshape(), out=layers.Affine(10),
    )  # fmt: skip
    begin, loss = network.initial(X.shape), layers.CrossEntropy()

    def hand(*_: Any) -> Any:
        p, unflatten = md.flatten(begin)
        v = np.zeros_like(p)
        for rows in _batches(X, epochs):
            _, g = md.value_and_grad(lambda p, rows=rows: loss(network(unflatten(p), X[rows]), y[rows]))(p)
            v = DECAY * v + g
            p = p - RATE * v
        return _arrays(unflatten(p))

    return Case(lambda np: network, (begin, X, y, epochs), hand, partial(hand, None))


def _arrays(params: Any) -> list[Any]:
    return [array for part in params.values() for array in part.values()]


def mathdl(case: Case, derivative: str) -> Ways:
    from mathdl.network import fit
    from mathdl.optim import Momentum

    network: Any = case.program(np)
    begin, X, y, epochs = case.args
    update = Momentum(RATE, DECAY)

    def trained() -> Any:
        options = {"epochs": epochs, "batch": len(X) // BATCHES, "update": update, "progress": False}
        return _arrays(fit(network, begin, X, y, **options).params)

    return {"floor": lambda: case.floor, "mathdl.network.fit": lambda: trained}


def torch(case: Case, derivative: str) -> Ways:
    torch = importlib.import_module("torch")
    network: Any = case.program(np)
    begin, X, y, epochs = case.args
    functional = torch.nn.functional
    # For each kind of layer: the layer, its parameters, and the input -> the output.
    forward: dict[str, Callable[[Any, Any, Any], Any]] = {
        "Affine": lambda layer, own, x: functional.linear(x, own["W"], own["b"]),
        "ReLU": lambda layer, own, x: functional.relu(x),
        "Conv2d": lambda layer, own, x: functional.conv2d(x, own["K"], own["b"], padding=layer.padding),
        "MaxPool2d": lambda layer, own, x: functional.max_pool2d(x, layer.size),
        "Reshape": lambda layer, own, x: x.flatten(1),
    }
    kinds = [(name, layer, forward[type(layer).__name__]) for name, layer in network.layers.items()]

    def trained() -> Any:
        params = {
            name: {key: torch.tensor(array, requires_grad=True) for key, array in part.items()}
            for name, part in begin.items()
        }
        optimizer = torch.optim.SGD(_arrays(params), lr=RATE, momentum=DECAY)
        inputs, labels = torch.tensor(X), torch.tensor(y)
        for rows in _batches(X, epochs):
            optimizer.zero_grad()
            x = inputs[rows]
            for name, layer, function in kinds:
                x = function(layer, params.get(name), x)
            functional.cross_entropy(x, labels[rows]).backward()
            optimizer.step()
        return [part.detach().numpy() for part in _arrays(params)]

    return {"torch, eager": lambda: trained}


def _workload(title: str, floor: str, make: Callable[[], Case]) -> Workload:
    return Workload(title, "step", floor, ("network", "torch, network"), make, long=True)


def _title(sizes: tuple[int, ...], batch: int) -> str:
    return f"training {'-'.join(map(str, sizes))}, batch {batch}"


SMALL, LARGE = (64, 64, 10), (784, 256, 128, 10)
STEPS = {
    "fit small": _workload(f"{_title(SMALL, 32)}, 400 steps", "by hand", partial(_perceptron, SMALL, 32, 50)),
    "fit large": _workload(f"{_title(LARGE, 128)}, 40 steps", "by hand", partial(_perceptron, LARGE, 128, 5)),
    "fit images": _workload(
        "training a convolutional net on 8×8, batch 32, 40 steps",
        "the engine's gradient",
        partial(_convolutional, 32, 5),
    ),
}
