"""What recurrent networks learn from the book's own text, and from digits read one pixel after another.

Drawn and explained in the chapter *Backpropagation through time*, which looks into the trained networks.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import mathdl as md
from mathdl.errors import NonFinite
from mathdl.layers import Affine, CrossEntropy, GatedRecurrent, Last, Recurrent
from mathdl.network import Network, accuracy, fit
from mathdl.optim import Chain, Clip, Momentum

DATA = Path(md.__file__).parents[1] / "book" / "_data"
WIDTH, LETTERS = 48, 48  # entries of the state, and letters of a training example
CELLS = {"plain": Recurrent, "gated": GatedRecurrent}
TRUNCATIONS = {"text": (1, 2, 4, 8, 16, 48), "digits": (8, 16, 32)}
SEEDS = (0, 1, 2)
EPOCHS = {"text": (20, 32), "digits": (30, 64)}  # and the batch
# How long a gradient may be, and the rate: the best of a few that were tried for each cell and task.
STEPS = {
    ("text", "plain"): (0.2, 0.5),
    ("text", "gated"): (0.5, 1.0),
    ("digits", "plain"): (1.0, 0.02),
    ("digits", "gated"): (1.0, 0.1),
}


# ------------------------------------------------------------------------------------------------------------- the data
def text() -> tuple[str, Any, Any]:
    """The alphabet, and the numbers of the letters: nine tenths to train with, and the rest."""
    letters = " ".join((DATA / "book-text.txt").read_text(encoding="utf-8").split())
    alphabet = "".join(sorted(set(letters)))
    codes = np.array([alphabet.index(letter) for letter in letters])
    train, held = np.split(codes, [len(codes) * 9 // 10])
    return alphabet, train, held


def windows(codes: Any, steps: int, every: int | None = None) -> tuple[Any, Any]:
    """Stretches of the text as unit vectors, (N, steps, 32), and what comes next, (N, steps)."""
    starts = np.arange(0, len(codes) - steps, every or steps)
    places = starts[:, None] + np.arange(steps)
    return np.eye(32, dtype=np.float32)[codes[places]], codes[places + 1]


def pixels() -> tuple[Any, Any, Any, Any]:
    """Digits as sequences of 64 numbers, row by row from the top: to train with, held out, and the labels of both."""
    images, labels = load_digits(return_X_y=True)
    X = (images / 16).astype(np.float32)[:, :, None]
    train, held, y, y_held = train_test_split(X, labels, test_size=0.25, stratify=labels, random_state=0)
    return train, held, y, y_held


# --------------------------------------------------------------------------------------------------------- the networks
def network(task: str, cell: str, truncate: int | None = None) -> Network:
    """A cell and an affine map: of every state on text, of the last one on digits."""
    if task == "text":
        return Network(cell=CELLS[cell](WIDTH, truncate), out=Affine(32))
    return Network(cell=CELLS[cell](WIDTH, truncate), last=Last(), out=Affine(10))


def start(net: Network, shape: tuple[int, ...], seed: int) -> Any:
    """First weights, in single precision: U begins orthogonal."""
    params = net.initial(shape, rng=seed)
    return {layer: {key: p.astype(np.float32) for key, p in own.items()} for layer, own in params.items()}


def pack(params: Any, kind: str = "f2") -> str:
    """All numbers, two bytes each, as a line of text."""
    return b64encode(md.flatten(params)[0].astype(kind).tobytes()).decode()


def unpack(line: str, net: Network, shape: tuple[int, ...], kind: str = "f2") -> Any:
    """The parameters again, in double precision."""
    _, shaped = md.flatten(net.initial(shape))
    return shaped(np.frombuffer(b64decode(line), kind).astype(float))


def examples(task: str) -> tuple[Any, Any]:
    """What a network is trained with."""
    if task == "text":
        return windows(text()[1], LETTERS)
    X, _, y, _ = pixels()
    return X, y


def trained(
    task: str, cell: str, seed: int = 0, truncate: int | None = None, bare: float | None = None, watch: Any = None
) -> tuple[Network, Any]:
    """A network and its parameters after training: with clipped gradients, or bare ones at some rate."""
    net, (X, y), (largest, rate) = network(task, cell, truncate), examples(task), STEPS[task, cell]
    update: Any = Chain(Clip(largest), Momentum(rate)) if bare is None else Momentum(bare)
    begin, (epochs, batch) = start(net, X.shape, seed), EPOCHS[task]
    fitted = fit(net, begin, X, y, update=update, epochs=epochs, batch=batch, seed=seed, watch=watch, progress=False)
    return net, fitted.params


# -------------------------------------------------------------------------------------------------------- what is found
def bits(net: Network, params: Any) -> float:
    """Bits per letter on the text held out."""
    X, y = windows(text()[2], LETTERS)
    return round(float(CrossEntropy()(net(params, X), y) / np.log(2)), 3)


def on_text() -> dict[str, Any]:
    """Both cells trained through all 48 steps, and through fewer."""
    found: dict[str, Any] = {}
    for cell in CELLS:
        net, params = trained("text", cell)
        line = pack(params)
        found[cell] = {"params": line, "bits": bits(net, unpack(line, net, (1, LETTERS, 32)))}
    for cell in CELLS:
        found[cell]["truncated"] = {
            str(k): [bits(*trained("text", cell, seed, truncate=k)) for seed in SEEDS[:2]] for k in TRUNCATIONS["text"]
        }
    return found


def right(cell: str, **options: Any) -> list[float | None]:
    """The shares of the images held out that are read, for three seeds; none where a training broke off."""
    _, held, _, y_held = pixels()
    found: list[float | None] = []
    for seed in SEEDS:
        try:
            found.append(round(accuracy(*trained("digits", cell, seed, **options), held, y_held), 3))
        except NonFinite:
            found.append(None)
    return found


def on_digits() -> dict[str, Any]:
    """Both cells, the plain one without clipping, and the gated one with its derivatives cut."""
    found: dict[str, Any] = {cell: {"params": pack(trained("digits", cell)[1]), "right": right(cell)} for cell in CELLS}
    found["plain"]["not clipped"] = {str(rate): right("plain", bare=rate) for rate in (0.02, 0.005)}
    found["gated"]["truncated"] = {str(k): right("gated", truncate=k) for k in TRUNCATIONS["digits"]}
    return found


def cliff() -> dict[str, Any]:
    """The longest gradient met while the plain cell learned digits: where it was, and of which images."""
    X, _ = examples("digits")
    before, norms = start(network("digits", "plain"), X.shape, 0), []
    most: dict[str, Any] = {"norm": 0.0}

    def watch(step: Any) -> None:
        nonlocal before
        norms.append(float(np.linalg.norm(md.flatten(step.gradient)[0])))
        if norms[-1] > most["norm"]:
            most.update(norm=norms[-1], params=pack(before, "f4"), epoch=step.epoch, batch=step.batch)
        before = {layer: {key: p.copy() for key, p in own.items()} for layer, own in step.params.items()}

    trained("digits", "plain", watch=watch)
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(X)) for _ in range(most["epoch"] + 1)]  # as `fit` draws them
    most["rows"] = np.array_split(orders[-1], -(-len(X) // 64))[most["batch"]].tolist()
    return most | {"quantiles": np.quantile(norms, [0.5, 0.9, 0.99]).round(2).tolist(), "steps": len(norms)}


def run() -> dict[str, Any]:
    """All of it: some minutes."""
    return {"text": on_text(), "digits": on_digits(), "cliff": cliff(), "slice": slice()}


def slice() -> list[float]:
    """The losses of the first ten steps on text, of each cell."""
    found: list[float] = []
    X, y = windows(text()[1][: 320 * LETTERS + 1], LETTERS)
    for cell in CELLS:
        net = network("text", cell)
        largest, rate = STEPS["text", cell]
        fit(
            net,
            start(net, X.shape, 0),
            X,
            y,
            update=Chain(Clip(largest), Momentum(rate)),
            epochs=1,
            batch=32,
            watch=lambda step: found.append(round(step.loss, 4)),
            progress=False,
        )
    return found
