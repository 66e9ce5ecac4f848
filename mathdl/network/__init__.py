"""Networks: layers one after the other, their backward pass, and how they are trained, looked at, saved and loaded.

Explained in the chapter *Backpropagation*.
"""

from __future__ import annotations

from mathdl.network.composition import Network
from mathdl.network.storage import load, save
from mathdl.network.summary import Summary
from mathdl.network.training import Fitted, History, Step, accuracy, fit, predict

__all__ = [
    "Fitted",
    "History",
    "Network",
    "Step",
    "Summary",
    "accuracy",
    "fit",
    "load",
    "predict",
    "save",
]
