"""Adversarial losses and gradient penalties, per image; pure functions.

Scores are the discriminator's logits [B], high for real images. The loss of a network
is the mean over the batch.

To add an adversarial loss, write two functions of the scores here, one for each
network, and an entry in `adversarial_loss`. `AdversarialLoss` also selects the gradient
penalty that goes with the loss. To add a penalty, write its formula here, and use it in
a method of `GANObjectives` in `phases.py`. docs/code.md lists all steps.

Penalties are scaled as in the official code at every stage. That code takes gradients
with respect to images that are enlarged to the full resolution. Their squared norm is
(stage / full)^2 times that of the gradients with respect to the images themselves; the
argument `shrink` is this factor.
"""

import dataclasses
import math
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

Score = Callable[[jax.Array], jax.Array]  # images [B,H,W,C] -> logits [B]


@dataclasses.dataclass(frozen=True)
class AdversarialLoss:
    """The losses of the two networks.

    Attributes:
      generator: (scores of fakes [B], scores of reals [B] or None) -> losses [B].
      discriminator: (scores of reals [B], scores of fakes [B]) -> losses [B].
      generator_scores_reals: True if the generator's loss needs the scores of reals,
        as relativistic losses do; otherwise `generator` receives None for them.
      penalizes_interpolates: True for the gradient penalty of WGAN-GP, on points
        between reals and fakes; False for R1 on reals and R2 on fakes.
    """

    generator: Callable[[jax.Array, jax.Array | None], jax.Array]
    discriminator: Callable[[jax.Array, jax.Array], jax.Array]
    generator_scores_reals: bool = False
    penalizes_interpolates: bool = False


def adversarial_loss(name: str, drift_weight: float = 0.001) -> AdversarialLoss:
    """Return an adversarial loss by its name, `training.loss`.

    Args:
      name: name of the loss.
      drift_weight: weight of the squared scores of reals in "wgan".

    Raises:
      ValueError: if there is no loss of this name.
    """
    losses = {
        "logistic": AdversarialLoss(
            lambda fake, real: g_logistic_nonsaturating(fake), d_logistic
        ),
        "wgan": AdversarialLoss(
            lambda fake, real: g_wgan(fake),
            lambda real, fake: d_wgan(real, fake, drift_weight),
            penalizes_interpolates=True,
        ),
        "hinge": AdversarialLoss(
            lambda fake, real: g_wgan(fake), d_hinge, penalizes_interpolates=True
        ),
        "relativistic": AdversarialLoss(
            g_relativistic, d_relativistic, generator_scores_reals=True
        ),
    }
    if name not in losses:
        raise ValueError(f"`training.loss` (={name!r}) must be one of {tuple(losses)}")
    return losses[name]


def g_logistic_nonsaturating(fake: jax.Array) -> jax.Array:
    """Return -log(sigmoid(D(fake))). Goodfellow et al. 2014, "GANs", section 3."""
    return jax.nn.softplus(-fake)


def g_logistic_saturating(fake: jax.Array) -> jax.Array:
    """Return log(1 - sigmoid(D(fake))). Goodfellow et al. 2014, equation 1."""
    return -jax.nn.softplus(fake)


def g_wgan(fake: jax.Array) -> jax.Array:
    """Return -D(fake), for WGAN and the hinge loss. Arjovsky et al. 2017, "WGAN"."""
    return -fake


