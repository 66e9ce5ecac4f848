"""The benchmarks: mathdl and its peers side by side on the same programs, each result checked before it is timed.

``make bench`` runs them and writes results.md; ``make peers`` installs the peers, none of which is needed.
What the numbers mean for a course is told in the chapter *Automatic differentiation*.
"""
