"""Networks that the tests share: small ones of every form, and the real digits."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from mathdl import layers
from mathdl.network import Network


def random_params(network: Network, shape: tuple[int, ...], seed: int = 0) -> dict[str, Any]:
    """Parameters none of which is zero or one."""
    rng = np.random.default_rng(seed)

    def moved(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {name: moved(part) for name, part in tree.items()}
        return tree + 0.3 * rng.normal(size=tree.shape)

    return moved(network.initial(shape, rng))


def _block():
    return Network(norm=layers.LayerNorm(), inner=layers.Affine(4), bend=layers.Tanh())


# name -> (network, the shape of its input)
NETS: dict[str, tuple[Network, tuple[int, ...]]] = {
    "mlp": (Network(hidden=layers.Affine(5), gate=layers.GELU(), out=layers.Affine(3)), (4, 6)),
    "one layer": (Network(out=layers.Affine(3)), (4, 6)),
    "no parameters": (Network(bend=layers.Tanh(), p=layers.Softmax()), (3, 4)),
    "normalised": (Network(first=layers.Affine(4), norm=layers.BatchNorm(), p=layers.LogSoftmax()), (5, 3)),
    "residual": (Network(block=layers.Residual(_block()), out=layers.Affine(2)), (3, 4)),
    "nested": (Network(first=_block(), second=_block(), out=layers.Affine(2)), (3, 4)),
    "convolution": (
        Network(
            conv=layers.Conv2d(3, 2, padding=1),
            gate=layers.Softplus(),
            pool=layers.AveragePool2d(2),
            row=layers.Reshape(),
            drop=layers.Dropout(0.4, seed=3),
            out=layers.Affine(2),
        ),
        (2, 1, 3, 3),
    ),
    "attention": (
        Network(look=layers.Residual(layers.MultiHeadAttention(2)), norm=layers.RMSNorm(), out=layers.Affine(2)),
        (2, 3, 4),
    ),
    "words": (Network(table=layers.Embedding(5, 4), look=layers.MultiHeadAttention(2), out=layers.Affine(5)), (2, 3)),
}


def inputs(name: str, seed: int = 0) -> Any:
    _, shape = NETS[name]
    rng = np.random.default_rng(seed)
    return rng.integers(0, 5, size=shape) if name == "words" else rng.normal(size=shape)


def digits(seed: int) -> tuple[Any, Any, Any, Any]:
    """Three quarters of the digits to train with, one quarter held out: X, X held out, labels, labels held out."""
    X, labels = load_digits(return_X_y=True)
    return tuple(train_test_split(X / 16, labels, test_size=0.25, stratify=labels, random_state=seed))


def digits_mlp() -> Network:
    return Network(hidden=layers.Affine(64), gate=layers.ReLU(), out=layers.Affine(10))


def digits_cnn() -> Network:
    return Network(
        image=layers.Reshape((1, 8, 8)),
        first=layers.Conv2d(16, 3, padding=1),
        gate=layers.ReLU(),
        second=layers.Conv2d(32, 3, padding=1),
        gate2=layers.ReLU(),
        pool=layers.MaxPool2d(2),
        row=layers.Reshape(),
        drop=layers.Dropout(0.3),
        out=layers.Affine(10),
    )
