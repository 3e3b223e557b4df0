"""Declarations of the programs of the package: their flags and their help.

These modules import nothing slow; `stylegan_jax/generate.py` and the others, which do
the work, start with them.
"""
