"""Write trajectories.json: what PyTorch and Optax do on the two problems, every fiftieth of a thousand steps.

``python tests/optim/make_trajectories.py``, where both are installed (`make peers`, and Optax beside it).
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from peers import RUNS
from variants import DIFFERENT, VARIANTS

TARGET = Path(__file__).with_name("trajectories.json")


def main() -> None:
    runs = {}
    for name, variant in VARIANTS.items():
        for peer, run in RUNS.items():
            if (said := getattr(variant, peer)) is not None:
                for problem in variant.problems:
                    runs[f"{name} / {peer} / {problem}"] = run(*said, problem, variant.clip)
    for name, (peer, *said) in DIFFERENT.items():
        runs[f"not {name} / {peer} / valley"] = RUNS[peer](*said, "valley")
    made_with = {package: version(package) for package in ("torch", "optax", "jax", "numpy")}
    parts = [f'"made with": {json.dumps(made_with)}', *(f"{json.dumps(key)}: {json.dumps(runs[key])}" for key in runs)]
    TARGET.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
