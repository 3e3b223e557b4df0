"""Rematerialisation: activations forgotten on the way forward, computed again backward.

The gradient of a network needs its activations, a handful of arrays for every layer.
What is kept of them is a policy:

    none          all that XLA wants: the most memory, the least time
    convolutions  the results of convolutions; noise, bias, activation, norm, and what
                  lies between them, is done again: cheap, for it is no product
    blocks        what enters each block; all of the block is done again, about a third
                  more work

The numbers are the same up to rounding, in gradients of every order. On CPUs no
memory was saved (docs/performance.md), most likely as XLA computes too early what it
computes again. On GPUs and TPUs it was not tried.

Reference: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost".
"""

import flax.linen as nn
import jax
from jax.ad_checkpoint import checkpoint_name

POLICIES = ("none", "convolutions", "blocks")
_CONVOLUTION = "convolution"


def convolved(y: jax.Array) -> jax.Array:
    """Marks the result of a convolution as what "convolutions" keeps."""
    return checkpoint_name(y, _CONVOLUTION)


def remat(
    block: type[nn.Module], policy: str, static_argnums: tuple[int, ...] = ()
) -> type[nn.Module]:
    """The class of a block, with a policy for its activations.

    Args:
      block: has `__call__`; keeps its parameters' names and its random numbers.
      policy: one of POLICIES.
      static_argnums: arguments of `__call__` that are no arrays; self is 0.
    """
    match policy:
        case "none":
            return block
        case "convolutions":
            keep = jax.checkpoint_policies.save_only_these_names(_CONVOLUTION)
        case "blocks":
            keep = jax.checkpoint_policies.nothing_saveable
        case _:
            raise ValueError(f"remat (={policy!r}) must be one of {POLICIES}")
    return nn.remat(block, policy=keep, static_argnums=static_argnums)
