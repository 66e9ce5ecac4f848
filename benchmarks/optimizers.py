"""Single steps of optimizers in place: Adam beside PyTorch's and Optax's, and each beside its bare passes in NumPy.

The parameters after the third step are what is compared; later steps are what is timed.
Explained in the chapter *Adaptive steps*.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.workloads import Case, Workload

__all__ = ["OPTIMIZERS", "mathdl", "optax", "torch"]

Ways = dict[str, Callable[[], Callable[[], Any]] | None]
SMALL = [(2, 16), (16,), (16, 16), (16,), (16, 1), (1,)]  # a net 2-16-16-1: 337 parameters
LARGE: list[tuple[int, ...]] = [(10**6,)]
RATE, BETA, BETA1, BETA2, EPSILON, DECAY = 1e-3, 0.9, 0.9, 0.999, 1e-8, 0.01


# --------------------------------------------------------------------------------- by hand: the formula, and its passes
# For each optimizer: its settings; one step t as the formula says it, from the parameters, the gradient and the moments
# to the new ones; and the same as passes in place, u and w being memory. Passes are what a loop by hand would make.
def _gradient_descent(t: int, p: Any, g: Any) -> Any:
    return (p - RATE * g,)


def _gradient_descent_passes(t: int, p: Any, g: Any, u: Any, w: Any) -> None:
    np.multiply(g, RATE, out=u)
    np.subtract(p, u, out=p)


def _momentum(t: int, p: Any, g: Any, v: Any) -> Any:
    v = BETA * v + g
    return p - RATE * v, v


def _momentum_passes(t: int, p: Any, g: Any, u: Any, w: Any, v: Any) -> None:
    np.multiply(v, BETA, out=v)
    np.add(v, g, out=v)
    np.multiply(v, RATE, out=u)
    np.subtract(p, u, out=p)


def _nesterov(t: int, p: Any, g: Any, v: Any) -> Any:
    v = BETA * v + g
    return p - RATE * (g + BETA * v), v


def _nesterov_passes(t: int, p: Any, g: Any, u: Any, w: Any, v: Any) -> None:
    np.multiply(v, BETA, out=v)
    np.add(v, g, out=v)
    np.multiply(v, BETA, out=u)
    np.add(u, g, out=u)
    np.multiply(u, RATE, out=u)
    np.subtract(p, u, out=p)


def _divided(above: Any, square: Any, epsilon: float, rate: float, p: Any, u: Any) -> None:
    """p ← p - rate above / (√square + epsilon)."""
    np.sqrt(square, out=u)
    np.add(u, epsilon, out=u)
    np.divide(above, u, out=u)
    np.multiply(u, rate, out=u)
    np.subtract(p, u, out=p)


def _adagrad(t: int, p: Any, g: Any, s: Any) -> Any:
    s = s + g * g
    return p - RATE * g / (np.sqrt(s) + EPSILON), s


def _adagrad_passes(t: int, p: Any, g: Any, u: Any, w: Any, s: Any) -> None:
    np.multiply(g, g, out=u)
    np.add(s, u, out=s)
    _divided(g, s, EPSILON, RATE, p, u)


def _rmsprop(t: int, p: Any, g: Any, v: Any) -> Any:
    v = BETA * v + (1 - BETA) * g * g
    return p - RATE * g / (np.sqrt(v) + EPSILON), v


def _mean(mean: Any, beta: float, new: Any, u: Any) -> None:
    """mean ← beta mean + (1 - beta) new."""
    np.multiply(new, 1 - beta, out=u)
    np.multiply(mean, beta, out=mean)
    np.add(mean, u, out=mean)


def _rmsprop_passes(t: int, p: Any, g: Any, u: Any, w: Any, v: Any) -> None:
    np.multiply(g, g, out=u)
    _mean(v, BETA, u, u)
    _divided(g, v, EPSILON, RATE, p, u)


def _adam(t: int, p: Any, g: Any, m: Any, v: Any) -> Any:
    m, v = BETA1 * m + (1 - BETA1) * g, BETA2 * v + (1 - BETA2) * g * g
    return p - RATE * (m / (1 - BETA1**t)) / (np.sqrt(v / (1 - BETA2**t)) + EPSILON), m, v


def _adam_moments(g: Any, u: Any, m: Any, v: Any) -> None:
    _mean(m, BETA1, g, u)
    np.multiply(g, g, out=u)
    _mean(v, BETA2, u, u)


def _adam_passes(t: int, p: Any, g: Any, u: Any, w: Any, m: Any, v: Any) -> None:
    root = (1 - BETA2**t) ** 0.5
    _adam_moments(g, u, m, v)
    _divided(m, v, EPSILON * root, RATE * root / (1 - BETA1**t), p, u)


def _amsgrad(t: int, p: Any, g: Any, m: Any, v: Any, largest: Any) -> Any:
    m, v = BETA1 * m + (1 - BETA1) * g, BETA2 * v + (1 - BETA2) * g * g
    largest = np.maximum(largest, v)
    return p - RATE * (m / (1 - BETA1**t)) / (np.sqrt(largest / (1 - BETA2**t)) + EPSILON), m, v, largest


def _amsgrad_passes(t: int, p: Any, g: Any, u: Any, w: Any, m: Any, v: Any, largest: Any) -> None:
    root = (1 - BETA2**t) ** 0.5
    _adam_moments(g, u, m, v)
    np.maximum(largest, v, out=largest)
    _divided(m, largest, EPSILON * root, RATE * root / (1 - BETA1**t), p, u)


def _adamw(t: int, p: Any, g: Any, m: Any, v: Any) -> Any:
    after, m, v = _adam(t, p, g, m, v)
    return after - RATE * DECAY * p, m, v


def _adamw_passes(t: int, p: Any, g: Any, u: Any, w: Any, m: Any, v: Any) -> None:
    np.multiply(p, 1 - RATE * DECAY, out=p)
    _adam_passes(t, p, g, u, w, m, v)


def _shares(t: int) -> tuple[float, float]:
    """NAdam's factors of m and of g."""
    share = [BETA1 * (1 - 0.5 * 0.96 ** (k * 4e-3)) for k in range(t + 2)]
    product = float(np.prod(share[1 : t + 1]))
    return share[t + 1] / (1 - product * share[t + 1]), (1 - share[t]) / (1 - product)


