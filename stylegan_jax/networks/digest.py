"""The digest that identifies a network."""

import hashlib

import jax
import numpy as np
from flax import traverse_util

from stylegan_jax.models import Variables


def digest(variables: Variables) -> str:
    """Return the SHA-256 of a generator's variables, 64 hexadecimal digits."""
    total = hashlib.sha256()
    flat = traverse_util.flatten_dict(jax.device_get(variables), sep="/")
    for name, value in sorted(flat.items()):
        total.update(f"{name} {np.shape(value)}\n".encode())
        total.update(np.asarray(value, "<f4").tobytes())
    return total.hexdigest()
