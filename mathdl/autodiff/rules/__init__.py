"""The rules for functions that are not elementwise, by subject; importing this fills the table in `primitives`.

Each is written in NumPy, so that derivatives of derivatives need nothing more.
Explained in the chapter *Automatic differentiation*.
"""
