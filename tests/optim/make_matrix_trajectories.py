"""Write matrix_trajectories.json: what other programs make of the gradients of matrix_problems.py, in float64.

``python tests/optim/make_matrix_trajectories.py``, where PyTorch and pytorch_optimizer are installed. Two lines of
theirs are changed while they run: torch.optim.Muon orthogonalises in bfloat16, and pytorch_optimizer's SOAP takes its
QR factors in float32. Here both do all in float64; nothing else is touched.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from matrix_problems import SETTINGS, SHAPES, STEPS, STORED, gradient, start

TARGET = Path(__file__).with_name("matrix_trajectories.json")


def optimizer(name, W):
    """Theirs, with the same numbers under their names for them."""
    import torch
    from pytorch_optimizer import SOAP, Shampoo

    s = SETTINGS[name]
    kind = name.split(",")[0]
    if kind == "Muon":
        names = {"rate": "lr", "beta": "momentum", "steps": "ns_steps", "scale": "adjust_lr_fn"}
        return torch.optim.Muon([W], **{names.get(key, key): value for key, value in s.items()})
    if kind == "Shampoo":
        return Shampoo([W], lr=s["rate"], matrix_eps=s["epsilon"])
    betas = (s["beta1"], s["beta2"])
    return SOAP([W], lr=s["rate"], betas=betas, eps=s["epsilon"], precondition_frequency=s["every"], weight_decay=0.0)


def run(name, shape):
    import torch

    W = torch.nn.Parameter(torch.from_numpy(start(shape)))
    theirs, points = optimizer(name, W), []
    for k in range(STEPS):
        W.grad = torch.from_numpy(gradient(k, shape))
        theirs.step()
        if k + 1 in STORED:
            points.append(W.detach().numpy().tolist())
    return points


def main() -> None:
    import torch

    torch.Tensor.bfloat16 = lambda self: self.double().clone()
    torch.float32 = torch.float64
    runs = {f"{name} / {shape}": run(name, SHAPES[shape]) for name in SETTINGS for shape in SHAPES}
    made_with = {package: version(package) for package in ("torch", "pytorch_optimizer", "numpy")}
    assert np.isfinite([np.max(np.abs(point)) for points in runs.values() for point in points]).all()
    parts = [f'"made with": {json.dumps(made_with)}', *(f"{json.dumps(key)}: {json.dumps(runs[key])}" for key in runs)]
    TARGET.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
