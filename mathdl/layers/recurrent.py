"""Cells that go through a sequence and carry a state along, a plain one and one with gates; and its last step alone.

Each state depends on the one before it, so a Jacobian is a sum of products through time, and a pull goes back step by
step. Explained in the chapter *Backpropagation through time*.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from mathdl.errors import InvalidInput
from mathdl.layers.layer import Layer, Params, normal, want_shape, want_size

__all__ = ["GatedRecurrent", "Last", "Recurrent"]


class _Cell(Layer):
    """What cells share: the way through the sequence. States are kept as one array, with the first, zero, in front."""

    width: int | None
    truncate: int | None
    parts: int  # how many affine maps are stacked in W, U and b
    parameters = ("W", "U", "b")

    def __post_init__(self) -> None:
        if self.width is not None:
            want_size(self.width, "width", "a number of entries of the state, at least 1")
        if self.truncate is not None:
            want_size(self.truncate, "truncate", "a number of steps, at least 1, or None")

    def initial(self, shape: tuple[int, ...], rng: np.random.Generator) -> dict[str, Any]:
        h = want_size(self.width, "width", f"a width to begin with: {type(self).__name__}(width)")
        if len(shape) != 3 or shape[2] == 0:
            raise InvalidInput("x", f"shape {shape}", "shape (N, t, n)")
        n, blocks = shape[2], []
        for _ in range(self.parts):  # an orthogonal U keeps the length of the state
            Q, R = np.linalg.qr(rng.normal(size=(h, h)))
            blocks.append(Q * np.sign(np.diag(R)))
        return {
            "W": normal(rng, (self.parts * h, n), 1 / n),
            "U": np.concatenate(blocks),
            "b": np.zeros(self.parts * h),
        }

    def check(self, params: Params, x: Any) -> None:
        shape = np.shape(params["U"])
        h = shape[-1] if shape else 0
        if h == 0 or shape != (self.parts * h, h) or self.width not in (None, h):
            rows = f"{self.parts} h" if self.parts > 1 else "h"
            raise InvalidInput("params['U']", f"shape {shape}", f"shape ({rows}, h) with h = {self.width or 'h'}")
        want_shape(params["b"], "params['b']", shape[:1])
        W = np.shape(params["W"])
        if len(W) != 2 or W[0] != shape[0]:
            raise InvalidInput("params['W']", f"shape {W}", f"shape ({shape[0]}, n)")
        if np.ndim(x) != 3 or np.shape(x)[2] != W[1]:
            raise InvalidInput("x", f"shape {np.shape(x)}", f"shape (N, t, {W[1]}), since W has shape {W}")

    def step(self, params: Params, a: Any, h: Any) -> tuple[Any, Any]:
        """From W x + b and the state: the next state, and what the derivatives of this step need."""
        raise NotImplementedError

    def push_step(self, params: Params, kept: Any, da: Any, dh: Any, dU: Any) -> Any:
        """The tangent of the next state; ``dU`` is None where U stands still."""
        raise NotImplementedError

    def pull_step(self, params: Params, kept: Any, g: Any) -> tuple[Any, Any]:
        """The cotangents of W x + b, and of the state before."""
        raise NotImplementedError

    def pull_U(self, rows: Any, steps: tuple[Any, ...]) -> Any:
        """The cotangent of U, a sum over batch and time, from those of W x + b: one row for each example and step."""
        raise NotImplementedError

    def is_cut(self, t: int) -> bool:
        """Whether the state before step t counts as a constant."""
        return self.truncate is not None and t % self.truncate == 0

    def value(self, params: Params, x: Any) -> tuple[Any, tuple[Any, ...]]:
        a = x @ params["W"].T + params["b"]
        h = np.zeros((np.shape(x)[0], np.shape(params["U"])[1]), np.result_type(*_kinds(params, x)))
        states, kept = [], []
        for t in range(np.shape(x)[1]):
            h, one = self.step(params, a[:, t], h)
            states.append(h)
            kept.append(one)
        y = np.stack(states, axis=1) if states else np.zeros((np.shape(x)[0], 0, h.shape[1]), h.dtype)
        return y, (x, tuple(kept))

    def push(self, params: Params, kept: tuple[Any, ...], dx: Any, dparams: Params) -> Any:
        x, steps = kept
        da = dx @ params["W"].T
        if "W" in dparams:
            da = da + x @ dparams["W"].T
        if "b" in dparams:
            da = da + dparams["b"]
        dh = np.zeros((len(x), params["U"].shape[1]), da.dtype)
        tangents = []
        for t, one in enumerate(steps):
            dh = self.push_step(params, one, da[:, t], 0 * dh if self.is_cut(t) else dh, dparams.get("U"))
            tangents.append(dh)
        return np.stack(tangents, axis=1) if tangents else np.zeros((len(x), 0, dh.shape[1]), dh.dtype)

    def pull(self, params: Params, kept: tuple[Any, ...], g: Any) -> tuple[dict[str, Any], Any]:
        ga = self.pull_through(params, kept, g)
        return self.sums(params, kept, ga), ga @ params["W"]

    def pull_parameters(self, params: Params, kept: tuple[Any, ...], g: Any) -> dict[str, Any]:
        return self.sums(params, kept, self.pull_through(params, kept, g))

    def pull_through(self, params: Params, kept: tuple[Any, ...], g: Any) -> Any:
        """Backward through time: the cotangents of W x + b at all steps."""
        x, steps = kept
        ga = np.zeros((*x.shape[:2], len(params["b"])), g.dtype)
        carried = np.zeros((len(x), params["U"].shape[1]), g.dtype)
        for t in reversed(range(len(steps))):
            ga[:, t], carried = self.pull_step(params, steps[t], g[:, t] + carried)
            if self.is_cut(t):
                carried = np.zeros_like(carried)
        return ga

    def sums(self, params: Params, kept: tuple[Any, ...], ga: Any) -> dict[str, Any]:
        """The cotangents of the parameters: sums over batch and time, each of them one product of matrices."""
        x, steps = kept
        rows = ga.reshape(-1, ga.shape[2])
        gU = self.pull_U(rows, steps) if steps else np.zeros_like(params["U"])
        return {"W": rows.T @ x.reshape(len(rows), x.shape[2]), "U": gU, "b": np.add.reduce(rows)}

    def dense(self, params: Params, x: Any, kept: tuple[Any, ...], by: str) -> Any:
        """Forward through time: the Jacobian of a state is what it depends on itself, and its step's times the last."""
        x, steps = kept
        params = self._params(params)
        N, T, _ = x.shape
        h, m = params["U"].shape[1], len(params["b"])
        shape = {"x": x.shape, **{name: np.shape(params[name]) for name in self.parameters}}[by]
        size = int(np.prod(shape))
        last, J = np.zeros((N, h, size)), np.zeros((N, T, h, size))
        for t, one in enumerate(steps):
            by_a, by_h, by_U = self.step_jacobians(params, one)
            direct = np.zeros((N, m, *shape))
            each, rows = np.arange(N), np.arange(m)
            if by == "x":
                direct[each, :, each, t] = params["W"]
            elif by == "W":
                direct[:, rows, rows] = x[:, t, None, :]
            elif by == "b":
                direct[:, rows, rows] = 1.0
            own = by_U.reshape(N, h, size) if by == "U" else by_a @ direct.reshape(N, m, size)
            last = own + by_h @ (np.zeros_like(last) if self.is_cut(t) else last)
            J[:, t] = last
        return J.reshape(N, T, h, *shape).astype(x.dtype)

    def step_jacobians(self, params: Params, kept: Any) -> tuple[Any, Any, Any]:
        """Of the next state by W x + b, by the state before, and by U: (N, h, m), (N, h, h) and (N, h, m, h)."""
        raise NotImplementedError


