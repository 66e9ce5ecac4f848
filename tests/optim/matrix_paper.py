"""The optimizers of matrices as their authors wrote them down, in mpmath with 40 digits: slow, and nothing like NumPy.

Each is a generator that is sent gradients, as lists of rows, and gives the matrix of weights after each.
"""

from __future__ import annotations

import mpmath as mp

DIGITS = 40


def muon(W, *, rate, beta, weight_decay=0.0, steps=5, nesterov=True, scale="original"):
    """K. Jordan's post of 2024, with PyTorch's two scales and its lower bound for the norm, 1e-7."""
    a, b, c = mp.mpf("3.4445"), mp.mpf("-4.7750"), mp.mpf("2.0315")
    rate, beta, decay = map(mp.mpf, (rate, beta, weight_decay))
    B = mp.zeros(W.rows, W.cols)
    m, n = mp.mpf(W.rows), mp.mpf(W.cols)
    s = mp.sqrt(max(1, m / n)) if scale == "original" else mp.mpf(0.2) * mp.sqrt(max(m, n))
    while True:
        G = mp.matrix((yield W))
        B = beta * B + (1 - beta) * G
        X = (1 - beta) * G + beta * B if nesterov else B
        X = X / max(mp.sqrt(sum(x**2 for x in X)), mp.mpf("1e-7"))
        for _ in range(steps):
            S = X * X.T
            X = a * X + b * (S * X) + c * (S * (S * X))
        W = W - rate * decay * W - rate * s * X


def shampoo(W, *, rate, epsilon):
    """Gupta, Koren and Singer (2018), algorithm 1, with L_0 = εI and R_0 = εI."""
    rate = mp.mpf(rate)
    L, R = (mp.mpf(epsilon) * mp.eye(size) for size in (W.rows, W.cols))
    while True:
        G = mp.matrix((yield W))
        L, R = L + G * G.T, R + G.T * G
        W = W - rate * power(L, mp.mpf(-1) / 4) * G * power(R, mp.mpf(-1) / 4)


def soap(W, *, rate, beta1, beta2, epsilon, every):
    """Vyas et al. (2024), algorithms 3 and 4; first step, bias correction and order as in the authors' program."""
    rate, beta1, beta2, epsilon = map(mp.mpf, (rate, beta1, beta2, epsilon))
    M, V = mp.zeros(W.rows, W.cols), mp.zeros(W.rows, W.cols)
    G = mp.matrix((yield W))
    L, R = (1 - beta2) * G * G.T, (1 - beta2) * G.T * G
    QL, QR = eigenvectors(L), eigenvectors(R)
    t = 0
    while True:
        G = mp.matrix((yield W))
        t += 1
        turned = QL.T * G * QR
        M = beta1 * M + (1 - beta1) * G
        moment = QL.T * M * QR
        N = mp.zeros(W.rows, W.cols)
        for i in range(W.rows):
            for j in range(W.cols):
                V[i, j] = beta2 * V[i, j] + (1 - beta2) * turned[i, j] ** 2
                N[i, j] = moment[i, j] / (mp.sqrt(V[i, j]) + epsilon)
        W = W - rate * mp.sqrt(1 - beta2**t) / (1 - beta1**t) * (QL * N * QR.T)
        L = beta2 * L + (1 - beta2) * (G * G.T)
        R = beta2 * R + (1 - beta2) * (G.T * G)
        if t % every == 0:
            QL, rows = corrected(L, QL)
            QR, columns = corrected(R, QR)
            V = mp.matrix([[V[i, j] for j in columns] for i in rows])


PAPERS = {"Muon": muon, "Shampoo": shampoo, "SOAP": soap}


def power(S, exponent):
    """Of a symmetric matrix with positive eigenvalues."""
    w, Q = mp.eigsy(S)
    return Q * mp.diag([x**exponent for x in w]) * Q.T


def eigenvectors(S):
    """As columns, the one of the largest eigenvalue first."""
    Q = mp.eigsy(S)[1]
    return mp.matrix([[Q[i, j] for j in reversed(range(Q.cols))] for i in range(Q.rows)])


def corrected(S, Q):
    """Algorithm 4: the Q of the QR factors of SQ, whose columns were put in order of qᵀSq before."""
    SQ = S * Q
    sizes = [sum(Q[i, j] * SQ[i, j] for i in range(Q.rows)) for j in range(Q.cols)]
    order = sorted(range(Q.cols), key=lambda j: -sizes[j])
    return mp.qr(mp.matrix([[SQ[i, j] for j in order] for i in range(Q.rows)]))[0], order


def trajectory(name, settings, start, gradient, steps):
    """The weights after each step, as lists of rows."""
    with mp.workdps(DIGITS):
        run = PAPERS[name](mp.matrix(start.tolist()), **settings)
        next(run)
        return [[[float(x) for x in row] for row in run.send(gradient(k).tolist()).tolist()] for k in range(steps)]
