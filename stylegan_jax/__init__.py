"""Style-based GANs in JAX and Flax: StyleGAN, StyleGAN2 and what follows."""
