"""Control of the augmentation probability: adaptive, constant, or rising to a constant.

The adaptive control watches r_t, the mean sign of the discriminator's scores of the
augmented training images. It is 0 for a discriminator that cannot tell them from
generated ones, and 1 for one that has memorized them. The probability rises while r_t
is above its target, and falls while it is below.

Reference: Karras et al. 2020, "Training Generative Adversarial Networks with Limited
Data" (StyleGAN2-ADA), section 3; the rising probability is from Huang et al. 2024, "The
GAN is dead; long live the GAN!" (R3GAN).
"""

import dataclasses

import jax
import jax.numpy as jnp

from stylegan_jax.config import Training

INTERVAL = 4  # steps from one adjustment to the next
TARGET = 0.6  # default target of r_t
SPEED_KIMG = 500.0  # thousands of images in which the probability can rise by 1 ...
TRANSFER_SPEED_KIMG = 100.0  # ... and in a run that starts from trained networks


@dataclasses.dataclass(frozen=True)
class Adaptive:
    """Adaptive control.

    Attributes:
      target: r_t that the control aims at.
      speed_kimg: thousands of images in which the probability can change by 1.
      maximum: upper bound of the probability. None sets no bound, as in the official
        code, where it can exceed 1; every transform is then always applied.
    """

    target: float = TARGET
    speed_kimg: float = SPEED_KIMG
    maximum: float | None = None

    @property
    def initial(self) -> float:
        """The probability at the start of a run."""
        return 0.0

    def adjust(
        self, probability: jax.Array, signs: jax.Array, batch_size: int
    ) -> jax.Array:
        """Return the next probability, float32 [].

        Args:
          probability: float32 [].
          signs: float32 [2], the sum of the signs of the scores since the last
            adjustment, and their number, which must not be 0.
          batch_size: images of a step.
        """
        step = batch_size * INTERVAL / (self.speed_kimg * 1000)
        r_t = signs[0] / signs[1]
        moved = probability + jnp.sign(r_t - self.target) * jnp.float32(step)
        return jnp.clip(moved, 0.0, self.maximum)

    def at_step(
        self,
        step: jax.Array,
        images_seen: jax.Array,
        batch_size: int,
        probability: jax.Array,
        signs: jax.Array,
    ) -> tuple[jax.Array, jax.Array]:
        """Return the probability and the signs with which a step begins.

        Args:
          step: int32 [], steps taken so far.
          images_seen: int32 [], images shown so far.
          batch_size: images of a step.
          probability: float32 [], that of the last step.
          signs: float32 [2], see `adjust`.
        """
        del images_seen
        is_due = (step % INTERVAL == 0) & (signs[1] > 0)
        adjusted = self.adjust(probability, signs, batch_size)
        return (
            jnp.where(is_due, adjusted, probability),
            jnp.where(is_due, jnp.zeros(2), signs),
        )


@dataclasses.dataclass(frozen=True)
class Scheduled:
    """A probability that rises from 0 along half a cosine, and then stays constant.

    Attributes:
      probability: its final value.
      rampup_kimg: thousands of images in which it rises; 0 begins with the final value.
    """

    probability: float
    rampup_kimg: float = 0.0

    @property
    def initial(self) -> float:
        """The probability at the start of a run."""
        return 0.0 if self.rampup_kimg else self.probability

    def at_step(
        self,
        step: jax.Array,
        images_seen: jax.Array,
        batch_size: int,
        probability: jax.Array,
        signs: jax.Array,
    ) -> tuple[jax.Array, jax.Array]:
        """Return the probability of a step, and the signs; see `Adaptive.at_step`."""
        del step, batch_size
        if not self.rampup_kimg:
            return probability, signs
        share = jnp.minimum(images_seen / (self.rampup_kimg * 1000), 1.0)
        risen = self.probability * (1 - jnp.cos(jnp.pi * share)) / 2
        return jnp.float32(risen), signs


def from_config(training: Training) -> Adaptive | Scheduled:
    """Return the control that the settings `training.augment_*` describe."""
    t = training
    if not t.augment_adapts:
        constant = t.augment_probability
        if t.augment != "none" and not constant:
            constant = 1.0
        return Scheduled(constant, t.augment_rampup_kimg)
    speed = TRANSFER_SPEED_KIMG if t.transfer else SPEED_KIMG
    return Adaptive(
        TARGET if t.augment_target is None else t.augment_target,
        t.augment_speed_kimg or speed,
        t.augment_p_max,
    )


def score_signs(scores: jax.Array) -> jax.Array:
    """Return the sum of the signs of scores [B], and their number, float32 [2]."""
    return jnp.stack([jnp.sum(jnp.sign(scores)), jnp.float32(scores.size)])
