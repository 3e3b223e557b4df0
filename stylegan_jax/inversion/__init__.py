"""Inversion: find the latents of images, and fine-tune the generator around them."""
