"""The settings of a projection, and the schedules of its learning rate and noise.

Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN",
section 5 and appendix D.
"""

import dataclasses

import jax
import jax.numpy as jnp
import optax

from stylegan_jax.inversion import bounds
from stylegan_jax.runtime.messages import listed

RAMP_DOWN = 0.25  # fraction of the steps in which the learning rate falls to 0
RAMP_UP = 0.05  # fraction of the steps in which it rises from 0
NOISE_RAMP = 0.75  # fraction of the steps in which noise is added to w
NOISE_SCALE = 0.05  # initial standard deviation of the noise, relative to w's
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam's; EPSILON outside of the square root

CHOICES = {
    "space": ("w", "w+"),
    "noise": ("optimize", "const", "none"),
    "transform": ("fixed", "fit"),
    "start": ("average", "samples", "random", "encoder"),
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of a projection.

    Attributes:
      space: "w" finds one w for all style layers, "w+" one for each layer.
      steps: number of steps.
      learning_rate: maximum learning rate.
      noise: "optimize" also optimizes the noise maps, "const" keeps those of the
        network, and "none" uses no noise.
      transform: "fit" also fits the translation and rotation of the image, for
        StyleGAN3; "fixed" keeps those of the network.
      noise_weight: weight of `noise_maps.regularization`.
      start: "average" starts from the mean w; "samples" from those of `samples` random
        w whose images are nearest to the target; "random" from random w; and "encoder"
        from the output of an encoder.
      samples: number of random w that "samples" tries.
      restarts: number of runs for each target, of which the best is kept. With
        "average" and "encoder", all runs but the first start from random w.
      stop_distance: a run stops after the first step whose distance is at most this; 0
        never stops early.
      seed: seed of the noise and of random starts.

    Raises:
      ValueError: a setting is out of its range.
    """

    space: str = "w"
    steps: int = 1000
    learning_rate: float = 0.1
    noise: str = "optimize"
    transform: str = "fixed"
    noise_weight: float = 1e5
    start: str = "average"
    samples: int = 256
    restarts: int = 1
    stop_distance: float = 0.0
    seed: int = 303

    def __post_init__(self):
        """Raise ValueError for a setting that is out of its range."""
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} (={getattr(self, name)!r}) must be one of "
                    f"{listed(choices)}"
                )
        bounds.check_at_least_one(self, "steps", "samples", "restarts")
        bounds.check_not_negative(
            self, "learning_rate", "noise_weight", "stop_distance", "seed"
        )
        if self.start == "samples" and self.restarts > self.samples:
            raise ValueError(
                f"restarts (={self.restarts}) must be at most samples "
                f"(={self.samples}), since each run starts from a different sample"
            )


def adam() -> optax.GradientTransformation:
    """Return Adam without a learning rate."""
    return optax.scale_by_adam(BETA1, BETA2, EPSILON)


def learning_rate(t: jax.Array, largest: float) -> jax.Array:
    """Return the learning rate at t, the fraction of the steps that are done."""
    ramp = jnp.minimum(1.0, (1.0 - t) / RAMP_DOWN)
    ramp = 0.5 - 0.5 * jnp.cos(ramp * jnp.pi)
    return largest * ramp * jnp.minimum(1.0, t / RAMP_UP)


def w_noise(t: jax.Array, w_std: jax.Array) -> jax.Array:
    """Return the standard deviation of the noise that is added to w at t."""
    return w_std * NOISE_SCALE * jnp.square(jnp.maximum(0.0, 1.0 - t / NOISE_RAMP))
