"""Optimizers that treat each parameter by itself: from gradient descent to Adam, each a change to a line of another.

In the formulas g is the gradient, p the parameter, and t the number of the step, from 1. Explained in the chapters
*Gradient descent*, *Momentum* and *Adaptive steps*.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy import add, divide, multiply, sign, sqrt, subtract

from mathdl.errors import InvalidInput
from mathdl.optim.optimizer import NOT_NEGATIVE, RATE, SHARE, Elementwise, Now, Range, Schedule

__all__ = [
    "AMSGrad",
    "AdaGrad",
    "Adam",
    "AdamW",
    "GradientDescent",
    "Lion",
    "Momentum",
    "NAdam",
    "Nesterov",
    "RMSprop",
]

_ADAM: dict[str, Range] = {"rate": RATE, "beta1": SHARE, "beta2": SHARE, "epsilon": NOT_NEGATIVE}


@dataclass
class GradientDescent(Elementwise):
    """step = - rate g.

    Parameters
    ----------
    rate : float or schedule
        The learning rate, not negative; a schedule is a function of the number of steps made before.

    Raises
    ------
    InvalidInput
        If the rate is out of its range; in `update`, if the gradient is not finite or does not fit the parameters.

    References
    ----------
    Chapter *Gradient descent*. A. Cauchy, C. R. Acad. Sci. Paris 25 (1847) 536.

    Examples
    --------
    >>> descent = GradientDescent(rate=0.5)
    >>> x = np.array([4.0])
    >>> step, state = descent.update(x, descent.initial(x), x)
    >>> x + step, state
    (array([2.]), {'step': 1})
    """

    rate: float | Schedule = 0.1

    ranges: ClassVar = {"rate": RATE}

    def rule(self, now: Now, g: Any, p: Any) -> tuple[Any, ...]:
        return (-now.rate * g,)

    def in_place(self, now: Now, g: Any, p: Any) -> None:
        subtract(p, multiply(g, now.rate), p)


@dataclass
class Momentum(Elementwise):
    """v ← beta v + g; step = - rate v: the heavy ball, gradient descent that keeps some of its speed.

    Parameters
    ----------
    rate : float or schedule
        The learning rate, not negative; a schedule is a function of the number of steps made before.
    beta : float
        How much of the speed is left after a step, at least 0 and less than 1. With 0.0 it is gradient descent.

    Raises
    ------
    InvalidInput
        If one is out of its range; in `update`, if the gradient is not finite or does not fit the parameters.

    References
    ----------
    Chapter *Momentum*. B. T. Polyak, USSR Comput. Math. Math. Phys. 4 (1964) 1. The same as ``torch.optim.SGD`` with
    ``momentum=beta``.

    Examples
    --------
    >>> momentum = Momentum(rate=0.5, beta=0.5)
    >>> x = np.array([4.0])
    >>> step, state = momentum.update(x, momentum.initial(x), x)
    >>> x + step, state["velocity"]
    (array([2.]), array([4.]))
    """

    rate: float | Schedule = 0.1
    beta: float = 0.9

    moments: ClassVar = ("velocity",)
    ranges: ClassVar = {"rate": RATE, "beta": SHARE}

    def rule(self, now: Now, g: Any, p: Any, v: Any) -> tuple[Any, ...]:
        v = self.beta * v + g
        return -now.rate * v, v

    def in_place(self, now: Now, g: Any, p: Any, v: Any) -> None:
        add(multiply(v, self.beta, v), g, v)
        subtract(p, multiply(v, now.rate), p)


@dataclass
class Nesterov(Elementwise):
    """v ← beta v + g; step = - rate (g + beta v): momentum that looks ahead.

    In terms of the point ahead, y = p - rate beta v, it is the method that takes the gradient there.

    Parameters
    ----------
    rate, beta
        As in `Momentum`.

    Raises
    ------
    InvalidInput
        As in `Momentum`.

    References
    ----------
    Chapter *Momentum*. Y. Nesterov, Soviet Math. Dokl. 27 (1983) 372. The same as ``torch.optim.SGD`` with
    ``nesterov=True``.

    Examples
    --------
    >>> nesterov, x = Nesterov(rate=0.5, beta=0.5), np.array([4.0])
    >>> nesterov.update(x, nesterov.initial(x), x)[0]
    array([-3.])
    """

    rate: float | Schedule = 0.1
    beta: float = 0.9

    moments: ClassVar = ("velocity",)
    ranges: ClassVar = {"rate": RATE, "beta": SHARE}

    def rule(self, now: Now, g: Any, p: Any, v: Any) -> tuple[Any, ...]:
        v = self.beta * v + g
        return -now.rate * (g + self.beta * v), v

    def in_place(self, now: Now, g: Any, p: Any, v: Any) -> None:
        add(multiply(v, self.beta, v), g, v)
        u = multiply(v, self.beta)
        subtract(p, multiply(add(u, g, u), now.rate, u), p)


@dataclass
class AdaGrad(Elementwise):
    """s ← s + g²; step = - rate g / (√s + epsilon): each parameter has a rate of its own, which only falls.

    Parameters
    ----------
    rate : float or schedule
    epsilon : float
        Not negative; it stands outside of the root. With 0.0, gradients that were always 0 make a step of 0/0, NaN.

    Raises
    ------
    InvalidInput
        As in `Momentum`.

    References
    ----------
    Chapter *Adaptive steps*. J. Duchi, E. Hazan and Y. Singer, J. Mach. Learn. Res. 12 (2011) 2121. The same as
    ``torch.optim.Adagrad``.

    Examples
    --------
    >>> adagrad, x = AdaGrad(rate=0.1), np.array([4.0, -0.5])
    >>> np.round(adagrad.update(x, adagrad.initial(x), x)[0], 6)
    array([-0.1,  0.1])
    """

    rate: float | Schedule = 0.01
    epsilon: float = 1e-10

    moments: ClassVar = ("sum",)
    ranges: ClassVar = {"rate": RATE, "epsilon": NOT_NEGATIVE}

    def rule(self, now: Now, g: Any, p: Any, s: Any) -> tuple[Any, ...]:
        s = s + g * g
        return -now.rate * g / (np.sqrt(s) + self.epsilon), s

    def in_place(self, now: Now, g: Any, p: Any, s: Any) -> None:
        u = multiply(g, g)
        add(s, u, s)
        subtract(p, _quotient(g, s, self.epsilon, now.rate, u), p)


@dataclass
class RMSprop(Elementwise):
    """v ← beta v + (1 - beta) g²; step = - rate g / (√v + epsilon): AdaGrad that forgets.

    Parameters
    ----------
    rate : float or schedule
    beta : float
        How much of the mean square is kept, at least 0 and less than 1.
    epsilon : float
        Not negative; it stands outside of the root. With 0.0, gradients that were always 0 make a step of 0/0, NaN.

    Raises
    ------
    InvalidInput
        As in `Momentum`.

    References
    ----------
    Chapter *Adaptive steps*. T. Tieleman and G. Hinton, lecture 6.5 of *Neural networks for machine learning* (2012).
    The same as ``torch.optim.RMSprop``; ``optax.rmsprop`` has epsilon inside of the root unless told otherwise.

    Examples
    --------
    >>> rmsprop, x = RMSprop(rate=0.1, beta=0.75), np.array([4.0, -0.5])
    >>> np.round(rmsprop.update(x, rmsprop.initial(x), x)[0], 6)
    array([-0.2,  0.2])
    """

    rate: float | Schedule = 0.01
    beta: float = 0.99
    epsilon: float = 1e-8

    moments: ClassVar = ("v",)
    ranges: ClassVar = {"rate": RATE, "beta": SHARE, "epsilon": NOT_NEGATIVE}

    def rule(self, now: Now, g: Any, p: Any, v: Any) -> tuple[Any, ...]:
        v = self.beta * v + (1 - self.beta) * g * g
        return -now.rate * g / (np.sqrt(v) + self.epsilon), v

    def in_place(self, now: Now, g: Any, p: Any, v: Any) -> None:
        beta, rest = _shares(g.dtype, self.beta)
        u = multiply(g, g)
        _keep(v, beta, rest, u, u)
        subtract(p, _quotient(g, v, self.epsilon, now.rate, u), p)


@dataclass
class Adam(Elementwise):
    """RMSprop with momentum, and both means corrected for beginning at zero.

    m ← beta1 m + (1 - beta1) g; v ← beta2 v + (1 - beta2) g²;
    step = - rate m̂ / (√v̂ + epsilon) with m̂ = m / (1 - beta1ᵗ), v̂ = v / (1 - beta2ᵗ).

    Parameters
    ----------
    rate : float or schedule
    beta1, beta2 : float
        How much is kept of the mean of gradients and of their squares, at least 0 and less than 1.
    epsilon : float
        Not negative; it stands outside of the root. With 0.0, gradients that were always 0 make a step of 0/0, NaN.

    Raises
    ------
    InvalidInput
        As in `Momentum`.

    References
    ----------
    Chapter *Adaptive steps*. D. P. Kingma and J. Ba, ICLR (2015), arXiv:1412.6980. The same as ``torch.optim.Adam``.

    Examples
    --------
    >>> adam, x = Adam(rate=0.1), np.array([4.0, -0.5])
    >>> np.round(adam.update(x, adam.initial(x), x)[0], 6)
    array([-0.1,  0.1])
    """

    rate: float | Schedule = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    moments: ClassVar = ("m", "v")
    ranges: ClassVar = _ADAM

    def rule(self, now: Now, g: Any, p: Any, m: Any, v: Any) -> tuple[Any, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        m_hat, v_hat = m / (1 - self.beta1**now.step), v / (1 - self.beta2**now.step)
        return -now.rate * m_hat / (np.sqrt(v_hat) + self.epsilon), m, v

    def in_place(self, now: Now, g: Any, p: Any, m: Any, v: Any) -> None:
        u = _moments(self, g, m, v)
        subtract(p, _quotient(m, v, *_corrections(self, now), u), p)


@dataclass
class AMSGrad(Elementwise):
    """Adam whose mean square never falls: it divides by the largest v so far.

    As `Adam`, with w ← max(w, v) and ŵ = w / (1 - beta2ᵗ) in the place of v̂.

    Parameters
    ----------
    rate, beta1, beta2, epsilon
        As in `Adam`.

    Raises
    ------
    InvalidInput
        As in `Momentum`.

    References
    ----------
    Chapter *Adaptive steps*. S. J. Reddi, S. Kale and S. Kumar, ICLR (2018), arXiv:1904.09237; there without
    correction of the means. The same as ``torch.optim.Adam`` with ``amsgrad=True``.

    Examples
    --------
    >>> amsgrad, x = AMSGrad(rate=0.1), np.array([4.0, -0.5])
    >>> np.round(amsgrad.update(x, amsgrad.initial(x), x)[0], 6)
    array([-0.1,  0.1])
    """

    rate: float | Schedule = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    moments: ClassVar = ("m", "v", "v_max")
    ranges: ClassVar = _ADAM

    def rule(self, now: Now, g: Any, p: Any, m: Any, v: Any, v_max: Any) -> tuple[Any, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        v_max = np.maximum(v_max, v)
        m_hat, v_hat = m / (1 - self.beta1**now.step), v_max / (1 - self.beta2**now.step)
        return -now.rate * m_hat / (np.sqrt(v_hat) + self.epsilon), m, v, v_max

    def in_place(self, now: Now, g: Any, p: Any, m: Any, v: Any, v_max: Any) -> None:
        u = _moments(self, g, m, v)
        np.maximum(v_max, v, out=v_max)
        subtract(p, _quotient(m, v_max, *_corrections(self, now), u), p)


@dataclass
class AdamW(Elementwise):
    """Adam with decoupled weight decay: step = - rate (m̂ / (√v̂ + epsilon) + weight_decay p).

    Parameters
    ----------
    rate, beta1, beta2, epsilon
        As in `Adam`.
    weight_decay : float
        The share of each parameter, times the rate, that goes with each step; not negative.

    Raises
    ------
    InvalidInput
        As in `Momentum`.

    References
    ----------
    Chapter *Adaptive steps*. I. Loshchilov and F. Hutter, ICLR (2019), arXiv:1711.05101. The same as
    ``torch.optim.AdamW``.

    Examples
    --------
    >>> adamw, x = AdamW(rate=0.1, weight_decay=0.5), np.array([4.0, -0.5])
    >>> np.round(adamw.update(x, adamw.initial(x), x)[0], 6)
    array([-0.3  ,  0.125])
    """

    rate: float | Schedule = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.01

    moments: ClassVar = ("m", "v")
    ranges: ClassVar = {**_ADAM, "weight_decay": NOT_NEGATIVE}

    def rule(self, now: Now, g: Any, p: Any, m: Any, v: Any) -> tuple[Any, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        m_hat, v_hat = m / (1 - self.beta1**now.step), v / (1 - self.beta2**now.step)
        return -now.rate * (m_hat / (np.sqrt(v_hat) + self.epsilon) + self.weight_decay * p), m, v

    def in_place(self, now: Now, g: Any, p: Any, m: Any, v: Any) -> None:
        u = _moments(self, g, m, v)
        _quotient(m, v, *_corrections(self, now), u)
        subtract(multiply(p, 1 - now.rate * self.weight_decay, p), u, p)


@dataclass
class NAdam(Elementwise):
    """Adam with Nesterov's momentum, whose share grows slowly.

    m and v as in `Adam`; c_t = beta1 (1 - 0.96^(t momentum_decay) / 2), and C_t the product of c_1 to c_t;
    m̂ = c_{t+1} m / (1 - C_{t+1}) + (1 - c_t) g / (1 - C_t).

    Parameters
    ----------
    rate, beta1, beta2, epsilon
        As in `Adam`.
    momentum_decay : float
        How fast the share of momentum grows from half of beta1 to beta1; not negative.

    Raises
    ------
    InvalidInput
        As in `Momentum`.

    References
    ----------
    Chapter *Adaptive steps*. T. Dozat, ICLR workshop (2016). The same as ``torch.optim.NAdam``; ``optax.nadam`` keeps
    the share constant.

    Examples
    --------
    >>> nadam, x = NAdam(rate=0.1), np.array([4.0, -0.5])
    >>> np.round(nadam.update(x, nadam.initial(x), x)[0], 4)
    array([-0.1056,  0.1056])
    """

    rate: float | Schedule = 2e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    momentum_decay: float = 4e-3

    moments: ClassVar = ("m", "v")
    numbers: ClassVar = ("product",)
    ranges: ClassVar = {**_ADAM, "momentum_decay": NOT_NEGATIVE}

    def share(self, step: int) -> Any:
        """c_t: the share of momentum in a step."""
        return self.beta1 * (1 - 0.5 * 0.96 ** (step * self.momentum_decay))

    def initial(self, params: Any) -> dict[str, Any]:
        return {**super().initial(params), "product": 1.0}

    def now(self, state: Any) -> Now:
        now, product = super().now(state), state["product"]
        if not NOT_NEGATIVE.holds(product):
            raise InvalidInput("state['product']", repr(product), str(NOT_NEGATIVE))
        return now._replace(kept={"product": product * self.share(now.step)})

    def rule(self, now: Now, g: Any, p: Any, m: Any, v: Any) -> tuple[Any, ...]:
        share, following, product = self.share(now.step), self.share(now.step + 1), now.kept["product"]
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        m_hat = following / (1 - product * following) * m + (1 - share) / (1 - product) * g
        v_hat = v / (1 - self.beta2**now.step)
        return -now.rate * m_hat / (np.sqrt(v_hat) + self.epsilon), m, v

    def in_place(self, now: Now, g: Any, p: Any, m: Any, v: Any) -> None:
        share, following, product = self.share(now.step), self.share(now.step + 1), now.kept["product"]
        root = (1 - self.beta2**now.step) ** 0.5
        u = _moments(self, g, m, v)
        m_hat = multiply(m, following / (1 - product * following))
        add(m_hat, multiply(g, (1 - share) / (1 - product), u), m_hat)
        subtract(p, _quotient(m_hat, v, self.epsilon * root, now.rate * root, u), p)


@dataclass
class Lion(Elementwise):
    """step = - rate (sign(beta1 m + (1 - beta1) g) + weight_decay p); m ← beta2 m + (1 - beta2) g.

    Each number moves by the rate, forward or back: only the sign is used.

    Parameters
    ----------
    rate : float or schedule
    beta1, beta2 : float
        How much of the mean is kept in the step and in the state, at least 0 and less than 1.
    weight_decay : float
        As in `AdamW`.

    Raises
    ------
    InvalidInput
        As in `Momentum`.

    References
    ----------
    Chapter *Adaptive steps*. X. Chen et al., NeurIPS 36 (2023), arXiv:2302.06675. The same as ``optax.lion``.

    Examples
    --------
    >>> lion, x = Lion(rate=0.1), np.array([4.0, -0.5])
    >>> lion.update(x, lion.initial(x), x)[0]
    array([-0.1,  0.1])
    """

    rate: float | Schedule = 1e-4
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0

    moments: ClassVar = ("m",)
    ranges: ClassVar = {"rate": RATE, "beta1": SHARE, "beta2": SHARE, "weight_decay": NOT_NEGATIVE}

    def rule(self, now: Now, g: Any, p: Any, m: Any) -> tuple[Any, ...]:
        direction = np.sign(self.beta1 * m + (1 - self.beta1) * g)
        return -now.rate * (direction + self.weight_decay * p), self.beta2 * m + (1 - self.beta2) * g

    def in_place(self, now: Now, g: Any, p: Any, m: Any) -> None:
        beta1, rest1, beta2, rest2 = _shares(g.dtype, self.beta1, self.beta2)
        direction, u = multiply(m, beta1), multiply(g, rest1)
        sign(add(direction, u, u), direction)  # not in place, which takes NumPy six times as long
        _keep(m, beta2, rest2, g, u)
        multiply(p, 1 - now.rate * self.weight_decay, p)
        subtract(p, multiply(direction, now.rate, direction), p)


# ----------------------------------------------------------------------------------------------------- steps in place
# An array behind the numbers is the memory for the result: `multiply(a, 2.0, a)` doubles a. u is memory for anything.
@lru_cache(maxsize=100)
def _shares(kind: Any, *betas: float) -> Any:
    """beta and 1 - beta of each as arrays without axes, in which NumPy takes numbers faster than as Python's."""
    return tuple(np.array(share, kind) for beta in betas for share in (beta, 1 - beta))


