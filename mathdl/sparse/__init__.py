"""Jacobians that are mostly zeros: where the entries are, how few sweeps find them, and the program that computes them.

Explained in the chapter *Structure and sparsity*.
"""
