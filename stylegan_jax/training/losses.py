"""Adversarial objectives and gradient penalties, per image; pure functions.

Scores are the discriminator's logits [B], high for real. The objective of a network is
the mean over the batch.

Penalties are the official ones at every stage: the official code differentiates by
images blown up to the full resolution, which makes the squared gradient norm smaller by
(stage / full)^2 than that by the images themselves; `shrink` is that factor.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

Score = Callable[[jax.Array], jax.Array]  # images [B,R,R,C] -> logits [B]


def g_logistic_nonsaturating(fake: jax.Array) -> jax.Array:
    """-log(sigmoid(D(fake))). Goodfellow et al. 2014, "GANs", section 3."""
    return jax.nn.softplus(-fake)


def g_logistic_saturating(fake: jax.Array) -> jax.Array:
    """log(1 - sigmoid(D(fake))). Goodfellow et al. 2014, equation 1."""
    return -jax.nn.softplus(fake)


def g_wgan(fake: jax.Array) -> jax.Array:
    """-D(fake). Arjovsky et al. 2017, "Wasserstein GAN"; also for the hinge loss."""
    return -fake


def d_logistic(real: jax.Array, fake: jax.Array) -> jax.Array:
    """-log(sigmoid(D(real))) - log(1 - sigmoid(D(fake)))."""
    return jax.nn.softplus(fake) + jax.nn.softplus(-real)


def d_wgan(real: jax.Array, fake: jax.Array, drift_weight: float = 0.001) -> jax.Array:
    """D(fake) - D(real) + drift * D(real)^2. Karras et al. 2018, appendix A.1."""
    return fake - real + drift_weight * jnp.square(real)


def d_hinge(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Margins of one on both sides. Lim and Ye 2017, "Geometric GAN"."""
    return jnp.maximum(0.0, 1.0 + fake) + jnp.maximum(0.0, 1.0 - real)


def scores_and_gradients(
    score: Score, images: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Logits [B] of images [B,R,R,C], and the gradient of their sum by the images."""
    scores, pull_back = jax.vjp(score, images)
    return scores, pull_back(jnp.ones_like(scores))[0]


def squared_norm_penalty(gradients: jax.Array, shrink: float) -> jax.Array:
    """R1 (on reals) and R2 (on fakes): the squared gradient norm [B].

    Weighted by gamma / 2 in the objective.

    Args:
      gradients: [B,R,R,C], see `scores_and_gradients`.
      shrink: (stage resolution / full resolution)^2.

    Reference: Mescheder et al. 2018, "Which Training Methods for GANs do actually
    Converge?", section 4.1.
    """
    return shrink * jnp.sum(jnp.square(gradients), axis=(1, 2, 3))


def unit_norm_penalty(
    gradients: jax.Array, shrink: float, target: float = 1.0
) -> jax.Array:
    """WGAN-GP: the squared distance [B] of the gradient norm from `target`.

    Weighted by lambda / target^2 in the objective.

    Args:
      gradients: [B,R,R,C], at points between reals and fakes.
      shrink: (stage resolution / full resolution)^2.
      target: the norm that is wanted.

    Reference: Gulrajani et al. 2017, "Improved Training of Wasserstein GANs",
    section 4.
    """
    norm = jnp.sqrt(shrink * jnp.sum(jnp.square(gradients), axis=(1, 2, 3)))
    return jnp.square(norm - target)


def interpolate(reals: jax.Array, fakes: jax.Array, factors: jax.Array) -> jax.Array:
    """Images between reals and fakes [B,R,R,C]; factor [B] 0 is real, 1 is fake."""
    return reals + (fakes - reals) * factors[:, None, None, None]


def path_noise(noise: jax.Array) -> jax.Array:
    """Scales standard normal image noise [B,H,W,C] to unit length per channel."""
    return noise / math.sqrt(noise.shape[1] * noise.shape[2])


def path_lengths(gradients: jax.Array) -> jax.Array:
    """How far images move per unit step in w, along a random direction: [B].

    Args:
      gradients: [B,L,W], of sum(images * `path_noise`) by the styles of all layers.
    """
    return jnp.sqrt(jnp.mean(jnp.sum(jnp.square(gradients), axis=2), axis=1))


def path_length_penalty(
    lengths: jax.Array, mean: jax.Array, decay: float = 0.01
) -> tuple[jax.Array, jax.Array]:
    """Squared distance [B] of path lengths from their moving average.

    Args:
      lengths: [B], see `path_lengths`.
      mean: the moving average [] so far.
      decay: how far the average moves to this batch before it is used.

    Returns:
      The penalty [B], and the moved average [], through which gradients flow.

    Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of
    StyleGAN", section 3.2 and appendix B.
    """
    mean = mean + decay * (jnp.mean(lengths) - mean)
    return jnp.square(lengths - mean), mean