def _keep(mean: Any, beta: Any, rest: Any, new: Any, u: Any) -> None:
    """mean ← beta mean + (1 - beta) new, with ``rest`` for 1 - beta; ``new`` may be u."""
    multiply(new, rest, u)
    add(multiply(mean, beta, mean), u, mean)


def _quotient(above: Any, square: Any, epsilon: float, rate: float, u: Any) -> Any:
    """u ← rate above / (√square + epsilon)."""
    divide(above, add(sqrt(square, u), epsilon, u), u)
    return multiply(u, rate, u)


def _moments(adam: Any, g: Any, m: Any, v: Any) -> Any:
    """m and v of Adam and its kin, brought up to date; the memory u."""
    beta1, rest1, beta2, rest2 = _shares(g.dtype, adam.beta1, adam.beta2)
    u = multiply(g, rest1)
    add(multiply(m, beta1, m), u, m)
    _keep(v, beta2, rest2, multiply(g, g, u), u)
    return u


def _corrections(adam: Any, now: Now) -> tuple[float, float]:
    """Epsilon and the rate for m and v that are not corrected: both corrections are numbers, and go with them."""
    root = (1 - adam.beta2**now.step) ** 0.5
    return adam.epsilon * root, now.rate * root / (1 - adam.beta1**now.step)