def d_logistic(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Return -log(sigmoid(D(real))) - log(1 - sigmoid(D(fake)))."""
    chex.assert_equal_shape([real, fake])
    return jax.nn.softplus(fake) + jax.nn.softplus(-real)


def d_wgan(real: jax.Array, fake: jax.Array, drift_weight: float = 0.001) -> jax.Array:
    """Return D(fake) - D(real) + drift * D(real)^2. Karras et al. 2018, app. A.1."""
    chex.assert_equal_shape([real, fake])
    return fake - real + drift_weight * jnp.square(real)


def d_hinge(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Return the hinge loss with margins of one. Lim and Ye 2017, "Geometric GAN"."""
    chex.assert_equal_shape([real, fake])
    return jnp.maximum(0.0, 1.0 + fake) + jnp.maximum(0.0, 1.0 - real)


def g_relativistic(fake: jax.Array, real: jax.Array) -> jax.Array:
    """Return -log(sigmoid(D(fake) - D(real))), a fake and a real at each position.

    Reference: Jolicoeur-Martineau 2018, "The relativistic discriminator", section 4;
    Huang et al. 2024, "The GAN is dead; long live the GAN!" (R3GAN), section 2.1, which
    adds R1 and R2 at every step.
    """
    chex.assert_equal_shape([real, fake])
    return jax.nn.softplus(real - fake)


def d_relativistic(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Return -log(sigmoid(D(real) - D(fake))); see `g_relativistic`."""
    chex.assert_equal_shape([real, fake])
    return jax.nn.softplus(fake - real)


def lecam_penalty(real: jax.Array, fake: jax.Array, means: jax.Array) -> jax.Array:
    """Return the LeCam regularizer [B], which keeps the scores of both sets close.

    It penalizes reals that score above the average fake, and fakes that score below the
    average real. The loss of the discriminator adds it, weighted.

    Args:
      real: scores of reals [B].
      fake: scores of fakes [B].
      means: moving averages [3] that include this batch, see
        `TrainState.score_means`; dividing by the weights corrects their bias towards 0.

    Reference: Tseng et al. 2021, "Regularizing Generative Adversarial Networks under
    Limited Data", section 3.2; the rectification is that of its code.
    """
    chex.assert_equal_shape([real, fake])
    mean_real, mean_fake = means[:2] / means[2]
    above = jnp.maximum(real - mean_fake, 0.0)
    below = jnp.maximum(mean_real - fake, 0.0)
    return jnp.square(above) + jnp.square(below)


def update_score_means(
    means: jax.Array, real: jax.Array, fake: jax.Array, decay: float = 0.99
) -> jax.Array:
    """Return `TrainState.score_means` after the scores [B] of reals and of fakes."""
    batch = jnp.stack([jnp.mean(real), jnp.mean(fake), jnp.ones(())])
    return decay * means + (1 - decay) * batch


def scores_and_gradients(
    score: Score, images: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return the logits [B] of images [B,H,W,C] and the gradients of their sum."""
    chex.assert_rank(images, 4)
    scores, pull_back = jax.vjp(score, images)
    chex.assert_shape(scores, (len(images),))
    return scores, pull_back(jnp.ones_like(scores))[0]


def squared_norm_penalty(gradients: jax.Array, shrink: float) -> jax.Array:
    """Return the squared gradient norm [B]: R1 on reals, R2 on fakes.

    The loss weights it by gamma / 2.

    Args:
      gradients: [B,H,W,C], see `scores_and_gradients`.
      shrink: (stage resolution / full resolution)^2.

    Reference: Mescheder et al. 2018, "Which Training Methods for GANs do actually
    Converge?", section 4.1.
    """
    chex.assert_rank(gradients, 4)
    return shrink * jnp.sum(jnp.square(gradients), axis=(1, 2, 3))


def unit_norm_penalty(
    gradients: jax.Array, shrink: float, target: float = 1.0
) -> jax.Array:
    """Return the squared distance [B] of the gradient norm from `target` (WGAN-GP).

    The loss weights it by lambda / target^2.

    Args:
      gradients: [B,H,W,C], at points between reals and fakes.
      shrink: (stage resolution / full resolution)^2.
      target: the norm that the penalty pulls to.

    Reference: Gulrajani et al. 2017, "Improved Training of Wasserstein GANs",
    section 4.
    """
    chex.assert_rank(gradients, 4)
    norm = jnp.sqrt(shrink * jnp.sum(jnp.square(gradients), axis=(1, 2, 3)))
    return jnp.square(norm - target)


def interpolate(reals: jax.Array, fakes: jax.Array, factors: jax.Array) -> jax.Array:
    """Return images between reals and fakes [B,H,W,C]; a factor of 0 gives the real."""
    chex.assert_equal_shape([reals, fakes])
    chex.assert_shape(factors, (len(reals),))
    return reals + (fakes - reals) * factors[:, None, None, None]


def path_noise(noise: jax.Array) -> jax.Array:
    """Scale standard normal image noise [B,H,W,C] to unit length per channel."""
    chex.assert_rank(noise, 4)
    return noise / math.sqrt(noise.shape[1] * noise.shape[2])


def path_lengths(gradients: jax.Array) -> jax.Array:
    """Return the lengths [B] that images move per unit step in w, in random directions.

    Args:
      gradients: [B,L,W], of sum(images * `path_noise`) with respect to the ws.
    """
    chex.assert_rank(gradients, 3)
    return jnp.sqrt(jnp.mean(jnp.sum(jnp.square(gradients), axis=2), axis=1))


def path_length_penalty(
    lengths: jax.Array, mean: jax.Array, decay: float = 0.01
) -> tuple[jax.Array, jax.Array]:
    """Return the squared distance of path lengths from their moving average.

    Args:
      lengths: [B], see `path_lengths`.
      mean: [], the moving average before this batch.
      decay: weight of this batch in the moving average. The average is updated before
        the penalty is computed.

    Returns:
      The penalty [B], and the updated moving average [], through which gradients flow.

    Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of
    StyleGAN", section 3.2 and appendix B.
    """
    chex.assert_rank([lengths, mean], [1, 0])
    mean = mean + decay * (jnp.mean(lengths) - mean)
    return jnp.square(lengths - mean), mean
