"""A web page in which one explores a network: `python -m stylegan_jax.explore`."""
