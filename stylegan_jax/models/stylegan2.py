"""StyleGAN2: modulated synthesis and the discriminators, without growing.

Generators accumulate images over the resolutions ("skip"), features ("resnet"), or
neither ("orig"); "growing" has StyleGAN's ToRGB at every resolution and fades, for the
ablations of the paper's Table 1. Discriminators are likewise "resnet", "skip", "orig".

Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN",
sections 2 and 4, figures 2 and 7; labels as in Karras et al. 2020, "Training
Generative Adversarial Networks with Limited Data".
"""

from stylegan_jax.models.interface import Channels
from stylegan_jax.models.stylegan2_discriminator import (
    D_ARCHITECTURES,
    Discriminator,
    DiscriminatorBlock,
)
from stylegan_jax.models.stylegan2_generator import (
    G_ARCHITECTURES,
    Generator,
    SynthesisBlock,
)
from stylegan_jax.models.stylegan2_layers import (
    ConvLayer,
    LayerOptions,
    SynthesisLayer,
    ToRGB,
    block_dtype,
)

__all__ = [
    "D_ARCHITECTURES",
    "G_ARCHITECTURES",
    "Channels",
    "ConvLayer",
    "Discriminator",
    "DiscriminatorBlock",
    "Generator",
    "LayerOptions",
    "SynthesisBlock",
    "SynthesisLayer",
    "ToRGB",
    "block_dtype",
]
