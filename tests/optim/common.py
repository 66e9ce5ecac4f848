"""What several of these tests share: optimizers made from the table, trees of arrays, and how near is near."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import settings

from mathdl import optim
from mathdl.autodiff.trees import leaves, mapped

__all__ = ["ELEMENTWISE", "PROPERTY", "ULP", "copied", "made", "near", "same_bits", "tree"]

PROPERTY = settings(derandomize=True, deadline=None, max_examples=60, database=None)
ULP = np.finfo(float).eps
# Each elementwise optimizer with settings that are not its defaults.
ELEMENTWISE = {
    "GradientDescent": {"rate": 0.3},
    "Momentum": {"rate": 0.3, "beta": 0.7},
    "Nesterov": {"rate": 0.3, "beta": 0.7},
    "AdaGrad": {"rate": 0.3, "epsilon": 0.05},
    "RMSprop": {"rate": 0.3, "beta": 0.8, "epsilon": 0.05},
    "Adam": {"rate": 0.3, "beta1": 0.7, "beta2": 0.9, "epsilon": 0.05},
    "AMSGrad": {"rate": 0.3, "beta1": 0.7, "beta2": 0.9, "epsilon": 0.05},
    "AdamW": {"rate": 0.3, "beta1": 0.7, "beta2": 0.9, "epsilon": 0.05, "weight_decay": 0.2},
    "NAdam": {"rate": 0.3, "beta1": 0.7, "beta2": 0.9, "epsilon": 0.05, "momentum_decay": 0.3},
    "Lion": {"rate": 0.3, "beta1": 0.7, "beta2": 0.9, "weight_decay": 0.2},
}


def made(parts: list[tuple[str, dict[str, Any]]]) -> Any:
    """The optimizer of one part, or the chain of several."""
    optimizers = [getattr(optim, name)(**numbers) for name, numbers in parts]
    return optimizers[0] if len(optimizers) == 1 else optim.Chain(*optimizers)


def tree(seed: int, dtype: Any = float) -> dict[str, Any]:
    """Numbers in arrays of several shapes: a matrix, a vector in a list, a number, and nothing at all."""
    rng = np.random.default_rng(seed)
    draw = lambda *shape: np.asarray(rng.normal(size=shape), dtype=dtype)[()]  # noqa: E731
    return {"hidden": {"W": draw(2, 3), "b": draw(3)}, "out": [draw(4), (draw(), draw(0, 2))]}


def copied(anything: Any) -> Any:
    return mapped(lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, anything)


def same_bits(one: Any, two: Any) -> None:
    """Equal in form, type and every bit."""
    assert type(one) is type(two), (type(one), type(two))
    if isinstance(one, dict):
        assert list(one) == list(two)
        for key in one:
            same_bits(one[key], two[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(two)
        for a, b in zip(one, two, strict=True):
            same_bits(a, b)
    elif not isinstance(one, (np.ndarray, np.generic, float)):
        assert one == two
    else:
        a, b = np.asarray(one), np.asarray(two)
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.tobytes() == b.tobytes()


def near(ours: Any, theirs: Any, tolerance: float) -> None:
    """Each number within the tolerance, relative to the other's size."""
    for a, b in zip(leaves(ours), leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=0)
