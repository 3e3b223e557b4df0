"""Minibatch standard deviation: shows the discriminator how varied a batch is."""

import chex
import jax
import jax.numpy as jnp

EPSILON = 1e-8


def minibatch_stddev(
    x: jax.Array, group_size: int | None, num_features: int
) -> jax.Array:
    """Append the standard deviation over groups of images as extra channels.

    Groups are strided: of N images in groups of G, image n belongs to group
    n mod (N/G).

    Args:
      x: [B,H,W,C].
      group_size: G, a divisor of B; a batch smaller than G forms one group, and None
        is the whole batch.
      num_features: F, a divisor of C; the channels are averaged in F contiguous runs.

    Returns:
      [B,H,W,C+F], with the statistics, computed in float32, last.

    Raises:
      ValueError: B is not a multiple of G, or C is not a multiple of F.

    Reference: Karras et al. 2018, "Progressive Growing of GANs", section 3.
    """
    chex.assert_rank(x, 4)
    b, h, w, c = x.shape
    group = b if group_size is None else min(group_size, b)
    if b % group or c % num_features:
        raise ValueError(
            f"minibatch stddev got {b} images and {c} channels; they must be multiples "
            f"of the group size {group} and of the {num_features} features; change the "
            "batch size, `model.mbstd_group_size` or `model.mbstd_features`"
        )
    y = x.astype(jnp.float32).reshape(group, b // group, h, w, num_features, -1)
    y = y - jnp.mean(y, axis=0, keepdims=True)
    y = jnp.sqrt(jnp.mean(jnp.square(y), axis=0) + EPSILON)
    y = jnp.mean(y, axis=(1, 2, 4))  # [B/G, F]
    y = jnp.tile(y, (group, 1))[:, None, None, :].astype(x.dtype)
    return jnp.concatenate([x, jnp.broadcast_to(y, (b, h, w, num_features))], axis=-1)
