"""Variables for networks whose tests ask for no particular ones."""

from typing import Any

import flax.linen as nn
import jax
import numpy as np


def random_variables(model: nn.Module, *inputs: Any) -> dict:
    """Draw all variables from N(0,1), biases and noise strengths included.

    No two ways to a result agree because something is zero, and nothing is compiled,
    in contrast to `model.init`.
    """
    shapes = jax.eval_shape(model.init, jax.random.key(0), *inputs)
    random = np.random.RandomState(0)
    return jax.tree.map(lambda x: np.asarray(random.randn(*x.shape), x.dtype), shapes)
