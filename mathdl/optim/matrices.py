"""Optimizers that see a matrix of weights as a matrix: Muon, Shampoo and SOAP.

An elementwise optimizer has a rate for each entry; these have one for each direction between the rows and the columns.
Explained in the chapter *Curvature*.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from mathdl.arrays import describe, is_integer, want_integer
from mathdl.autodiff.followed import Followed
from mathdl.autodiff.trees import build, inputs, mapped, places
from mathdl.errors import InvalidInput
from mathdl.optim.optimizer import (
    NOT_NEGATIVE,
    POSITIVE,
    RATE,
    SHARE,
    Now,
    Schedule,
    Settings,
    accept,
    aligned,
    at_step,
    check_state,
    norm,
)

__all__ = ["SOAP", "Muon", "Shampoo", "orthogonalised"]

# The quintic a x + b x³ + c x⁵ of Newton and Schulz with the steepest slope at 0, of those that keep (0, 1] near 1.
A, B, C = 3.4445, -4.7750, 2.0315
TINY = 1e-7  # the norm below which a matrix is not scaled to 1: zero stays zero


def orthogonalised(G: Any, steps: int = 5) -> Any:
    """The matrix UVᵀ of G = UΣVᵀ, roughly: all singular values are brought near 1, from 0.68 to 1.2.

    X ← G / ‖G‖, then X ← aX + (bA + cA²)X with A = XXᵀ, five times; a, b, c = 3.4445, −4.7750, 2.0315. So each
    singular value σ is mapped by aσ + bσ³ + cσ⁵ again and again, and U and V stay. Nothing but products is needed.
    That holds for σ from 0.002 ‖G‖ on; smaller ones come to 485 σ/‖G‖ at most.

    Parameters
    ----------
    G : ndarray, shape (m, n)
    steps : int
        How often the polynomial is applied.

    Raises
    ------
    InvalidInput
        If G is no matrix, its norm is not finite, or ``steps`` is no integer above 0.

    References
    ----------
    Chapter *Curvature*. K. Jordan, "Muon: an optimizer for hidden layers in neural networks" (2024).

    Examples
    --------
    >>> X = orthogonalised(np.diag([3.0, 0.1]))
    >>> np.round(np.diag(X), 2)
    array([0.7 , 1.13])
    """
    steps = want_integer(steps, "steps", 1)
    G = G if isinstance(G, Followed) else np.asarray(G)
    if np.ndim(G) != 2:
        raise InvalidInput("G", describe(G), "a matrix, shape (m, n)")
    X: Any = G.T if G.shape[0] > G.shape[1] else G
    length = np.maximum(np.sqrt(np.sum(X * X)), TINY) if isinstance(G, Followed) else max(norm(G), TINY)
    if not isinstance(G, Followed) and not length < np.inf:
        raise InvalidInput("G", f"a matrix with the norm {length}", "one whose norm is finite")
    X = X / length
    for _ in range(steps):
        S = X @ X.T
        X = A * X + (B * S + C * S @ S) @ X
    return X.T if G.shape[0] > G.shape[1] else X


class Whole(NamedTuple):
    """What a setting may be: an integer, at least ``least``."""

    least: int

    def holds(self, value: Any) -> bool:
        return is_integer(value, self.least)

    def __str__(self) -> str:
        return f"an integer, at least {self.least}"


class OneOf(NamedTuple):
    """What a setting may be: one of a few words, or True and False."""

    options: tuple[Any, ...]

    def holds(self, value: Any) -> bool:
        return isinstance(value, (str, bool)) and value in self.options

    def __str__(self) -> str:
        return f"one of {', '.join(map(repr, self.options))}"


class OfMatrices(Settings):
    """An optimizer that is one `rule` for each matrix. Its state is ``{"step": 0, <moment>: tree, ...}``."""

    moments: ClassVar[dict[str, Callable[[int, int], tuple[int, int]]]] = {}  # and their shapes for W of shape (m, n)
    ranges: ClassVar[dict[str, Any]] = {}
    rate: Any

    def rule(self, now: Now, G: Any, W: Any, *moments: Any) -> tuple[Any, ...]:
        """The step and the next moments, from the gradient G, the parameter W and the moments."""
        raise NotImplementedError

    def initial(self, params: Any) -> dict[str, Any]:
        self._want_matrices(inputs(params, "params"), params)

        def zeros(of: Callable[[int, int], tuple[int, int]]) -> Any:
            return mapped(lambda W: np.zeros(of(*W.shape), W.dtype), params)

        return {"step": 0, **{name: zeros(of) for name, of in self.moments.items()}}

    def update(self, gradient: Any, state: Any, params: Any) -> tuple[Any, dict[str, Any]]:
        p, g = accept(gradient, params)
        self._want_matrices(p, params)
        made = check_state(state, ("step", *self.moments), self)
        old = [self._moment(state, name, of, p, params) for name, of in self.moments.items()]
        for array, place in zip(g, places(params, "gradient"), strict=True):
            if not isinstance(array, Followed) and not np.isfinite(np.vdot(array, array)):
                raise InvalidInput(place, "numbers whose squares overflow", "smaller ones; no step was made")
        now = Now(made + 1, at_step(self.rate, made), {})
        results = [self.rule(now, *arrays) for arrays in zip(g, p, *old, strict=True)]
        columns = zip(*results, strict=True) if results else [()] * (1 + len(old))
        # in the order of memory that a file gives back: products of others may differ from those in the last bit
        step, *new = (build(params, map(np.ascontiguousarray, column)) for column in columns)
        return step, {"step": now.step, **dict(zip(self.moments, new, strict=True))}

    def _want_matrices(self, arrays: list[Any], params: Any) -> None:
        name = type(self).__name__
        for array, place in zip(arrays, places(params, "params"), strict=True):
            if np.ndim(array) != 2 or not np.size(array):
                wanted = f"a matrix: {name} is for those; write Split(matrices={name}(), others=AdamW())"
                raise InvalidInput(place, f"shape {np.shape(array)}", wanted)

    def _moment(self, state: Any, name: str, of: Any, p: list[Any], params: Any) -> list[Any]:
        arrays = aligned(state[name], params, f"state[{name!r}]")
        for array, W, place in zip(arrays, p, places(params, ""), strict=True):
            if np.shape(array) != of(*W.shape) or np.result_type(array) != W.dtype:
                wanted = f"shape {of(*W.shape)} and {W.dtype}, as params{place} wants"
                raise InvalidInput(f"state[{name!r}]{place}", describe(array), wanted)
        return arrays


def _rows(m: int, n: int) -> tuple[int, int]:
    return m, m


def _columns(m: int, n: int) -> tuple[int, int]:
    return n, n


def _same(m: int, n: int) -> tuple[int, int]:
    return m, n


_SCALES: dict[str, Callable[[int, int], float]] = {
    "original": lambda m, n: max(1.0, m / n) ** 0.5,
    "match_rms_adamw": lambda m, n: 0.2 * max(m, n) ** 0.5,
    "none": lambda m, n: 1.0,
}


@dataclass
class Muon(OfMatrices):
    """M ← beta M + (1 - beta) G, N = beta M + (1 - beta) G; step = - rate (s orthogonalised(N) + weight_decay W).

    Momentum whose step goes equally far in all directions: its singular values are all near s. N looks ahead as in
    Nesterov's momentum; without ``nesterov`` it is M. For matrices only; see `Split`.

    Parameters
    ----------
    rate : float or schedule
    beta : float
        At least 0 and less than 1.
    weight_decay : float
        Not negative; decoupled, as in `AdamW`.
    steps : int
        Of the iteration in `orthogonalised`, at least 1.
    nesterov : bool
    scale : {"original", "match_rms_adamw", "none"}
        What s is for W of shape (m, n): √max(1, m/n), or 0.2 √max(m, n), with which steps are about as large as those
        of AdamW, or 1.

    Raises
    ------
    InvalidInput
        If a setting is out of its range, or a parameter is no matrix; in `update`, if the gradient is not finite, its
        squares are not, or it does not fit the parameters.

    References
    ----------
    Chapter *Curvature*. K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024); J. Liu et
    al., arXiv:2502.16982 (2025). The same as ``torch.optim.Muon``, which computes with 8 bits of precision.

    Examples
    --------
    >>> muon, W = Muon(rate=1.0), np.eye(2)
    >>> step, state = muon.update(np.diag([3.0, 0.1]), muon.initial(W), W)
    >>> np.round(np.diag(step), 2)
    array([-0.7 , -1.13])
    """

    rate: float | Schedule = 0.02
    beta: float = 0.95
    weight_decay: float = 0.0
    steps: int = 5
    nesterov: bool = True
    scale: str = "original"

    moments: ClassVar = {"M": _same}
    ranges: ClassVar = {
        "rate": RATE, "beta": SHARE, "weight_decay": NOT_NEGATIVE, "steps": Whole(1), "nesterov": OneOf((True, False)),
        "scale": OneOf(tuple(_SCALES)),
    }  # fmt: skip

    def rule(self, now: Now, G: Any, W: Any, M: Any) -> tuple[Any, ...]:
        M = self.beta * M + (1 - self.beta) * G
        N = self.beta * M + (1 - self.beta) * G if self.nesterov else M
        s = _SCALES[self.scale](*W.shape)
        return -now.rate * (s * orthogonalised(N, self.steps) + self.weight_decay * W), M


@dataclass
class Shampoo(OfMatrices):
    """L ← L + GGᵀ and R ← R + GᵀG, from εI on; step = - rate L^(-1/4) G R^(-1/4).

    AdaGrad's rates, for directions in place of entries: all entries together would want a matrix of (mn)² numbers,
    and this takes a Kronecker product of two small ones for it. For matrices only; see `Split`.

    Parameters
    ----------
    rate : float or schedule
    epsilon : float
        ε, positive.

    Raises
    ------
    InvalidInput
        As in `Muon`.

    References
    ----------
    Chapter *Curvature*. V. Gupta, T. Koren and Y. Singer, Proc. 35th ICML (2018) 1842, algorithm 1.

    Examples
    --------
    >>> shampoo, W = Shampoo(rate=1.0), np.eye(2)
    >>> step, state = shampoo.update(np.diag([3.0, 0.1]), shampoo.initial(W), W)
    >>> np.round(np.diag(step), 3)
    array([-1.   , -0.995])
    """

    rate: float | Schedule = 0.1
    epsilon: float = 1e-4

    moments: ClassVar = {"L": _rows, "R": _columns}  # without the εI, which is added where they are used
    ranges: ClassVar = {"rate": RATE, "epsilon": POSITIVE}

    def rule(self, now: Now, G: Any, W: Any, L: Any, R: Any) -> tuple[Any, ...]:
        L, R = L + G @ G.T, R + G.T @ G
        return -now.rate * _inverse_fourth_root(L, self.epsilon) @ G @ _inverse_fourth_root(R, self.epsilon), L, R


def _inverse_fourth_root(S: Any, epsilon: float) -> Any:
    """(S + εI)^(-1/4), where S is symmetric without negative eigenvalues: those are rounding, and count as 0."""
    w, Q = np.linalg.eigh(S)
    return (Q * (np.maximum(w, 0.0) + epsilon) ** -0.25) @ Q.T


@dataclass
class SOAP(OfMatrices):
    """Adam in the eigenbasis of Shampoo's L and R, which is corrected every few steps.

    M ← beta1 M + (1 - beta1) G; V ← beta2 V + (1 - beta2) G'², where G' = Q_Lᵀ G Q_R;
    step = - rate √(1 - beta2ᵗ) / (1 - beta1ᵗ) Q_L (Q_Lᵀ M Q_R / (√V + epsilon)) Q_Rᵀ; and after it
    L ← beta2 L + (1 - beta2) GGᵀ, R ← beta2 R + (1 - beta2) GᵀG. Where ``every`` divides t, the bases
    become the Q of the QR factors of L Q_L and R Q_R: one round of the power iteration.

    The first gradient, t = 0, makes no step: it gives L, R and their eigenvectors, so that no gradient is seen in a
    basis made of itself. For matrices only; see `Split`.

    Parameters
    ----------
    rate : float or schedule
    beta1, beta2 : float
        At least 0 and less than 1.
    epsilon : float
        Positive.
    every : int
        For how many steps a basis is kept.

    Raises
    ------
    InvalidInput
        As in `Muon`.

    References
    ----------
    Chapter *Curvature*. N. Vyas et al., arXiv:2409.11321 (2024), algorithms 3 and 4, and from the authors' program what
    these leave out: the first step, the bias correction, and the order of the columns by their eigenvalues.

    Examples
    --------
    >>> soap, W = SOAP(rate=1.0), np.eye(2)
    >>> nothing, state = soap.update(np.diag([3.0, 0.1]), soap.initial(W), W)
    >>> step, state = soap.update(np.diag([3.0, 0.1]), state, W)
    >>> np.round(np.diag(step), 3)
    array([-1., -1.])
    """

    rate: float | Schedule = 3e-3
    beta1: float = 0.95
    beta2: float = 0.95
    epsilon: float = 1e-8
    every: int = 10

    moments: ClassVar = {"M": _same, "V": _same, "L": _rows, "R": _columns, "Q_L": _rows, "Q_R": _columns}
    ranges: ClassVar = {"rate": RATE, "beta1": SHARE, "beta2": SHARE, "epsilon": POSITIVE, "every": Whole(1)}

    def rule(self, now: Now, G: Any, W: Any, M: Any, V: Any, L: Any, R: Any, P: Any, Q: Any) -> tuple[Any, ...]:
        t, step = now.step - 1, np.zeros_like(W)
        if t > 0:
            M = self.beta1 * M + (1 - self.beta1) * G
            V = self.beta2 * V + (1 - self.beta2) * (P.T @ G @ Q) ** 2
            rate = now.rate * (1 - self.beta2**t) ** 0.5 / (1 - self.beta1**t)
            step = -rate * P @ (P.T @ M @ Q / (np.sqrt(V) + self.epsilon)) @ Q.T
        L = self.beta2 * L + (1 - self.beta2) * G @ G.T
        R = self.beta2 * R + (1 - self.beta2) * G.T @ G
        if t == 0:
            P, Q = np.linalg.eigh(L)[1][:, ::-1], np.linalg.eigh(R)[1][:, ::-1]
        elif t % self.every == 0:
            (P, rows), (Q, columns) = _corrected(P, L), _corrected(Q, R)
            V = V[rows][:, columns]
        return step, M, V, L, R, P, Q


def _corrected(Q: Any, S: Any) -> tuple[Any, Any]:
    """A basis nearer to the eigenvectors of S, the largest eigenvalue first, and which old vector each one was."""
    SQ = S @ Q
    order = np.argsort(-np.sum(Q * SQ, axis=0), kind="stable")
    return np.linalg.qr(SQ[:, order])[0], order