def _kinds(params: Params, x: Any) -> list[Any]:
    return [x.dtype, *(array.dtype for array in params.values())]


def _rows(steps: Any) -> Any:
    """Arrays of shape (N, h), one for each step, as the rows of one matrix: example by example, step by step."""
    stacked = np.stack(list(steps), axis=1)
    return stacked.reshape(-1, stacked.shape[2])


@dataclass(frozen=True, eq=False)
class Recurrent(_Cell):
    """h_t = tanh(W x_t + U h_(t-1) + b), from h_0 = 0: each state sees its input, and through the last one all before.

    x has shape (N, t, n), and y, all states, has shape (N, t, h). The parameters are ``W``, shape (h, n), ``U``, shape
    (h, h), and ``b``, shape (h,). With D_t = diag(1 - h_t²), the Jacobian of h_t by x_s is the product

        D_t U D_(t-1) U ... D_(s+1) U D_s W

    of t - s matrices D U: it fades or grows with the distance. The gradient by U is a sum over all steps.

    Parameters
    ----------
    width : int, optional
        h, which ``initial`` needs; U begins orthogonal.
    truncate : int, optional
        Derivatives, forward and backward, go through at most so many steps: the state counts as a constant before
        steps 0, k, 2k, ... Then ``vjp``, ``jvp`` and ``jacobian`` are not the derivative, but one that is cheaper and
        forgets: what autodiff finds is the whole.

    Raises
    ------
    InvalidInput
        If shapes do not fit, or a size is out of range.

    References
    ----------
    Chapter *Backpropagation through time*. J. L. Elman, Cognitive Science 14 (1990) 179; P. J. Werbos, Proc. IEEE 78
    (1990) 1550.

    Examples
    --------
    >>> params = {"W": np.array([[1.0]]), "U": np.array([[0.5]]), "b": np.zeros(1)}
    >>> Recurrent()(params, np.array([[[0.0], [1.0], [0.0]]])).round(3)
    array([[[0.   ],
            [0.762],
            [0.363]]])
    """

    width: int | None = None
    truncate: int | None = None
    parts = 1

    def step(self, params: Params, a: Any, h: Any) -> tuple[Any, Any]:
        new = np.tanh(a + h @ params["U"].T)
        return new, (h, new)

    def push_step(self, params: Params, kept: Any, da: Any, dh: Any, dU: Any) -> Any:
        h, new = kept
        moved = da + dh @ params["U"].T
        if dU is not None:
            moved = moved + h @ dU.T
        return (1 - new * new) * moved

    def pull_step(self, params: Params, kept: Any, g: Any) -> tuple[Any, Any]:
        _, new = kept
        ga = g * (1 - new * new)
        return ga, ga @ params["U"]

    def pull_U(self, rows: Any, steps: tuple[Any, ...]) -> Any:
        return rows.T @ _rows(h for h, _ in steps)

    def step_jacobians(self, params: Params, kept: Any) -> tuple[Any, Any, Any]:
        h, new = kept
        D = (1 - new * new)[:, :, None] * np.eye(h.shape[1])
        return D, D @ params["U"], D[..., None] * h[:, None, None, :]


