"""The side of the other libraries: one module each, run there with ``python -m``.

They import the standard library, their library, and `work`.
"""
