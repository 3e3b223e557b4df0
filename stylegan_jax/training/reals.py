"""Real images on the device: from uint8 to what the discriminator is shown."""

import jax
import jax.numpy as jnp

from stylegan_jax.layers.resample import downscale2d, upscale2d


def process_reals(
    images_uint8: jax.Array,
    flip: jax.Array | None = None,
    fade: jax.Array | float = 1.0,
) -> jax.Array:
    """Scales to [-1,1], mirrors, and fades as the networks do.

    Args:
      images_uint8: [B,R,R,C] at the stage's resolution.
      flip: bool [B], which images to mirror left-right; None for none.
      fade: share of this resolution against the one below; exactly 1.0 as a Python
        number leaves the blending out of the program.

    Returns:
      Images [B,R,R,C], float32, in [-1,1].

    Reference: Karras et al. 2018, "Progressive Growing of GANs", section 2 and
    figure 2.
    """
    images = images_uint8.astype(jnp.float32) / 127.5 - 1
    if flip is not None:
        mirrored = images[:, :, ::-1]
        images = jnp.where(flip[:, None, None, None], mirrored, images)
    if isinstance(fade, (int, float)) and fade == 1:
        return images
    blurred = upscale2d(downscale2d(images))
    return images + (blurred - images) * (1 - fade)