def _nadam(t: int, p: Any, g: Any, m: Any, v: Any) -> Any:
    m, v = BETA1 * m + (1 - BETA1) * g, BETA2 * v + (1 - BETA2) * g * g
    of_m, of_g = _shares(t)
    return p - RATE * (of_m * m + of_g * g) / (np.sqrt(v / (1 - BETA2**t)) + EPSILON), m, v


def _nadam_passes(t: int, p: Any, g: Any, u: Any, w: Any, m: Any, v: Any) -> None:
    root = (1 - BETA2**t) ** 0.5
    of_m, of_g = 0.95, 0.05  # as many passes whatever they are
    _adam_moments(g, u, m, v)
    np.multiply(m, of_m, out=w)
    np.multiply(g, of_g, out=u)
    np.add(w, u, out=w)
    _divided(w, v, EPSILON * root, RATE * root, p, u)


def _lion(t: int, p: Any, g: Any, m: Any) -> Any:
    return p - RATE * np.sign(BETA1 * m + (1 - BETA1) * g) - RATE * DECAY * p, 0.99 * m + (1 - 0.99) * g


def _lion_passes(t: int, p: Any, g: Any, u: Any, w: Any, m: Any) -> None:
    np.multiply(m, BETA1, out=w)
    np.multiply(g, 1 - BETA1, out=u)
    np.add(w, u, out=u)
    np.sign(u, out=w)
    _mean(m, 0.99, g, u)
    np.multiply(w, RATE, out=w)
    np.multiply(p, 1 - RATE * DECAY, out=p)
    np.subtract(p, w, out=p)


_OF_ADAM = {"beta1": BETA1, "beta2": BETA2, "epsilon": EPSILON}
_BY_HAND: dict[str, tuple[dict[str, float], Callable[..., Any], Callable[..., None], int]] = {
    "GradientDescent": ({}, _gradient_descent, _gradient_descent_passes, 0),
    "Momentum": ({"beta": BETA}, _momentum, _momentum_passes, 1),
    "Nesterov": ({"beta": BETA}, _nesterov, _nesterov_passes, 1),
    "AdaGrad": ({"epsilon": EPSILON}, _adagrad, _adagrad_passes, 1),
    "RMSprop": ({"beta": BETA, "epsilon": EPSILON}, _rmsprop, _rmsprop_passes, 1),
    "Adam": (_OF_ADAM, _adam, _adam_passes, 2),
    "AMSGrad": (_OF_ADAM, _amsgrad, _amsgrad_passes, 3),
    "AdamW": ({**_OF_ADAM, "weight_decay": DECAY}, _adamw, _adamw_passes, 2),
    "NAdam": ({**_OF_ADAM, "momentum_decay": 4e-3}, _nadam, _nadam_passes, 2),
    "Lion": ({"beta1": BETA1, "beta2": 0.99, "weight_decay": DECAY}, _lion, _lion_passes, 1),
}


