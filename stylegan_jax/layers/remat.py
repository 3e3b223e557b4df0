"""Rematerialization: recompute activations in the backward pass.

The gradient of a network needs its activations, several arrays for every layer. A
policy says which of them are kept:

    none          everything that the gradient needs: most memory, least time
    convolutions  the results of convolutions; noise, bias, activation and norm are
                  recomputed, which is cheap, as they contain no matrix product
    blocks        the inputs of each block; the whole block is recomputed, about a
                  third more work

Results are the same up to rounding, in gradients of every order. On CPUs, this saves
no memory (docs/notes/performance.md), most likely because XLA schedules the
recomputation too early. On GPUs and TPUs it is untested.

Reference: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost".
"""

import flax.linen as nn
import jax
from jax.ad_checkpoint import checkpoint_name

POLICIES = ("none", "convolutions", "blocks")
_CONVOLUTION = "convolution"
# The penalties differentiate twice. JAX applies a policy to one differentiation; the
# next one would keep whatever the gradient needs. Where there is only one, the second
# policy adds no work, because the forward pass that it repeats is unused.
ORDERS = 2


def convolved(y: jax.Array) -> jax.Array:
    """Mark the result of a convolution, which the policy "convolutions" keeps.

    Args:
      y: an array, or a tree of them such as `blocks.Blocks`.
    """
    return jax.tree.map(lambda y: checkpoint_name(y, _CONVOLUTION), y)


def remat(
    block: type[nn.Module], policy: str, static_argnums: tuple[int, ...] = ()
) -> type[nn.Module]:
    """Return a version of a module class that keeps its activations by a policy.

    Args:
      block: module whose `__call__` is rematerialized; the names of its parameters and
        its random numbers stay the same.
      policy: one of POLICIES.
      static_argnums: arguments of `__call__` that are not arrays; self is 0.
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
    for _ in range(ORDERS):
        block = nn.remat(block, policy=keep, static_argnums=static_argnums)
    return block
