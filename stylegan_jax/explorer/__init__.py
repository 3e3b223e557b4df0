"""A web page for exploring a network: `python -m stylegan_jax.explore`."""