# ------------------------------------------------------------------------------------------------------------ workloads
def _case(name: str, shapes: list[tuple[int, ...]]) -> Case:
    """The parameters and three gradients, each a list of arrays."""
    settings, formula, passes, moments = _BY_HAND[name]
    rng = np.random.default_rng(0)
    params, *gradients = ([rng.normal(size=shape) for shape in shapes] for _ in range(4))

    def program(np: Any) -> Any:
        return getattr(importlib.import_module("mathdl.optim"), name)(rate=RATE, **settings)

    def hand(params: Any, gradients: Any) -> Any:
        after = []
        for k, p in enumerate(params):
            state = [np.zeros_like(p) for _ in range(moments)]
            for t, gradient in enumerate(gradients, 1):
                p, *state = formula(t, p, gradient[k], *state)
            after.append(p)
        return after

    vectors = [np.concatenate([np.ravel(part) for part in parts]) for parts in (params, gradients[2])]
    memory = [np.zeros_like(vectors[0]) for _ in range(2 + moments)]
    return Case(program, (params, gradients), hand, partial(passes, 3, *vectors, *memory))


# ---------------------------------------------------------------------------------------------------------------- peers
def mathdl(case: Case, derivative: str) -> Ways:
    """On vectors in place; with gradients gathered into one, as `mathdl.network.fit` does; and with trees for steps."""
    from mathdl.optim.arena import Arena

    optimizer: Any = case.program(np)
    params, gradients = case.args

    def begun(gathering: bool) -> Callable[[], Any]:
        arena = Arena(params)
        state = optimizer.initial(arena.vector)
        for gradient in gradients[:2]:
            state = optimizer.advance(arena.gather(gradient), state, arena.vector)
        last = arena.gather(gradients[2]).copy()

        def step() -> Any:
            optimizer.advance(last, state, arena.vector)
            return arena.params

        def gathered() -> Any:
            optimizer.advance(arena.gather(gradients[2]), state, arena.vector)
            return arena.params

        return gathered if gathering else step

    def on_trees() -> Callable[[], Any]:
        now = [params, optimizer.initial(params)]

        def step(gradient: Any = gradients[2]) -> Any:
            moved, now[1] = optimizer.update(gradient, now[1], now[0])
            now[0] = [p + s for p, s in zip(now[0], moved, strict=True)]
            return now[0]

        for gradient in gradients[:2]:
            step(gradient)
        return step

    ways: Ways = {"floor": lambda: case.floor, "mathdl, in place": partial(begun, False)}
    return ways | {"mathdl, gathered, in place": partial(begun, True), "mathdl, on trees": on_trees}


def torch(case: Case, derivative: str) -> Ways:
    torch = importlib.import_module("torch")
    params, gradients = case.args

    def begun(**kind: bool) -> Callable[[], Any]:
        own = [torch.tensor(part) for part in params]
        optimizer = torch.optim.Adam(own, lr=RATE, betas=(BETA1, BETA2), eps=EPSILON, **kind)
        for k, gradient in enumerate(gradients):
            for part, slope in zip(own, gradient, strict=True):
                part.grad = torch.tensor(slope)
            if k < 2:
                optimizer.step()

        def step() -> Any:
            optimizer.step()
            return [part.numpy() for part in own]

        return step

    kinds: dict[str, dict[str, bool]] = {"fused": {"fused": True}, "foreach": {"foreach": True}, "one by one": {}}
    return {f"torch, {name}": partial(begun, **kind) for name, kind in kinds.items()}


def optax(case: Case, derivative: str) -> Ways:
    jax, optax = importlib.import_module("jax"), importlib.import_module("optax")
    jax.config.update("jax_enable_x64", True)
    params, gradients = case.args

    def begun(**donated: Any) -> Callable[[], Any]:
        adam = optax.adam(RATE, b1=BETA1, b2=BETA2, eps=EPSILON)
        now: list[Any] = [jax.tree.map(jax.numpy.array, params)]
        now.append(adam.init(now[0]))
        slopes = [jax.tree.map(jax.numpy.array, gradient) for gradient in gradients]

        def move(p: Any, state: Any, g: Any) -> Any:
            moved, state = adam.update(g, state, p)
            return optax.apply_updates(p, moved), state

        compiled: Any = jax.jit(move, **donated)

        def step(g: Any = slopes[2]) -> Any:
            now[:] = compiled(*now, g)
            return jax.block_until_ready(now[0])

        for g in slopes[:2]:
            step(g)
        return step

    return {"optax, jit": begun, "optax, jit, donated": partial(begun, donate_argnums=(0, 1))}


def _workload(title: str, name: str, shapes: list[tuple[int, ...]], *others: str) -> Workload:
    return Workload(title, "step", "bare passes", ("optim", *others), partial(_case, name, shapes))


OPTIMIZERS = {
    "adam small": _workload("Adam, 337 parameters in 6 arrays", "Adam", SMALL, "torch, optim", "optax"),
    **{
        f"{name} large": _workload(
            f"{name}, 10⁶ parameters", name, LARGE, *(("torch, optim", "optax") if name == "Adam" else ())
        )
        for name in _BY_HAND
    },
}
