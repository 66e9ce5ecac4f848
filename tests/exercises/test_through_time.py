"""The exercises of *Backpropagation through time*: what students write is told apart, right answers pass.

Right answers come from whole matrices, from the engine and from the package's own cell and optimizer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from verdicts import answer_tests, told

import mathdl as md
from mathdl.exercises.through_time import EXERCISES

EXERCISE = {exercise.name: exercise for exercise in EXERCISES}
PULL, SUM, LYAPUNOV = "pull-through-time", "recurrent-gradient", "lyapunov-exponents"
CLIP, LEAKY, BIAS = "clip-by-norm", "leaky-jacobian", "half-life-bias"


# -- right answers -----------------------------------------------------------------------------------------------------


def pull(U: Any, H: Any, g: Any) -> Any:
    """The whole product, transposed."""
    J = np.eye(len(U))
    for h in H[1:]:
        J = np.diag(1 - h**2) @ U @ J
    return J.T @ g


def gradient(U: Any, H: Any, G: Any) -> Any:
    a = np.arctanh(H[1:]) - H[:-1] @ U.T

    def loss(V: Any) -> Any:
        h, total = H[0], 0.0
        for drive, g in zip(a, G, strict=True):
            h = np.tanh(drive + V @ h)
            total = total + g @ h
        return total

    return md.grad(loss)(U)


def exponents(M: Any) -> Any:
    """By Gram and Schmidt, column by column."""
    T, n, _ = M.shape
    directions, total = np.eye(n), np.zeros(n)
    for step in M:
        directions = step @ directions
        for k in range(n):
            for j in range(k):
                directions[:, k] -= (directions[:, j] @ directions[:, k]) * directions[:, j]
            length = np.linalg.norm(directions[:, k])
            total[k] += np.log(length) / T
            directions[:, k] /= length
    return total


def clip(gradients: Any, largest: Any) -> Any:
    """The package's own."""
    tree = {str(k): g for k, g in enumerate(gradients)}
    part = md.optim.Clip(largest)
    cut, _ = part.update(tree, part.initial(tree), tree)
    return np.concatenate([cut[key].ravel() for key in tree])


RIGHT: dict[str, Any] = {
    PULL: pull,
    SUM: gradient,
    LYAPUNOV: exponents,
    CLIP: clip,
    LEAKY: lambda U, a, h, z: md.jacobian(lambda v: (1 - z) * v + z * np.tanh(a + U @ v))(h),
    BIAS: [0.0, -2.634, -4.52],
}


def test_the_biases_leave_a_half() -> None:
    z = 1 / (1 + np.exp(-np.asarray(EXERCISE[BIAS].truth)))
    np.testing.assert_allclose((1 - z) ** np.array([1, 10, 64]), 0.5)


# -- wrong answers, as they are written --------------------------------------------------------------------------------


def pull_written(line: str) -> Callable[..., Any]:
    """The loop of the solution, with one thing changed."""

    def attempt(U: Any, H: Any, g: Any) -> Any:
        rows = {
            "forward": H[1:],
            "one": H[-1:],
            "short": H[:1:-1],
            "long": H[::-1],
            "before": H[-2::-1],
        }.get(line, H[:0:-1])
        for h in rows:
            d = {"no slope": 1.0, "not squared": 1 - h, "value": h}.get(line, 1 - h**2)
            g = d * (U.T @ g) if line == "exchanged" else (U if line == "not turned" else U.T) @ (d * g)
        return g

    return attempt


def sum_written(line: str) -> Callable[..., Any]:
    def attempt(U: Any, H: Any, G: Any) -> Any:
        back, total = np.zeros(len(U)), np.zeros_like(U)
        for t in range(len(G), 1 if line == "first missing" else 0, -1):
            a_bar = G[t - 1] + (0 if line == "nothing back" else back)
            a_bar = a_bar if line == "no slope" else a_bar * (1 - H[t] ** 2)
            h = H[t] if line == "state after" else H[t - 1]
            total += np.outer(h, a_bar) if line == "turned" else np.outer(a_bar, h)
            if line == "last":
                return total
            back = a_bar @ U.T if line == "U not turned" else a_bar @ U
        return total / len(G) if line == "mean" else total

    return attempt


def rates_written(line: str) -> Callable[..., Any]:
    def attempt(M: Any) -> Any:
        if line == "eigenvalues":
            return np.mean([np.sort(np.log(abs(np.linalg.eigvals(A))))[::-1] for A in M], axis=0)
        if line == "singular":
            return np.mean([np.log(np.linalg.svd(A)[1]) for A in M], axis=0)
        Q, total = np.eye(M.shape[1]), 0.0
        for A in M[::-1] if line == "backward" else M:
            new, R = np.linalg.qr({"alone": A, "other side": Q @ A}.get(line, A @ Q))
            Q = new
            r = np.abs(np.diag(R))
            total = total + (r if line == "no log" else np.log(r))
        return {"sum": total, "minus": -total / len(M)}.get(line, total / len(M))

    return attempt


def clip_written(line: str) -> Callable[..., Any]:
    def attempt(gradients: Any, largest: Any) -> Any:
        joined = np.concatenate([g.ravel() for g in gradients])
        norm = np.sqrt(sum((g**2).sum() for g in gradients))
        if line == "each":
            return np.concatenate(
                [(g * largest / n if (n := np.linalg.norm(g)) > largest else g).ravel() for g in gradients]
            )
        if line == "entries":
            return np.minimum(np.maximum(joined, -largest), largest)
        if line == "always":
            return joined / norm * largest
        if line == "unit":
            return joined / norm if norm > largest else joined / largest
        if line == "sum of norms":
            norm = sum(np.linalg.norm(g) for g in gradients)
        if line == "squared":
            norm = norm**2
        return joined if line == "nothing" or norm <= largest else joined * (largest / norm)

    return attempt


