"""The table of what is compared: each optimizer of `mathdl.optim`, and the oracles that define the same variant.

The paper's pseudo-code (`paper.py`) is an oracle of every row; PyTorch 2.13 and Optax 0.2.8 where they mean the same.

=================  ==========================  ==================================================================
mathdl.optim       the same in                 where others differ
=================  ==========================  ==================================================================
GradientDescent    torch SGD, optax sgd
Momentum           torch SGD, optax sgd        SGD with ``dampening`` is another
Nesterov           torch SGD, optax sgd
AdaGrad            torch Adagrad               optax adagrad: epsilon inside the root, and a sum that begins at 0.1
RMSprop            torch RMSprop, and optax    optax rmsprop: epsilon inside the root unless told so, and a decay of
                   rmsprop(eps_in_sqrt=False)  0.9 where PyTorch has 0.99
Adam               torch Adam, optax adam
AMSGrad            torch Adam(amsgrad=True)    optax amsgrad: the largest of the corrected v; the paper: no correction
AdamW              torch AdamW, optax adamw    the paper's own decay is not multiplied by the rate
NAdam              torch NAdam                 optax nadam has a constant momentum, without a schedule
Lion               optax lion                  PyTorch has none
Chain(L2, ...)     torch's ``weight_decay``    in AdamW the same argument is decoupled
Chain(Clip, ...)   optax clip_by_global_norm   torch's clip_grad_norm_ divides by the norm plus 1e-6
=================  ==========================  ==================================================================
"""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["DIFFERENT", "VARIANTS", "Variant"]

Numbers = dict[str, Any]


class Variant(NamedTuple):
    parts: list[tuple[str, Numbers]]  # classes of mathdl.optim, and rules of paper.py, with their arguments
    torch: tuple[str, Numbers] | None = None
    optax: tuple[str, Numbers] | None = None
    clip: float | None = None  # what the peers put in front
    problems: tuple[str, ...] = ("valley", "prescribed")


# Adam's numbers in the words of all three: not the defaults, so that each of them is looked at. With a small epsilon
# adaptive methods do not come to rest in a valley: they jump about its floor, and rounding grows from step to step in
# any program. So epsilon is large here, and small where the gradients are prescribed.
OURS = {"rate": 0.01, "beta1": 0.85, "beta2": 0.99, "epsilon": 0.03}
TORCH = {"lr": 0.01, "betas": (0.85, 0.99), "eps": 0.03}
OPTAX = {"learning_rate": 0.01, "b1": 0.85, "b2": 0.99, "eps": 0.03}

VARIANTS = {
    "GradientDescent": Variant(
        [("GradientDescent", {"rate": 0.02})],
        ("SGD", {"lr": 0.02}),
        ("sgd", {"learning_rate": 0.02}),
    ),
    "Momentum": Variant(
        [("Momentum", {"rate": 0.005, "beta": 0.8})],
        ("SGD", {"lr": 0.005, "momentum": 0.8}),
        ("sgd", {"learning_rate": 0.005, "momentum": 0.8}),
    ),
    "Nesterov": Variant(
        [("Nesterov", {"rate": 0.005, "beta": 0.8})],
        ("SGD", {"lr": 0.005, "momentum": 0.8, "nesterov": True}),
        ("sgd", {"learning_rate": 0.005, "momentum": 0.8, "nesterov": True}),
    ),
    "AdaGrad": Variant(
        [("AdaGrad", {"rate": 0.1, "epsilon": 0.03})],
        ("Adagrad", {"lr": 0.1, "eps": 0.03}),
    ),
    "RMSprop": Variant(
        [("RMSprop", {"rate": 0.001, "beta": 0.95, "epsilon": 0.03})],
        ("RMSprop", {"lr": 0.001, "alpha": 0.95, "eps": 0.03}),
        ("rmsprop", {"learning_rate": 0.001, "decay": 0.95, "eps": 0.03, "eps_in_sqrt": False}),
    ),
    "Adam": Variant([("Adam", OURS)], ("Adam", TORCH), ("adam", OPTAX)),
    "AMSGrad": Variant([("AMSGrad", OURS)], ("Adam", TORCH | {"amsgrad": True})),
    "AdamW": Variant(
        [("AdamW", OURS | {"weight_decay": 0.03})],
        ("AdamW", TORCH | {"weight_decay": 0.03}),
        ("adamw", OPTAX | {"weight_decay": 0.03}),
    ),
    "NAdam": Variant(
        [("NAdam", OURS | {"rate": 0.002, "momentum_decay": 0.01})],
        ("NAdam", TORCH | {"lr": 0.002, "momentum_decay": 0.01}),
    ),
    "Lion": Variant(
        [("Lion", {"rate": 0.001, "beta1": 0.85, "beta2": 0.98, "weight_decay": 0.0})],
        optax=("lion", {"learning_rate": 0.001, "b1": 0.85, "b2": 0.98, "weight_decay": 0.0}),
    ),
    "Lion with decay": Variant(
        [("Lion", {"rate": 0.001, "beta1": 0.85, "beta2": 0.98, "weight_decay": 0.1})],
        optax=("lion", {"learning_rate": 0.001, "b1": 0.85, "b2": 0.98, "weight_decay": 0.1}),
    ),
    "L2, Momentum": Variant(
        [("L2", {"weight_decay": 0.1}), ("Momentum", {"rate": 0.005, "beta": 0.8})],
        ("SGD", {"lr": 0.005, "momentum": 0.8, "weight_decay": 0.1}),
    ),
    "L2, Adam": Variant([("L2", {"weight_decay": 0.1}), ("Adam", OURS)], ("Adam", TORCH | {"weight_decay": 0.1})),
    "Clip, Adam": Variant([("Clip", {"largest": 0.7}), ("Adam", OURS)], optax=("adam", OPTAX), clip=0.7),
    "Clip, Momentum": Variant(
        [("Clip", {"largest": 0.7}), ("Momentum", {"rate": 0.005, "beta": 0.8})],
        optax=("sgd", {"learning_rate": 0.005, "momentum": 0.8}),
        clip=0.7,
    ),
    "Adam, Decay": Variant(
        [("Adam", OURS), ("Decay", {"amount": 0.01 * 0.03})],
        ("AdamW", TORCH | {"weight_decay": 0.03}),
        ("adamw", OPTAX | {"weight_decay": 0.03}),
    ),
}

for name in ("AdaGrad", "RMSprop", "Adam", "AMSGrad", "AdamW", "NAdam"):
    parts, torch, optax, *_ = VARIANTS[name]
    VARIANTS[f"{name}, small epsilon"] = Variant(
        [(part, numbers | {"epsilon": 1e-8}) for part, numbers in parts],
        torch and (torch[0], torch[1] | {"eps": 1e-8}),
        optax and (optax[0], optax[1] | {"eps": 1e-8}),
        problems=("prescribed",),
    )

# What has the same name elsewhere, and is another method: these must not agree.
DIFFERENT = {
    "AdaGrad": ("optax", "adagrad", {"learning_rate": 0.1, "eps": 0.03}),
    "RMSprop": ("optax", "rmsprop", {"learning_rate": 0.001, "decay": 0.95, "eps": 0.03}),
    "AMSGrad": ("optax", "amsgrad", OPTAX),
    "NAdam": ("optax", "nadam", OPTAX),
}
