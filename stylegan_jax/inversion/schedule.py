"""The settings of a projection, and their schedule over its steps.

Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN",
section 5 and appendix D.
"""

import dataclasses

import jax
import jax.numpy as jnp

from stylegan_jax.runtime.messages import listed

RAMP_DOWN = 0.25  # share of the steps in which the learning rate falls to 0
RAMP_UP = 0.05  # share of the steps in which it rises from 0
NOISE_RAMP = 0.75  # share of the steps in which w has noise
NOISE_SCALE = 0.05  # initial standard deviation of the noise, relative to w's
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam in PyTorch's form

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
      space: "w" has one w for all style layers, "w+" one for each.
      steps: number of steps.
      learning_rate: largest learning rate.
      noise: "optimize" fits the noise maps, too, "const" keeps those of the network,
        "none" leaves noise out.
      transform: "fit" also fits the translation and the rotation of a StyleGAN3
        network's images; "fixed" keeps those of the network.
      noise_weight: weight of `noise_maps.regularization`.
      start: "average" starts from the mean w, "samples" from those of `samples` random
        w whose images are nearest to the target, "random" from random w, and "encoder"
        from the w of an encoder.
      samples: number of random w that "samples" tries.
      restarts: number of runs for each target, the best of which is kept. From the
        average and from an encoder, the second and further runs start from random w.
      stop_distance: a target is finished after the first step whose distance is at most
        this; 0 for none.
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
        for name in ("steps", "samples", "restarts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} (={getattr(self, name)}) must be at least 1")
        for name in ("learning_rate", "noise_weight", "stop_distance", "seed"):
            if not getattr(self, name) >= 0:
                raise ValueError(
                    f"{name} (={getattr(self, name)}) must not be negative"
                )
        if self.start == "samples" and self.restarts > self.samples:
            raise ValueError(
                f"restarts (={self.restarts}) must be at most samples "
                f"(={self.samples}), since each starts from another sample"
            )


def learning_rate(t: jax.Array, largest: float) -> jax.Array:
    """Return the learning rate at t, the share of the steps that are done."""
    ramp = jnp.minimum(1.0, (1.0 - t) / RAMP_DOWN)
    ramp = 0.5 - 0.5 * jnp.cos(ramp * jnp.pi)
    return largest * ramp * jnp.minimum(1.0, t / RAMP_UP)


def w_noise(t: jax.Array, w_std: jax.Array) -> jax.Array:
    """Return the standard deviation of the noise that is added to w at t."""
    return w_std * NOISE_SCALE * jnp.square(jnp.maximum(0.0, 1.0 - t / NOISE_RAMP))