@dataclass(frozen=True, eq=False)
class GatedRecurrent(_Cell):
    """A state with two gates, h_t = (1 - z) h_(t-1) + z c: where z is near 0, it and its gradient pass unchanged.

    With W, U, b in three parts of h rows each, for r, z and c, and ⊙ entry by entry,

        r = σ(W_r x + U_r h + b_r),  z = σ(W_z x + U_z h + b_z),  c = tanh(W_c x + U_c (r ⊙ h) + b_c),

    where h is the state before. x has shape (N, t, n), and y, all states, has shape (N, t, h). The parameters are
    ``W``, shape (3h, n), ``U``, shape (3h, h), and ``b``, shape (3h,). The Jacobian of a step by the state is

        diag(1 - z) + diag((c - h) z (1 - z)) U_z + diag(z (1 - c²)) U_c (diag(r) + diag(h r (1 - r)) U_r).

    Parameters
    ----------
    width : int, optional
        h, which ``initial`` needs; the parts of U begin orthogonal.
    truncate : int, optional
        As in `Recurrent`.

    Raises
    ------
    InvalidInput
        If shapes do not fit, or a size is out of range.

    References
    ----------
    Chapter *Backpropagation through time*. K. Cho et al., EMNLP (2014) 1724 (with z and 1 - z exchanged).

    Examples
    --------
    >>> params = {"W": np.zeros((3, 1)), "U": np.zeros((3, 1)), "b": np.array([0.0, 0.0, 10.0])}
    >>> GatedRecurrent()(params, np.zeros((1, 3, 1))).round(3)
    array([[[0.5  ],
            [0.75 ],
            [0.875]]])
    """

    width: int | None = None
    truncate: int | None = None
    parts = 3

    def step(self, params: Params, a: Any, h: Any) -> tuple[Any, Any]:
        k = np.shape(h)[1]
        U = params["U"]
        gates = expit(a[:, : 2 * k] + h @ U[: 2 * k].T)
        r, z = gates[:, :k], gates[:, k:]
        c = np.tanh(a[:, 2 * k :] + (r * h) @ U[2 * k :].T)
        return (1 - z) * h + z * c, (h, r, z, c)

    def push_step(self, params: Params, kept: Any, da: Any, dh: Any, dU: Any) -> Any:
        h, r, z, c = kept
        k, U = h.shape[1], params["U"]
        moved = da[:, : 2 * k] + dh @ U[: 2 * k].T
        if dU is not None:
            moved = moved + h @ dU[: 2 * k].T
        dr, dz = r * (1 - r) * moved[:, :k], z * (1 - z) * moved[:, k:]
        inner = da[:, 2 * k :] + (dr * h + r * dh) @ U[2 * k :].T
        if dU is not None:
            inner = inner + (r * h) @ dU[2 * k :].T
        return (1 - z) * dh + dz * (c - h) + z * (1 - c * c) * inner

    def pull_step(self, params: Params, kept: Any, g: Any) -> tuple[Any, Any]:
        h, r, z, c = kept
        k, U = h.shape[1], params["U"]
        gc = g * z * (1 - c * c)
        through = gc @ U[2 * k :]  # the cotangent of r ⊙ h
        gr, gz = through * h * r * (1 - r), g * (c - h) * z * (1 - z)
        gates = np.concatenate([gr, gz], axis=1)
        gh = g * (1 - z) + through * r + gates @ U[: 2 * k]
        return np.concatenate([gates, gc], axis=1), gh

    def pull_U(self, rows: Any, steps: tuple[Any, ...]) -> Any:
        k = rows.shape[1] // 3
        by_gates = rows[:, : 2 * k].T @ _rows(h for h, _, _, _ in steps)
        return np.concatenate([by_gates, rows[:, 2 * k :].T @ _rows(r * h for h, r, _, _ in steps)])

    def step_jacobians(self, params: Params, kept: Any) -> tuple[Any, Any, Any]:
        h, r, z, c = kept
        k = h.shape[1]
        Ur, Uz, Uc = np.split(params["U"], 3)

        def diag(d: Any) -> Any:
            return d[:, :, None] * np.eye(k)

        by_c, by_z, by_r = diag(z * (1 - c * c)), diag((c - h) * z * (1 - z)), diag(h * r * (1 - r))
        through = by_c @ Uc
        by_h = diag(1 - z) + by_z @ Uz + through @ (diag(r) + by_r @ Ur)
        by_a = np.concatenate([through @ by_r, by_z, by_c], axis=2)
        seen = np.stack([h, h, r * h], axis=1).repeat(k, axis=1)  # what each row of U is multiplied with
        return by_a, by_h, by_a[..., None] * seen[:, None]


