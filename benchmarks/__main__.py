"""``python -m benchmarks [quick]``: see run.py."""

from benchmarks.run import main

main()
