"""StyleGAN (2019): AdaIN synthesis and the growing discriminator.

Reference: Karras et al. 2019, "A Style-Based Generator Architecture for GANs",
figure 1, section 2 and appendix C.
"""

from stylegan_jax.models.interface import Channels
from stylegan_jax.models.stylegan1_discriminator import (
    Discriminator,
    DiscriminatorBlock,
)
from stylegan_jax.models.stylegan1_generator import (
    ConstInput,
    DenseInput,
    Generator,
    LayerOptions,
    SynthesisLayer,
)

__all__ = [
    "Channels",
    "ConstInput",
    "DenseInput",
    "Discriminator",
    "DiscriminatorBlock",
    "Generator",
    "LayerOptions",
    "SynthesisLayer",
]