@dataclass(frozen=True, eq=False)
class Last(Layer):
    """The last step of a sequence alone: x has shape (N, t, ...), and y, x[:, -1], has shape (N, ...).

    Between a cell, which gives all its states, and a layer that judges a sequence when all of it has been seen. J picks
    the entries of the last step; a pull puts zeros in front.

    Raises
    ------
    InvalidInput
        If x has fewer than two axes, or the sequence no step.

    References
    ----------
    Chapter *Backpropagation through time*.

    Examples
    --------
    >>> Last()({}, np.array([[[1.0], [2.0], [3.0]]]))
    array([[3.]])
    """

    def check(self, params: Params, x: Any) -> None:
        shape = np.shape(x)
        if len(shape) < 2 or shape[1] == 0:
            raise InvalidInput("x", f"shape {shape}", "shape (N, t, ...) with t at least 1")

    def value(self, params: Params, x: Any) -> tuple[Any, tuple[Any, ...]]:
        return x[:, -1], (np.shape(x),)

    def push(self, params: Params, kept: tuple[Any, ...], dx: Any, dparams: Params) -> Any:
        return dx[:, -1]

    def pull(self, params: Params, kept: tuple[Any, ...], g: Any) -> tuple[dict[str, Any], Any]:
        gx = np.zeros(kept[0], g.dtype)
        gx[:, -1] = g
        return {}, gx

    def dense(self, params: Params, x: Any, kept: tuple[Any, ...], by: str) -> Any:
        (shape,) = kept
        return np.eye(math.prod(shape), dtype=np.asarray(x).dtype).reshape(*shape, *shape)[:, -1]