def leaky_written(line: str) -> Callable[..., Any]:
    def attempt(U: Any, a: Any, h: Any, z: Any) -> Any:
        c = np.tanh(U @ h + a)
        d = {"no slope": np.ones_like(c), "slope of h": 1 - h**2}.get(line, 1 - c**2)
        leak = {"no leak": 0 * z, "exchanged": z, "whole": 1 + 0 * z}.get(line, 1 - z)
        weight = {"no z": 1.0, "exchanged": 1 - z}.get(line, z)
        return np.diag(leak) + (U @ np.diag(weight * d) if line == "columns" else np.diag(weight * d) @ U)

    return attempt


WRONG: list[tuple[str, Any, str]] = [
    (PULL, pull_written("not turned"), "U is not transposed"),
    (PULL, pull_written("no slope"), "slopes of tanh are missing"),
    (PULL, pull_written("before"), "the state before"),
    (PULL, pull_written("not squared"), "not squared"),
    (PULL, pull_written("value"), "h itself"),
    (PULL, pull_written("exchanged"), "exchanged"),
    (PULL, pull_written("forward"), "from the first to the last"),
    (PULL, pull_written("one"), "one step only"),
    (PULL, pull_written("short"), "one step is missing"),
    (PULL, pull_written("long"), "one step too many"),
    (SUM, sum_written("nothing back"), "nothing is carried back"),
    (SUM, sum_written("last"), "last step alone"),
    (SUM, sum_written("first missing"), "first step is missing"),
    (SUM, sum_written("no slope"), "slopes of tanh are missing"),
    (SUM, sum_written("state after"), "h_t in place"),
    (SUM, sum_written("turned"), "wrong way round"),
    (SUM, sum_written("U not turned"), "not transposed on the way back"),
    (SUM, sum_written("mean"), "mean over the steps"),
    (LYAPUNOV, rates_written("sum"), "not divided"),
    (LYAPUNOV, rates_written("alone"), "split by itself"),
    (LYAPUNOV, rates_written("no log"), "not their logarithms"),
    (LYAPUNOV, rates_written("minus"), "sign is wrong"),
    (LYAPUNOV, rates_written("singular"), "singular values of single steps"),
    (LYAPUNOV, rates_written("eigenvalues"), "eigenvalues of the steps"),
    (LYAPUNOV, rates_written("backward"), "from the last to the first"),
    (CLIP, clip_written("each"), "own norm"),
    (CLIP, clip_written("entries"), "each entry"),
    (CLIP, clip_written("always"), "made longer"),
    (CLIP, clip_written("unit"), "scales to length 1"),
    (CLIP, clip_written("sum of norms"), "norms of the arrays are added"),
    (CLIP, clip_written("nothing"), "nothing is clipped"),
    (CLIP, clip_written("squared"), "squared norm"),
    (LEAKY, leaky_written("no leak"), "direct way is missing"),
    (LEAKY, leaky_written("no z"), "weight z in front"),
    (LEAKY, leaky_written("exchanged"), "exchanged"),
    (LEAKY, leaky_written("whole"), "has the slope 1"),
    (LEAKY, leaky_written("no slope"), "slope of tanh is missing"),
    (LEAKY, leaky_written("slope of h"), "at the state before"),
    (LEAKY, leaky_written("columns"), "columns of U"),
    (BIAS, [0.0, 2.634, 4.52], "sign is wrong"),
    (BIAS, [0.5, 0.067, 0.0108], "values of z"),
    (BIAS, [0.5, 0.933, 0.989], "values of 1 − z"),
    (BIAS, [0.0, -2.944, -4.844], "is not the solution"),
    (BIAS, [0.541, -2.252, -4.151], "1/e of the state"),
    (BIAS, [-0.693, -2.704, -4.531], "log z is not enough"),
]

test_right, test_wrong, test_differ = answer_tests(EXERCISE, RIGHT, WRONG)


def test_q_on_the_other_side_is_each_step_alone() -> None:
    """|R| of Q A is that of A: the slip cannot be told from forgetting Q, and the sentence names both."""
    assert told(EXERCISE[LYAPUNOV], rates_written("other side")) == told(EXERCISE[LYAPUNOV], rates_written("alone"))


def test_a_step_by_step_gradient_is_the_truncated_one() -> None:
    """Nothing carried back is what `Recurrent(truncate=1)` computes."""
    rng = np.random.default_rng(1)
    layer, params = md.layers.Recurrent(truncate=1), md.layers.Recurrent(3).initial((1, 5, 2), rng)
    x, g = rng.normal(size=(1, 5, 2)), rng.normal(size=(1, 5, 3))
    y, saved = layer.forward(params, x)
    H = np.concatenate([np.zeros((1, 3)), y[0]])
    found = sum_written("nothing back")(params["U"], H, g[0])
    np.testing.assert_allclose(found, layer.vjp(params, saved, g)[0]["U"])


def test_inputs_show_what_is_judged() -> None:
    for U, H, _ in (*EXERCISE[PULL].inputs, *EXERCISE[SUM].inputs):
        assert len(H) > 2
        assert not np.allclose(U, U.T)
        assert np.all(np.abs(H) < 1)
    lengths = [(np.linalg.norm(np.concatenate([np.ravel(g) for g in gs])), top) for gs, top in EXERCISE[CLIP].inputs]
    assert any(norm > top for norm, top in lengths), "some are clipped"
    assert any(norm < top for norm, top in lengths), "and some are not"
    for (M,) in EXERCISE[LYAPUNOV].inputs:
        assert np.all(np.diff(EXERCISE[LYAPUNOV].truth(M)) < 0), "apart from each other"
