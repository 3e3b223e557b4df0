"""Per-pixel noise with a learned strength per channel.

Reference: Karras et al. 2019, "A Style-Based Generator Architecture for GANs",
section 2 ("explicit noise inputs").
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.layers.blocks import Blocks
from stylegan_jax.layers.linear import Image, spread

NOISE_MODES = ("const", "random", "none")


class NoiseInjection(nn.Module):
    """One map of Gaussian noise, added to all channels with a learned strength.

    The strength starts at zero. The constant map lives in the collection "noise";
    random maps are drawn per image from the stream "noise".

    Attributes:
      per_channel: give each channel its own strength (StyleGAN); else all share one
        (StyleGAN2).
    """

    per_channel: bool = True

    @nn.compact
    def __call__(self, x: Image, mode: str) -> Image:
        """Add noise to x.

        Args:
          x: activations [B,H,W,C].
          mode: "const" adds the stored map to all images, "random" a new map to each
            image, "none" returns x unchanged.

        Returns:
          An array like x.
        """
        strength = self.param(
            "strength", nn.initializers.zeros, x.shape[-1:] if self.per_channel else ()
        )
        const = self.variable(
            "noise",
            "const",
            lambda: jax.random.normal(
                jax.random.fold_in(self.make_rng("params"), 1), (1, *x.shape[1:3], 1)
            ),
        )
        if mode == "none":
            return x
        if mode == "random":
            noise = jax.random.normal(self.make_rng("noise"), (*x.shape[:3], 1))
        else:
            noise = const.value
        if isinstance(x, Blocks):
            # The gradient of the strength is one sum, accumulated in float32.
            scale = lambda n: (n.astype(jnp.float32) * strength).astype(n.dtype)  # noqa: E731
            return x + jax.tree.map(scale, x.spread_pixels(noise))
        return x + spread(noise * strength, x)
