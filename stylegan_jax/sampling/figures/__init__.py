"""Figures of a generator as in the papers; see `python -m stylegan_jax.figures`."""
