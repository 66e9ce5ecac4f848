"""The same trajectories made by PyTorch and Optax, in float64; imported where one of them is installed.

``make_trajectories.py`` keeps what they return, so that the tests can compare without them.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from problems import PROBLEMS, STEPS, STORED

__all__ = ["RUNS", "optax_trajectory", "torch_trajectory"]


def torch_trajectory(name: str, numbers: dict[str, Any], problem: str, clip: float | None = None) -> list[list[float]]:
    torch = importlib.import_module("torch")
    start, gradient = PROBLEMS[problem]
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # NAdam keeps its product of momenta in the default type
    try:
        x = torch.tensor(start, dtype=torch.float64)
        optimizer = getattr(torch.optim, name)([x], **numbers)
        points = []
        for k in range(STEPS):
            x.grad = torch.tensor(gradient(k, x.tolist()), dtype=torch.float64)
            optimizer.step()
            if k + 1 in STORED:
                points.append(x.tolist())
        return points
    finally:
        torch.set_default_dtype(usual)


def optax_trajectory(name: str, numbers: dict[str, Any], problem: str, clip: float | None = None) -> list[list[float]]:
    jax, optax = importlib.import_module("jax"), importlib.import_module("optax")
    start, gradient = PROBLEMS[problem]
    with jax.enable_x64(True):
        optimizer = getattr(optax, name)(**numbers)
        if clip is not None:
            optimizer = optax.chain(optax.clip_by_global_norm(clip), optimizer)

        @jax.jit
        def step(x: Any, state: Any, g: Any) -> Any:
            moved, state = optimizer.update(g, state, x)
            return optax.apply_updates(x, moved), state

        x = jax.numpy.asarray(np.array(start))
        state, points = optimizer.init(x), []
        for k in range(STEPS):
            g = np.array(gradient(k, np.asarray(x).tolist()))
            x, state = step(x, state, g)
            if k + 1 in STORED:
                points.append(np.asarray(x).tolist())
        return points


RUNS = {"torch": torch_trajectory, "optax": optax_trajectory}
