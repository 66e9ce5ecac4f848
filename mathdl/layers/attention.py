"""Attention: each query takes a weighted mean of the values, with weights that a softmax makes of its keys.

First for queries, keys and values as they come, then with several heads that make their own from one sequence.
Explained in the chapter *Layer Jacobians*.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mathdl.arrays import describe
from mathdl.errors import InvalidInput
from mathdl.layers.classification import probabilities, through_softmax
from mathdl.layers.layer import Layer, Params, block_diagonal, normal, want_size

__all__ = ["Attention", "MultiHeadAttention"]


def _turned(x: Any) -> Any:
    """The transpose of each matrix."""
    return np.swapaxes(x, -1, -2)


def _check_mask(mask: Any) -> None:
    if mask is None:
        return
    array = np.asarray(mask)
    if array.dtype != bool or array.ndim != 2:
        raise InvalidInput("mask", describe(mask), "a matrix of booleans, shape (t, s): True where a query sees a key")
    blind = np.flatnonzero(~np.any(array, axis=1))
    if len(blind):
        raise InvalidInput("mask", f"a row without True, {int(blind[0])}", "at least one key that each query sees")


@dataclass(frozen=True, eq=False)
class Attention(Layer):
    """Y = A V with A = softmax(Q Kᵀ / √d), row by row.

    The input is a tuple of three: queries Q, shape (..., t, d); keys K, shape (..., s, d); values V, shape (..., s, e).
    y has shape (..., t, e). With a the row of A for one query q, and P = diag(a) - a aᵀ, the Jacobians of its row of Y:

        by q: Vᵀ P K / √d        by the rows of K: Vᵀ P, outer q / √d        by the rows of V: a, times the identity.

    Parameters
    ----------
    mask : ndarray of bool, shape (t, s), optional
        True where a query sees a key; the weights elsewhere are zero. ``np.tri(t, dtype=bool)`` sees no future.

    Raises
    ------
    InvalidInput
        If shapes do not fit, there are no keys, or a query sees none.

    References
    ----------
    Chapter *Layer Jacobians*, "Attention". A. Vaswani et al., Advances in Neural Information Processing Systems 30
    (2017).

    Examples
    --------
    >>> Q, K, V = np.zeros((1, 2)), np.ones((2, 2)), np.array([[1.0], [5.0]])
    >>> Attention()({}, (Q, K, V))
    array([[3.]])
    >>> Attention(mask=np.array([[True, False]])).jacobian({}, (Q, K, V), by="V")[0, 0]
    array([[1.],
           [0.]])
    """

    mask: Any = None
    inputs = ("Q", "K", "V")

    def __post_init__(self) -> None:
        _check_mask(self.mask)

    def check(self, params: Params, x: Any) -> None:
        (*lead, t, d), K, V = _matrix_shape(x[0], "Q"), np.shape(x[1]), np.shape(x[2])
        (*_, s, e) = _matrix_shape(x[2], "V")
        for name, shape, count in (("V", V, s), ("Q", np.shape(x[0]), d)):
            if count == 0:
                raise InvalidInput(name, f"shape {shape}", "at least one key, and queries of at least one entry")
        for name, shape, wanted in (("K", K, (*lead, s, d)), ("V", V, (*lead, s, e))):
            if shape != wanted:
                raise InvalidInput(name, f"shape {shape}", f"shape {wanted}, to fit Q {np.shape(x[0])} and V {V}")
        if self.mask is not None and np.shape(self.mask) != (t, s):
            raise InvalidInput("mask", f"shape {np.shape(self.mask)}", f"shape {(t, s)}: {t} queries, {s} keys")

    def value(self, params: Params, x: Any) -> tuple[Any, tuple[Any, ...]]:
        Q, K, V = x
        S = Q @ _turned(K) / math.sqrt(np.shape(Q)[-1])
        A = probabilities(S if self.mask is None else np.where(self.mask, S, -np.inf))
        return A @ V, (A, Q, K, V)

    def push(self, params: Params, kept: tuple[Any, ...], dx: Any, dparams: Params) -> Any:
        A, Q, K, V = kept
        dQ, dK, dV = dx
        dS = (dQ @ _turned(K) + Q @ _turned(dK)) / math.sqrt(Q.shape[-1])
        return through_softmax(A, dS) @ V + A @ dV

    def pull(self, params: Params, kept: tuple[Any, ...], g: Any) -> tuple[dict[str, Any], Any]:
        A, Q, K, V = kept
        gS = through_softmax(A, g @ _turned(V)) / math.sqrt(Q.shape[-1])
        return {}, (gS @ K, _turned(gS) @ Q, _turned(A) @ g)

    def by_Q(self, params: Params, kept: tuple[Any, ...]) -> Any:
        _, Q, K, _ = kept
        return block_diagonal(_by_scores(kept) @ K[..., None, :, :] / math.sqrt(Q.shape[-1]))

    def by_K(self, params: Params, kept: tuple[Any, ...]) -> Any:
        _, Q, K, _ = kept
        J = np.einsum("...tes,...td->...tesd", _by_scores(kept), Q / math.sqrt(Q.shape[-1]))
        return _apart(J, K.ndim - 2)

    def by_V(self, params: Params, kept: tuple[Any, ...]) -> Any:
        A, _, _, V = kept
        J = np.einsum("...ts,ef->...tesf", A, np.eye(V.shape[-1], dtype=V.dtype))
        return _apart(J, V.ndim - 2)


def _matrix_shape(x: Any, name: str) -> tuple[int, ...]:
    if np.ndim(x) < 2:
        raise InvalidInput(name, f"shape {np.shape(x)}", "a matrix with a row for each position, or several")
    return tuple(np.shape(x))


def _by_scores(kept: tuple[Any, ...]) -> Any:
    """Vᵀ (diag(a) - a aᵀ) for each query: how its row of Y answers to its scores, shape (..., t, e, s)."""
    A, _, _, V = kept
    return A[..., :, None, :] * (_turned(V)[..., None, :, :] - (A @ V)[..., None])


def _apart(J: Any, lead: int) -> Any:
    """The Jacobian of each pair of matrices, shape (*lead, t, e, s, d), as that of all: (*lead, t, e, *lead, s, d)."""
    rows, (t, e, s, d) = J.shape[:lead], J.shape[lead:]
    return block_diagonal(J.reshape(*rows, t * e, s * d)).reshape(*rows, t, e, *rows, s, d)


@dataclass(frozen=True, eq=False)
class MultiHeadAttention(Layer):
    """Attention of a sequence to itself, with h heads side by side: Y = [Y₁ ... Y_h] WOᵀ, Y_i = A_i V_i.

    [Q₁ ... Q_h] = X WQᵀ, and so for K and V. x has shape (..., t, n). The parameters are ``WQ`` and ``WK``, shape
    (h d, n), ``WV``, shape (h e, n), and ``WO``, shape (m, h e); y has shape (..., t, m). There are no biases. Each
    Jacobian is a product of the affine ones and those of `Attention`, summed over the three ways from x to y.

    Parameters
    ----------
    heads : int
        How many, h.
    mask : ndarray of bool, shape (t, t), optional
        True where a position (row) sees another (column), as in `Attention`.

    Raises
    ------
    InvalidInput
        If shapes do not fit, or h does not divide the rows of WQ, WK and WV.

    References
    ----------
    Chapter *Layer Jacobians*, "Attention". A. Vaswani et al., Advances in Neural Information Processing Systems 30
    (2017).

    Examples
    --------
    >>> params = {name: np.eye(2) for name in ("WQ", "WK", "WV", "WO")}
    >>> MultiHeadAttention(heads=2, mask=np.tri(2, dtype=bool))(params, np.array([[0.0, 4.0], [0.0, 4.0]]))
    array([[0., 4.],
           [0., 4.]])
    """

    heads: int = 1
    mask: Any = None
    parameters = ("WQ", "WK", "WV", "WO")

    def __post_init__(self) -> None:
        want_size(self.heads, "heads", "an integer, at least 1")
        _check_mask(self.mask)

    def initial(self, shape: tuple[int, ...], rng: np.random.Generator) -> dict[str, Any]:
        *_, n = shape
        if n == 0 or n % self.heads:
            raise InvalidInput("x", f"shape {shape}", f"a last axis that {self.heads} heads divide")
        return {name: normal(rng, (n, n), 1 / n) for name in self.parameters}

    def check(self, params: Params, x: Any) -> None:
        shapes = {name: np.shape(W) for name, W in params.items()}
        *_, t, n = _matrix_shape(x, "x")
        if t == 0:
            raise InvalidInput("x", f"shape {np.shape(x)}", "at least one position")
        for name in ("WQ", "WK", "WV"):
            shape = shapes[name]
            if len(shape) != 2 or shape[1] != n or shape[0] % self.heads or not shape[0]:
                wanted = f"shape (rows, {n}) with rows a multiple of {self.heads} heads"
                raise InvalidInput(f"params[{name!r}]", f"shape {shape}", wanted)
        if shapes["WK"] != shapes["WQ"]:
            raise InvalidInput("params['WK']", f"shape {shapes['WK']}", f"the shape of WQ, {shapes['WQ']}")
        if self.mask is not None and np.shape(self.mask) != (t, t):
            raise InvalidInput("mask", f"shape {np.shape(self.mask)}", f"shape {(t, t)}, since x has {t} positions")
        if len(shapes["WO"]) != 2 or shapes["WO"][1] != shapes["WV"][0]:
            wanted = f"shape (m, {shapes['WV'][0]}), to fit WV"
            raise InvalidInput("params['WO']", f"shape {shapes['WO']}", wanted)

    def _attention(self) -> Attention:
        return Attention(self.mask)

    def _split(self, x: Any) -> Any:
        """(..., t, h d) -> (..., h, t, d)."""
        *lead, t, width = np.shape(x)
        return np.swapaxes(np.reshape(x, (*lead, t, self.heads, width // self.heads)), -2, -3)

    def _merged(self, x: Any) -> Any:
        """(..., h, t, d) -> (..., t, h d)."""
        *lead, h, t, d = np.shape(x)
        return np.reshape(np.swapaxes(x, -2, -3), (*lead, t, h * d))

    def value(self, params: Params, x: Any) -> tuple[Any, tuple[Any, ...]]:
        parts = tuple(self._split(x @ params[name].T) for name in ("WQ", "WK", "WV"))
        Y, saved = self._attention().forward({}, parts)
        Z = self._merged(Y)
        return Z @ params["WO"].T, (x, saved, Z)

    def push(self, params: Params, kept: tuple[Any, ...], dx: Any, dparams: Params) -> Any:
        x, saved, Z = kept
        moved = [dx @ params[name].T for name in ("WQ", "WK", "WV")]
        for k, name in enumerate(("WQ", "WK", "WV")):
            if name in dparams:
                moved[k] = moved[k] + x @ dparams[name].T
        dZ = self._merged(self._attention().jvp({}, saved, tuple(map(self._split, moved))))
        dy = dZ @ params["WO"].T
        return dy + Z @ dparams["WO"].T if "WO" in dparams else dy

    def pull(self, params: Params, kept: tuple[Any, ...], g: Any) -> tuple[dict[str, Any], Any]:
        x, saved, Z = kept
        gparams = {"WO": _flat(g).T @ _flat(Z)}
        _, pulled = self._attention().vjp({}, saved, self._split(g @ params["WO"]))
        gx = np.zeros_like(x)
        for name, part in zip(("WQ", "WK", "WV"), pulled, strict=True):
            G = self._merged(part)
            gparams[name] = _flat(G).T @ _flat(x)
            gx = gx + G @ params[name]  # three ways lead from x to y
        return {name: gparams[name] for name in self.parameters}, gx  # in their order, as `flatten` wants them

    def dense(self, params: Params, x: Any, kept: tuple[Any, ...], by: str) -> Any:
        x, saved, Z = kept
        WO = params["WO"]
        if by == "WO":
            return np.einsum("ij,...k->...ijk", np.eye(len(WO), dtype=Z.dtype), Z)
        lead, (t, n), h = x.shape[:-2], x.shape[-2:], self.heads
        N = math.prod(lead)
        out = WO.reshape(len(WO), h, -1)
        X, total = x.reshape(N, t, n), np.zeros((N, t, len(WO), N, t, n), x.dtype)
        for name, part in zip(("WQ", "WK", "WV"), ("Q", "K", "V"), strict=True):
            # Letters: b, c one of N; g, h a head; m, n an entry of y, x; t, s a position; e, d inside a head.
            J = getattr(self._attention(), f"by_{part}")({}, saved.kept)
            J = J.reshape(N, h, t, out.shape[-1], N, h, t, -1)
            if by == name:
                J = np.einsum("mhe,bhtecgsd,csn->btmgdn", out, J, X, optimize=True)
                return J.reshape(*lead, t, len(WO), *params[name].shape)
            total += np.einsum("mhe,bhtecgsd,gdn->btmcsn", out, J, params[name].reshape(h, -1, n), optimize=True)
        return total.reshape(*lead, t, len(WO), *lead, t, n)


def _flat(x: Any) -> Any:
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
